package rewrite

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

var rng = rand.New(rand.NewPCG(1, 2))

func init() {
	// The interpreter knows ONNX's operators only.
	eval.Register(graph.DrawknifeDomain, "Silu", func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		out := in[0].Clone()
		for i, d := 0, tensor.Data[float32](out); i < len(d); i++ {
			d[i] /= 1 + float32(math.Exp(-float64(d[i])))
		}
		return []*tensor.Tensor{out}, nil
	})
}

func random(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape...)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64())
	}
	return t
}

// positive is a random variance.
func positive(n int) *tensor.Tensor {
	t := random(n)
	for i, d := 0, tensor.Data[float32](t); i < n; i++ {
		d[i] = 0.1 + d[i]*d[i]
	}
	return t
}

// norm puts a BatchNormalization with random statistics behind v.
func norm(g *graph.Graph, v *graph.Value, channels int) *graph.Value {
	return g.Add("BatchNormalization", "bn", graph.Attrs{"epsilon": float32(1e-3)}, v, g.AddConst("gamma", random(channels)),
		g.AddConst("beta", random(channels)), g.AddConst("mean", random(channels)), g.AddConst("var", positive(channels)))
}

// check applies rules to the graph that build makes on an input of the given
// shape and compares operators and outputs before and after.
func check(t *testing.T, shape []int, build func(g *graph.Graph, x *graph.Value) *graph.Value, s Scope, rules []Rule, count int, absent string) *graph.Graph {
	t.Helper()
	g := graph.New("test")
	y := build(g, g.AddInput("x", tensor.Float32, graph.ShapeOf(shape)))
	g.AddOutput(y)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	in := map[string]*tensor.Tensor{"x": random(shape...)}
	run := func() []float32 {
		out, err := eval.Run(g, in)
		if err != nil {
			t.Fatal(err)
		}
		return out[g.Outputs[0].Name].Float32s()
	}
	name, before := g.Outputs[0].Name, run()
	if got := Apply(g, s, rules...); got != count {
		t.Errorf("%d rewrites, want %d", got, count)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	if g.Outputs[0].Name != name {
		t.Errorf("the output is called %q, was %q", g.Outputs[0].Name, name)
	}
	for i, v := range run() {
		if math.Abs(float64(v-before[i])) > 1e-4*max(1, math.Abs(float64(before[i]))) {
			t.Fatalf("element %d became %g, was %g", i, v, before[i])
		}
	}
	for _, n := range g.Nodes {
		if count > 0 && n.Is(absent) {
			t.Errorf("%v is still there", n)
		}
	}
	return g
}

func TestFoldBatchNorm(t *testing.T) {
	image, row := []int{2, 3, 6, 6}, []int{2, 3}
	conv := func(g *graph.Graph, x *graph.Value) *graph.Value {
		return g.Add("Conv", "conv", nil, x, g.AddConst("w", random(4, 3, 3, 3)))
	}
	for _, c := range []struct {
		name  string
		shape []int
		build func(g *graph.Graph, x *graph.Value) *graph.Value
		scope Scope
		count int
	}{
		{"conv", image, func(g *graph.Graph, x *graph.Value) *graph.Value { return norm(g, conv(g, x), 4) }, Scope{}, 1},
		{"conv with bias", image, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Conv", "conv", nil, x, g.AddConst("w", random(4, 3, 3, 3)), g.AddConst("b", random(4))), 4)
		}, Scope{}, 1},
		{"depthwise", image, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Conv", "conv", graph.Attrs{"group": int64(3)}, x, g.AddConst("w", random(6, 1, 3, 3))), 6)
		}, Scope{}, 1},
		{"transposed", image, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("ConvTranspose", "conv", nil, x, g.AddConst("w", random(3, 4, 3, 3))), 4)
		}, Scope{}, 1},
		{"gemm", row, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Gemm", "fc", nil, x, g.AddConst("w", random(3, 5)), g.AddConst("b", random(5))), 5)
		}, Scope{}, 1},
		{"gemm, transposed weights", row, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Gemm", "fc", graph.Attrs{"transB": int64(1)}, x, g.AddConst("w", random(5, 3))), 5)
		}, Scope{}, 1},
		{"gemm with alpha", row, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Gemm", "fc", graph.Attrs{"alpha": float32(2)}, x, g.AddConst("w", random(3, 5))), 5)
		}, Scope{}, 0},
		{"gemm with a bias for all", row, func(g *graph.Graph, x *graph.Value) *graph.Value {
			return norm(g, g.Add("Gemm", "fc", nil, x, g.AddConst("w", random(3, 5)), g.AddConst("b", random(1))), 5)
		}, Scope{}, 0},
		{"two readers", image, func(g *graph.Graph, x *graph.Value) *graph.Value {
			y := conv(g, x)
			return g.Add("Add", "add", nil, norm(g, y, 4), y)
		}, Scope{}, 0},
		{"weights that are trained", image, func(g *graph.Graph, x *graph.Value) *graph.Value { return norm(g, conv(g, x), 4) },
			Scope{Variable: func(v *graph.Value) bool { return v.Name == "w" }}, 0},
		{"a value that is looked at", image, func(g *graph.Graph, x *graph.Value) *graph.Value { return norm(g, conv(g, x), 4) },
			Scope{Keep: func(v *graph.Value) bool { return v.Producer().Is("Conv") }}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, c.shape, c.build, c.scope, []Rule{FoldBatchNorm}, c.count, "BatchNormalization")
		})
	}
}

