package engine_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// randomInputs fills g's inputs with standard normal numbers.
func randomInputs(g *graph.Graph, batch int, seed uint64) map[string]*tensor.Tensor {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := map[string]*tensor.Tensor{}
	for _, v := range g.Inputs {
		s := v.Shape.Ints()
		if s[0] < 0 {
			s[0] = batch
		}
		t := tensor.New(tensor.Float32, s...)
		for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
		}
		in[v.Name] = t
	}
	return in
}

func shapesOf(in map[string]*tensor.Tensor) map[string][]int {
	out := map[string][]int{}
	for k, t := range in {
		out[k] = t.Shape
	}
	return out
}

// settle gives batch normalisation statistics other than the initial ones, so
// that folding it is not trivial.
func settle(g *graph.Graph, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") {
			continue
		}
		for i := 1; i <= 4; i++ {
			d := tensor.Data[float32](n.Inputs[i].Data)
			for k := range d {
				switch i {
				case 1, 4:
					d[k] = 0.5 + rng.Float32()
				default:
					d[k] = rng.Float32() - 0.5
				}
			}
		}
	}
}

// worst is the largest difference relative to the largest element.
func worst(a, b *tensor.Tensor) float64 {
	x, y := a.Float32s(), b.Float32s()
	top, diff := 1e-6, 0.0
	for i := range x {
		top = max(top, math.Abs(float64(y[i])))
		d := math.Abs(float64(x[i]) - float64(y[i]))
		if !(d <= math.MaxFloat64) {
			return math.Inf(1)
		}
		diff = max(diff, d)
	}
	return diff / top
}

func compare(t *testing.T, g *graph.Graph, in map[string]*tensor.Tensor, tolerance float64) {
	t.Helper()
	want, err := eval.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]*tensor.Tensor
	for _, threads := range []int{1, 2, 3} {
		p, err := engine.Compile(g, engine.Options{Shapes: shapesOf(in), Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range g.Outputs {
			if d := worst(got[o.Name], want[o.Name]); d > tolerance {
				t.Errorf("%d threads: output %q differs by %.2g of its largest element", threads, o.Name, d)
			}
			if first != nil && !first[o.Name].Equal(got[o.Name]) {
				t.Errorf("output %q of %d threads is not that of one, bit for bit", o.Name, threads)
			}
		}
		if first == nil {
			first = got
		}
	}
}

// TestZooAgainstReference runs small versions of every family of networks.
func TestZooAgainstReference(t *testing.T) {
	for _, spec := range []string{
		"lenet5", "resnet20", "resnet8", "vgg11?size=32&width=0.25", "alexnet?size=96&width=0.125", "resnet18?size=64&width=0.25", "resnet50?size=32&width=0.125",
		"squeezenet1.1?size=64&width=0.5", "mobilenetv1?size=64&width=0.25", "mobilenetv2?size=64&width=0.25", "mobilenetv3-small?size=64&width=0.5",
		"shufflenetv1?size=64", "shufflenetv2?size=64&width=0.5", "densenet121?size=32&width=0.25", "efficientnet-b0?size=64&width=0.25", "dscnn",
	} {
		t.Run(spec, func(t *testing.T) {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			settle(g, 3)
			compare(t, g, randomInputs(g, 2, 7), 1e-4)
		})
	}
}

func ExampleCompile() {
	g, err := zoo.Build("lenet5", 1)
	if err != nil {
		panic(err)
	}
	p, err := engine.Compile(g, engine.Options{Batch: 2})
	if err != nil {
		panic(err)
	}
	image := tensor.New(tensor.Float32, p.InputShape(0)...)
	out, err := p.Run(context.Background(), map[string]*tensor.Tensor{"input": image})
	if err != nil {
		panic(err)
	}
	fmt.Println(out["logits"].Shape)
	// Output: [2 10]
}
