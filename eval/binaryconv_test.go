package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// binaryNode makes a BinaryConv.
func binaryNode(attrs graph.Attrs) *graph.Node {
	return &graph.Node{Domain: graph.DrawknifeDomain, Op: graph.BinaryConv, Name: "b", Attrs: attrs}
}

func mustNode(t *testing.T, n *graph.Node, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	out, err := Node(n, in)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

// TestBinaryConvByHand computes one channel of a 1x3 image by a kernel of
// three taps.
func TestBinaryConvByHand(t *testing.T) {
	zero := float32(math.Copysign(0, -1))
	x := tensor.Of([]float32{0.5, zero, -2}, 1, 1, 3) // signs + + -
	w := tensor.Of([]float32{1, -1, 1}, 1, 1, 3)
	for _, c := range []struct {
		pad  float32
		want []float32
	}{
		{0, []float32{0, -1, 2}}, // taps outside count nothing
		{1, []float32{1, -1, 3}},
		{-1, []float32{-1, -1, 1}},
	} {
		n := binaryNode(graph.Attrs{"pads": []int64{1, 1}, "pad_value": c.pad})
		if got := mustNode(t, n, x, w); !slices.Equal(got.Float32s(), c.want) {
			t.Errorf("pad_value %v: got %v, want %v", c.pad, got.Float32s(), c.want)
		}
		y := mustNode(t, n, x, w, tensor.Of([]float32{0.5}, 1), tensor.Of([]float32{-2}, 1)).Float32s()
		for i, v := range c.want {
			if y[i] != v*0.5-2 {
				t.Errorf("scaled: got %v, want %v", y[i], v*0.5-2)
			}
		}
	}
}

// TestBinaryConvIsConvOfSigns compares with Conv of signs, over paddings,
// strides, dilations and groups, and the packed form with the plain one.
func TestBinaryConvIsConvOfSigns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(shape ...int) *tensor.Tensor {
		x := tensor.New(tensor.Float32, shape...)
		for i, d := 0, x.Float32s(); i < len(d); i++ {
			d[i] = float32(rng.IntN(5) - 2)
		}
		return x
	}
	signs := func(x *tensor.Tensor) *tensor.Tensor {
		y := x.Clone()
		for i, v := range y.Float32s() {
			y.Float32s()[i] = 1
			if v < 0 {
				y.Float32s()[i] = -1
			}
		}
		return y
	}
	for _, attrs := range []graph.Attrs{
		{}, {"pads": []int64{1, 0, 2, 1}}, {"strides": []int64{2, 3}, "pads": []int64{1, 1, 1, 1}},
		{"dilations": []int64{2, 1}, "group": int64(3)}, {"auto_pad": "SAME_LOWER", "strides": []int64{2, 2}},
	} {
		x, w := random(2, 6, 9, 7), random(9, 6/(&graph.Node{Attrs: attrs}).Int("group", 1), 3, 2)
		want := mustNode(t, &graph.Node{Op: "Conv", Attrs: attrs}, signs(x), signs(w))
		got := mustNode(t, binaryNode(attrs), x, w)
		if !got.Equal(want) {
			t.Errorf("%v: differs from Conv of signs", attrs)
		}
		packed, shape := graph.PackSigns(w)
		withShape := attrs.Clone()
		withShape["weight_shape"] = shape
		if got := mustNode(t, binaryNode(withShape), x, packed); !got.Equal(want) {
			t.Errorf("%v: the packed form differs", attrs)
		}
	}
}
