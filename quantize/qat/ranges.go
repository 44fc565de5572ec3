package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("qat", "integer-only quantization-aware training: weights by their range, activations by exponential averages of theirs",
		"Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference, CVPR", 2018,
		[]method.Option{
			{Name: "decay", Default: "0.99", Help: "share of a range's average that stays at each step"},
			{Name: "delay", Default: "0.1", Help: "share of the training before activations are rounded"}},
		func(o opts) *Method {
			return &Method{WBits: 8, ABits: 8, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4, ByBits: true},
				Weights: peakWeights, Inputs: averagedInputs,
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{&averages{names: b.Ranges, keep: float32(o.number("decay")), delay: o.number("delay")}}
				}}
		})
}

// peakWeights rounds to the grid of each channel's greatest magnitude. Folding
// a batch normalization multiplies channels, so it commutes with this grid and
// need not happen in training.
func peakWeights(b *Builder, l *Layer) *graph.Value {
	_, hi := signed(l.WBits)
	return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "peak", "qmin": -hi, "qmax": hi}, l.Node.Inputs[1])
}

// averagedInputs rounds to the grid of a range that a hook moves.
func averagedInputs(b *Builder, l *Layer) *graph.Value {
	r := b.Variable(l, "inputs/range", tensor.Of([]float32{0, 0}, 2))
	b.Ranges = append(b.Ranges, r.Name)
	return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "range", "qmin": int64(0), "qmax": int64(1)<<l.ABits - 1}, l.Node.Inputs[0], r)
}

// averages moves the ranges of activations by exponential averages. The
// operator's gradient is the range minus what the batch spans; the optimizer
// never sees it. Before delay, a share of the run, ranges stay empty and nothing
// is rounded.
type averages struct {
	train.NoHook
	names []string
	keep  float32
	delay float64
	moves map[string][2]float32
}

func (h *averages) AfterBackward(s *train.State) error {
	h.moves = map[string][2]float32{}
	for _, name := range h.names {
		g := s.Grad(name)
		if g == nil {
			continue
		}
		d := tensor.Data[float32](g)
		h.moves[name] = [2]float32{d[0], d[1]}
		d[0], d[1] = 0, 0
	}
	return nil
}

func (h *averages) AfterStep(s *train.State) error {
	if s.Fraction < h.delay {
		return nil
	}
	for name, m := range h.moves {
		r := tensor.Data[float32](s.Param(name))
		share := 1 - h.keep
		if r[0] >= r[1] { // the first range is taken as it is
			share = 1
		}
		r[0] -= share * m[0]
		r[1] -= share * m[1]
	}
	return nil
}
