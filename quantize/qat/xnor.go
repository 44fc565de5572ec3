package qat

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("xnor", "weights and activations of one bit, a scale for each channel, filters centred",
		"Rastegari et al., XNOR-Net: ImageNet classification using binary convolutional neural networks, ECCV", 2016,
		[]method.Option{steOption("hardtanh"), {Name: "map", Default: "false", Help: "multiply each output by K, the mean magnitude of the inputs under the filter, which the paper found of little effect"}},
		func(o opts) *Method {
			m := &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true}, Structure: hardTanh,
				Weights: func(b *Builder, l *Layer) *graph.Value { return binaryWeights(b, l, "xnor", nil) },
				Inputs:  signInputs(o.estimator()),
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