// TestSharedWeights folds one of two convolutions that share their weights; the
// other's must not change.
func TestSharedWeights(t *testing.T) {
	check(t, []int{1, 3, 5, 5}, func(g *graph.Graph, x *graph.Value) *graph.Value {
		w := g.AddConst("w", random(3, 3, 1, 1))
		a := norm(g, g.Add("Conv", "a", nil, x, w), 3)
		return g.Add("Add", "add", nil, a, g.Add("Conv", "b", nil, x, w))
	}, Scope{}, []Rule{FoldBatchNorm}, 1, "BatchNormalization")
}

func TestFoldPad(t *testing.T) {
	padded := func(pads []int64, value float32, attrs, conv graph.Attrs) func(g *graph.Graph, x *graph.Value) *graph.Value {
		return func(g *graph.Graph, x *graph.Value) *graph.Value {
			p := g.Add("Pad", "pad", attrs, x, g.AddConst("pads", tensor.Of(pads, 8)), g.AddConst("value", tensor.Scalar(value)))
			return g.Add("Conv", "conv", conv, p, g.AddConst("w", random(4, 3, 3, 3)))
		}
	}
	border := []int64{0, 0, 1, 2, 0, 0, 2, 1}
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph, x *graph.Value) *graph.Value
		count int
	}{
		{"zeros", padded(border, 0, nil, nil), 1},
		{"on top of the convolution's", padded(border, 0, nil, graph.Attrs{"pads": []int64{1, 1, 1, 1}, "strides": []int64{2, 2}}), 1},
		{"valid", padded(border, 0, nil, graph.Attrs{"auto_pad": "VALID"}), 1},
		{"same", padded(border, 0, nil, graph.Attrs{"auto_pad": "SAME_UPPER"}), 0},
		{"ones", padded(border, 1, nil, nil), 0},
		{"reflected", padded(border, 0, graph.Attrs{"mode": "reflect"}, nil), 0},
		{"a cut", padded([]int64{0, 0, -1, 0, 0, 0, 0, -1}, 0, nil, nil), 0},
		{"channels", padded([]int64{0, -1, 1, 1, 0, 1, 1, 1}, 0, nil, nil), 0},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, []int{2, 3, 6, 6}, c.build, Scope{}, []Rule{FoldPad}, c.count, "Pad") })
	}
}

