package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

func runtime(t testing.TB) *ort.Runtime {
	t.Helper()
	r, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// outputs runs a model in ONNX Runtime, unoptimized.
func outputs(t testing.TB, r *ort.Runtime, model []byte, in map[string]*tensor.Tensor) map[string]*tensor.Tensor {
	t.Helper()
	s, err := r.LoadBytes(model, ort.Options{Threads: 1, Optimize: ort.None})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same demands equal outputs: equal bits if tolerance is 0.
func same(t testing.TB, want, got map[string]*tensor.Tensor, tolerance float64) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if g == nil || g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) {
			t.Errorf("output %q: %v, want %v", name, g, w)
			continue
		}
		if g.Equal(w) {
			continue
		}
		for i := range w.Len() {
			if d := math.Abs(g.At(i) - w.At(i)); tolerance == 0 || !(d <= tolerance) {
				t.Errorf("output %q: element %d is %v, want %v", name, i, g.At(i), w.At(i))
				break
			}
		}
	}
}

// noise fills a tensor with numbers that tell positions apart.
func noise(shape ...int) *tensor.Tensor {
	x := tensor.New(tensor.Float32, shape...)
	r := rand.New(rand.NewPCG(1, 2))
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(r.NormFloat64())
	}
	return x
}

func TestRewrittenModelsComputeTheSame(t *testing.T) {
	r := runtime(t)
	for _, path := range realModels(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			g, err := Decode(before)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]*tensor.Tensor{}
			for _, v := range g.Inputs {
				shape := v.Shape.Ints()
				shape[0] = 2
				in[v.Name] = noise(shape...)
			}
			want := outputs(t, r, before, in)
			for _, opset := range []int64{0, 18} {
				after, err := Encode(g, WriteOptions{Opset: opset})
				if err != nil {
					t.Fatal(err)
				}
				same(t, want, outputs(t, r, after, in), 0)
			}
		})
	}
}

// oldForm builds a model in the words of an older operator set. The exporter
// leaves them as they are.
type oldForm struct {
	name  string
	opset int64
	in    []*tensor.Tensor // named a, b, …
	build func(g *graph.Graph, in []*graph.Value) *graph.Value
	// least is the lowest operator set it can be written for again, if that
	// is above opset.
	least int64
}

// one makes a model of one node; constants follow the inputs.
func one(op string, attrs graph.Attrs, constants ...*tensor.Tensor) func(*graph.Graph, []*graph.Value) *graph.Value {
	return func(g *graph.Graph, in []*graph.Value) *graph.Value {
		for i, t := range constants {
			in = append(in, g.AddConst(fmt.Sprintf("c%d", i), t))
		}
		return g.Append(g.NewNode("", op, "node", in, []string{"y"}, attrs)).Outputs[0]
	}
}

func f32(list ...float32) *tensor.Tensor { return tensor.Of(list, len(list)) }

func i64(list ...int64) *tensor.Tensor { return tensor.Of(list, len(list)) }

