package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestShiftedPRelu runs ReActNet's activation, whole and in part, as one step
// where its shifts and slopes are numbers for each channel.
func TestShiftedPRelu(t *testing.T) {
	for _, c := range []struct {
		name                 string
		before, slope, after []int // shapes; nil for none
		keep                 bool  // the difference has another reader
		fused                int
	}{
		{"all", []int{6, 1, 1}, []int{6, 1, 1}, []int{1, 6, 1, 1}, false, 1},
		{"before", []int{6, 1, 1}, []int{1, 6, 1, 1}, nil, false, 1},
		{"after", nil, []int{6, 1, 1}, []int{6, 1, 1}, false, 1},
		{"difference kept", []int{6, 1, 1}, []int{6, 1, 1}, []int{6, 1, 1}, true, 1},
		{"slope for all", []int{6, 1, 1}, []int{1}, []int{6, 1, 1}, false, 0},
		{"shift along rows", []int{1, 5}, []int{6, 1, 1}, nil, false, 0},
		{"alone", nil, []int{6, 1, 1}, nil, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			random := func(shape ...int) *tensor.Tensor {
				x := tensor.New(tensor.Float32, shape...)
				for i, d := 0, x.Float32s(); i < len(d); i++ {
					d[i] = float32(rng.NormFloat64())
				}
				return x
			}
			g := graph.New("prelu")
			x := g.AddInput("x", tensor.Float32, graph.ShapeOf([]int{3, 6, 4, 5}))
			w := g.AddConst("w", random(6, 6, 1, 1))
			y := g.Add("Conv", "conv", nil, x, w)
			outputs := 0
			output := func(v *graph.Value) { outputs++; g.AddOutput(v) }
			if c.before != nil {
				y = g.Add("Sub", "sub", nil, y, g.AddConst("before", random(c.before...)))
				if c.keep {
					output(y)
				}
			}
			y = g.Add("PRelu", "prelu", nil, y, g.AddConst("slope", random(c.slope...)))
			if c.after != nil {
				y = g.Add("Add", "add", nil, y, g.AddConst("after", random(c.after...)))
			}
			output(g.Add("Conv", "last", nil, y, w))
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			if got := kernels(t, g)["shifted-prelu"]; got != c.fused {
				t.Errorf("%d steps that shift, want %d", got, c.fused)
			}
			sameAsEval(t, g, map[string]*tensor.Tensor{"x": random(3, 6, 4, 5)}, outputs)
		})
	}
}

// sameAsEval compares a run of the engine with the definition.
func sameAsEval(t *testing.T, g *graph.Graph, in map[string]*tensor.Tensor, outputs int) {
	t.Helper()
	want, err := eval.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.NewModel(g, engine.Options{Threads: 2}).Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != outputs {
		t.Fatalf("%d outputs, want %d", len(got), outputs)
	}
	for name, w := range want {
		a, b := got[name].Float32s(), w.Float32s()
		for i := range b {
			if d := math.Abs(float64(a[i] - b[i])); d > 1e-4*(1+math.Abs(float64(b[i]))) {
				t.Fatalf("%s[%d] is %g, want %g", name, i, a[i], b[i])
			}
		}
	}
}

// TestPReluGrad compares the gradients with the definition.
func TestPReluGrad(t *testing.T) {
	for _, slope := range [][]int{{7, 1, 1}, {1, 7, 1, 1}, {1}, {1, 1, 1}, {3, 5}} {
		t.Run(fmt.Sprint(slope), func(t *testing.T) {
			g := graph.New("prelu")
			x := g.AddInput("x", tensor.Float32, graph.ShapeOf([]int{2, 7, 3, 5}))
			s := g.AddConst("slope", tensor.New(tensor.Float32, slope...))
			rng := rand.New(rand.NewPCG(7, 8))
			fill := func(d []float32) {
				for i := range d {
					d[i] = float32(rng.NormFloat64())
				}
			}
			fill(s.Data.Float32s())
			y := g.Add("PRelu", "prelu", nil, x, s)
			loss := g.Add("ReduceSum", "loss", graph.Attrs{"keepdims": int64(0)}, g.Add("Mul", "square", nil, y, y))
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			grads, err := autodiff.Gradient(g, loss, []*graph.Value{x, s})
			if err != nil {
				t.Fatal(err)
			}
			g.AddOutput(grads[x])
			g.AddOutput(grads[s])
			if got, want := kernels(t, g)["prelu-grad"], 1; got != want && len(slope) != 2 {
				t.Errorf("%d steps of the gradient, want %d", got, want)
			}
			in := tensor.New(tensor.Float32, 2, 7, 3, 5)
			fill(in.Float32s())
			sameAsEval(t, g, map[string]*tensor.Tensor{"x": in}, 2)
		})
	}
}
