package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// shapeOf parses "Nx3x?x32"; "" is a scalar and "none" an unknown rank.
func shapeOf(t *testing.T, s string) Shape {
	t.Helper()
	if s == "none" {
		return nil
	}
	out := Shape{}
	for f := range strings.SplitSeq(s, "x") {
		var n int
		switch _, err := fmt.Sscanf(f, "%d", &n); {
		case err == nil:
			out = append(out, D(n))
		case f == "?":
			out = append(out, unknown)
		case f != "":
			out = append(out, Sym(f))
		}
	}
	return out
}

// ints is a constant input; a string is an input of that shape; nil is left
// out.
type ints []int64

func inferOne(t *testing.T, op, domain string, attrs Attrs, outs int, inputs ...any) (*Node, error) {
	t.Helper()
	g := New("t")
	var in []*Value
	for i, x := range inputs {
		name := fmt.Sprintf("x%d", i)
		switch x := x.(type) {
		case nil:
			in = append(in, nil)
		case string:
			in = append(in, g.AddInput(name, tensor.Float32, shapeOf(t, x)))
		case ints:
			in = append(in, g.AddConst(name, tensor.Of([]int64(x), len(x))))
		case int:
			in = append(in, g.AddConst(name, tensor.Scalar(int64(x))))
		case *tensor.Tensor:
			in = append(in, g.AddConst(name, x))
		}
	}
	names := make([]string, max(outs, 1))
	for i := range names {
		names[i] = fmt.Sprintf("y%d", i)
	}
	n := g.Append(g.NewNode(domain, op, "n", in, names, attrs))
	return n, n.InferShape()
}

func l(v ...int64) []int64 { return v }

