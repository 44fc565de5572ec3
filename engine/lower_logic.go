package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

// comparisons of float32 elements; a NaN compares as false.
var comparisons = map[string]func(dst []uint8, a, b []float32, sa, sb int){
	"Less":           func(d []uint8, a, b []float32, sa, sb int) { relate(d, a, b, sa, sb, 1) },
	"Equal":          func(d []uint8, a, b []float32, sa, sb int) { relate(d, a, b, sa, sb, 2) },
	"LessOrEqual":    func(d []uint8, a, b []float32, sa, sb int) { relate(d, a, b, sa, sb, 1|2) },
	"Greater":        func(d []uint8, a, b []float32, sa, sb int) { relate(d, a, b, sa, sb, 4) },
	"GreaterOrEqual": func(d []uint8, a, b []float32, sa, sb int) { relate(d, a, b, sa, sb, 4|2) },
}

// relate writes 1 where the relation of a and b is among those of the mask:
// 1 for less, 2 for equal, 4 for greater. sa and sb are the steps at which the
// operands are read, 0 for one element against many.
func relate(dst []uint8, a, b []float32, sa, sb int, mask uint8) {
	i, j := 0, 0
	for k := range dst {
		x, y := a[i], b[j]
		var r uint8
		if x < y {
			r = 1
		}
		if x == y {
			r = 2
		}
		if x > y {
			r = 4
		}
		r &= mask
		dst[k] = (r | r>>1 | r>>2) & 1
		i += sa
		j += sb
	}
}

var logic = map[string]func(a, b uint8) uint8{
	"And": func(a, b uint8) uint8 { return a & b },
	"Or":  func(a, b uint8) uint8 { return a | b },
	"Xor": func(a, b uint8) uint8 { return a ^ b },
}

func init() {
	for op := range comparisons {
		lower("", lowerComparison, op)
	}
	for op := range logic {
		lower("", lowerLogic, op)
	}
	lower("", lowerNot, "Not")
	lower("", lowerWhere, "Where")
	lower("", lowerVariadic, "Sum", "Mean")
}

// operands brings the inputs of a broadcasting operator into one layout, that
// of the output: channels-last if one of them is at hand so.
func (c *compiler) operands(n *graph.Node) (in []*buf, l layout) {
	out := n.Outputs[0]
	for _, v := range n.Inputs {
		if len(out.Shape) >= 3 && len(v.Shape) == len(out.Shape) && c.isLast(v) {
			l = channelsLast
		}
	}
	for _, v := range n.Inputs {
		if len(v.Shape) == len(out.Shape) {
			in = append(in, c.use(v, l))
		} else {
			in = append(in, c.use(v, plain))
		}
	}
	return in, l
}

// elementwise emits a step that calls row for each innermost row of dst: the
// row's first element, then where each operand stands and how it advances.
func (c *compiler) elementwise(kernel string, dst *buf, in []*buf, row func(x *frame, first, count int, at [3]int, step []int)) {
	if dst.bytes == 0 {
		return
	}
	strides := make([][]int, len(in))
	for i, b := range in {
		strides[i] = broadcastStrides(b, dst.shape)
	}
	n := newNest(dst.shape, dst.layout, strides...)
	k := len(n.dims) - 1
	inner := n.dims[k]
	steps := make([]int, len(in))
	for i := range in {
		steps[i] = n.strides[i][k]
	}
	// A single long row is cut, so that workers can share it.
	cut := max(inner/grain, 1)
	for inner%cut != 0 {
		cut--
	}
	part := inner / cut
	c.emit(step{kernel: kernel, in: in, out: []*buf{dst}, run: c.loop(n.outer(1)*cut, max(1, grain/part), func(x *frame, lo, hi int) {
		var at [3]int
		for r := lo; r < hi; r++ {
			for i := range in {
				at[i] = n.offset(i, 1, r/cut) + r%cut*part*steps[i]
			}
			row(x, r*part, part, at, steps)
		}
	})})
}

func lowerComparison(c *compiler, n *graph.Node) error {
	if n.Inputs[0].Type != tensor.Float32 || n.Inputs[1].Type != tensor.Float32 {
		return fallback(c, n)
	}
	f := comparisons[n.Op]
	in, l := c.operands(n)
	dst := c.def(n.Outputs[0], l)
	c.elementwise("compare", dst, in, func(x *frame, first, count int, at [3]int, step []int) {
		f(u8(x, dst)[first:first+count], f32(x, in[0])[at[0]:], f32(x, in[1])[at[1]:], step[0], step[1])
	})
	return nil
}

func lowerLogic(c *compiler, n *graph.Node) error {
	f := logic[n.Op]
	in, l := c.operands(n)
	dst := c.def(n.Outputs[0], l)
	c.elementwise("logic", dst, in, func(x *frame, first, count int, at [3]int, step []int) {
		d, a, b := u8(x, dst)[first:first+count], u8(x, in[0])[at[0]:], u8(x, in[1])[at[1]:]
		for i := range d {
			d[i] = f(a[i*step[0]], b[i*step[1]])
		}
	})
	return nil
}

func lowerNot(c *compiler, n *graph.Node) error {
	src := c.any(n.Inputs[0])
	dst := c.def(n.Outputs[0], src.layout)
	c.emit(step{kernel: "logic", in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.bytes, grain, func(x *frame, lo, hi int) {
		d := u8(x, dst)[lo:hi]
		for i, v := range u8(x, src)[lo:hi] {
			d[i] = v ^ 1
		}
	})})
	return nil
}

func lowerWhere(c *compiler, n *graph.Node) error {
	if n.Inputs[1].Type != tensor.Float32 {
		return fallback(c, n)
	}
	in, l := c.operands(n)
	dst := c.def(n.Outputs[0], l)
	c.elementwise("where", dst, in, func(x *frame, first, count int, at [3]int, step []int) {
		d, which := f32(x, dst)[first:first+count], u8(x, in[0])[at[0]:]
		a, b := f32(x, in[1])[at[1]:], f32(x, in[2])[at[2]:]
		for i := range d {
			v := b[i*step[2]]
			if which[i*step[0]] != 0 {
				v = a[i*step[1]]
			}
			d[i] = v
		}
	})
	return nil
}

// lowerVariadic folds any number of operands into the output, one after the
// other.
func lowerVariadic(c *compiler, n *graph.Node) error {
	for _, v := range n.Inputs {
		if v.Type != tensor.Float32 {
			return fallback(c, n)
		}
	}
	op, known := binaries[n.Op]
	if !known {
		op = vec.Add
	}
	in, l := c.operands(n)
	dst := c.def(n.Outputs[0], l)
	acc := in[0]
	if len(in) == 1 {
		c.stridedCopy("copy", dst, acc, denseStrides(dst.shape, l), 0)
	}
	for _, b := range in[1:] {
		nst := newNest(dst.shape, l, broadcastStrides(acc, dst.shape), broadcastStrides(b, dst.shape))
		c.emit(step{kernel: "broadcast", in: []*buf{acc, b}, out: []*buf{dst}, run: c.broadcast(op, nst, dst, acc, b)})
		acc = dst
	}
	if n.Op == "Mean" && len(in) > 1 {
		alpha := 1 / float32(len(in))
		c.emit(step{kernel: "scale", in: []*buf{dst}, out: []*buf{dst}, run: c.loop(dst.len(), grain, func(x *frame, lo, hi int) {
			d := f32(x, dst)[lo:hi]
			vec.Scale(alpha, d, d)
		})})
	}
	return nil
}
