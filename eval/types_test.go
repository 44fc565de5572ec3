package eval

import (
	"math"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func converted(t *testing.T, x *tensor.Tensor, d tensor.DType) *tensor.Tensor {
	t.Helper()
	c, err := x.Convert(d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNarrowFloats checks that float16 and bfloat16 keep their type and are
// rounded once.
func TestNarrowFloats(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float16, tensor.BFloat16} {
		x := converted(t, f([]int{1, 1, 3}, 1, 2.5, -3), d)
		w := converted(t, f([]int{1, 1, 2}, 0.5, 3), d)
		y := must(t, node("Conv", nil), x, w)
		if y.DType != d {
			t.Errorf("Conv of %v gives %v", d, y.DType)
		}
		same32(t, y, []int{1, 1, 2}, 8, -7.75)
		moved := must(t, node("Transpose", graph.Attrs{"perm": []int64{2, 0, 1}}), x)
		if moved.DType != d {
			t.Errorf("Transpose of %v gives %v", d, moved.DType)
		}
		same32(t, moved, []int{3, 1, 1}, 1, 2.5, -3)
		if c := must(t, node("Less", nil), x, x); c.DType != tensor.Bool {
			t.Errorf("Less of %v gives %v", d, c.DType)
		}
	}
}

// TestSmallIntegers checks that 4-bit tensors are moved and quantized, and not
// computed with.
func TestSmallIntegers(t *testing.T) {
	x := converted(t, tensor.Of([]int8{-8, 1, 7, -3, 0, 5}, 2, 3), tensor.Int4)
	moved := must(t, node("Transpose", nil), x)
	if want := []int64{-8, -3, 1, 0, 7, 5}; moved.DType != tensor.Int4 || !slices.Equal(moved.Int64s(), want) {
		t.Errorf("Transpose gives %v %v, want %v", moved, moved.Int64s(), want)
	}
	q := must(t, node("QuantizeLinear", nil), f([]int{4}, -3, 0.26, 0.6, 100), f(nil, 0.5), converted(t, tensor.Scalar(int8(1)), tensor.Int4))
	if want := []int64{-5, 2, 2, 7}; q.DType != tensor.Int4 || !slices.Equal(q.Int64s(), want) {
		t.Errorf("QuantizeLinear gives %v %v, want %v", q, q.Int64s(), want)
	}
	same32(t, must(t, node("DequantizeLinear", nil), q, f(nil, 0.5)), []int{4}, -2.5, 1, 1, 3.5)
	if _, err := Node(node("Add", nil), []*tensor.Tensor{x, x}); err == nil {
		t.Error("int4 was added")
	}
}

func TestIntegersWrap(t *testing.T) {
	a := tensor.Of([]int8{127, -128, 100}, 3)
	for _, c := range []struct {
		op   string
		b    []int8
		want []int8
	}{
		{"Add", []int8{1, -1, 100}, []int8{-128, 127, -56}},
		{"Mul", []int8{2, 2, 3}, []int8{-2, 0, 44}},
		{"Div", []int8{-2, -1, 0}, []int8{-63, -128, 0}},
		{"Mod", []int8{-2, 100, 0}, []int8{-1, 72, 0}},
	} {
		if got := tensor.Data[int8](must(t, node(c.op, nil), a, tensor.Of(c.b, 3))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.op, got, c.want)
		}
	}
	big := tensor.Of([]uint64{1 << 63, 3}, 2)
	if got := tensor.Data[uint64](must(t, node("Max", nil), big, tensor.Of([]uint64{5, 5}, 2))); got[0] != 1<<63 || got[1] != 5 {
		t.Errorf("Max of uint64: %v", got)
	}
}

func TestCast(t *testing.T) {
	x := f([]int{6}, 1.5, -2.5, 300, 1e6, float32(math.NaN()), float32(math.Inf(-1)))
	for _, c := range []struct {
		to   tensor.DType
		want []float32
	}{
		{tensor.Int8, []float32{1, -2, 127, 127, 0, -128}},
		{tensor.Bool, []float32{1, 1, 1, 1, 1, 1}},
		{tensor.Float8E4M3FN, []float32{1.5, -2.5, 288, 448, float32(math.NaN()), -448}},
		{tensor.Float8E5M2, []float32{1.5, -2.5, 320, 57344, float32(math.NaN()), -57344}},
	} {
		got := must(t, node("Cast", graph.Attrs{"to": int64(c.to)}), x)
		for k, v := range got.Float32s() {
			if v != c.want[k] && (v == v || c.want[k] == c.want[k]) {
				t.Errorf("to %v: %v, want %v", c.to, got.Float32s(), c.want)
				break
			}
		}
	}
	loose := must(t, node("Cast", graph.Attrs{"to": int64(tensor.Float8E5M2), "saturate": int64(0)}), x)
	if v := loose.At(3); !math.IsInf(v, 1) {
		t.Errorf("1e6 without saturation is %v", v)
	}
	if _, err := Node(node("Cast", graph.Attrs{"to": int64(tensor.Complex64)}), []*tensor.Tensor{x}); err == nil {
		t.Error("cast to complex64 was accepted")
	}
}

// TestFloat8RoundTrips encodes every 8-bit float's own value.
func TestFloat8RoundTrips(t *testing.T) {
	for d := range float8s {
		for b := range 256 {
			x := tensor.Typed(d, []uint8{uint8(b)}, 1)
			v := x.At(0)
			y, err := castTo(tensor.Of([]float64{v}, 1), d, false)
			if err != nil {
				t.Fatal(err)
			}
			if w := y.At(0); w != v && (v == v || w == w) {
				t.Errorf("%v %#x is %v, encoded again %v", d, b, v, w)
			}
		}
	}
}
