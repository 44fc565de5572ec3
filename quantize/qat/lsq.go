package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("lsq", "training with learned step sizes of weights and activations",
		"Esser et al., Learned step size quantization, ICLR", 2020,
		[]method.Option{
			{Name: "offset", Default: "false", Help: "learn an offset of activations too (LSQ+, Bhalgat et al. 2020)"},
			{Name: "per-channel", Default: "false", Help: "a step for each output channel of the weights"},
			{Name: "least-error", Default: "true", Help: "begin with the steps of least squared error, which short trainings profit from, instead of 2·mean|v|/√qmax"}},
		func(o opts) *Method {
			return &Method{WBits: 4, ABits: 4, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4, ByBits: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return lsqWeights(b, l, o.yes("per-channel"), o.yes("least-error"))
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value { return lsqInputs(b, l, o.yes("offset"), o.yes("least-error")) },
				Hooks:  func(b *Builder) []train.Hook { return []train.Hook{&steady{names: b.Steps}} }}
		})
}

// lsqWeights begins with the step of least error, or 2·mean|w|/√qmax.
func lsqWeights(b *Builder, l *Layer, perChannel, least bool) *graph.Value {
	w := l.Node.Inputs[1]
	x := w.Data.Float32s()
	lo, hi := signed(l.WBits)
	rows := 1
	if perChannel {
		rows = w.Data.Shape[0]
	}
	steps := make([]float32, rows)
	for i := range steps {
		sum, row := 0.0, x[i*len(x)/rows:(i+1)*len(x)/rows]
		if least {
			steps[i] = float32(max(leastError(row, lo, hi), 1e-6))
			continue
		}
		for _, v := range row {
			sum += math.Abs(float64(v)) / float64(len(row))
		}
		steps[i] = float32(max(2*sum/math.Sqrt(float64(hi)), 1e-6))
	}
	t := tensor.Of(steps, rows)
	if !perChannel {
		t = tensor.Scalar(steps[0])
	}
	step := b.Variable(l, "weights/step", t)
	b.Steps = append(b.Steps, step.Name)
	return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "step", "qmin": lo, "qmax": hi, "grad_scale": gradScale(len(x)/rows, hi)}, w, step)
}

// lsqInputs begins with the step of least error, or 2·mean|x|/√qmax; with an
// offset, with the whole range.
func lsqInputs(b *Builder, l *Layer, offset, least bool) *graph.Value {
	lo, hi := span(l)
	step := max(2*l.MeanAbs/math.Sqrt(float64(hi)), 1e-6)
	if least {
		step = max(leastError(l.Sample, lo, hi), 1e-6)
	}
	in := []*graph.Value{l.Node.Inputs[0]}
	attrs := graph.Attrs{"kind": "step", "grad_scale": gradScale(l.Count, hi)}
	if offset {
		lo, hi = 0, 1<<l.ABits-1
		if l.Least < 0 {
			step = max((l.Peak-l.Least)/float64(hi), 1e-6)
		}
		in = append(in, b.Number(l, "inputs/step", step), b.Number(l, "inputs/offset", max(l.Least, -l.Peak)))
	} else {
		in = append(in, b.Number(l, "inputs/step", step))
	}
	attrs["qmin"], attrs["qmax"] = lo, hi
	b.Steps = append(b.Steps, in[1].Name)
	return b.Own(l, fake.FakeQuantize, "inputs", attrs, in...)
}

// steady lets learned steps change by at most a tenth at once: a rate that suits
// the weights can throw a small step below zero, from where no gradient leads
// back.
type steady struct {
	train.NoHook
	names []string
	old   map[string][]float32
}

// steadyShare is the greatest change of a step, as a share of it.
const steadyShare = 0.1

func (h *steady) BeforeForward(s *train.State) error {
	if h.old == nil {
		h.old = map[string][]float32{}
	}
	for _, name := range h.names {
		if t := s.Param(name); t != nil {
			h.old[name] = append(h.old[name][:0], tensor.Data[float32](t)...)
		}
	}
	return nil
}

func (h *steady) AfterStep(s *train.State) error {
	for name, old := range h.old {
		d := tensor.Data[float32](s.Param(name))
		for i, v := range old {
			d[i] = min(max(d[i], v*(1-steadyShare)), v*(1+steadyShare))
		}
	}
	return nil
}