func TestInfer(t *testing.T) {
	ms := MicrosoftDomain
	f32 := func(v ...float32) *tensor.Tensor { return tensor.Of(v, len(v)) }
	cases := []struct {
		op, domain string
		attrs      Attrs
		in         []any
		want       string // output shapes, space between, "_" for a scalar
		err        string
	}{
		{op: "Conv", in: []any{"Nx3x32x32", "16x3x3x3"}, want: "Nx16x30x30"},
		{op: "Conv", in: []any{"Nx3xHxW", "16x3x3x3"}, want: "Nx16x?x?"},
		{op: "Conv", attrs: Attrs{"pads": l(1, 1, 1, 1)}, in: []any{"Nx3xHxW", "16x3x3x3", "16"}, want: "Nx16xHxW"},
		{op: "Conv", attrs: Attrs{"auto_pad": "SAME_UPPER", "strides": l(2, 2)}, in: []any{"1x3x7x8", "4x3x3x3"}, want: "1x4x4x4"},
		{op: "Conv", attrs: Attrs{"auto_pad": "VALID", "strides": l(2)}, in: []any{"1x3x8", "4x3x3"}, want: "1x4x3"},
		{op: "Conv", attrs: Attrs{"dilations": l(2, 2, 2)}, in: []any{"1x3x8x8x8", "4x3x3x3x3"}, want: "1x4x4x4x4"},
		{op: "Conv", attrs: Attrs{"group": int64(3)}, in: []any{"1x3x8x8", "6x1x3x3"}, want: "1x6x6x6"},
		{op: "Conv", attrs: Attrs{"group": int64(3)}, in: []any{"1x3x8x8", "7x1x3x3"}, err: "group 3 does not divide the 7"},
		{op: "Conv", in: []any{"1x4x8x8", "6x3x3x3"}, err: "has 4 channels"},
		{op: "Conv", in: []any{"1x3x2x2", "6x3x3x3"}, err: "too small"},
		{op: "Conv", in: []any{"1x3x8x8", "6x3x3x3", "5"}, err: "bias's length: 6 and 5"},
		{op: "Conv", attrs: Attrs{"kernel_shape": l(-3, 3)}, in: []any{"1x3x8x8", "6x3x3x3"}, err: "does not fit the weight"},
		{op: "Conv", attrs: Attrs{"dilations": l(1<<31, 1<<31)}, in: []any{"1x3x8x8", "6x3x1000000000000x3"}, err: "too large"},
		{op: "Conv", in: []any{"1x3x9223372036854775807x8", "6x3x3x3"}, err: "too large"},
		{op: "Conv", attrs: Attrs{"strides": l(0, 1)}, in: []any{"1x3x8x8", "6x3x3x3"}, err: "strides"},
		{op: "ConvTranspose", attrs: Attrs{"strides": l(2, 2), "pads": l(1, 1, 1, 1), "output_padding": l(1, 1)}, in: []any{"Nx8x5x5", "8x4x3x3"}, want: "Nx4x10x10"},
		{op: "ConvTranspose", attrs: Attrs{"group": int64(2)}, in: []any{"Nx8x5x5", "8x4x3x3", "8"}, want: "Nx8x7x7"},
		{op: "FusedConv", domain: ms, in: []any{"Nx3x8x8", "4x3x3x3", "4", "Nx4x6x6"}, want: "Nx4x6x6"},
		{op: "MaxPool", attrs: Attrs{"kernel_shape": l(3, 3), "strides": l(2, 2), "ceil_mode": int64(1)}, in: []any{"Nx3x112x112"}, want: "Nx3x56x56 Nx3x56x56"},
		{op: "MaxPool", attrs: Attrs{"kernel_shape": l(2), "strides": l(2)}, in: []any{"1x3x7"}, want: "1x3x3 1x3x3"},
		{op: "AveragePool", attrs: Attrs{"kernel_shape": l(3, 3), "strides": l(3, 3), "pads": l(1, 1, 1, 1), "ceil_mode": int64(1)}, in: []any{"1x3x4x4"}, want: "1x3x2x2"},
		{op: "AveragePool", attrs: Attrs{"kernel_shape": l(0, 3)}, in: []any{"1x3x4x4"}, err: "at least 1"},
		{op: "GlobalAveragePool", in: []any{"Nx3xHxW"}, want: "Nx3x1x1"},
		{op: "QLinearGlobalAveragePool", domain: ms, attrs: Attrs{"channels_last": int64(1)}, in: []any{"Nx7x7x3", "", "", "", ""}, want: "Nx1x1x3"},
		{op: "BatchNormalization", in: []any{"Nx3xHxW", "3", "3", "3", "3"}, want: "Nx3xHxW 3 3"},
		{op: "BatchNormalization", in: []any{"Nx3xHxW", "3", "3", "4", "3"}, err: "3 and 4 must be equal"},
		{op: "LayerNormalization", attrs: Attrs{"axis": int64(-1)}, in: []any{"Nx7x7x96", "96", "96"}, want: "Nx7x7x96 Nx7x7x1 Nx7x7x1"},
		{op: "GroupNormalization", attrs: Attrs{"num_groups": int64(4)}, in: []any{"Nx6x2x2", "6", "6"}, err: "does not divide the 6"},
		{op: "Gemm", attrs: Attrs{"transB": int64(1)}, in: []any{"Nx64", "10x64", "10"}, want: "Nx10"},
		{op: "Gemm", in: []any{"Nx64", "10x64"}, err: "inner dimensions are 64 and 10"},
		{op: "MatMul", in: []any{"Nx8x4x64", "64x10"}, want: "Nx8x4x10"},
		{op: "MatMul", in: []any{"64", "64x10"}, want: "10"},
		{op: "QGemm", domain: ms, attrs: Attrs{"transB": int64(1)}, in: []any{"Nx64", "", "", "10x64", "", ""}, want: "Nx10"},
		{op: "Add", in: []any{"Nx3x8x8", "Nx1x1x1"}, want: "Nx3x8x8"},
		{op: "Add", in: []any{"Nx3x8x8", "4x1x1"}, err: "do not broadcast"},
		{op: "Add", in: []any{"Nx3", "Mx3"}, want: "?x3"},
		{op: "Where", in: []any{"3x1", "1x4", "2x1x1"}, want: "2x3x4"},
		{op: "PRelu", in: []any{"Nx3x8x8", "3x1x1"}, want: "Nx3x8x8"},
		{op: "PRelu", in: []any{"3x8", "2x3x8"}, err: "does not broadcast"},
		{op: "Softmax", attrs: Attrs{"axis": int64(5)}, in: []any{"Nx3"}, err: "axis 5 does not exist"},
		{op: "Concat", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx3x8x8", "Nx5x8x8"}, want: "Nx8x8x8"},
		{op: "Concat", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx3x8x8", "Nx5x9x8"}, err: "8 and 9 must be equal"},
		{op: "Split", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx7"}, want: "Nx4 Nx3"},
		{op: "Split", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx7", ints{2, 4}}, want: "? ?", err: "do not add up"},
		{op: "Slice", in: []any{"Nx8x9", ints{-1, 1}, ints{-100, 1 << 62}, ints{1, 2}, ints{-2, 3}}, want: "Nx4x3"},
		{op: "Slice", in: []any{"NxC", ints{0}, ints{1<<63 - 1}, ints{1}}, want: "NxC"},
		{op: "Slice", in: []any{"8", ints{0}, ints{8}, ints{0}, ints{0}}, err: "step 0"},
		{op: "Pad", in: []any{"Nx3x8x8", ints{0, 1, 0, 0, 0, 2, 0, -1}}, want: "Nx6x8x7"},
		{op: "Pad", in: []any{"Nx3", ints{0, 1}}, err: "pads has 2 numbers, want 4"},
		{op: "Reshape", in: []any{"Nx32x4x4", ints{0, -1}}, want: "Nx512"},
		{op: "Reshape", in: []any{"Nx32x4x4", ints{-1, 512}}, want: "Nx512"},
		{op: "Reshape", in: []any{"Nx32x4x4", ints{-1, 2, 16, 4, 4}}, want: "Nx2x16x4x4"},
		{op: "Reshape", in: []any{"2x3", ints{4, -1}}, err: "do not divide"},
		{op: "Reshape", in: []any{"2x3", ints{-1, -1}}, err: "-1 twice"},
		{op: "Reshape", attrs: Attrs{"allowzero": int64(1)}, in: []any{"0x3", ints{3, 0}}, want: "3x0"},
		{op: "Flatten", in: []any{"Nx3x4x5"}, want: "Nx60"},
		{op: "Flatten", attrs: Attrs{"axis": int64(0)}, in: []any{"2x3"}, want: "1x6"},
		{op: "Squeeze", in: []any{"Nx3x1x1", ints{2, -1}}, want: "Nx3"},
		{op: "Squeeze", in: []any{"Nx3x1x1", ints{1}}, err: "its size is not 1"},
		{op: "Unsqueeze", in: []any{"Nx3", ints{-1, 0}}, want: "1xNx3x1"},
		{op: "Unsqueeze", in: []any{"Nx3", ints{1, 1}}, err: "twice"},
		{op: "Transpose", attrs: Attrs{"perm": l(0, 2, 3, 1)}, in: []any{"Nx3x8x9"}, want: "Nx8x9x3"},
		{op: "Transpose", attrs: Attrs{"perm": l(0, 2, 2, 1)}, in: []any{"Nx3x8x9"}, err: "twice"},
		{op: "Expand", in: []any{"3x1", ints{2, 1, 6}}, want: "2x3x6"},
		{op: "Expand", in: []any{"3x1", ints{1 << 40, 1, 1 << 40}}, err: "too large"},
		{op: "Tile", in: []any{"Nx3", ints{1, 4}}, want: "Nx12"},
		{op: "Gather", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx3x8", ints{2, 0}}, want: "Nx2x8"},
		{op: "Gather", attrs: Attrs{"axis": int64(1)}, in: []any{"Nx3x8", ints{3}}, err: "index 3 is outside"},
		{op: "ReduceMean", in: []any{"Nx3x8x8", ints{2, 3}}, want: "Nx3x1x1"},
		{op: "ReduceMean", attrs: Attrs{"keepdims": int64(0)}, in: []any{"Nx3x8x8", ints{-1, -2}}, want: "Nx3"},
		{op: "ReduceSum", attrs: Attrs{"keepdims": int64(0)}, in: []any{"Nx3x8x8"}, want: "_"},
		{op: "ArgMax", attrs: Attrs{"axis": int64(1), "keepdims": int64(0)}, in: []any{"Nx10"}, want: "N"},
		{op: "TopK", in: []any{"Nx10", ints{5}}, want: "Nx5 Nx5"},
		{op: "TopK", in: []any{"Nx10", ints{11}}, err: "K is 11"},
		{op: "DepthToSpace", attrs: Attrs{"blocksize": int64(2)}, in: []any{"Nx8x3x3"}, want: "Nx2x6x6"},
		{op: "SpaceToDepth", attrs: Attrs{"blocksize": int64(2)}, in: []any{"Nx2x6x5"}, err: "does not divide"},
		{op: "Resize", in: []any{"Nx3x8x8", nil, f32(1, 1, 2, 2.4)}, want: "Nx3x16x19"},
		{op: "Resize", in: []any{"Nx3x8x8", nil, nil, ints{1, 3, 5, 6}}, want: "1x3x5x6"},
		{op: "Resize", in: []any{"Nx3x8x8", nil, f32(1, 1, -2, 2)}, err: "must be positive"},
		{op: "QuantizeLinear", in: []any{"Nx3x8x8", f32(1, 2, 3), tensor.Of([]int8{0, 0, 0}, 3)}, want: "Nx3x8x8"},
		{op: "DequantizeLinear", attrs: Attrs{"axis": int64(0), "block_size": int64(4)}, in: []any{"9x3", "3x3"}, want: "9x3"},
		{op: "DequantizeLinear", attrs: Attrs{"axis": int64(0)}, in: []any{"9x3", "3"}, err: "9 and 3"},
		{op: "DynamicQuantizeLinear", in: []any{"Nx3"}, want: "Nx3 _ _"},
		{op: "QLinearConv", in: []any{"Nx3x8x8", "", "", "4x3x3x3", "", "", "", "", "4"}, want: "Nx4x6x6"},
		{op: "QLinearConcat", domain: ms, attrs: Attrs{"axis": int64(1)}, in: []any{"", "", "Nx3", "", "", "Nx4", "", ""}, want: "Nx7"},
		{op: "OneHot", in: []any{"N", 10, f32(0, 1)}, want: "Nx10"},
		{op: "Range", in: []any{0, 10, 3}, want: "4"},
		{op: "Range", in: []any{0, 10, 0}, err: "delta is 0"},
		{op: "ConstantOfShape", in: []any{ints{2, -1}}, err: "negative"},
		{op: "NonZero", in: []any{"Nx3"}, want: "2x?"},
		{op: "Add", in: []any{"3"}, err: "has 1 inputs, want 2"},
		{op: "Relu", in: []any{nil}, err: "lacks its required input 0"},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.op, c.in, c.attrs), func(t *testing.T) {
			want := strings.Fields(c.want)
			n, err := inferOne(t, c.op, c.domain, c.attrs, len(want), c.in...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one that contains %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				got := n.Outputs[i].Shape.String()
				if got == "" {
					got = "_"
				}
				if got != w {
					t.Errorf("output %d has shape %s, want %s", i, got, w)
				}
			}
		})
	}
}

// TestShapeArithmetic builds what PyTorch exports for x.view(x.size(0), -1).
func TestShapeArithmetic(t *testing.T) {
	g := New("view")
	x := g.AddInput("x", tensor.Float32, Shape{Sym("N"), D(32), D(4), D(4)})
	shape := g.Add("Shape", "s", nil, x)
	zero := g.AddConst("zero", tensor.Scalar[int64](0))
	axes := g.AddConst("axes", tensor.Of([]int64{0}, 1))
	n := g.Add("Unsqueeze", "u", nil, g.Add("Gather", "g", nil, shape, zero), axes)
	rest := g.AddConst("rest", tensor.Of([]int64{-1}, 1))
	target := g.Add("Concat", "c", Attrs{"axis": int64(0)}, n, rest)
	y := g.Add("Reshape", "r", nil, x, target)
	if got := y.Shape.String(); got != "Nx512" {
		t.Errorf("view has shape %s, want Nx512", got)
	}
	// Where(Equal(target, -1), 1, target) as in an exported expand.
	minus := g.AddConst("minus", tensor.Of([]int64{-1}, 1))
	ones := g.Add("ConstantOfShape", "cs", Attrs{"value": tensor.Of([]int64{1}, 1)}, g.Add("Shape", "s2", nil, target))
	w := g.Add("Where", "w", nil, g.Add("Equal", "eq", nil, target, minus), ones, target)
	if got := fmt.Sprint(w.Elems); got != "[N 1]" {
		t.Errorf("Where gives %s, want [N 1]", got)
	}
	// floor(float(H) * 1.5) as in an exported interpolate.
	two := g.AddConst("two", tensor.Scalar[int64](2))
	h := g.Add("Cast", "f", Attrs{"to": int64(tensor.Float32)}, g.Add("Gather", "gh", nil, shape, two))
	m := g.Add("Mul", "m", nil, h, g.AddConst("scale", tensor.Scalar[float32](2)))
	i := g.Add("Cast", "i", Attrs{"to": int64(tensor.Int64)}, g.Add("Floor", "fl", nil, m))
	if got, ok := i.IntElems(); !ok || got[0] != 8 {
		t.Errorf("floor(4 * 2) is %v", i.Elems)
	}
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	g.AddOutput(y)
	if err := g.BindInputs(map[string][]int{"x": {7, 32, 4, 4}}); err != nil {
		t.Fatal(err)
	}
	if got := y.Shape.String(); got != "7x512" {
		t.Errorf("bound view has shape %s, want 7x512", got)
	}
}

func TestSliceRange(t *testing.T) {
	for _, c := range [][6]int{ // dim, start, end, step, first, count
		{10, 2, 8, 3, 2, 2}, {10, -1, -1 << 63, -1, 9, 10}, {10, 1 << 62, 0, -4, 9, 3},
		{10, 8, 2, 1, 8, 0}, {0, 0, 5, 1, 0, 0}, {5, 0, 1<<63 - 1, 1<<63 - 1, 0, 1}, {5, 4, -1 << 63, -1 << 63, 4, 1},
	} {
		if first, count := SliceRange(c[0], c[1], c[2], c[3]); first != c[4] || count != c[5] {
			t.Errorf("SliceRange(%v) = %d, %d, want %d, %d", c[:4], first, count, c[4], c[5])
		}
	}
}
