package engine

import "slices"

// nest is a loop nest over an output in memory order, with the strides at
// which operands are read, all in elements. Dimensions of size one are gone
// and neighbours that advance together are merged.
type nest struct {
	dims    []int
	strides [][]int // one list per operand
}

// strides of a dense array of the given shape in a layout, indexed in ONNX
// order.
func denseStrides(shape []int, l layout) []int {
	s := make([]int, len(shape))
	n := 1
	for _, d := range slices.Backward(order(len(shape), l)) {
		s[d] = n
		n *= shape[d]
	}
	return s
}

// order lists the dimensions from outermost to innermost in memory.
func order(rank int, l layout) []int {
	o := make([]int, 0, rank)
	for d := range rank {
		if l == channelsLast && d == 1 {
			continue
		}
		o = append(o, d)
	}
	if l == channelsLast && rank > 1 {
		o = append(o, 1)
	}
	return o
}

// broadcastStrides are b's strides in the dimensions of an output of the given
// shape: 0 where b is broadcast.
func broadcastStrides(b *buf, shape []int) []int {
	own := denseStrides(b.shape, b.layout)
	s := make([]int, len(shape))
	skip := len(shape) - len(b.shape)
	for d := range b.shape {
		if b.shape[d] != 1 {
			s[skip+d] = own[d]
		}
	}
	return s
}

// newNest builds the nest of an output of the given shape and layout.
func newNest(shape []int, l layout, operands ...[]int) nest {
	n := nest{strides: make([][]int, len(operands))}
	for _, d := range order(len(shape), l) {
		if shape[d] == 1 {
			continue
		}
		last := len(n.dims) - 1
		merge := last >= 0
		for k, s := range operands {
			merge = merge && n.strides[k][last] == s[d]*shape[d]
		}
		if merge {
			n.dims[last] *= shape[d]
			for k, s := range operands {
				n.strides[k][last] = s[d]
			}
			continue
		}
		n.dims = append(n.dims, shape[d])
		for k, s := range operands {
			n.strides[k] = append(n.strides[k], s[d])
		}
	}
	if len(n.dims) == 0 {
		n.dims = []int{1}
		for k := range operands {
			n.strides[k] = []int{1}
		}
	}
	return n
}

// inner splits the nest: the number of iterations outside the last depth
// dimensions.
func (n nest) outer(depth int) int {
	rows := 1
	for _, d := range n.dims[:len(n.dims)-depth] {
		rows *= d
	}
	return rows
}

// offset is where operand k stands at iteration i outside the last depth
// dimensions.
func (n nest) offset(k, depth, i int) int {
	at := 0
	for d := len(n.dims) - depth - 1; d >= 0; d-- {
		at += i % n.dims[d] * n.strides[k][d]
		i /= n.dims[d]
	}
	return at
}

// rows calls f for rows lo to hi (innermost dimensions) of one or two operands,
// several at a time: count rows from first on, the first of which stands at at in
// each operand, and each other step further.
func (n nest) rows(lo, hi int, f func(first, count int, at, step [2]int)) {
	each, step := 1, [2]int{}
	if last := len(n.dims) - 2; last >= 0 {
		each = n.dims[last]
		for k := range n.strides {
			step[k] = n.strides[k][last]
		}
	}
	for r := lo; r < hi; {
		count := min(hi-r, each-r%each)
		var at [2]int
		for k := range n.strides {
			at[k] = n.offset(k, 1, r)
		}
		f(r, count, at, step)
		r += count
	}
}

// copyRows writes rows lo to hi (innermost dimensions) of dst in order from src
// read at the strides of operand 0.
func copyRows[T any](n nest, dst, src []T, start, lo, hi int) {
	inner, stride := n.dims[len(n.dims)-1], n.strides[0][len(n.dims)-1]
	n.rows(lo, hi, func(first, count int, at, step [2]int) {
		from := start + at[0]
		for r := first; r < first+count; r, from = r+1, from+step[0] {
			d := dst[r*inner : (r+1)*inner]
			if stride == 1 {
				copy(d, src[from:from+inner])
				continue
			}
			for i := range d {
				d[i] = src[from+i*stride]
			}
		}
	})
}

// stridedCopy emits a step that fills dst from src read at the given strides
// (of dst's dimensions, in ONNX order) from element start on.
func (c *compiler) stridedCopy(kernel string, dst, src *buf, strides []int, start int) {
	c.nestCopy(kernel, dst, src, newNest(dst.shape, dst.layout, strides), start)
}

// nestCopy is stridedCopy for a nest of the caller's, whose dimensions may
// split those of dst.
func (c *compiler) nestCopy(kernel string, dst, src *buf, n nest, start int) {
	run := func(*frame) error { return nil }
	if dst.len() > 0 {
		run = c.loop(n.outer(1), max(1, grain/n.dims[len(n.dims)-1]), func(x *frame, lo, hi int) {
			switch dst.dtype.Bits() {
			case 8:
				copyRows(n, x.raw(dst), x.raw(src), start, lo, hi)
			case 16:
				copyRows(n, view[uint16](x, dst), view[uint16](x, src), start, lo, hi)
			case 32:
				copyRows(n, view[uint32](x, dst), view[uint32](x, src), start, lo, hi)
			default:
				copyRows(n, view[uint64](x, dst), view[uint64](x, src), start, lo, hi)
			}
		})
	}
	c.emit(step{kernel: kernel, in: []*buf{src}, out: []*buf{dst}, run: run})
}
