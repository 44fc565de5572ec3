package engine_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestParts checks that a batch in parts gives what it gives as a whole, the
// same bits for any number of workers, and allocates nothing.
func TestParts(t *testing.T) {
	const n = 6
	for _, spec := range []string{
		"lenet5", "resnet20", "squeezenet1.1?size=64&width=0.5", "mobilenetv2?size=64&width=0.125", "mobilenetv3-small?size=64&width=0.5",
		"efficientnet-b0?size=64&width=0.125", "shufflenetv1?size=64", "shufflenetv2?size=64&width=0.5", "densenet121?size=64&width=0.25", "dscnn",
	} {
		t.Run(spec, func(t *testing.T) {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := engine.Compile(g, engine.Options{Threads: 1, Batch: n})
			if err != nil {
				t.Fatal(err)
			}
			in := randomInputs(g, n, 3)
			want, err := whole.Run(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			name, scale := g.Outputs[0].Name, 0.0
			for _, w := range want[g.Outputs[0].Name].Float32s() {
				scale = max(scale, math.Abs(float64(w)))
			}
			var first []float32
			for _, c := range []struct{ m, threads int }{{1, 1}, {1, 3}, {2, 2}, {2, 3}, {3, 1}, {3, 4}} {
				p := engine.CompileInParts(g, engine.Options{Threads: c.threads}, n, c.m)
				if p == nil {
					t.Fatal("not computed in parts")
				}
				got, err := p.Run(context.Background(), in)
				if err != nil {
					t.Fatal(err)
				}
				values := got[name].Float32s()
				if c.m == 1 && first == nil {
					first = slices.Clone(values)
				}
				for i, w := range want[name].Float32s() {
					if math.Abs(float64(values[i]-w)) > 1e-5*scale || c.m == 1 && values[i] != first[i] {
						t.Fatalf("parts of %d on %d threads: output %d is %g, as a whole %g", c.m, c.threads, i, values[i], w)
					}
				}
				if rows, err := p.Profile(context.Background(), []*tensor.Tensor{in[g.Inputs[0].Name]}, 1); err != nil || len(rows) != len(p.Steps()) {
					t.Errorf("profile: %d rows of %d steps, %v", len(rows), len(p.Steps()), err)
				}
			}
			p := engine.CompileInParts(g, engine.Options{Threads: 1}, n, 2)
			list, out := []*tensor.Tensor{in[g.Inputs[0].Name]}, p.NewOutputs()
			if allocs := testing.AllocsPerRun(5, func() {
				if err := p.RunInto(context.Background(), list, out); err != nil {
					t.Fatal(err)
				}
			}); allocs > 0 {
				t.Errorf("%g allocations a run", allocs)
			}
		})
	}
}

// TestPartsRefused checks graphs in which one image depends on another, or that
// say how many there are.
func TestPartsRefused(t *testing.T) {
	const n = 4
	ints := func(g *graph.Graph, list ...int64) *graph.Value { return g.AddConst("", tensor.Of(list, len(list))) }
	for name, build := range map[string]func(g *graph.Graph, x *graph.Value) *graph.Value{
		"a reshape to a number of images": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Reshape", "", nil, x, ints(g, n, -1))
		},
		"a reshape across images": func(g *graph.Graph, x *graph.Value) *graph.Value {
			y := g.Add("Reshape", "", nil, x, ints(g, -1, 2, 3, 3))
			return g.Add("Slice", "", nil, y, ints(g, 0), ints(g, n), ints(g, 0))
		},
		"a mean over images": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Sub", "", nil, x, g.Add("ReduceMean", "", nil, x, ints(g, 0)))
		},
		"softmax over images": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Softmax", "", graph.Attrs{"axis": int64(-4)}, x)
		},
		"normalization by what the images have in common": func(g *graph.Graph, x *graph.Value) *graph.Value {
			c := func() *graph.Value { return g.AddConst("", tensor.Of([]float32{1, 1, 1, 1}, n)) }
			return g.Add("BatchNormalization", "", graph.Attrs{"training_mode": int64(1)}, x, c(), c(), c(), c())
		},
		"images resized into each other": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Resize", "", nil, x, nil, g.AddConst("", tensor.Of([]float32{1.2, 1, 2, 2}, 4)))
		},
		"images exchanged": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Transpose", "", graph.Attrs{"perm": []int64{1, 0, 2, 3}}, x)
		},
		"a constant for each image": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Add", "", nil, x, g.AddConst("", tensor.New(tensor.Float32, n, 1, 1, 1)))
		},
		"a constant of more axes": func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Concat", "", graph.Attrs{"axis": int64(1)}, x, g.AddConst("", tensor.New(tensor.Float32, n, 1, 3, 3)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			plain := graph.New("plain")
			y := plain.Add("Relu", "", nil, plain.AddInput("x", tensor.Float32, graph.Shape{{Size: -1, Name: "N"}, {Size: n}, {Size: 3}, {Size: 3}}))
			plain.AddOutput(y)
			if engine.CompileInParts(plain, engine.Options{}, n, 2) == nil {
				t.Fatal("a graph that keeps images apart is refused, too")
			}
			g := graph.New("test")
			x := g.AddInput("x", tensor.Float32, graph.Shape{{Size: -1, Name: "N"}, {Size: n}, {Size: 3}, {Size: 3}})
			y = build(g, x)
			g.AddOutput(y)
			if engine.CompileInParts(g, engine.Options{}, n, 2) != nil {
				t.Error("computed in parts")
			}
			if _, err := engine.Compile(g, engine.Options{Batch: n}); err != nil {
				t.Errorf("the graph itself does not compile: %v", err)
			}
		})
	}
}

// TestPartsAreNotDivided computes parts that are larger than what a program divides
// by itself.
func TestPartsAreNotDivided(t *testing.T) {
	g, err := zoo.Build("mobilenetv1?width=0.5", 1)
	if err != nil {
		t.Fatal(err)
	}
	in := randomInputs(g, 4, 7)
	whole, err := engine.Compile(g, engine.Options{Batch: 4, All: true})
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.CompileInParts(g, engine.Options{Threads: 1}, 4, 2).Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	name := g.Outputs[0].Name
	if d := worst(got[name], want[name]); d > 1e-4 {
		t.Errorf("differs by %.2g of the largest element", d)
	}
}
