package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("pact", "training with a learned clipping value for each layer's activations, and DoReFa's weights",
		"Choi et al., PACT: parameterized clipping activation for quantized neural networks", 2018,
		[]method.Option{{Name: "alpha", Default: "8", Help: "clipping value to begin with; never above what is seen"}, {Name: "l2", Default: "0.0002", Help: "strength of the pull of clipping values towards zero"}},
		func(o opts) *Method {
			return &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "sgd", LR: 0.02, Decay: 1e-4, ByBits: true},
				Weights: dorefaWeights,
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					alpha := b.Number(l, "alpha", min(o.number("alpha"), max(l.Peak, 1e-3)))
					b.Steps = append(b.Steps, alpha.Name)
					return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "clip", "qmin": int64(0), "qmax": int64(1)<<l.ABits - 1}, l.Node.Inputs[0], alpha)
				},
				Hooks: func(b *Builder) []train.Hook { return []train.Hook{&pull{names: b.Steps, by: float32(o.number("l2"))}} }}
		})
}

// pull adds a multiple of the value to the gradient of each variable: an L2 term.
type pull struct {
	train.NoHook
	names []string
	by    float32
}

func (h *pull) AfterBackward(s *train.State) error {
	for _, name := range h.names {
		p, g := s.Param(name), s.Grad(name)
		if p != nil && g != nil {
			tensor.Data[float32](g)[0] += h.by * tensor.Data[float32](p)[0]
		}
	}
	return nil
}
