package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/tensor"
)

// The lowerings of fake quantization (package quantize/fake says what the
// operators mean): grids of one step for a whole tensor, and signs. What is
// rare, as steps for each channel of small weights, runs by its definition.
func init() {
	own := func(f lowering, ops ...string) { lower(graph.DrawknifeDomain, f, ops...) }
	own(lowerFakeQuantize, "FakeQuantize")
	own(lowerFakeQuantizeGrad, "FakeQuantizeGrad")
	own(lowerBinarize, "Binarize")
	own(lowerBinarizeGrad, "BinarizeGrad")
	own(func(c *compiler, n *graph.Node) error {
		b := c.any(n.Inputs[0])
		c.alias(n.Outputs[0], b, b.layout)
		return nil
	}, "QuantizeGradient")
}

// fakeBlock is the number of elements that a sum of gradients goes over.
const fakeBlock = 1 << 14

// fakeGrid makes the function that reads a grid of one step at each run; p is
// its parameter and at its place among n's inputs.
func (c *compiler) fakeGrid(n *graph.Node, at int) (p []*buf, grid func(x *frame) fakequant.Grid, ok bool) {
	kind, qmax := n.Str("kind", "step"), float32(n.Int("qmax", 255))
	if kind != "step" && kind != "fixed" && kind != "clip" || n.In(at) == nil || !oneFloat(n.In(at)) || n.In(at+1) != nil && !oneFloat(n.In(at+1)) {
		return nil, nil, false
	}
	step := c.use(n.Inputs[at], plain)
	p = append(p, step)
	var offset *buf
	if v := n.In(at + 1); v != nil {
		offset = c.use(v, plain)
		p = append(p, offset)
	}
	lo := float32(n.Int("qmin", 0))
	return p, func(x *frame) fakequant.Grid {
		g := fakequant.Grid{Step: max(f32(x, step)[0], 1e-8), Min: lo, Max: qmax}
		if kind == "clip" {
			g.Step /= qmax
		}
		if offset != nil {
			g.Offset = f32(x, offset)[0]
		}
		return g
	}, true
}

func oneFloat(v *graph.Value) bool {
	n, ok := tensor.NumElements(v.Shape.Ints())
	return v.Type == tensor.Float32 && v.Shape.Known() && ok && n == 1
}

func lowerFakeQuantize(c *compiler, n *graph.Node) error {
	if !images(0, 8, n.Inputs[0]) {
		return fallback(c, n)
	}
	p, grid, ok := c.fakeGrid(n, 1)
	if !ok {
		return fallback(c, n)
	}
	src := c.any(n.Inputs[0])
	dst := c.def(n.Outputs[0], src.layout)
	c.emit(step{kernel: "fake-quantize", in: append([]*buf{src}, p...), out: []*buf{dst}, run: c.loop(dst.bytes/4, grain, func(x *frame, lo, hi int) {
		grid(x).Quantize(f32(x, dst)[lo:hi], f32(x, src)[lo:hi])
	})})
	return nil
}

func lowerFakeQuantizeGrad(c *compiler, n *graph.Node) error {
	if !images(0, 8, n.Inputs[0], n.Inputs[1]) {
		return fallback(c, n)
	}
	p, grid, ok := c.fakeGrid(n, 2)
	if !ok {
		return fallback(c, n)
	}
	l := c.preferred(n.Inputs[1])
	dy, src := c.use(n.Inputs[0], l), c.use(n.Inputs[1], l)
	dx := c.def(n.Outputs[0], l)
	st := step{kernel: "fake-quantize-grad", in: append([]*buf{dy, src}, p...), out: []*buf{dx}}
	var dp, doffset *buf
	if v := n.Out(1); v != nil {
		dp = c.def(v, plain)
		st.out = append(st.out, dp)
	}
	if v := n.Out(2); v != nil {
		doffset = c.def(v, plain)
		st.out = append(st.out, doffset)
	}
	size := dx.bytes / 4
	parts := (size + fakeBlock - 1) / fakeBlock
	st.scratch = c.scratch(24 * max(parts, 1))
	kind, scale := n.Str("kind", "step"), n.Float("grad_scale", 1)
	st.run = func(x *frame) error {
		g, sums := grid(x), view[float64](x, st.scratch)
		d, dys, xs := f32(x, dx), f32(x, dy), f32(x, src)
		x.pool.For(parts, 1, func(_, first, last int) {
			for i := first; i < last; i++ {
				lo, hi := i*fakeBlock, min((i+1)*fakeBlock, size)
				s := g.Grad(d[lo:hi], dys[lo:hi], xs[lo:hi])
				sums[3*i], sums[3*i+1], sums[3*i+2] = s.Step, s.Above, s.Below
			}
		})
		var total fakequant.Sums
		for i := range parts {
			total.Add(fakequant.Sums{Step: sums[3*i], Above: sums[3*i+1], Below: sums[3*i+2]})
		}
		if dp != nil {
			f32(x, dp)[0] = float32(total.Step) * scale
			if kind == "clip" {
				f32(x, dp)[0] = float32(total.Above) * scale
			}
		}
		if doffset != nil {
			f32(x, doffset)[0] = float32(total.Above+total.Below) * scale
		}
		return nil
	}
	c.emit(st)
	return nil
}

