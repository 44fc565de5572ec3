package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// unroll recognises the flattening n of an image whose channels lie last in
// front of a product with fixed weights, the classifier of many networks. The
// memory stays as it is; inOrderOf brings the weights into its order instead.
func (c *compiler) unroll(n *graph.Node) bool {
	in, out := n.Inputs[0], n.Outputs[0]
	if !n.Is("Reshape", "Flatten") || in.Type != tensor.Float32 || !c.isLast(in) || len(in.Shape) < 3 || len(out.Shape) != 2 {
		return false
	}
	next := c.only(out)
	if next == nil || !next.Is("Gemm") || next.Inputs[0] != out || !c.packs(next) {
		return false
	}
	batch, ch, spatial := split(in.Shape.Ints())
	if out.Shape[0].Size != batch || ch*spatial == 0 || c.inPlace(batch, next.Int("transB", 0) != 0, c.constant(next.Inputs[1])) {
		return false
	}
	c.alias(out, c.use(in, channelsLast), plain)
	if c.unrolled == nil {
		c.unrolled = map[*graph.Value][2]int{}
	}
	c.unrolled[out] = [2]int{ch, spatial}
	return true
}

// inOrderOf returns the elements of the matrix w, whose rows (columns with
// transB) are in the order of v's columns as the graph has them, in the order
// that v has in memory.
func (c *compiler) inOrderOf(v *graph.Value, w *tensor.Tensor, transB bool) []float32 {
	src := w.Float32s()
	size, ok := c.unrolled[v]
	if !ok {
		return src
	}
	ch, spatial := size[0], size[1]
	dst := make([]float32, len(src))
	cols := w.Shape[1]
	if transB {
		for r := 0; r < len(src); r += cols {
			for i := range cols {
				dst[r+i] = src[r+i%ch*spatial+i/ch]
			}
		}
		return dst
	}
	for i := range ch * spatial {
		copy(dst[i*cols:(i+1)*cols], src[(i%ch*spatial+i/ch)*cols:])
	}
	return dst
}
