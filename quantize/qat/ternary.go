package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/quantize/fake"
)

func init() {
	register("ternary", "training with weights in {-a, 0, a}",
		"Li et al., Ternary weight networks", 2016, nil,
		func(opts) *Method {
			return &Method{WBits: 2, ABits: 8, Recipe: Recipe{Optimizer: "sgd", LR: 0.02, Decay: 1e-4, ByBits: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "ternary"}, l.Node.Inputs[1])
				}}
		})
}
