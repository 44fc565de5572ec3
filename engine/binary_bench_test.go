package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// binarize makes every convolution of g but the first binary, and every Relu a
// clip to [-1, 1], as IR-Net has them. The weights stay what they are.
func binarize(tb testing.TB, g *graph.Graph) {
	tb.Helper()
	first := true
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		switch {
		case n.Is("Relu"):
			n.Op = "Clip"
			n.SetInputs(n.Inputs[0], g.AddConst("lo", tensor.Scalar[float32](-1)), g.AddConst("hi", tensor.Scalar[float32](1)))
		case n.Is("Conv") && first:
			first = false
		case n.Is("Conv"):
			in := []*graph.Value{n.Inputs[0], n.Inputs[1], g.AddConst("scale", filled(0.05, n.Inputs[1].Data.Shape[0]))}
			if n.In(2) != nil {
				in = append(in, n.Inputs[2])
			}
			b := g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, n.Name+"/binary", in, []string{n.Name + "/binary"}, n.Attrs.Clone())
			g.InsertBefore(n, b)
			g.ReplaceUses(n.Outputs[0], b.Outputs[0])
			g.Remove(n)
		}
	}
	if err := g.InferShapes(); err != nil {
		tb.Fatal(err)
	}
}

func filled(v float32, n int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, n)
	for i := range n {
		t.Float32s()[i] = v
	}
	return t
}

// TestBinaryResNet runs a whole binary network.
func TestBinaryResNet(t *testing.T) {
	g, err := zoo.Build("resnet20", 1)
	if err != nil {
		t.Fatal(err)
	}
	settle(g, 3)
	binarize(t, g)
	if k := kernels(t, g); k["eval"] != 0 || k["batchnorm"] != 0 {
		t.Errorf("steps %v", k)
	}
	compare(t, g, randomInputs(g, 1, 2), 1e-4)
}

// BenchmarkBinaryResNet compares a float and a binary network of one image by
// their fastest runs on one thread.
func BenchmarkBinaryResNet(b *testing.B) {
	for _, spec := range []string{"resnet20", "resnet18"} {
		for _, binary := range []bool{false, true} {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				b.Fatal(err)
			}
			name := spec + "/float32"
			if binary {
				binarize(b, g)
				name = spec + "/binary"
			}
			b.Run(name, func(b *testing.B) {
				p, err := engine.Compile(g, engine.Options{Threads: 1})
				if err != nil {
					b.Fatal(err)
				}
				in, out := []*tensor.Tensor{randomInputs(g, 1, 2)[p.Inputs()[0]]}, p.NewOutputs()
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					if err := p.RunInto(context.Background(), in, out); err != nil {
						b.Fatal(err)
					}
					best = min(best, time.Since(start))
				}
				b.ReportMetric(best.Seconds()*1e6, "best-µs")
			})
		}
	}
}
