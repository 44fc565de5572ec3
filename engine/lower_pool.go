package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/pool"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerPool, "MaxPool", "AveragePool", "LpPool")
	lower("", lowerGlobalPool, "GlobalAveragePool", "GlobalMaxPool")
	lower("", lowerReduceMean, "ReduceMean")
}

func poolShape(n *graph.Node, in, out []int) pool.Shape {
	s := window(n, in, out, n.Ints("kernel_shape"))
	return pool.Shape{
		N: in[0], D: s.in[0], H: s.in[1], W: s.in[2], C: in[1],
		T: s.kernel[0], R: s.kernel[1], S: s.kernel[2], OD: s.out[0], P: s.out[1], Q: s.out[2],
		StrideD: s.stride[0], StrideH: s.stride[1], StrideW: s.stride[2],
		DilD: s.dilation[0], DilH: s.dilation[1], DilW: s.dilation[2],
		PadD: s.pad[0], PadH: s.pad[1], PadW: s.pad[2],
		PadDEnd: s.padEnd[0], PadHEnd: s.padEnd[1], PadWEnd: s.padEnd[2],
		CountPad: n.Int("count_include_pad", 0) != 0,
	}
}

func lowerPool(c *compiler, n *graph.Node) error {
	if c.quant.pool(c, n) {
		return nil
	}
	in, ok := concrete(n.Inputs[0])
	out, ok2 := concrete(n.Outputs[0])
	if !ok || !ok2 || len(in) < 3 || len(in) > 5 || n.Inputs[0].Type != tensor.Float32 || n.Out(1) != nil {
		return fallback(c, n)
	}
	s := poolShape(n, in, out)
	src := c.pixels(n.Inputs[0])
	dst := c.defPixels(n.Outputs[0])
	s.SrcStride, s.DstStride = src.pitch, dst.pitch
	st := step{kernel: n.Op, in: []*buf{src}, out: []*buf{dst}}
	rows := s.Rows()
	perRow := max(1, grain/max(s.Q*s.C, 1))
	switch n.Op {
	case "MaxPool":
		st.run = c.loop(rows, perRow, func(x *frame, lo, hi int) { pool.MaxRows(&s, f32(x, dst), f32(x, src), lo, hi) })
	case "AveragePool":
		st.run = c.loop(rows, perRow, func(x *frame, lo, hi int) { pool.AverageRows(&s, f32(x, dst), f32(x, src), lo, hi) })
	default:
		p := float64(n.Int("p", 2))
		st.run = func(x *frame) error { pool.Lp(x.pool, s, f32(x, dst), f32(x, src), p); return nil }
	}
	c.emit(st)
	return nil
}

func lowerGlobalPool(c *compiler, n *graph.Node) error {
	if c.quant.pool(c, n) {
		return nil
	}
	return c.globalPool(n, n.Op == "GlobalMaxPool")
}

func (c *compiler) globalPool(n *graph.Node, maximum bool) error {
	in, ok := concrete(n.Inputs[0])
	if !ok || len(in) < 3 || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	batch, ch, spatial := split(in)
	src := c.use(n.Inputs[0], channelsLast)
	dst := c.def(n.Outputs[0], plain)
	c.emit(step{kernel: n.Op, in: []*buf{src}, out: []*buf{dst}, run: c.loop(pool.GlobalTiles(batch, ch), 1, func(x *frame, lo, hi int) {
		if maximum {
			pool.GlobalMaxTiles(spatial, ch, f32(x, dst), f32(x, src), lo, hi)
		} else {
			pool.GlobalAverageTiles(spatial, ch, f32(x, dst), f32(x, src), lo, hi)
		}
	})})
	return nil
}

// lowerReduceMean recognises the mean over all spatial axes.
func lowerReduceMean(c *compiler, n *graph.Node) error {
	rank := len(n.Inputs[0].Shape)
	axes := c.constant(n.In(1))
	if rank < 3 || axes == nil || axes.Len() != rank-2 {
		return lowerReduce(c, n)
	}
	seen := map[int]bool{}
	for _, a := range axes.Ints() {
		if a < 0 {
			a += rank
		}
		seen[a] = true
	}
	for a := 2; a < rank; a++ {
		if !seen[a] {
			return lowerReduce(c, n)
		}
	}
	if c.quant.pool(c, n) {
		return nil
	}
	return c.globalPool(n, false)
}
