package qat

import (
	"math"
	"slices"

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
			return &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Hooks:   func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b)} }}
		})
	register("xnor", "weights and activations of one bit, a scale for each channel, filters centred",
		"Rastegari et al., XNOR-Net: ImageNet classification using binary convolutional neural networks, ECCV", 2016,
		[]method.Option{steOption("hardtanh"), {Name: "map", Default: "false", Help: "multiply each output by K, the mean magnitude of the inputs under the filter, which the paper found of little effect"}},
		func(o opts) *Method {
			m := &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Inputs:  signInputs(o.given["ste"]),
				Hooks: func(b *Builder) []train.Hook {
					c := unitClamp(b)
					c.center = true
					return []train.Hook{c, temperatures(b)}
				}}
			if o.yes("map") {
				m.Outputs = magnitudes
			}
			return m
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
		"Liu et al., Bi-Real Net: enhancing the performance of 1-bit CNNs, ECCV", 2018, []method.Option{steOption("polynomial"), realOption()},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 1e-3, NoDecay: true}, Structure: withShortcuts(hardTanh),
				Weights: realFirst(o.number("real")),
				Inputs:  signInputs(o.given["ste"]),
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{temperatures(b), &later{names: b.Shares, at: o.number("real")}}
				}}
		})
	register("reactnet", "Bi-Real Net with a learned threshold for each channel's sign, and a learned slope and shifts for its activation",
		"Liu et al., ReActNet: towards precise binary neural network with generalized activation functions, ECCV", 2020, []method.Option{steOption("polynomial"), realOption()},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 2e-3, NoDecay: true}, Structure: withShortcuts(slopes),
				Weights: realFirst(o.number("real")),
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					if l.ABits > 1 || len(l.Node.Inputs[0].Shape) < 2 {
						return nil
					}
					shifted(b, l)
					return signInputs(o.given["ste"])(b, l)
				},
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{temperatures(b), &later{names: b.Shares, at: o.number("real")}}
				}}
		})
}

// realOption is the first of the two steps in which binary networks learn best:
// activations of one bit with weights as they are, from which the second begins
// (Martinez et al., Training binary neural networks with real-to-binary
// convolutions, ICLR 2020).
func realOption() method.Option {
	return method.Option{Name: "real", Default: "0", Below: 1, Help: "share of the training, below 1, in which only activations are binary"}
}

// realFirst binarizes weights by their signs and mean magnitudes, after a share
// of the training.
func realFirst(share float64) func(b *Builder, l *Layer) *graph.Value {
	return func(b *Builder, l *Layer) *graph.Value {
		if share <= 0 {
			return binaryWeights(b, l, "magnitude", nil)
		}
		s := b.Number(l, "weights/share", 0)
		b.Shares = append(b.Shares, s.Name)
		return binaryWeights(b, l, "magnitude", nil, s)
	}
}

// shifted takes a learned threshold for each channel off what the layer reads
// (ReActNet's RSign).
func shifted(b *Builder, l *Layer) {
	x := l.Node.Inputs[0]
	shape := make([]int, len(x.Shape)-1)
	for i := range shape {
		shape[i] = 1
	}
	shape[0] = x.Shape[1].Size
	th := b.Own(l, fake.Learned, "inputs/learned", nil, b.Variable(l, "inputs/threshold", tensor.New(tensor.Float32, shape...)))
	name := l.Node.Name + "/inputs/shift"
	sub := b.Graph.NewNode("", "Sub", name, []*graph.Value{x, th}, []string{name}, nil)
	b.Graph.InsertBefore(l.Node, sub)
	sub.Outputs[0].Type, sub.Outputs[0].Shape = x.Type, x.Shape
	l.Node.SetInput(0, sub.Outputs[0])
}

// magnitudes multiplies the output y of a layer of signs by the map K of
// XNOR-Net: the mean over the input channels of the magnitudes of what the layer
// reads, averaged over the window of the filter, padding counting as zero.
func magnitudes(b *Builder, l *Layer, y *graph.Value) *graph.Value {
	sign := l.Node.Inputs[0].Producer()
	if !fake.Is(sign, fake.Binarize) || !l.Node.Is("Conv") || l.Node.Int("group", 1) != 1 || len(l.Node.Ints("dilations")) > 0 && slices.Max(l.Node.Ints("dilations")) > 1 {
		return nil
	}
	window := l.Node.Inputs[1].Shape.Ints()
	pool := graph.Attrs{"kernel_shape": int64s(window[2:]), "count_include_pad": int64(1)}
	for _, name := range []string{"strides", "pads", "auto_pad"} {
		if v, ok := l.Node.Attrs[name]; ok {
			pool[name] = v
		}
	}
	name := l.Node.Name + "/map"
	after := l.Node
	add := func(op, what string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
		n := b.Graph.NewNode("", op, name+what, in, []string{name + what}, attrs)
		b.Graph.InsertAfter(after, n)
		after = n
		n.Outputs[0].Type = tensor.Float32
		return n.Outputs[0]
	}
	k := add("Abs", "/abs", nil, sign.Inputs[0])
	k = add("ReduceMean", "/mean", graph.Attrs{"keepdims": int64(1)}, k, b.Graph.AddConst(name+"/axes", tensor.Of([]int64{1}, 1)))
	k = add("AveragePool", "", pool, k)
	z := add("Mul", "/scaled", nil, y, k)
	z.Shape = y.Shape
	return z
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
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
