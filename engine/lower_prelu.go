package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerPRelu, "PRelu")
	lower(graph.DrawknifeDomain, lowerPReluGrad, "PReluGrad")
}

// lowerPRelu handles x, or slope·x where x is negative.
func lowerPRelu(c *compiler, n *graph.Node) error {
	if n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	if c.shiftedPRelu(n) {
		return nil
	}
	a, b, l := c.pair(n)
	dst := c.def(n.Outputs[0], l)
	nst := newNest(dst.shape, dst.layout, broadcastStrides(a, dst.shape), broadcastStrides(b, dst.shape))
	c.emit(step{kernel: "prelu", in: []*buf{a, b}, out: []*buf{dst}, run: c.broadcast(vec.PRelu, nst, dst, a, b)})
	return nil
}

// shiftedPRelu emits PRelu(x − before) + after, with a number for each channel,
// as one step: ReActNet's activation, which every layer has. n is the
// subtraction, or the PRelu where there is none that can be left out.
func (c *compiler) shiftedPRelu(n *graph.Node) bool {
	x, prelu := n.Inputs[0], n
	if len(x.Shape) < 3 || x.Type != tensor.Float32 || !x.Shape.Known() {
		return false
	}
	row := func(v *graph.Value) bool { return c.known(v) && perChannel(v, x) }
	var before, after *graph.Value
	if n.Is("Sub") {
		prelu, before = c.only(n.Outputs[0]), n.Inputs[1]
		if !prelu.Is("PRelu") || prelu.Inputs[0] != n.Outputs[0] || !row(before) {
			return false
		}
	}
	slope, y := prelu.Inputs[1], prelu.Outputs[0]
	if !row(slope) {
		return false
	}
	sum := c.only(y)
	if sum.Is("Add") {
		i := 0
		if sum.Inputs[0] == y {
			i = 1
		}
		if sum.Inputs[1-i] == y && row(sum.Inputs[i]) {
			after, y = sum.Inputs[i], sum.Outputs[0]
		}
	}
	if before == nil && after == nil {
		return false
	}
	src := c.use(x, channelsLast)
	in, rows := []*buf{src}, [3]*buf{}
	for i, v := range []*graph.Value{before, slope, after} {
		if v != nil {
			rows[i] = c.use(v, plain)
			in = append(in, rows[i])
		}
	}
	c.done[prelu] = true
	if after != nil {
		c.done[sum] = true
	}
	dst := c.def(y, channelsLast)
	ch := x.Shape[1].Size
	zeros := make([]float32, ch)
	orZeros := func(x *frame, b *buf) []float32 {
		if b == nil {
			return zeros
		}
		return f32(x, b)
	}
	c.emit(step{kernel: "shifted-prelu", in: in, out: []*buf{dst}, run: c.loop(dst.len()/max(ch, 1), max(grain/max(ch, 1), 1), func(x *frame, lo, hi int) {
		vec.RPRelu(f32(x, dst)[lo*ch:hi*ch], f32(x, src)[lo*ch:hi*ch], orZeros(x, rows[0]), f32(x, rows[1]), orZeros(x, rows[2]))
	})})
	return true
}

// perChannel reports whether v is a float32 for each channel of x, so that it is
// broadcast along all other axes.
func perChannel(v, x *graph.Value) bool {
	shape, ok := concrete(v)
	at := len(shape) - len(x.Shape) + 1 // of the channels
	if !ok || v.Type != tensor.Float32 || at < 0 || at > 1 || at == len(shape) || shape[at] != x.Shape[1].Size {
		return false
	}
	n, ok := tensor.NumElements(shape)
	return ok && n == shape[at]
}

func lowerPReluGrad(c *compiler, n *graph.Node) error {
	vdy, vx, vs := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	if !images(2, 8, vdy, vx) || !images(0, 8, vs) || !oneFloat(vs) && !perChannel(vs, vx) {
		return fallback(c, n)
	}
	batch, ch, size := split(vx.Shape.Ints())
	dy, src, slope := c.use(vdy, channelsLast), c.use(vx, channelsLast), c.use(vs, plain)
	dx := c.def(n.Outputs[0], channelsLast)
	st := step{kernel: "prelu-grad", in: []*buf{dy, src, slope}, out: []*buf{dx}, scratch: c.scratch(8 * max(vec.ColScratch(batch*size, ch), 1))}
	var dslope *buf
	if v := n.Out(1); v != nil {
		dslope = c.def(v, plain)
		st.out = append(st.out, dslope)
	}
	unused := make([]float32, max(slope.len(), 1))
	st.run = func(x *frame) error {
		ds := unused
		if dslope != nil {
			ds = f32(x, dslope)
		}
		vec.ParallelPReluGrad(x.pool, f32(x, dx), ds, f32(x, dy), f32(x, src), f32(x, slope), ch, view[float64](x, st.scratch))
		return nil
	}
	c.emit(st)
	return nil
}
