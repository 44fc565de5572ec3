package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Concatenation along the channels costs nothing where the kernels that compute
// its inputs can write to the wide buffer right away: each input is then a
// view with a pitch. So are the parts of a tensor that is split along its
// channels. A value whose reader cannot follow a pitch is made dense first,
// which costs what the concatenation or the split would have.

// step is the number of elements from one pixel of a channels-last buffer to the
// next.
func (b *buf) step() int {
	if b.pitch > 0 {
		return b.pitch
	}
	_, ch, _ := b.channels()
	return ch
}

// traffic is the number of bytes that reading or writing all of b moves.
func (b *buf) traffic() int64 { return (int64(b.len())*int64(b.dtype.Bits()) + 7) / 8 }

// within is the view of shape's channels from channel first on in the
// channels-last buffer w.
func within(w *buf, name string, shape []int, first int) *buf {
	n, ch, spatial := split(shape)
	size := w.dtype.Bits() / 8
	b := &buf{name: name, dtype: w.dtype, shape: shape, layout: channelsLast, of: w, at: first * size, pitch: w.step()}
	if n*ch*spatial > 0 {
		b.bytes = ((n*spatial-1)*b.pitch + ch) * size
	}
	if b.pitch == ch {
		b.pitch = 0
	}
	return b
}

// home finds the Concat along the channels that v should be computed into, and
// v's first channel there. Of several it is the last, which other ones may be
// parts of.
func (c *compiler) home(v *graph.Value) (n *graph.Node, first int) {
	if v.Type != tensor.Float32 || len(v.Shape) < 3 || len(v.Shape) > 5 || !v.Shape.Known() || c.observed(v) {
		return nil, 0
	}
	for _, u := range v.Uses() {
		if !u.Node.Is("Concat") || c.done[u.Node] || c.shuffledJoin(u.Node) || !u.Node.Outputs[0].Shape.Known() {
			continue
		}
		axis := u.Node.Int("axis", 0)
		if axis != 1 && axis != 1-len(v.Shape) || n != nil && n.Outputs[0].Shape[1].Size >= u.Node.Outputs[0].Shape[1].Size {
			continue
		}
		if at, once := channelOf(u, func(w *graph.Value) bool { return w == v }); once {
			n, first = u.Node, at
		}
	}
	return n, first
}

// channelOf is the first channel in a Concat along the channels of its input u, and
// whether only one of the inputs is that value.
func channelOf(u graph.Use, is func(*graph.Value) bool) (first int, once bool) {
	count := 0
	for i, v := range u.Node.Inputs {
		if is(v) {
			count++
		}
		if i < u.Index {
			first += v.Shape[1].Size
		}
	}
	return first, count == 1
}

// wideOf returns the buffer of the output of the Concat n before n's turn.
func (c *compiler) wideOf(n *graph.Node) *buf {
	if w := c.wides[n]; w != nil {
		return w
	}
	out := n.Outputs[0]
	shape := out.Shape.Ints()
	var w *buf
	if h, first := c.home(out); h != nil {
		w = within(c.wideOf(h), out.Name, shape, first)
	} else {
		w = c.roomy(out, shape)
	}
	c.wides[n] = w
	return w
}

// pixels returns v in channels-last layout for a kernel that follows pitches.
func (c *compiler) pixels(v *graph.Value) *buf {
	if s := c.slots[v]; s != nil && s.bufs[channelsLast] == nil && s.wide != nil {
		return s.wide
	}
	return c.use(v, channelsLast)
}

// defPixels declares v in channels-last layout for a kernel that follows
// pitches.
func (c *compiler) defPixels(v *graph.Value) *buf {
	h, first := c.home(v)
	if h == nil && c.aliases(v) {
		b := c.roomy(v, v.Shape.Ints())
		c.place(v, b)
		return b
	}
	if h == nil {
		return c.def(v, channelsLast)
	}
	b := within(c.wideOf(h), v.Name, v.Shape.Ints(), first)
	c.place(v, b)
	return b
}

// aliases reports whether the pixels of v, in channels-last order, would lie a
// large power of two apart, so that those that a convolution needs together
// evict each other from the few ways of the first cache; and whether all that
// reads v can follow a pitch.
func (c *compiler) aliases(v *graph.Value) bool {
	if v.Type != tensor.Float32 || len(v.Shape) != 4 || !v.Shape.Known() || v.IsOutput() || c.observed(v) {
		return false
	}
	s := v.Shape.Ints()
	if !atSpan(s[1]) || s[2]*s[3] < 8 {
		return false
	}
	return !slices.ContainsFunc(v.Uses(), func(u graph.Use) bool { return !u.Node.Is("Conv") || u.Index != 0 })
}

