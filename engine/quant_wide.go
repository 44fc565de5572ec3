package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Quantized tensors of one grid are concatenated in place like floats (see
// wide.go): what holds their bytes is the view, and the Concat in question lies
// between a DQ and a Q.

// byteHome finds the Concat along the channels that the bytes v should be computed
// into, and v's first channel there: of several the one of most channels.
func (c *compiler) byteHome(v *graph.Value) (n *graph.Node, first int) {
	if v.Type != tensor.Uint8 || len(v.Shape) < 3 || len(v.Shape) > 5 || !v.Shape.Known() || c.observed(v) {
		return nil, 0
	}
	for _, u := range v.Uses() {
		if !u.Node.Is("DequantizeLinear") || c.observed(u.Node.Outputs[0]) {
			continue
		}
		for _, w := range u.Node.Outputs[0].Uses() {
			if c.done[w.Node] || !c.joinsBytes(w.Node) || n != nil && n.Outputs[0].Shape[1].Size >= w.Node.Outputs[0].Shape[1].Size {
				continue
			}
			at, once := channelOf(w, func(x *graph.Value) bool { q, _, _ := c.dequantized(x); return q == v })
			if once {
				n, first = w.Node, at
			}
		}
	}
	return n, first
}

// joinsBytes reports whether n concatenates the channels of bytes of one grid, that
// of the result, so that it only moves them.
func (c *compiler) joinsBytes(n *graph.Node) bool {
	if !n.Is("Concat") || !n.Outputs[0].Shape.Known() {
		return false
	}
	if axis := n.Int("axis", 0); axis != 1 && axis != 1-len(n.Outputs[0].Shape) {
		return false
	}
	t, _, ok := c.peekTail(n.Outputs[0])
	if !ok || t.min != 0 || t.max != 255 || t.out.Type != tensor.Uint8 {
		return false
	}
	if next := c.only(t.out); next != nil && next.Inputs[0] == t.out {
		if _, shuffled := c.shuffleFrom(next); shuffled { // one step joins and shuffles, see joinShuffled
			return false
		}
	}
	return !slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool {
		q, g, ok := c.dequantized(v)
		return !ok || g != t.grid || q.Type != tensor.Uint8 || !q.Shape.Known()
	})
}

// wideBytesOf returns the buffer of the bytes that the Concat n gives, before n's
// turn.
func (c *compiler) wideBytesOf(n *graph.Node) *buf {
	if w := c.wides[n]; w != nil {
		return w
	}
	t, _, _ := c.peekTail(n.Outputs[0])
	shape := t.out.Shape.Ints()
	var w *buf
	if h, first := c.byteHome(t.out); h != nil {
		w = within(c.wideBytesOf(h), t.out.Name, shape, first)
	} else {
		w = c.temp(t.out.Name, tensor.Uint8, shape, channelsLast)
	}
	c.wides[n] = w
	return w
}

// defBytePixels is defBytes in channels-last layout for a kernel that follows
// pitches.
func (c *compiler) defBytePixels(v *graph.Value) *buf {
	h, first := c.byteHome(v)
	if h == nil {
		return c.defBytes(v, channelsLast)
	}
	b := within(c.wideBytesOf(h), v.Name, v.Shape.Ints(), first)
	c.place(v, b)
	return b
}

// bytePixels is useBytes in channels-last layout for a kernel that follows pitches.
func (c *compiler) bytePixels(v *graph.Value) *buf {
	if v.Type == tensor.Uint8 {
		return c.pixels(v)
	}
	return c.useBytes(v, channelsLast)
}

// joinBytesWide lowers the Concat n, whose bytes lie in a wider buffer or whose
// inputs do; what is not in its place already is copied.
func (c *compiler) joinBytesWide(n *graph.Node) bool {
	if !c.joinsBytes(n) {
		return false
	}
	t, _, _ := c.peekTail(n.Outputs[0])
	pitched := func(v *graph.Value) bool {
		q, _, _ := c.dequantized(v)
		return c.slots[q] != nil && c.slots[q].wide != nil
	}
	if h, _ := c.byteHome(t.out); h == nil && c.wides[n] == nil && !slices.ContainsFunc(n.Inputs, pitched) {
		return false
	}
	w := c.wideBytesOf(n)
	var pairs [][2]*buf
	first := 0
	for _, v := range n.Inputs {
		q, _, _ := c.dequantized(v)
		place := within(w, q.Name, q.Shape.Ints(), first)
		if b := c.bytePixels(q); !samePlace(b, place) {
			pairs = append(pairs, [2]*buf{place, b})
		}
		first += q.Shape[1].Size
	}
	if len(pairs) > 0 {
		c.copyPixels("concat", pairs)
	}
	c.quantizedTail(n.Outputs[0])
	c.place(t.out, w)
	return true
}
