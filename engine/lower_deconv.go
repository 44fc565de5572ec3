package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/vec"
)

func init() {
	lower("", lowerConvTranspose, "ConvTranspose")
}

// lowerConvTranspose runs a transposed convolution as what it is: the gradient
// of a convolution with respect to its input.
func lowerConvTranspose(c *compiler, n *graph.Node) error {
	x, w, y := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	if !images(3, 5, x, w, y) || y.Shape[1].Size == 0 {
		return fallback(c, n)
	}
	in, out, ws := x.Shape.Ints(), y.Shape.Ints(), w.Shape.Ints()
	s := convShape(n, out, ws, in)
	s.PadD, s.PadH, s.PadW = transposedPads(n, in, out, ws)
	g := conv.NewGradInput(s)
	src, weights := c.use(x, channelsLast), c.use(w, plain)
	var bias *buf
	if n.In(2) != nil {
		bias = c.use(n.In(2), plain)
	}
	t := c.fuse(n, false)
	dst := c.def(t.out, channelsLast)
	st := step{kernel: "transposed " + g.Kernel(), in: compact([]*buf{src, weights, bias}), out: []*buf{dst},
		scratch: c.scratch(4 * g.Scratch(c.pool.Workers())), macs: graphMACs(n)}
	ch := out[1]
	finish := func(*frame) error { return nil }
	if bias != nil || t.min > -inf || t.max < inf {
		scale, none := make([]float32, ch), make([]float32, ch)
		vec.Fill(scale, 1)
		finish = c.loop(dst.len()/ch, max(1, grain/ch), func(x *frame, lo, hi int) {
			shift := none
			if bias != nil {
				shift = f32(x, bias)
			}
			d := f32(x, dst)[lo*ch : hi*ch]
			vec.ScaleShiftClamp(d, d, scale, shift, t.min, t.max)
		})
	}
	st.run = func(x *frame) error {
		g.Run(x.pool, f32(x, dst), f32(x, src), f32(x, weights), nil, scratchFloats(x, st.scratch))
		return finish(x)
	}
	c.emit(st)
	return nil
}

// transposedPads is how many elements a transposed convolution drops before
// the first along depth, height and width. The size of the output is known;
// unless the pads are given outright, what exceeds it is split as auto_pad says.
func transposedPads(n *graph.Node, in, out, weight []int) (d, h, w int) {
	dims := len(in) - 2
	strides, dilations := n.Ints("strides", ones(dims)...), n.Ints("dilations", ones(dims)...)
	pads, extra := n.Ints("pads", make([]int, 2*dims)...), n.Ints("output_padding", make([]int, dims)...)
	mode := n.Str("auto_pad", "NOTSET")
	split := n.Ints("output_shape") != nil || mode == "SAME_UPPER" || mode == "SAME_LOWER"
	var p [3]int
	for i := range dims {
		at := 3 - dims + i
		full := (in[2+i]-1)*strides[i] + dilations[i]*(weight[2+i]-1) + 1 + extra[i]
		total := max(full-out[2+i], 0)
		switch {
		case split && mode == "SAME_UPPER":
			p[at] = total / 2
		case split:
			p[at] = total - total/2
		case mode != "VALID":
			p[at] = pads[i]
		}
	}
	return p[0], p[1], p[2]
}