// atSpan reports whether pixels of so many channels lie a large power of two apart.
func atSpan(channels int) bool {
	const span = 512 // bytes
	return channels > 0 && 4*channels%span == 0
}

// roomy declares memory for v with its pixels no large power of two apart.
func (c *compiler) roomy(v *graph.Value, shape []int) *buf {
	wider := slices.Clone(shape)
	if atSpan(shape[1]) {
		wider[1] += alignment / 4
	}
	return within(c.temp(v.Name, v.Type, wider, channelsLast), v.Name, shape, 0)
}

// place makes b, which may have a pitch, v's buffer.
func (c *compiler) place(v *graph.Value, b *buf) {
	if b.pitch == 0 {
		c.slot(v).bufs[channelsLast] = b
	} else {
		c.slot(v).wide = b
	}
}

// splitChannels makes the outputs of a Split along the channels views of its
// input.
func (c *compiler) splitChannels(n *graph.Node) {
	src := c.pixels(n.Inputs[0])
	first := 0
	for _, v := range n.Outputs {
		if v != nil {
			c.cutChannels(v, src, first)
			first += v.Shape[1].Size
		}
	}
}

// cutChannels makes v the view of src's channels from channel first on.
func (c *compiler) cutChannels(v *graph.Value, src *buf, first int) {
	shape := v.Shape.Ints()
	if v.Shape[1].Size == 0 { // first may be the end
		first = 0
	}
	c.place(v, within(src, v.Name, shape, first))
}

// gatherWide makes v, which lies in a wider buffer, dense.
func (c *compiler) gatherWide(v *graph.Value, s *slot) {
	dst := c.def(v, channelsLast)
	c.copyPixels("gather-channels", [][2]*buf{{dst, s.wide}})
}

// copyPixels emits the step that copies pixels of floats or of bytes between
// buffers of one shape, pair by pair (to, from), whatever their pitches.
func (c *compiler) copyPixels(kernel string, pairs [][2]*buf) {
	st := step{kernel: kernel}
	rows, total := 0, 0
	for _, p := range pairs {
		st.out, st.in = append(st.out, p[0]), append(st.in, p[1])
		n, ch, spatial := p[0].channels()
		rows, total = n*spatial, total+ch
	}
	if rows*total == 0 {
		return
	}
	st.run = c.loop(rows, max(1, grain/total), func(x *frame, lo, hi int) {
		for _, p := range pairs {
			d, s := x.raw(p[0]), x.raw(p[1])
			size := p[0].dtype.Bits() / 8
			_, ch, _ := p[0].channels()
			ch, ds, ss := ch*size, p[0].step()*size, p[1].step()*size
			for r := lo; r < hi; r++ {
				copy(d[r*ds:][:ch], s[r*ss:][:ch])
			}
		}
	})
	c.emit(st)
}

// joinWide lowers the Concat n along the channels if an input has a pitch, or
// n's output belongs into a wider buffer itself. Inputs that are not in their
// place already are copied.
func (c *compiler) joinWide(n *graph.Node) bool {
	out := n.Outputs[0]
	if w := c.contiguous(n); w != nil {
		c.place(out, w)
		return true
	}
	pitched := func(v *graph.Value) bool { return c.slots[v] != nil && c.slots[v].wide != nil }
	if h, _ := c.home(out); h == nil && c.wides[n] == nil && !slices.ContainsFunc(n.Inputs, pitched) {
		return false
	}
	w := c.wideOf(n)
	var pairs [][2]*buf
	first := 0
	for _, v := range n.Inputs {
		place := within(w, v.Name, v.Shape.Ints(), first)
		if b := c.pixels(v); !samePlace(b, place) {
			pairs = append(pairs, [2]*buf{place, b})
		}
		first += v.Shape[1].Size
	}
	if len(pairs) > 0 {
		c.copyPixels("concat", pairs)
	}
	c.place(out, w)
	return true
}

// contiguous returns the buffer that n's inputs fill already, side by side, as
// part of a wider one; nil if they do not.
func (c *compiler) contiguous(n *graph.Node) *buf {
	var base *buf
	start, first := 0, 0
	for i, v := range n.Inputs {
		s := c.slots[v]
		if s == nil || s.wide == nil {
			return nil
		}
		root, at := s.wide.root()
		if i == 0 {
			base, start = root, at
		}
		if root != base || root.layout != channelsLast || at != start+4*first || s.wide.pitch != root.step() {
			return nil
		}
		first += v.Shape[1].Size
	}
	if base == nil || start/4+first > base.step() {
		return nil
	}
	return within(base, n.Outputs[0].Name, n.Outputs[0].Shape.Ints(), start/4)
}

// samePlace reports whether two buffers of one shape are the same memory.
func samePlace(a, b *buf) bool {
	r, at := a.root()
	s, to := b.root()
	return r == s && at == to && a.step() == b.step()
}
