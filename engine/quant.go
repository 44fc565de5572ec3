package engine

import (
	"math"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/tensor"
)

// A quantized model says in QuantizeLinear (Q) and DequantizeLinear (DQ) nodes
// around float operators what it wants computed in integers. The engine reads
// that form only: the QLinear operators are spelled out in it first
// (quant_prepare.go), then each operator between DQ and Q lowers to one
// integer kernel (quant_lower.go).
//
// 8-bit tensors are held as uint8 in memory whatever their type: an int8
// element q is kept as q+128, and its zero point likewise, so that one set of
// kernels serves both.

// grid is a per-tensor 8-bit quantization, in terms of the uint8 in memory.
type grid struct {
	scale float32
	zero  uint8
}

// quantize maps a real number to the grid, saturating.
func (g grid) quantize(x float32) uint8 {
	v := math.RoundToEven(float64(x/g.scale)) + float64(g.zero)
	return uint8(max(0, min(255, v)))
}

// gridOf reads the grid of a Q or DQ node; ok is false unless it is per tensor,
// constant and of 8 bits.
func (c *compiler) gridOf(n *graph.Node) (g grid, ok bool) {
	if !n.Is("QuantizeLinear", "DequantizeLinear") {
		return g, false
	}
	scale := c.constant(n.In(1))
	if scale == nil || scale.Len() != 1 || scale.DType != tensor.Float32 {
		return g, false
	}
	q := n.Inputs[0].Type
	if n.Op == "QuantizeLinear" {
		q = n.Outputs[0].Type
	}
	if q != tensor.Uint8 && q != tensor.Int8 {
		return g, false
	}
	zero := 0
	if v := n.In(2); v != nil {
		t := c.constant(v)
		if t == nil || t.Len() != 1 {
			return g, false
		}
		zero = int(t.At(0))
	}
	if q == tensor.Int8 {
		zero += 128
	}
	g.scale, g.zero = float32(scale.At(0)), uint8(zero)
	return g, g.scale > 0
}

// dequantized reports whether v is a DQ of an 8-bit tensor with one grid, and
// returns the tensor and the grid.
func (c *compiler) dequantized(v *graph.Value) (q *graph.Value, g grid, ok bool) {
	if v == nil || v.Producer() == nil || !v.Producer().Is("DequantizeLinear") {
		return nil, g, false
	}
	g, ok = c.gridOf(v.Producer())
	q = v.Producer().Inputs[0]
	return q, g, ok && c.constant(q) == nil
}

// target is where an integer kernel stores: the Q node behind an operator,
// with the clamp of an activation between them.
type target struct {
	grid
	min, max uint8
	out      *graph.Value
}

// clamp applies the activation to a table of results.
func (t target) clamp(table *[256]uint8) {
	for i, v := range table {
		table[i] = min(max(v, t.min), t.max)
	}
}

// quantizedTail looks behind v for an optional Relu or Clip and a Q, and marks
// them as lowered if they are there.
func (c *compiler) quantizedTail(v *graph.Value) (t target, ok bool) {
	t, covered, ok := c.peekTail(v)
	for _, n := range covered {
		c.done[n] = true
	}
	return t, ok
}

func (c *compiler) peekTail(v *graph.Value) (t target, covered []*graph.Node, ok bool) {
	clamp := tail{min: -inf, max: inf}
	n := c.only(v)
	for n != nil { // an activation, then perhaps the reach of a grid of few bits
		next := tail{min: -inf, max: inf}
		if !clampOf(c, n, &next) {
			break
		}
		clamp.min, clamp.max = min(max(clamp.min, next.min), next.max), min(max(clamp.max, next.min), next.max)
		covered = append(covered, n)
		n = c.only(n.Outputs[0])
	}
	if n == nil || !n.Is("QuantizeLinear") {
		return t, nil, false
	}
	g, ok := c.gridOf(n)
	if !ok {
		return t, nil, false
	}
	t = target{grid: g, min: 0, max: 255, out: n.Outputs[0]}
	if clamp.min > -inf {
		t.min = g.quantize(clamp.min)
	}
	if clamp.max < inf {
		t.max = g.quantize(clamp.max)
	}
	return t, append(covered, n), true
}

// useBytes returns the uint8 form of an 8-bit value in layout l.
func (c *compiler) useBytes(v *graph.Value, l layout) *buf {
	if v.Type == tensor.Uint8 {
		return c.use(v, l)
	}
	s := c.slot(v)
	if s.flipped == nil {
		src := c.any(v)
		s.flipped = &slot{}
		s.flipped.bufs[src.layout] = c.flip(src)
	}
	if b := s.flipped.bufs[l]; b != nil {
		return b
	}
	s.flipped.bufs[l] = c.relayout(s.flipped.bufs[1-l], l)
	return s.flipped.bufs[l]
}

// anyBytes is useBytes in whatever layout is at hand.
func (c *compiler) anyBytes(v *graph.Value) *buf {
	if v.Type == tensor.Uint8 {
		return c.any(v)
	}
	if s := c.slots[v]; s != nil && s.flipped != nil && s.flipped.bufs[channelsLast] != nil {
		return s.flipped.bufs[channelsLast]
	}
	return c.useBytes(v, plain)
}

// lastBytes is isLast for the uint8 form.
func (c *compiler) lastBytes(v *graph.Value) bool {
	s := c.slots[v]
	if s != nil && s.flipped != nil {
		s = s.flipped
	}
	return s != nil && s.bufs[channelsLast] != nil && s.bufs[plain] == nil
}

// defBytes declares the uint8 form of an 8-bit value.
func (c *compiler) defBytes(v *graph.Value, l layout) *buf {
	if v.Type == tensor.Uint8 {
		return c.def(v, l)
	}
	shape, ok := concrete(v)
	if !ok {
		return c.def(v, l)
	}
	if len(shape) < 3 {
		l = plain
	}
	s := c.slot(v)
	s.flipped = &slot{}
	s.flipped.bufs[l] = c.temp(v.Name, tensor.Uint8, shape, l)
	s.force = func() error { // somebody wants the int8 form after all
		src := s.flipped.bufs[l]
		b := c.flip(src)
		b.dtype = tensor.Int8
		s.bufs[l] = b
		return nil
	}
	return s.flipped.bufs[l]
}

// flip emits the step that moves a tensor between int8 and its uint8 form.
func (c *compiler) flip(src *buf) *buf {
	out := c.temp(src.name, tensor.Uint8, src.shape, src.layout)
	c.emit(step{kernel: "flip", in: []*buf{src}, out: []*buf{out}, run: c.loop(out.bytes, 4*grain, func(x *frame, lo, hi int) {
		qvec.Flip(x.raw(out)[lo:hi], x.raw(src)[lo:hi])
	})})
	return out
}

// constFloat returns v's elements if they are fixed, looking through the DQ of
// a stored integer tensor.
func (c *compiler) constFloat(v *graph.Value) *tensor.Tensor {
	if t := c.constant(v); t != nil || v == nil {
		return t
	}
	n := v.Producer()
	if n == nil || !n.Is("DequantizeLinear") {
		return nil
	}
	in := make([]*tensor.Tensor, len(n.Inputs))
	for i, w := range n.Inputs {
		if w == nil {
			continue
		}
		if in[i] = c.constant(w); in[i] == nil {
			return nil
		}
	}
	out, err := eval.Node(n, in)
	if err != nil || out[0].DType != tensor.Float32 {
		return nil
	}
	return out[0]
}
