package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/tensor"
)

func qpoolShape(n *graph.Node, in, out []int) qvec.PoolShape {
	s := poolShape(n, in, out)
	return qvec.PoolShape{N: s.N, D: s.D, H: s.H, W: s.W, C: s.C, T: s.T, R: s.R, S: s.S, OD: s.OD, P: s.P, Q: s.Q,
		StrideD: s.StrideD, StrideH: s.StrideH, StrideW: s.StrideW, DilD: s.DilD, DilH: s.DilH, DilW: s.DilW,
		PadD: s.PadD, PadH: s.PadH, PadW: s.PadW}
}

// pool covers MaxPool on 8-bit tensors (any DQ before it has been moved
// behind) and averages between DQ and Q.
func (quantizer) pool(c *compiler, n *graph.Node) bool {
	in, ok := concrete(n.Inputs[0])
	out, ok2 := concrete(n.Outputs[0])
	if !ok || !ok2 || len(in) < 3 || len(in) > 5 {
		return false
	}
	if n.Is("MaxPool") {
		if t := n.Inputs[0].Type; t != tensor.Uint8 && t != tensor.Int8 || n.Out(1) != nil {
			return false
		}
		s := qpoolShape(n, in, out)
		src := c.useBytes(n.Inputs[0], channelsLast)
		dst := c.defBytes(n.Outputs[0], channelsLast)
		c.emit(step{kernel: "qMaxPool", in: []*buf{src}, out: []*buf{dst}, run: c.loop(s.Rows(), max(1, grain/max(s.Q*s.C, 1)), func(x *frame, lo, hi int) {
			qvec.MaxPoolRows(s, u8(x, dst), u8(x, src), lo, hi)
		})})
		return true
	}
	q, g, ok := c.dequantized(n.Inputs[0])
	if !ok || !n.Is("AveragePool", "GlobalAveragePool", "ReduceMean") {
		return false
	}
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	a := qvec.AverageParams{ScaleX: g.scale, ZeroX: g.zero, ScaleY: t.scale, ZeroY: t.zero, Min: t.min, Max: t.max,
		IncludePad: n.Int("count_include_pad", 0) != 0}
	src := c.useBytes(q, channelsLast)
	l := channelsLast
	if !n.Is("AveragePool") {
		l = plain
	}
	dst := c.defBytes(t.out, l)
	st := step{kernel: "q" + n.Op, in: []*buf{src}, out: []*buf{dst}}
	if n.Is("AveragePool") {
		s := qpoolShape(n, in, out)
		f := poolShape(n, in, out)
		a.PadEndD, a.PadEndH, a.PadEndW = f.PadDEnd, f.PadHEnd, f.PadWEnd
		st.run = c.loop(s.Rows(), max(1, grain/max(s.Q*s.C, 1)), func(x *frame, lo, hi int) {
			qvec.AveragePoolRows(s, u8(x, dst), u8(x, src), a, lo, hi)
		})
	} else {
		batch, ch, spatial := split(in)
		mean := qvec.NewGlobal(batch, spatial, ch, 0, a)
		st.run = c.loop(mean.Tasks(), 1, func(x *frame, lo, hi int) { mean.Run(u8(x, dst), u8(x, src), lo, hi) })
	}
	c.emit(st)
	return true
}

// concat joins quantized tensors, moving each to the grid of the result where
// it has another.
func (quantizer) concat(c *compiler, n *graph.Node) bool {
	if c.joinBytesWide(n) {
		return true
	}
	grids := make([]grid, len(n.Inputs))
	values := make([]*graph.Value, len(n.Inputs))
	l := plain
	for i, v := range n.Inputs {
		q, g, ok := c.dequantized(v)
		if !ok {
			return false
		}
		values[i], grids[i] = q, g
		if c.lastBytes(q) {
			l = channelsLast
		}
	}
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	in := make([]*buf, len(values))
	for i, q := range values {
		in[i] = c.useBytes(q, l)
		if grids[i] == t.grid && t.min == 0 && t.max == 255 {
			continue
		}
		src := in[i]
		tab := qvec.RequantParams{ScaleX: grids[i].scale, ZeroX: grids[i].zero, ScaleY: t.scale, ZeroY: t.zero}.Table()
		t.clamp(tab)
		moved := c.temp(q.Name+"_requantized", tensor.Uint8, src.shape, src.layout)
		c.emit(step{node: n, kernel: "table", in: []*buf{src}, out: []*buf{moved}, run: c.loop(moved.bytes, 2*grain, func(x *frame, lo, hi int) {
			qvec.LUT(u8(x, moved)[lo:hi], u8(x, src)[lo:hi], tab)
		})})
		in[i] = moved
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(t.out.Shape)
	}
	if c.joinShuffled(t.out, in, axis) {
		return true
	}
	dst := c.defBytes(t.out, l)
	c.join(dst, in, axis)
	return true
}