var oldForms = []oldForm{
	{"batch normalization", 7, []*tensor.Tensor{noise(2, 3, 4)}, one("BatchNormalization", graph.Attrs{"spatial": int64(1), "epsilon": float32(1e-3)},
		f32(1, 2, 3), f32(4, 5, 6), f32(0, 1, 2), f32(1, 2, 3)), 0},
	{"dropout", 7, []*tensor.Tensor{noise(2, 3)}, one("Dropout", graph.Attrs{"ratio": float32(0.3)}), 0},
	{"dropout default", 10, []*tensor.Tensor{noise(2, 3)}, one("Dropout", nil), 0},
	{"clip", 7, []*tensor.Tensor{noise(2, 3)}, one("Clip", graph.Attrs{"min": float32(-0.5), "max": float32(0.5)}), 0},
	{"clip below", 10, []*tensor.Tensor{noise(2, 3)}, one("Clip", graph.Attrs{"max": float32(0.5)}), 0},
	{"pad", 7, []*tensor.Tensor{noise(2, 3)}, one("Pad", graph.Attrs{"pads": []int64{1, 0, 2, 1}, "value": float32(3)}), 0},
	{"pad reflect", 10, []*tensor.Tensor{noise(2, 3)}, one("Pad", graph.Attrs{"pads": []int64{1, 0, 0, 1}, "mode": "reflect"}), 0},
	{"slice", 7, []*tensor.Tensor{noise(4, 5)}, one("Slice", graph.Attrs{"starts": []int64{1, -3}, "ends": []int64{4, 100}, "axes": []int64{0, 1}}), 0},
	{"slice all axes", 9, []*tensor.Tensor{noise(4, 5)}, one("Slice", graph.Attrs{"starts": []int64{1, 0}, "ends": []int64{3, 2}}), 0},
	{"slice with steps", 10, []*tensor.Tensor{noise(4, 5)}, one("Slice", nil, i64(3), i64(-10), i64(1), i64(-2)), 0},
	{"split", 11, []*tensor.Tensor{noise(4, 5)}, one("Split", graph.Attrs{"split": []int64{2, 3}, "axis": int64(-1)}), 0},
	{"split in equal parts", 7, []*tensor.Tensor{noise(4, 6)}, one("Split", graph.Attrs{"axis": int64(1)}), 0},
	{"squeeze", 7, []*tensor.Tensor{noise(1, 4, 1)}, one("Squeeze", graph.Attrs{"axes": []int64{2}}), 0},
	{"squeeze all", 11, []*tensor.Tensor{noise(1, 4, 1)}, one("Squeeze", nil), 0},
	{"unsqueeze", 7, []*tensor.Tensor{noise(4)}, one("Unsqueeze", graph.Attrs{"axes": []int64{0, 2}}), 0},
	{"unsqueeze from the end", 11, []*tensor.Tensor{noise(4)}, one("Unsqueeze", graph.Attrs{"axes": []int64{-1}}), 0},
	{"reduce", 7, []*tensor.Tensor{noise(2, 3, 4)}, one("ReduceMean", graph.Attrs{"axes": []int64{1, 2}, "keepdims": int64(0)}), 0},
	{"reduce from the end", 13, []*tensor.Tensor{noise(2, 3, 4)}, one("ReduceL2", graph.Attrs{"axes": []int64{-1}}), 0},
	{"reduce all", 11, []*tensor.Tensor{noise(2, 3, 4)}, one("ReduceMax", nil), 0},
	{"sum", 11, []*tensor.Tensor{noise(2, 3, 4)}, one("ReduceSum", graph.Attrs{"axes": []int64{-2}}), 0},
	{"softmax over a matrix", 7, []*tensor.Tensor{noise(3, 5)}, one("Softmax", nil), 0},
	{"softmax over an image", 9, []*tensor.Tensor{noise(2, 3, 4, 5)}, one("Softmax", nil), 0},
	{"softmax over pooled channels", 11, []*tensor.Tensor{noise(2, 3, 1, 1)}, one("LogSoftmax", graph.Attrs{"axis": int64(1)}), 0},
	{"softmax from the end", 11, []*tensor.Tensor{noise(2, 3, 4)}, one("Softmax", graph.Attrs{"axis": int64(-2)}), 0},
	{"hardmax", 11, []*tensor.Tensor{noise(2, 3, 4)}, one("Hardmax", graph.Attrs{"axis": int64(2)}), 0},
	{"upsample by attribute", 7, []*tensor.Tensor{noise(1, 2, 3, 3)}, one("Upsample", graph.Attrs{"scales": []float32{1, 1, 2, 3}, "mode": "nearest"}), 0},
	{"upsample linear", 9, []*tensor.Tensor{noise(1, 2, 3, 3)}, one("Upsample", graph.Attrs{"mode": "linear"}, f32(1, 1, 2, 2)), 0},
	{"upsample by fractions", 9, []*tensor.Tensor{noise(1, 2, 3, 3)}, one("Upsample", graph.Attrs{"mode": "nearest"}, f32(1, 1, 1.7, 2.5)), 0},
	{"resize down", 10, []*tensor.Tensor{noise(1, 2, 7, 7)}, one("Resize", graph.Attrs{"mode": "nearest"}, f32(1, 1, 0.6, 0.7)), 0},
	{"resize up", 10, []*tensor.Tensor{noise(1, 2, 3, 3)}, one("Resize", nil, f32(1, 1, 2.6, 1)), 0},
	{"resize down and up", 10, []*tensor.Tensor{noise(1, 2, 5, 5)}, one("Resize", nil, f32(1, 1, 0.6, 1.7)), 0},
	{"resize linear", 10, []*tensor.Tensor{noise(1, 2, 5, 5)}, one("Resize", graph.Attrs{"mode": "linear"}, f32(1, 1, 0.6, 1.7)), 0},
	{"resize with empty roi", 11, []*tensor.Tensor{noise(1, 2, 5, 5)}, one("Resize", graph.Attrs{"mode": "cubic"}, f32(), f32(1, 1, 2, 2)), 0},
	{"resize to sizes", 11, []*tensor.Tensor{noise(1, 2, 5, 5)}, one("Resize", graph.Attrs{"mode": "linear"}, f32(), f32(), i64(1, 2, 8, 3)), 0},
	{"top k", 7, []*tensor.Tensor{noise(3, 5)}, one("TopK", graph.Attrs{"k": int64(2)}), 0},
	{"top k by input", 10, []*tensor.Tensor{noise(3, 5)}, one("TopK", graph.Attrs{"axis": int64(0)}, i64(2)), 0},
	{"gemm", 7, []*tensor.Tensor{noise(3, 4), noise(5, 4), noise(5)}, one("Gemm", graph.Attrs{"transB": int64(1), "alpha": float32(0.5)}), 0},
	{"gemm without bias", 11, []*tensor.Tensor{noise(3, 4), noise(4, 5)}, one("Gemm", nil), 0},
	{"arg max", 7, []*tensor.Tensor{noise(3, 5)}, one("ArgMax", graph.Attrs{"axis": int64(1)}), 0},
	{"average pool", 7, []*tensor.Tensor{noise(1, 2, 6, 6)}, one("AveragePool", graph.Attrs{"kernel_shape": []int64{3, 3}, "pads": []int64{1, 1, 1, 1},
		"strides": []int64{2, 2}, "count_include_pad": int64(1)}), 0},
	{"average pool, ceil", 10, []*tensor.Tensor{noise(1, 2, 6, 6)}, one("AveragePool", graph.Attrs{"kernel_shape": []int64{3, 3}, "strides": []int64{2, 2}, "ceil_mode": int64(1)}), 0},
	{"max pool", 8, []*tensor.Tensor{noise(1, 2, 6, 6)}, one("MaxPool", graph.Attrs{"kernel_shape": []int64{2, 2}}), 0},
	{"depth to space", 7, []*tensor.Tensor{noise(1, 8, 2, 2)}, one("DepthToSpace", graph.Attrs{"blocksize": int64(2)}), 0},
	{"scatter", 9, []*tensor.Tensor{noise(3, 3)}, one("Scatter", graph.Attrs{"axis": int64(1)}, tensor.Of([]int64{2, 0, 1}, 3, 1), noise(3, 1)), 0},
	{"reshape", 7, []*tensor.Tensor{noise(2, 6)}, one("Reshape", nil, i64(0, -1, 2)), 0},
	{"concat", 7, []*tensor.Tensor{noise(2, 6), noise(2, 1)}, one("Concat", graph.Attrs{"axis": int64(1)}), 0},
	{"grid sample", 16, []*tensor.Tensor{noise(1, 1, 4, 4), noise(1, 3, 3, 2)}, one("GridSample", graph.Attrs{"mode": "bilinear"}), 0},
	{"group normalization", 18, []*tensor.Tensor{noise(2, 4, 3)}, one("GroupNormalization", graph.Attrs{"num_groups": int64(2)}, f32(1, 2), f32(3, 4)), 0},
	{"group normalization with computed scale", 18, []*tensor.Tensor{noise(2, 4, 3), noise(2), noise(2)}, one("GroupNormalization", graph.Attrs{"num_groups": int64(2)}), 21},
	{"pow", 7, []*tensor.Tensor{f32(1, 2, 3)}, one("Pow", nil, f32(2)), 0},
	{"quantize", 10, []*tensor.Tensor{noise(2, 3)}, func(g *graph.Graph, in []*graph.Value) *graph.Value {
		s, z := g.AddConst("scale", tensor.Scalar[float32](0.05)), g.AddConst("zero", tensor.Scalar[uint8](128))
		q := g.Append(g.NewNode("", "QuantizeLinear", "q", append(in, s, z), []string{"q"}, nil)).Outputs[0]
		return g.Append(g.NewNode("", "DequantizeLinear", "dq", []*graph.Value{q, s, z}, []string{"y"}, nil)).Outputs[0]
	}, 0},
}

