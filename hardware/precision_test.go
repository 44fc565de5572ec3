package hardware_test

import (
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/tensor"
)

// TestPrecision reads widths from Q/DQ graphs: those of the type, of the
// values, and of what is left between the bounds of a Clip.
func TestPrecision(t *testing.T) {
	int8s := func(v ...int8) *tensor.Tensor {
		w := make([]int8, 4*3*3*3)
		for i := range w {
			w[i] = v[i%len(v)]
		}
		return tensor.Of(w, 4, 3, 3, 3)
	}
	packed := func(d tensor.DType, values ...float64) *tensor.Tensor {
		w := make([]float32, 4*3*3*3)
		for i := range w {
			w[i] = float32(values[i%len(values)])
		}
		x, err := tensor.Of(w, 4, 3, 3, 3).Convert(d)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	eight, err := tensor.Scalar(float32(8)).Convert(tensor.Uint4)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		weight *tensor.Tensor
		zero   *tensor.Tensor // of the weight
		most   float32        // of the activation, whose scale is 0.5; 0 does not clip
		w, a   int
	}{
		{"int8", int8s(-127, 0, 127), nil, 0, 8, 8},
		{"int4", packed(tensor.Int4, -8, 0, 7), nil, 0, 4, 8},
		{"int2", packed(tensor.Int2, -2, 0, 1), nil, 0, 2, 8},
		{"uint4 with a zero point", packed(tensor.Uint4, 0, 15), eight, 0, 4, 8},
		{"4 bits in int8", int8s(-8, 0, 7), nil, 0, 4, 8},
		{"3 bits in int4", packed(tensor.Int4, -4, 3), nil, 0, 3, 8},
		{"ternary", int8s(-1, 0, 1), nil, 0, 2, 8},
		{"signs", int8s(-1, 1), nil, 0, 1, 8},
		{"int8 with a zero point", int8s(-8, 0, 7), tensor.Scalar(int8(3)), 0, 8, 8},
		{"activations of 4 bits", int8s(-127, 0, 127), nil, 7.5, 8, 4},
		{"activations of 2 bits", packed(tensor.Int4, -8, 0, 7), nil, 1.5, 4, 2},
	} {
		g := graph.New(c.name)
		x := g.AddInput("x", tensor.Float32, graph.Dims(1, 3, 8, 8))
		if c.most > 0 {
			x = g.Add("Clip", "clip", nil, x, g.AddConst("least", tensor.Scalar(float32(0))), g.AddConst("most", tensor.Scalar(c.most)))
		}
		scale, zero := g.AddConst("scale", tensor.Scalar(float32(0.5))), g.AddConst("zero", tensor.Scalar(uint8(0)))
		q := g.Add("QuantizeLinear", "q", nil, x, scale, zero)
		in := []*graph.Value{g.AddConst("w", c.weight), scale}
		if c.zero != nil {
			in = append(in, g.AddConst("wz", c.zero))
		}
		w := g.Add("DequantizeLinear", "dw", nil, in...)
		g.AddOutput(g.Add("Conv", "conv", nil, g.Add("DequantizeLinear", "dq", nil, q, scale, zero), w))
		l := only(t, c.name, g)
		if l.Bits.W != c.w || l.Bits.A != c.a {
			t.Errorf("%s: weights of %d bits and activations of %d, want %d and %d", c.name, l.Bits.W, l.Bits.A, c.w, c.a)
		}
	}
}

// TestRounding: rounding to integers and back is no layer of its own.
func TestRounding(t *testing.T) {
	g := graph.New("rounding")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 4, 8, 8))
	scale, zero := g.AddConst("scale", tensor.Scalar(float32(0.5))), g.AddConst("zero", tensor.Scalar(uint8(0)))
	g.AddOutput(g.Add("MaxPool", "pool", graph.Attrs{"kernel_shape": []int64{2, 2}}, g.Add("DequantizeLinear", "dq", nil, g.Add("QuantizeLinear", "q", nil, x, scale, zero), scale, zero)))
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	for unfused, want := range map[bool]int{false: 1, true: 3} {
		w, err := hardware.FromGraph(g, hardware.Options{Unfused: unfused})
		if err != nil || len(w.Layers) != want {
			t.Errorf("unfused %v: %v, %v; want %d layers", unfused, w.Names(), err, want)
		}
	}
}

// only is the one layer of g that multiplies.
func only(t *testing.T, name string, g *graph.Graph) *hardware.Layer {
	t.Helper()
	if err := g.InferShapes(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	w, err := hardware.FromGraph(g, hardware.Options{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var found *hardware.Layer
	for _, l := range w.Layers {
		if l.HasMACs() {
			if found != nil {
				t.Fatalf("%s: two layers multiply", name)
			}
			found = l
		}
	}
	if found == nil {
		t.Fatalf("%s: no layer multiplies", name)
	}
	return found
}

// TestBinaryConv: a convolution of signs is one of single bits, packed or not.
func TestBinaryConv(t *testing.T) {
	signs := make([]float32, 16*8*3*3)
	for i := range signs {
		signs[i] = float32(1 - 2*(i%2))
	}
	for _, packed := range []bool{false, true} {
		g := graph.New("binary")
		x := g.AddInput("x", tensor.Float32, graph.Dims(1, 8, 10, 10))
		weight, attrs := tensor.Of(signs, 16, 8, 3, 3), graph.Attrs{"pads": []int64{1, 1, 1, 1}, "strides": []int64{2, 2}}
		if packed {
			weight, attrs["weight_shape"] = tensor.Of(make([]uint8, 16*9), 16, 9), []int64{16, 8, 3, 3}
		}
		n := g.Append(g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, "conv", []*graph.Value{x, g.AddConst("w", weight)}, []string{"y"}, attrs))
		g.AddOutput(n.Out(0))
		l := only(t, "binary", g)
		if want := [...]int{1, 1, 16, 8, 5, 5, 3, 3}; l.Size != want || l.Bits.W != 1 || l.Bits.A != 1 || l.MACs() != g.Cost().MACs {
			t.Errorf("packed %v: %v, bits %+v, %d MACs", packed, l.Size, l.Bits, l.MACs())
		}
	}
}
