package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerDepthSpace, "DepthToSpace", "SpaceToDepth")
	lower("", lowerTile, "Tile")
	lower("", lowerGather, "Gather")
}

// moved returns the buffers of an operator that only moves elements, in the
// layout the input has: 8-bit integers in their uint8 form. The layout is plain
// where the ranks differ.
func (c *compiler) moved(n *graph.Node) (src *buf, def func() *buf, l layout) {
	in, out := n.Inputs[0], n.Outputs[0]
	keep := len(in.Shape) == len(out.Shape)
	if in.Type == tensor.Int8 {
		if keep && c.lastBytes(in) {
			l = channelsLast
		}
		return c.useBytes(in, l), func() *buf { return c.defBytes(out, l) }, l
	}
	if keep {
		l = c.preferred(in)
	}
	return c.use(in, l), func() *buf { return c.def(out, l) }, l
}

// lowerDepthSpace moves blocks of channels to pixels or back as one copy over
// the axes that both sides split into.
func lowerDepthSpace(c *compiler, n *graph.Node) error {
	in, out := n.Inputs[0], n.Outputs[0]
	b := n.Int("blocksize", 0)
	if !movable(in) || len(in.Shape) != 4 || b < 1 {
		return fallback(c, n)
	}
	deep, flat := in.Shape.Ints(), out.Shape.Ints()
	if n.Op == "SpaceToDepth" {
		deep, flat = flat, deep
	}
	src, def, l := c.moved(n)
	// The axes: image, row, row in block, column, column in block, channel.
	sizes := []int{deep[0], deep[2], b, deep[3], b, flat[1]}
	ds, fs := denseStrides(deep, l), denseStrides(flat, l)
	inDeep := []int{ds[0], ds[2], b * flat[1] * ds[1], ds[3], flat[1] * ds[1], ds[1]}
	if n.Str("mode", "DCR") == "CRD" {
		inDeep[2], inDeep[4], inDeep[5] = b*ds[1], ds[1], b*b*ds[1]
	}
	inFlat := []int{fs[0], b * fs[2], fs[2], b * fs[3], fs[3], fs[1]}
	read, memory := inDeep, flatOrder[l]
	if n.Op == "SpaceToDepth" {
		read, memory = inFlat, deepOrder[l]
	}
	dst := def()
	if dst.bytes == 0 {
		return nil
	}
	c.nestCopy(n.Op, dst, src, newNest(pick(sizes, memory), plain, pick(read, memory)), 0)
	return nil
}

// The order in memory, by layout, of the axes of lowerDepthSpace.
var (
	flatOrder = [2][]int{{0, 5, 1, 2, 3, 4}, {0, 1, 2, 3, 4, 5}}
	deepOrder = [2][]int{{0, 2, 4, 5, 1, 3}, {0, 1, 3, 2, 4, 5}}
)

func pick(list, at []int) []int {
	out := make([]int, len(at))
	for i, k := range at {
		out[i] = list[k]
	}
	return out
}

func lowerTile(c *compiler, n *graph.Node) error {
	repeats := c.constant(n.In(1))
	if !movable(n.Inputs[0]) || repeats == nil || repeats.Len() != len(n.Inputs[0].Shape) {
		return fallback(c, n)
	}
	src, def, l := c.moved(n)
	dst := def()
	if dst.bytes == 0 {
		return nil
	}
	own := denseStrides(src.shape, l)
	var sizes, strides []int
	for _, d := range order(len(src.shape), l) {
		sizes = append(sizes, repeats.Ints()[d], src.shape[d])
		strides = append(strides, 0, own[d])
	}
	c.nestCopy("tile", dst, src, newNest(sizes, plain, strides), 0)
	return nil
}

// lowerGather picks slices at fixed indices.
func lowerGather(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	t := c.constant(n.In(1))
	if !movable(in) || t == nil || len(in.Shape) == 0 {
		return fallback(c, n)
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(in.Shape)
	}
	index := t.Ints()
	size := in.Shape[axis].Size
	for i, k := range index {
		if k < 0 {
			index[i] += size
		}
		if index[i] < 0 || index[i] >= size {
			return n.Errorf("index %d is outside an axis of %d elements", k, size)
		}
	}
	// Indices of one dimension keep the axes, whatever the layout.
	src, def, l := c.moved(n)
	if t.Rank() != 1 && l == channelsLast {
		src, l = c.use(in, plain), plain
		def = func() *buf { return c.def(n.Outputs[0], plain) }
	}
	outer, inner := block(src.shape, l, axis)
	dst := def()
	if dst.bytes == 0 {
		return nil
	}
	c.emit(step{kernel: "gather", in: []*buf{src}, out: []*buf{dst}, run: c.gather(dst, src, outer, size, inner, index)})
	return nil
}

// gather copies, in each of outer blocks of size slices of inner elements, the
// slices that index names.
func (c *compiler) gather(dst, src *buf, outer, size, inner int, index []int) func(x *frame) error {
	bytes := src.dtype.Bits() / 8
	return c.loop(outer, max(1, grain/max(len(index)*inner, 1)), func(x *frame, lo, hi int) {
		switch {
		case inner == 1 && bytes == 4:
			pickRows(view[uint32](x, dst), view[uint32](x, src), size, index, lo, hi)
		case inner == 1 && bytes == 1:
			pickRows(x.raw(dst), x.raw(src), size, index, lo, hi)
		default:
			d, s, w := x.raw(dst), x.raw(src), inner*bytes
			for r := lo; r < hi; r++ {
				for i, k := range index {
					copy(d[(r*len(index)+i)*w:][:w], s[(r*size+k)*w:])
				}
			}
		}
	})
}

// pickRows fills rows lo to hi of dst with the elements of src's rows, of the
// given size, that index names.
func pickRows[T any](dst, src []T, size int, index []int, lo, hi int) {
	for r := lo; r < hi; r++ {
		d, s := dst[r*len(index):][:len(index)], src[r*size:][:size]
		for i, k := range index {
			d[i] = s[k]
		}
	}
}
