package qat

import (
	"math/rand/v2"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("octo", "training on 8-bit integers forward and backward: ranges clipped, gradients rounded at random, layers compensated",
		"Zhou et al., Octo: INT8 training with loss-aware compensation and backward quantization for tiny on-device learning, USENIX ATC", 2021,
		[]method.Option{{Name: "clip", Default: "0.95", Help: "share of the ranges of weights and activations that is kept (parameterized range clipping)"},
			{Name: "compensate", Default: "true", Help: "learn α·μ + δ for each output channel, which the bias takes up in the end (loss-aware compensation)"}},
		func(o opts) *Method {
			m := &Method{WBits: 8, ABits: 8, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					_, hi := signed(l.WBits)
					return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "peak", "clip": float32(o.number("clip")), "qmin": -hi, "qmax": hi}, l.Node.Inputs[1])
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					lo, hi := span(l)
					step := o.number("clip") * max(l.Peak, 1e-6) / float64(hi)
					return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "step", "qmin": lo, "qmax": hi, "grad_scale": gradScale(l.Count, hi)},
						l.Node.Inputs[0], b.Number(l, "inputs/step", step))
				}}
			round := gradients("int", 8)
			m.Outputs = func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
				z := round(b, l, y)
				if !o.yes("compensate") {
					return z
				}
				return compensation(b, l, z)
			}
			return m
		})
}

// compensation adds α·μ + δ to z, a number of each for every output channel,
// from α = 1 and small random μ and δ.
func compensation(b *Builder, l *Layer, z *graph.Value) *graph.Value {
	shape := make([]int, max(len(z.Shape)-1, 1))
	for i := range shape {
		shape[i] = 1
	}
	shape[0] = l.Node.Inputs[1].Shape[0].Size
	rng := rand.New(rand.NewPCG(uint64(shape[0]), uint64(len(b.Graph.Nodes))))
	draw := func(mean, spread float64) *tensor.Tensor {
		d := make([]float32, shape[0])
		for i := range d {
			d[i] = float32(mean + spread*rng.NormFloat64())
		}
		return tensor.Of(d, shape...)
	}
	name := l.Node.Name + "/compensation"
	n := b.Graph.NewNode(graph.DrawknifeDomain, fake.Compensate, name, []*graph.Value{b.Variable(l, "delta", draw(0, 1e-3)),
		b.Variable(l, "alpha", draw(1, 0)), b.Variable(l, "mu", draw(0, 1e-3))}, []string{name}, nil)
	n.Outputs[0].Type, n.Outputs[0].Shape = z.Type, graph.ShapeOf(shape)
	add := b.Graph.NewNode("", "Add", l.Node.Name+"/compensated", []*graph.Value{z, n.Outputs[0]}, []string{l.Node.Name + "/compensated"}, nil)
	b.Graph.InsertAfter(z.Producer(), n)
	b.Graph.InsertAfter(n, add)
	add.Outputs[0].Type, add.Outputs[0].Shape = z.Type, z.Shape
	return add.Outputs[0]
}
