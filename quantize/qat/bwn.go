package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("bwn", "weights of one bit with a scale for each channel, its mean magnitude",
		"Rastegari et al., XNOR-Net: ImageNet classification using binary convolutional neural networks, ECCV", 2016, nil,
		func(opts) *Method {
			return &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Hooks:   func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b)} }}
		})
}
