package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
)

func init() {
	register("dorefa", "training with weights through a hyperbolic tangent, activations clipped to [0, 1], and rounded gradients",
		"Zhou et al., DoReFa-Net: training low bitwidth convolutional neural networks with low bitwidth gradients", 2016,
		[]method.Option{{Name: "gbits", Default: "32", Help: "bits of gradients; 32 does not round them"}, reachOption},
		func(o opts) *Method {
			m := &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "sgd", LR: 0.05, Decay: 1e-4, ByBits: true}, Weights: dorefaWeights,
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					hi := int64(1)<<l.ABits - 1
					return fixedGrid(b, l, 0, hi, reach(o, l, 0, hi, 1/float64(hi)))
				}}
			m.Outputs = gradients("dorefa", int(o.number("gbits")))
			return m
		})
}

// dorefaWeights are those of DoReFa-Net, whose one bit is the sign times the
// layer's mean magnitude.
func dorefaWeights(b *Builder, l *Layer) *graph.Value {
	if l.WBits == 1 {
		return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "layer"}, l.Node.Inputs[1])
	}
	return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "dorefa", "bits": int64(l.WBits)}, l.Node.Inputs[1])
}