func TestMergeSwish(t *testing.T) {
	gate := func(op string, attrs graph.Attrs, flip bool) func(g *graph.Graph, x *graph.Value) *graph.Value {
		return func(g *graph.Graph, x *graph.Value) *graph.Value {
			s := g.Add(op, "gate", attrs, x)
			if flip {
				return g.Add("Mul", "mul", nil, s, x)
			}
			return g.Add("Mul", "mul", nil, x, s)
		}
	}
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph, x *graph.Value) *graph.Value
		count int
	}{
		{"silu", gate("Sigmoid", nil, false), 1},
		{"silu, flipped", gate("Sigmoid", nil, true), 1},
		{"hard swish", gate("HardSigmoid", graph.Attrs{"alpha": float32(1.0 / 6)}, true), 1},
		{"another slope", gate("HardSigmoid", nil, true), 0},
		{"another input", func(g *graph.Graph, x *graph.Value) *graph.Value {
			return g.Add("Mul", "mul", nil, g.Add("Relu", "relu", nil, x), g.Add("Sigmoid", "gate", nil, x))
		}, 0},
		{"a gate with two readers", func(g *graph.Graph, x *graph.Value) *graph.Value {
			s := g.Add("Sigmoid", "gate", nil, x)
			return g.Add("Add", "add", nil, g.Add("Mul", "mul", nil, s, x), s)
		}, 0},
		{"a square", func(g *graph.Graph, x *graph.Value) *graph.Value {
			s := g.Add("Sigmoid", "gate", nil, x)
			return g.Add("Mul", "mul", nil, s, s)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, []int{2, 3, 4}, c.build, Scope{}, []Rule{MergeSwish}, c.count, "Mul") })
	}
}

// TestMergeHardSwish merges what ONNX has an operator for, and only that.
func TestMergeHardSwish(t *testing.T) {
	for op, count := range map[string]int{"HardSigmoid": 1, "Sigmoid": 0} {
		check(t, []int{2, 3, 4}, func(g *graph.Graph, x *graph.Value) *graph.Value {
			attrs := graph.Attrs{}
			if op == "HardSigmoid" {
				attrs["alpha"] = float32(1.0 / 6)
			}
			return g.Add("Mul", "mul", nil, x, g.Add(op, "gate", attrs, x))
		}, Scope{}, []Rule{MergeHardSwish}, count, "Mul")
	}
}

func TestDropNoOp(t *testing.T) {
	g := check(t, []int{2, 3}, func(g *graph.Graph, x *graph.Value) *graph.Value {
		v := g.Add("Identity", "id", nil, g.Add("Relu", "relu", nil, x))
		v = g.Add("Dropout", "drop", nil, g.Add("Cast", "cast", graph.Attrs{"to": int64(tensor.Float32)}, v))
		return g.Add("Neg", "neg", nil, v)
	}, Scope{}, []Rule{DropNoOp}, 3, "Dropout")
	if len(g.Nodes) != 2 {
		t.Errorf("%d nodes are left, want 2", len(g.Nodes))
	}
	// A rectifier behind a rectifier goes, one behind a sum stays.
	check(t, []int{1, 2, 4, 4}, func(g *graph.Graph, x *graph.Value) *graph.Value {
		v := g.Add("MaxPool", "pool", graph.Attrs{"kernel_shape": []int64{2, 2}}, g.Add("Relu", "first", nil, x))
		v = g.Add("Relu", "second", nil, v)
		return g.Add("Neg", "neg", nil, g.Add("Relu", "third", nil, g.Add("Cos", "cos", nil, v)))
	}, Scope{}, []Rule{DropNoOp}, 1, "Identity")
	// An output keeps its name, even if nothing is computed for it.
	check(t, []int{2, 3}, func(g *graph.Graph, x *graph.Value) *graph.Value { return g.Add("Identity", "id", nil, x) },
		Scope{}, []Rule{DropNoOp}, 0, "Identity")
}
