package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("bnn", "weights and activations of one bit, by their signs",
		"Hubara et al., Binarized neural networks, NeurIPS", 2016, []method.Option{steOption("hardtanh")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return binaryWeights(b, l, "sign", graph.Attrs{"scale": float32(1)})
				},
				Inputs: signInputs(o.estimator()),
				Hooks:  func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b), temperatures(b)} }}
		})
}
