package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

// channelShuffle is a channel shuffle as exporters write it,
//
//	[N, C, …] → [N, g, C/g, …] → axes of g and C/g swapped → [N, C, …].
type channelShuffle struct {
	in, out *graph.Value
	nodes   [3]*graph.Node // Reshape, Transpose, Reshape
	groups  int
}

// shuffleFrom recognises the shuffle that starts with the Reshape n.
func (c *compiler) shuffleFrom(n *graph.Node) (s channelShuffle, ok bool) {
	if !n.Is("Reshape") {
		return s, false
	}
	s.in = n.Inputs[0]
	t := c.only(n.Outputs[0])
	if t == nil || !t.Is("Transpose") || len(s.in.Shape) < 3 || !movable(s.in) {
		return s, false
	}
	back := c.only(t.Outputs[0])
	if back == nil || !back.Is("Reshape") || back.Inputs[0] != t.Outputs[0] || !sameShape(back.Outputs[0], s.in) {
		return s, false
	}
	shape, ok := concrete(n.Outputs[0])
	at := swapped(t.Ints("perm"), len(shape))
	if !ok || at < 0 {
		return s, false
	}
	batch, ch, _ := split(s.in.Shape.Ints())
	before := 1
	for _, d := range shape[:at] {
		before *= d
	}
	s.groups, s.out, s.nodes = shape[at], back.Outputs[0], [3]*graph.Node{n, t, back}
	return s, before == batch && s.groups*shape[at+1] == ch && ch > 0
}

// swapped returns the first of the two adjacent axes that perm swaps, or -1 if
// it does anything else.
func swapped(perm []int, rank int) int {
	at := -1
	if len(perm) != rank {
		return at
	}
	for i := 0; i < rank; i++ {
		switch {
		case perm[i] == i:
		case at < 0 && i+1 < rank && perm[i] == i+1 && perm[i+1] == i:
			at = i
			i++
		default:
			return -1
		}
	}
	return at
}

// shuffle lowers the shuffle that starts with n to one step, if the channels
// lie last.
func (c *compiler) shuffle(n *graph.Node) bool {
	s, ok := c.shuffleFrom(n)
	if !ok {
		return false
	}
	use, def, last := c.use, c.def, c.isLast
	if s.in.Type == tensor.Int8 {
		use, def, last = c.useBytes, c.defBytes, c.lastBytes
	}
	if !last(s.in) {
		return false
	}
	for _, m := range s.nodes {
		c.done[m] = true
	}
	src := use(s.in, channelsLast)
	dst := def(s.out, channelsLast)
	batch, ch, pixels := src.channels()
	per := ch / s.groups
	if s.groups == 2 && (dst.dtype.Bits() == 32 || dst.dtype.Bits() == 8) {
		second := &buf{name: src.name, dtype: src.dtype, shape: src.shape, layout: channelsLast, bytes: src.bytes - per*src.dtype.Bits()/8, of: src, at: per * src.dtype.Bits() / 8}
		c.interleave(dst, []*buf{src}, src, second, ch, ch)
		return true
	}
	index := make([]int, ch)
	for i := range index {
		index[i] = i%s.groups*per + i/s.groups
	}
	c.emit(step{kernel: "shuffle", in: []*buf{src}, out: []*buf{dst}, run: c.gather(dst, src, batch*pixels, ch, 1, index)})
	return true
}

// shuffledJoin reports whether n joins two equal halves of the channels only to
// shuffle them in two groups.
func (c *compiler) shuffledJoin(n *graph.Node) bool {
	if len(n.Inputs) != 2 || n.Inputs[0].Type != tensor.Float32 || !sameShape(n.Inputs[0], n.Inputs[1]) {
		return false
	}
	next := c.only(n.Outputs[0])
	if next == nil || next.Inputs[0] != n.Outputs[0] {
		return false
	}
	s, ok := c.shuffleFrom(next)
	axis := n.Int("axis", 0)
	return ok && s.groups == 2 && (axis == 1 || axis == 1-len(s.in.Shape))
}

// shuffleJoined lowers the Concat n and the shuffle behind it to one step that
// takes channels from the two halves in turn.
func (c *compiler) shuffleJoined(n *graph.Node) bool {
	if !c.shuffledJoin(n) {
		return false
	}
	s, _ := c.shuffleFrom(c.only(n.Outputs[0]))
	for _, m := range s.nodes {
		c.done[m] = true
	}
	a, b := c.pixels(n.Inputs[0]), c.pixels(n.Inputs[1])
	c.interleave(c.def(s.out, channelsLast), []*buf{a, b}, a, b, a.step(), b.step())
	return true
}

// joinShuffled lowers the concatenation v of the two 8-bit tensors in, and the
// shuffle that alone reads it, like shuffleJoined.
func (c *compiler) joinShuffled(v *graph.Value, in []*buf, axis int) bool {
	next := c.only(v)
	if len(in) != 2 || axis != 1 || in[0].layout != channelsLast || !slices.Equal(in[0].shape, in[1].shape) || next == nil || next.Inputs[0] != v {
		return false
	}
	s, ok := c.shuffleFrom(next)
	if !ok || s.groups != 2 {
		return false
	}
	for _, m := range s.nodes {
		c.done[m] = true
	}
	_, half, _ := in[0].channels()
	c.interleave(c.defBytes(s.out, channelsLast), in, in[0], in[1], half, half)
	return true
}

// interleave emits the step that takes the channels of dst from a and b in
// turn, whose pixels are sa and sb elements apart.
func (c *compiler) interleave(dst *buf, in []*buf, a, b *buf, sa, sb int) {
	batch, ch, pixels := dst.channels()
	half := ch / 2
	bits := dst.dtype.Bits()
	c.emit(step{kernel: "shuffle", in: in, out: []*buf{dst}, run: c.loop(batch*pixels, max(1, grain/ch), func(x *frame, lo, hi int) {
		if bits == 8 {
			d, p, q := x.raw(dst), x.raw(a), x.raw(b)
			for r := lo; r < hi; r++ {
				qvec.Interleave(d[r*ch:][:ch], p[r*sa:][:half], q[r*sb:][:half])
			}
			return
		}
		d, p, q := f32(x, dst), f32(x, a), f32(x, b)
		for r := lo; r < hi; r++ {
			vec.Interleave(d[r*ch:][:ch], p[r*sa:][:half], q[r*sb:][:half])
		}
	})})
}