// thresholds returns the buffer of thresholds at input at, and their number:
// 0 without any.
func (c *compiler) thresholds(n *graph.Node, at int, shape graph.Shape) (th *buf, count int, ok bool) {
	v := n.In(at)
	if v == nil {
		return nil, 0, true
	}
	if v.Type != tensor.Float32 || len(shape) < 2 || !v.Shape.Known() || len(v.Shape) != 1 || v.Shape[0].Size != shape[1].Size {
		return nil, 0, false
	}
	return c.use(v, plain), shape[1].Size, true
}

func lowerBinarize(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	if !images(2, 8, in) {
		return fallback(c, n)
	}
	th, count, ok := c.thresholds(n, 1, in.Shape)
	if !ok {
		return fallback(c, n)
	}
	l := c.preferred(in)
	if th != nil {
		l = channelsLast
	}
	src := c.use(in, l)
	dst := c.def(n.Outputs[0], l)
	st := step{kernel: "sign", in: []*buf{src}, out: []*buf{dst}}
	if th != nil {
		st.in = append(st.in, th)
	}
	unit := max(count, 1)
	st.run = c.loop(dst.bytes/4/unit, max(grain/unit, 1), func(x *frame, lo, hi int) {
		fakequant.Sign(f32(x, dst)[lo*unit:hi*unit], f32(x, src)[lo*unit:hi*unit], f32(x, th))
	})
	c.emit(st)
	return nil
}

func lowerBinarizeGrad(c *compiler, n *graph.Node) error {
	in := n.Inputs[1]
	i := slices.Index(fakequant.Estimators, n.Str("estimator", "hardtanh"))
	if !images(2, 8, n.Inputs[0], in) || i < 0 || n.Out(1) != nil || n.In(3) != nil && !oneFloat(n.In(3)) {
		return fallback(c, n)
	}
	th, count, ok := c.thresholds(n, 2, in.Shape)
	if !ok {
		return fallback(c, n)
	}
	l := c.preferred(in)
	if th != nil {
		l = channelsLast
	}
	dy, src := c.use(n.Inputs[0], l), c.use(in, l)
	dx := c.def(n.Outputs[0], l)
	st := step{kernel: "sign-grad", in: []*buf{dy, src}, out: []*buf{dx}}
	if th != nil {
		st.in = append(st.in, th)
	}
	var temperature *buf
	if v := n.In(3); v != nil {
		temperature = c.use(v, plain)
		st.in = append(st.in, temperature)
	}
	unit, fixed := max(count, 1), n.Float("t", 1)
	st.run = c.loop(dx.bytes/4/unit, max(grain/unit, 1), func(x *frame, lo, hi int) {
		t := fixed
		if temperature != nil {
			t = f32(x, temperature)[0]
		}
		fakequant.SignGrad(f32(x, dx)[lo*unit:hi*unit], f32(x, dy)[lo*unit:hi*unit], f32(x, src)[lo*unit:hi*unit], f32(x, th), fakequant.Estimator(i), t)
	})
	c.emit(st)
	return nil
}
