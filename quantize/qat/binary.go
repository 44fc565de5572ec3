package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
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

// estimator reads the option of steOption.
func (o opts) estimator() string {
	return o.word("ste", fakequant.Estimators[:]...)
}

func steOption(def string) method.Option {
	return method.Option{Name: "ste", Default: def, Help: "gradient of the sign of activations: identity, hardtanh, polynomial, ede or swish"}
}

// edeFirst and edeLast are the temperatures of IR-Net.
const edeFirst, edeLast = 0.1, 10

// temperatures anneals the estimators that have one.
func temperatures(b *Builder) *decay {
	return &decay{names: b.Temperatures, first: edeFirst, last: edeLast}
}

// realOption is the first of the two steps in which binary networks learn best:
// activations of one bit with weights as they are, from which the second begins
// (Martinez et al., Training binary neural networks with real-to-binary
// convolutions, ICLR 2020).
func realOption(def string) method.Option {
	return method.Option{Name: "real", Default: def, Below: 1, Help: "share of the training, below 1, in which only activations are binary"}
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

// unitClamp keeps the shadows within [−1, 1].
func unitClamp(b *Builder) *clamp {
	return &clamp{names: b.Shadows, bound: func(string) float32 { return 1 }}
}
