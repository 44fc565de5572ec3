package graph

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// binaryGraph is a graph of one BinaryConv.
func binaryGraph(x Shape, w *tensor.Tensor, attrs Attrs, more ...*tensor.Tensor) (*Graph, *Node) {
	g := New("binary")
	in := []*Value{g.AddInput("x", tensor.Float32, x), g.AddConst("w", w)}
	for _, t := range more {
		in = append(in, g.AddConst("more", t))
	}
	n := g.Append(g.NewNode(DrawknifeDomain, BinaryConv, "b", in, []string{"y"}, attrs))
	g.AddOutput(n.Outputs[0])
	return g, n
}

func TestBinaryConvShapeAndCost(t *testing.T) {
	w := tensor.New(tensor.Float32, 8, 5, 3, 3)
	packed, shape := PackSigns(w)
	scale, bias := tensor.New(tensor.Float32, 8), tensor.New(tensor.Float32, 8)
	for name, g := range map[string]*Graph{
		"plain":  first(binaryGraph(ShapeOf([]int{2, 5, 6, 7}), w, Attrs{"pads": []int64{1, 1, 1, 1}}, scale, bias)),
		"packed": first(binaryGraph(ShapeOf([]int{2, 5, 6, 7}), packed, Attrs{"pads": []int64{1, 1, 1, 1}, "weight_shape": shape}, scale, bias)),
	} {
		if err := g.InferShapes(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := g.Outputs[0].Shape.String(); got != ShapeOf([]int{2, 8, 6, 7}).String() {
			t.Errorf("%s: shape %s", name, got)
		}
		c := g.Cost()
		macs := int64(2 * 8 * 6 * 7 * 5 * 9)
		if c.MACs != macs || c.BOPs != macs || c.Params != 8*45+16 || c.WeightBytes != 45+2*32 || c.Sparsity != 0 {
			t.Errorf("%s: %d MACs, %d BOPs, %d parameters, %d bytes, sparsity %v", name, c.MACs, c.BOPs, c.Params, c.WeightBytes, c.Sparsity)
		}
	}
}

func first(g *Graph, _ *Node) *Graph { return g }

func TestBinaryConvErrors(t *testing.T) {
	w := tensor.New(tensor.Float32, 8, 5, 3, 3)
	packed, shape := PackSigns(w)
	x := ShapeOf([]int{2, 5, 6, 7})
	for _, c := range []struct {
		g    *Graph
		want string
	}{
		{first(binaryGraph(x, w, Attrs{"pad_value": float32(2)})), "pad_value"},
		{first(binaryGraph(x, packed, nil)), "weight_shape"},
		{first(binaryGraph(x, packed, Attrs{"weight_shape": []int64{8, 5, 3, 4}})), "weight_shape"},
		{first(binaryGraph(x, packed, Attrs{"weight_shape": []int64{1 << 40, 1 << 40, 3}})), "weight_shape"},
		{first(binaryGraph(ShapeOf([]int{2, 6, 6, 7}), packed, Attrs{"weight_shape": shape})), "channels"},
		{first(binaryGraph(x, w, nil, tensor.New(tensor.Float32, 7))), "scale"},
	} {
		if err := c.g.InferShapes(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}

// FuzzSigns checks that unpacking never reads beyond the weight and undoes
// packing.
func FuzzSigns(f *testing.F) {
	f.Add([]byte{1, 2, 3}, int64(3), int64(1), int64(8))
	f.Add([]byte{255}, int64(1), int64(1), int64(7))
	f.Add([]byte{}, int64(0), int64(1<<62), int64(4))
	f.Fuzz(func(t *testing.T, data []byte, m, c, k int64) {
		n := &Node{Domain: DrawknifeDomain, Op: BinaryConv, Attrs: Attrs{"weight_shape": []int64{m, c, k}}}
		signs, shape, err := Signs(n, tensor.Of(data, len(data)))
		if err != nil {
			return
		}
		w := tensor.New(tensor.Float32, shape...)
		for i, s := range signs {
			w.Float32s()[i] = float32(s)
		}
		packed, _ := PackSigns(w)
		again, _, err := Signs(n, packed)
		if err != nil || string(bytesOf(again)) != string(bytesOf(signs)) {
			t.Fatalf("unpacked %v, packed and unpacked again %v (%v)", signs, again, err)
		}
	})
}

func bytesOf(s []int8) []byte {
	b := make([]byte, len(s))
	for i, v := range s {
		b[i] = byte(v)
	}
	return b
}
