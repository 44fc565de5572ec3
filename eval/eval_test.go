package eval

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// f makes a float32 tensor.
func f(shape []int, v ...float32) *tensor.Tensor { return tensor.Of(v, shape...) }

// i makes a list of int64.
func i(v ...int64) *tensor.Tensor { return tensor.Of(v, len(v)) }

func node(op string, attrs graph.Attrs) *graph.Node { return &graph.Node{Op: op, Attrs: attrs} }

// must computes a node and returns output 0.
func must(t *testing.T, n *graph.Node, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	out, err := Node(n, in)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func same32(t *testing.T, got *tensor.Tensor, shape []int, want ...float32) {
	t.Helper()
	if !slices.Equal(got.Shape, shape) {
		t.Fatalf("shape %v, want %v", got.Shape, shape)
	}
	for k, v := range got.Float32s() {
		if math.Abs(float64(v-want[k])) > 1e-6 {
			t.Fatalf("got %v, want %v", got.Float32s(), want)
		}
	}
}

func TestConv(t *testing.T) {
	x := f([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	w := f([]int{1, 1, 2, 2}, 1, 0, 0, 1)
	same32(t, must(t, node("Conv", nil), x, w, f([]int{1}, 10)), []int{1, 1, 2, 2}, 16, 18, 22, 24)
	same32(t, must(t, node("Conv", graph.Attrs{"strides": []int64{2, 2}, "pads": []int64{1, 1, 0, 0}}), x, w),
		[]int{1, 1, 2, 2}, 1, 3, 7, 14)
	same32(t, must(t, node("Conv", graph.Attrs{"dilations": []int64{2, 2}}), x, w), []int{1, 1, 1, 1}, 10)
	same32(t, must(t, node("Conv", graph.Attrs{"auto_pad": "SAME_UPPER"}), x, w),
		[]int{1, 1, 3, 3}, 6, 8, 3, 12, 14, 6, 7, 8, 9)
}

func TestGroupedConv(t *testing.T) {
	x := f([]int{1, 2, 2}, 1, 2, 3, 4)
	w := f([]int{2, 1, 1}, 10, 100)
	same32(t, must(t, node("Conv", graph.Attrs{"group": int64(2)}), x, w), []int{1, 2, 2}, 10, 20, 300, 400)
}

func TestPools(t *testing.T) {
	x := f([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	k := []int64{2, 2}
	same32(t, must(t, node("MaxPool", graph.Attrs{"kernel_shape": k}), x), []int{1, 1, 2, 2}, 5, 6, 8, 9)
	same32(t, must(t, node("MaxPool", graph.Attrs{"kernel_shape": k, "strides": k, "ceil_mode": int64(1)}), x),
		[]int{1, 1, 2, 2}, 5, 6, 8, 9)
	pads := []int64{1, 1, 0, 0}
	same32(t, must(t, node("AveragePool", graph.Attrs{"kernel_shape": k, "strides": k, "pads": pads}), x),
		[]int{1, 1, 2, 2}, 1, 2.5, 5.5, 7)
	same32(t, must(t, node("AveragePool", graph.Attrs{"kernel_shape": k, "strides": k, "pads": pads, "count_include_pad": int64(1)}), x),
		[]int{1, 1, 2, 2}, 0.25, 1.25, 2.75, 7)
	same32(t, must(t, node("GlobalAveragePool", nil), x), []int{1, 1, 1, 1}, 5)
}

func TestQuantizeLinear(t *testing.T) {
	x := f([]int{6}, 0, 0.5, 1.5, -1, 300, float32(math.NaN()))
	got := must(t, node("QuantizeLinear", nil), x, f(nil, 1), tensor.Scalar(uint8(10)))
	if want := []uint8{10, 10, 12, 9, 255, 10}; !slices.Equal(tensor.Data[uint8](got), want) {
		t.Errorf("got %v, want %v", tensor.Data[uint8](got), want)
	}
	per := must(t, node("DequantizeLinear", graph.Attrs{"axis": int64(0)}), tensor.Of([]int8{1, 2, 3, 4}, 2, 2), f([]int{2}, 1, 10), tensor.Of([]int8{0, 1}, 2))
	same32(t, per, []int{2, 2}, 1, 2, 20, 30)
	blocked := must(t, node("DequantizeLinear", graph.Attrs{"axis": int64(1), "block_size": int64(2)}), tensor.Of([]int8{1, 2, 3, 4}, 1, 4), f([]int{1, 2}, 1, 10))
	same32(t, blocked, []int{1, 4}, 1, 2, 30, 40)
}

func TestErrorsNameTheNode(t *testing.T) {
	n := node("Conv", nil)
	n.Name = "conv1"
	for _, in := range [][]*tensor.Tensor{
		nil,
		{f([]int{1, 1, 3}, 1, 2, 3)},
		{f([]int{1, 1, 3}, 1, 2, 3), f([]int{1, 2, 1}, 1, 2)},
		{f([]int{3}, 1, 2, 3), f([]int{1, 2, 1}, 1, 2)},
		{f([]int{1, 1, 3}, 1, 2, 3), f([]int{1, 1, 4}, 1, 2, 3, 4)},
	} {
		if _, err := Node(n, in); err == nil || !strings.Contains(err.Error(), `node "conv1" (Conv)`) {
			t.Errorf("%v: error %v", in, err)
		}
	}
}

func TestRunAndTrace(t *testing.T) {
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 1, 2, 2))
	y := g.Add("Relu", "r", nil, g.Add("Conv", "c", nil, x, g.AddConst("w", f([]int{1, 1, 1, 1}, -1))))
	g.AddOutput(y)
	in := map[string]*tensor.Tensor{"x": f([]int{1, 1, 2, 2}, 1, -2, 3, -4)}
	out, err := Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	same32(t, out[y.Name], []int{1, 1, 2, 2}, 0, 2, 0, 4)
	var seen []string
	if err := Trace(g, in, func(v *graph.Value, _ *tensor.Tensor) error { seen = append(seen, v.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"x", "c_out", "r_out"}; !slices.Equal(seen, want) {
		t.Errorf("traced %v, want %v", seen, want)
	}
	if _, err := Run(g, nil); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("missing input: %v", err)
	}
	if _, err := Run(g, map[string]*tensor.Tensor{"x": f([]int{1, 1, 1, 2}, 1, -2)}); err == nil {
		t.Error("an input of the wrong shape was accepted")
	}
}

func TestFold(t *testing.T) {
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(2, 3))
	shape := g.Add("Concat", "s", graph.Attrs{"axis": int64(0)}, g.AddConst("a", i(3)), g.AddConst("b", i(-1)))
	q := g.AddConst("q", tensor.Of([]int8{1, 2}, 2, 1))
	w := g.Add("DequantizeLinear", "dq", nil, q, g.AddConst("scale", f(nil, 0.5)))
	y := g.Add("Reshape", "r", nil, x, shape)
	g.AddOutput(g.Add("MatMul", "m", nil, y, w))
	before, err := Run(g, map[string]*tensor.Tensor{"x": f([]int{2, 3}, 1, 2, 3, 4, 5, 6)})
	if err != nil {
		t.Fatal(err)
	}
	count, err := Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if count != 1 || len(g.Nodes) != 3 || g.Value("s_out").Data == nil || w.Producer() == nil {
		t.Errorf("folded %d nodes, %d left", count, len(g.Nodes))
	}
	after, err := Run(g, map[string]*tensor.Tensor{"x": f([]int{2, 3}, 1, 2, 3, 4, 5, 6)})
	if err != nil {
		t.Fatal(err)
	}
	if !before["m_out"].Equal(after["m_out"]) {
		t.Errorf("folding changed %v to %v", before, after)
	}
}

func TestHostileSizesAreRefused(t *testing.T) {
	x := f([]int{1}, 1)
	huge := i(1 << 40)
	for _, c := range []struct {
		n  *graph.Node
		in []*tensor.Tensor
	}{
		{node("Expand", nil), []*tensor.Tensor{x, huge}},
		{node("Tile", nil), []*tensor.Tensor{x, huge}},
		{node("ConstantOfShape", nil), []*tensor.Tensor{huge}},
		{node("Pad", nil), []*tensor.Tensor{x, i(1<<40, 0)}},
		{node("Range", nil), []*tensor.Tensor{tensor.Scalar(int64(0)), tensor.Scalar(int64(1 << 40)), tensor.Scalar(int64(1))}},
	} {
		if _, err := Node(c.n, c.in); err == nil {
			t.Errorf("%s of 2^40 elements was accepted", c.n.Op)
		}
	}
}

// TestFoldShapeArithmetic folds what depends on the known part of a dynamic
// shape only.
func TestFoldShapeArithmetic(t *testing.T) {
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(3), graph.D(2), graph.D(2)})
	shape := g.Add("Shape", "shape", nil, x)
	channels := g.Add("Gather", "gather", nil, shape, g.AddConst("one", i(1)))
	target := g.Add("Concat", "concat", graph.Attrs{"axis": int64(0)}, g.AddConst("free", i(-1)), channels)
	y := g.Add("Reshape", "reshape", nil, x, target)
	g.AddOutput(y)
	if _, err := Fold(g); err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if len(g.Nodes) != 1 || !slices.Equal(g.Nodes[0].Inputs[1].Data.Int64s(), []int64{-1, 3}) {
		t.Errorf("left: %v", g.Nodes)
	}
}

// TestFoldLeavesLargeResults does not turn a scalar into a large constant.
func TestFoldLeavesLargeResults(t *testing.T) {
	g := graph.New("g")
	big := g.Add("Expand", "big", nil, g.AddConst("v", f([]int{1}, 1)), g.AddConst("s", i(1<<21)))
	g.AddOutput(g.Add("Relu", "r", nil, big))
	if n, err := Fold(g); err != nil || n != 0 {
		t.Errorf("folded %d nodes, %v", n, err)
	}
}

// BenchmarkConv is a 3x3 convolution of 64 channels at 28x28 (28.9 million
// multiply-accumulates).
func BenchmarkConv(b *testing.B) {
	x, w := tensor.New(tensor.Float32, 1, 64, 28, 28), tensor.New(tensor.Float32, 64, 64, 3, 3)
	n := node("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}})
	for b.Loop() {
		if _, err := Node(n, []*tensor.Tensor{x, w}); err != nil {
			b.Fatal(err)
		}
	}
}