// model makes the file of an old form.
func (c oldForm) model(t testing.TB) ([]byte, map[string]*tensor.Tensor) {
	t.Helper()
	g := graph.New("old")
	g.Opsets[""] = c.opset
	in, values := map[string]*tensor.Tensor{}, []*graph.Value{}
	for i, x := range c.in {
		v := g.AddInput(string(rune('a'+i)), x.DType, graph.ShapeOf(x.Shape))
		in[v.Name] = x
		values = append(values, v)
	}
	y := c.build(g, values)
	y.Type = tensor.Float32
	if y.Producer().Op == "ArgMax" {
		y.Type = tensor.Int64
	}
	if y.Producer().Op == "Split" || y.Producer().Op == "TopK" {
		z := y.Producer().AddOutput("z")
		z.Type = map[string]tensor.DType{"Split": tensor.Float32, "TopK": tensor.Int64}[y.Producer().Op]
		g.AddOutput(z)
	}
	g.AddOutput(y)
	data, err := (&old{g}).encode(c.opset)
	if err != nil {
		t.Fatal(err)
	}
	return data, in
}

// old writes a graph without conversion.
type old struct{ g *graph.Graph }

func (o *old) encode(opset int64) ([]byte, error) {
	saved := rules
	rules = nil
	defer func() { rules = saved }()
	return Encode(o.g, WriteOptions{Opset: opset})
}

// TestOldForms reads a node in the words of an older operator set, writes it
// for that set and for newer ones, and lets ONNX Runtime compute all of them.
func TestOldForms(t *testing.T) {
	for _, c := range oldForms {
		t.Run(c.name, func(t *testing.T) {
			r := runtime(t)
			data, in := c.model(t)
			want := outputs(t, r, data, in)
			g, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			for _, opset := range []int64{c.opset, 8, 9, 10, 11, 12, 13, 16, 18, 19, 20, 21, 22} {
				if opset < max(c.opset, c.least) {
					continue
				}
				after, err := Encode(g, WriteOptions{Opset: opset})
				if err != nil {
					t.Errorf("operator set %d: %v", opset, err)
					continue
				}
				tolerance := 0.0
				if opset >= 19 && g.Nodes[0].Op == "AveragePool" {
					tolerance = 1e-6 // ONNX Runtime adds up in another order
				}
				same(t, want, outputs(t, r, after, in), tolerance)
			}
		})
	}
}
