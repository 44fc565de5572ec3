package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("irnet", "one bit with balanced, standardized weights, scales that are powers of two, and the error decay estimator",
		"Qin et al., Forward and backward information retention for accurate binary neural networks, CVPR", 2020,
		[]method.Option{{Name: "t-min", Default: "0.1", Help: "temperature of the estimator to begin with"}, {Name: "t-max", Default: "10", Help: "and at the end"},
			{Name: "shortcuts", Default: "false", Help: "a shortcut around every layer (Bi-Real Net)"}},
		func(o opts) *Method {
			m := &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "sgd", LR: 0.1, Decay: 1e-4}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value {
					w := l.Node.Inputs[1]
					return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "irnet"}, w, b.Temperature(l, "weights/t", o.number("t-min")))
				},
				Inputs: signInputs("ede"),
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{&decay{names: b.Temperatures, first: o.number("t-min"), last: o.number("t-max")}}
				}}
			if o.yes("shortcuts") {
				m.Structure = withShortcuts(hardTanh)
			}
			return m
		})
}
