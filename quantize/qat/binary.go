package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// binaryWeights adds QuantizeWeights of that kind and notes the shadow.
func binaryWeights(b *Builder, l *Layer, kind string, attrs graph.Attrs, more ...*graph.Value) *graph.Value {
	if attrs == nil {
		attrs = graph.Attrs{}
	}
	attrs["kind"] = kind
	w := l.Node.Inputs[1]
	b.Shadows = append(b.Shadows, w.Name)
	return b.Own(l, fake.QuantizeWeights, "weights", attrs, append([]*graph.Value{w}, more...)...)
}

// signInputs binarizes what a layer reads, unless more than one bit was asked
// for.
func signInputs(estimator string) func(b *Builder, l *Layer) *graph.Value {
	return func(b *Builder, l *Layer) *graph.Value {
		if l.ABits > 1 {
			return nil
		}
		in := []*graph.Value{l.Node.Inputs[0]}
		if estimator == "ede" {
			in = append(in, nil, b.Temperature(l, "inputs/t", edeFirst))
		}
		return b.Own(l, fake.Binarize, "inputs", graph.Attrs{"estimator": estimator}, in...)
	}
}

// edeFirst and edeLast are the temperatures of IR-Net.
const edeFirst, edeLast = 0.1, 10

func steOption(def string) method.Option {
	return method.Option{Name: "ste", Default: def, Help: "gradient of the sign of activations: identity, hardtanh, polynomial, ede or swish"}
}

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
	register("bnn", "weights and activations of one bit, by their signs",
		"Hubara et al., Binarized neural networks, NeurIPS", 2016, []method.Option{steOption("hardtanh")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return binaryWeights(b, l, "sign", graph.Attrs{"scale": float32(1)})
				},
				Inputs: signInputs(o.given["ste"]),
				Hooks:  func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b), temperatures(b)} }}
		})
	register("bwn", "weights of one bit with a scale for each channel, its mean magnitude",
		"Rastegari et al., XNOR-Net: ImageNet classification using binary convolutional neural networks, ECCV", 2016, nil,
		func(opts) *Method {
			return &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "sgd", LR: 0.05, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Hooks:   func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b)} }}
		})
	register("xnor", "weights and activations of one bit, a scale for each channel, filters centred (the map K of input magnitudes is left out)",
		"Rastegari et al., XNOR-Net: ImageNet classification using binary convolutional neural networks, ECCV", 2016, []method.Option{steOption("hardtanh")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 1e-3, NoDecay: true}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Inputs:  signInputs(o.given["ste"]),
				Hooks: func(b *Builder) []train.Hook {
					c := unitClamp(b)
					c.center = true
					return []train.Hook{c, temperatures(b)}
				}}
		})
	register("lab", "loss-aware binarization: a proximal Newton step with the curvature that Adam keeps",
		"Hou et al., Loss-aware binarization of deep networks, ICLR", 2017,
		[]method.Option{{Name: "activations", Default: "false", Help: "binarize activations too (LAB2)"}, steOption("hardtanh")},
		func(o opts) *Method {
			m := &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					w := l.Node.Inputs[1]
					d := b.Variable(l, "weights/curvature", tensor.New(tensor.Float32, w.Data.Shape...))
					b.Curvatures[w.Name] = d.Name
					return binaryWeights(b, l, "lab", nil, d)
				},
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{&curvature{of: b.Curvatures}, unitClamp(b), temperatures(b)}
				}}
			if o.yes("activations") {
				m.ABits, m.Inputs, m.Structure = 1, signInputs(o.given["ste"]), hardTanh
			}
			return m
		})
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
	register("bireal", "one bit with a shortcut around every layer, the polynomial estimator and magnitude-aware weights",
		"Liu et al., Bi-Real Net: enhancing the performance of 1-bit CNNs, ECCV", 2018, []method.Option{steOption("polynomial")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 1e-3, NoDecay: true}, Structure: withShortcuts(hardTanh),
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "magnitude", nil) },
				Inputs:  signInputs(o.given["ste"]),
				Hooks:   func(b *Builder) []train.Hook { return []train.Hook{temperatures(b)} }}
		})
	register("reactnet", "Bi-Real Net with a learned threshold for each channel's sign and learned slopes for the activations",
		"Liu et al., ReActNet: towards precise binary neural network with generalized activation functions, ECCV", 2020, []method.Option{steOption("polynomial")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 1e-3, NoDecay: true}, Structure: withShortcuts(slopes),
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "magnitude", nil) },
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					x := l.Node.Inputs[0]
					if l.ABits > 1 || len(x.Shape) < 2 {
						return nil
					}
					in := []*graph.Value{x, b.Variable(l, "inputs/threshold", tensor.New(tensor.Float32, x.Shape[1].Size))}
					if o.given["ste"] == "ede" {
						in = append(in, b.Temperature(l, "inputs/t", edeFirst))
					}
					return b.Own(l, fake.Binarize, "inputs", graph.Attrs{"estimator": o.given["ste"]}, in...)
				},
				Hooks: func(b *Builder) []train.Hook { return []train.Hook{temperatures(b)} }}
		})
}

// temperatures anneals the estimators that have one.
func temperatures(b *Builder) *decay {
	return &decay{names: b.Temperatures, first: edeFirst, last: edeLast}
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
