package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("binaryconnect", "weights of one bit: the sign, or a random draw; activations stay as they are",
		"Courbariaux et al., BinaryConnect: training deep neural networks with binary weights during propagations, NeurIPS", 2015,
		[]method.Option{{Name: "stochastic", Default: "false", Help: "draw each weight with the probability of its hard sigmoid"},
			{Name: "glorot", Default: "true", Help: "scale H = √(1.5/(inputs + outputs)) instead of 1"}},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					h := glorot(l, o.yes("glorot"))
					rescale(l, h)
					if !o.yes("stochastic") {
						return binaryWeights(b, l, "sign", graph.Attrs{"scale": h})
					}
					return binaryWeights(b, l, "stochastic", graph.Attrs{"scale": h, "stream": int64(len(b.Noise))}, b.Step(l, "weights/noise"))
				},
				Hooks: func(b *Builder) []train.Hook {
					bound := map[string]float32{}
					for _, l := range b.Layers {
						if p := weightNode(l.Node); p != nil {
							bound[p.Inputs[0].Name] = p.Float("scale", 1)
						}
					}
					return []train.Hook{&clamp{names: b.Shadows, bound: func(name string) float32 { return bound[name] }}}
				}}
		})
}

// glorot is √(1.5/(inputs + outputs)) of the layer.
func glorot(l *Layer, on bool) float32 {
	if !on {
		return 1
	}
	s := l.Node.Inputs[1].Data.Shape
	taps := 1
	for _, d := range s[2:] {
		taps *= d
	}
	return float32(math.Sqrt(1.5 / float64((s[0]+s[1])*taps)))
}

// rescale brings the weights into [−h, h].
func rescale(l *Layer, h float32) {
	v := l.Node.Inputs[1]
	d := v.Data.Clone()
	top := float32(0)
	x := tensor.Data[float32](d)
	for _, w := range x {
		top = max(top, abs(w))
	}
	if top > h {
		for i := range x {
			x[i] *= h / top
		}
	}
	v.SetData(d)
}
