package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("qnn", "training with fixed-point weights and activations in [-1, 1), and gradients that are powers of two",
		"Hubara et al., Quantized neural networks: training neural networks with low precision weights and activations, JMLR", 2018,
		[]method.Option{{Name: "gbits", Default: "32", Help: "bits of the powers that gradients are rounded to; 32 does not round them"}, reachOption},
		func(o opts) *Method {
			m := &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "adam", LR: 1e-3},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					if l.WBits == 1 {
						return binaryWeights(b, l, "sign", graph.Attrs{"scale": float32(1)})
					}
					v := l.Node.Inputs[1]
					b.Shadows = append(b.Shadows, v.Name)
					lo, hi := int64(-1)<<(l.WBits-1), int64(1)<<(l.WBits-1)-1
					fillUnit(l, lo, hi, math.Ldexp(1, 1-l.WBits))
					return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "fixed", "qmin": lo, "qmax": hi}, v,
						b.Number(l, "weights/step", math.Ldexp(1, 1-l.WBits)))
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					lo, hi := int64(0), int64(1)<<(l.ABits-1)-1
					if l.Least < 0 {
						lo = -hi - 1
					}
					return fixedGrid(b, l, lo, hi, reach(o, l, lo, hi, math.Ldexp(1, 1-l.ABits)))
				},
				Hooks: func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b)} }}
			m.Outputs = gradients("log", int(o.number("gbits")))
			return m
		})
}
