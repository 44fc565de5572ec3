package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/quantize/fake"
)

// gradients rounds what comes back through a layer's output; 32 bits are not
// rounded.
func gradients(kind string, bits int) func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
	if bits >= 32 {
		return nil
	}
	return func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
		name := l.Node.Name + "/gradient"
		n := b.Graph.NewNode(graph.DrawknifeDomain, fake.QuantizeGradient, name, []*graph.Value{y, b.Step(l, "gradient/noise")}, []string{name},
			graph.Attrs{"kind": kind, "bits": int64(bits), "stream": int64(len(b.Noise))})
		b.Graph.InsertAfter(l.Node, n)
		n.Outputs[0].Type, n.Outputs[0].Shape = y.Type, y.Shape
		return n.Outputs[0]
	}
}
