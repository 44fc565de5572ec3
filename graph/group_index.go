package graph

import (
	"fmt"
	"slices"
)

// concat joins lists of channels, or ties the operands where it runs along
// another axis.
func (a *analysis) concat(n *Node) {
	operands := make([]int, 0, len(n.Inputs))
	for i := range n.Inputs {
		if n.Op != "QLinearConcat" || i >= 2 && (i-2)%3 == 0 {
			operands = append(operands, i)
		}
	}
	k, err := axis(n.Int("axis", 0), max(len(n.in(operands[0])), 1))
	if err != nil || slices.ContainsFunc(operands, func(i int) bool { return n.In(i) == nil }) {
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
		return
	}
	var first *labels
	for _, i := range operands {
		if l := a.of(n, i); l != nil {
			first = l
			break
		}
	}
	if first == nil {
		return
	}
	if first.axis != k {
		for _, i := range operands {
			a.operand(n, i, first, len(n.in(i)))
		}
		a.set(n.Out(0), first)
		return
	}
	var ids []int32
	for _, i := range operands {
		part := a.concatPart(n, i, k)
		if part == nil {
			a.unknown(n, fmt.Sprintf("%v joins %q, whose channels are not known", n, n.In(i).Name))
			return
		}
		ids = append(ids, part...)
	}
	a.set(n.Out(0), &labels{k, ids})
}

func (a *analysis) concatPart(n *Node, i, k int) []int32 {
	if l := a.of(n, i); l != nil {
		if l.axis == k {
			return l.ids
		}
		return nil
	}
	if p := a.param(n, i); p != nil && k < len(p.axes) {
		return a.member(n, p.v, p.axes[k], Follows, 1)
	}
	s := n.in(i)
	if k >= len(s) || !s[k].Known() || s[k].Size > maxChannels {
		return nil
	}
	ids := a.fresh(s[k].Size)
	a.freeze(ids, "the channels of %q are not known", n.In(i).Name)
	return ids
}

func (a *analysis) split(n *Node) {
	l := a.of(n, 0)
	k, err := axis(n.Int("axis", 0), len(n.in(0)))
	if l == nil || err != nil {
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
		return
	}
	if k != l.axis {
		for _, o := range n.Outputs {
			a.set(o, l)
		}
		return
	}
	sizes, err := SplitSizes(n, len(l.ids))
	if err != nil || n.In(1) != nil && n.In(1).Data == nil {
		a.unknown(n, fmt.Sprintf("%v splits channels at computed places", n))
		return
	}
	rest := l.ids
	for i, o := range n.Outputs {
		a.set(o, &labels{k, rest[:sizes[i]]})
		rest = rest[sizes[i]:]
	}
}

// channelSlice finds what a Slice takes along an axis: count elements from
// first on, step apart. all is set if the axis is not cut at all; ok is false
// if the bounds are computed.
func channelSlice(n *Node, k int) (first, count, step, at int, all, ok bool) {
	rank := len(n.in(0))
	starts, ok1 := n.In(1).IntElems()
	axes, ok2 := n.sliceAxes(rank, len(n.In(1).elems()))
	if !ok2 {
		return 0, 0, 0, 0, false, false
	}
	at = -1
	for i, x := range axes {
		if x < 0 {
			x += rank
		}
		if x == k {
			at = i
		}
	}
	if at < 0 {
		return 0, 0, 0, at, true, true
	}
	ends, ok3 := n.In(2).IntElems()
	steps, ok4 := []int(nil), true
	if n.In(4) != nil {
		steps, ok4 = n.In(4).IntElems()
	}
	if !ok1 || !ok3 || !ok4 || at >= len(starts) || at >= len(ends) || n.In(1).Data == nil || n.In(2).Data == nil {
		return 0, 0, 0, at, false, false
	}
	step = 1
	if at < len(steps) {
		step = steps[at]
	}
	dim := n.in(0)[k].Size
	first, count = SliceRange(dim, starts[at], ends[at], step)
	return first, count, step, at, first == 0 && count == dim && step == 1, true
}

func (a *analysis) slice(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		return
	}
	first, count, step, _, all, ok := channelSlice(n, l.axis)
	switch {
	case all:
		a.set(n.Out(0), l)
	case !ok:
		a.unknown(n, fmt.Sprintf("%v cuts channels at computed places", n))
	case step != 1 && len(n.In(1).elems()) != 1:
		a.unknown(n, fmt.Sprintf("%v takes every %d-th channel and cuts other axes too", n, step))
	default:
		ids := make([]int32, count)
		for i := range ids {
			ids[i] = l.ids[first+i*step]
		}
		a.set(n.Out(0), &labels{l.axis, ids})
	}
}

func (a *analysis) gather(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		a.unknown(n, fmt.Sprintf("%v looks up by a computed index", n))
		return
	}
	k, err := axis(n.Int("axis", 0), len(n.in(0)))
	rank := len(n.in(1))
	switch {
	case err != nil || n.in(1) == nil || a.of(n, 1) != nil:
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
	case k < l.axis:
		a.set(n.Out(0), &labels{l.axis + rank - 1, l.ids})
	case k > l.axis:
		a.set(n.Out(0), l)
	case rank != 1 || n.In(1).Data == nil:
		a.unknown(n, fmt.Sprintf("%v picks one channel, or picks by a computed index", n))
	default:
		list := n.In(1).Data.Ints()
		ids := make([]int32, len(list))
		for i, x := range list {
			if x < 0 {
				x += len(l.ids)
			}
			ids[i] = l.ids[x]
		}
		a.set(n.Out(0), &labels{k, ids})
	}
}

// channelPads returns the padding before and after an axis and the positions
// of the two numbers in the operand; at is -1 if the axis is not padded.
func channelPads(n *Node, k int) (begin, end, at, count int, ok bool) {
	rank := len(n.in(0))
	count = rank
	at = k
	if n.In(3) != nil {
		axes, known := n.In(3).IntElems()
		if !known {
			return 0, 0, 0, 0, false
		}
		count, at = len(axes), -1
		for i, x := range axes {
			if x == k || x+rank == k {
				at = i
			}
		}
	}
	if at < 0 {
		return 0, 0, -1, count, true
	}
	pads := n.In(1).elems()
	if len(pads) != 2*count || !pads[at].Known() || !pads[at+count].Known() {
		return 0, 0, at, count, false
	}
	return pads[at].Size, pads[at+count].Size, at, count, true
}

// pad gives padded channels identities of their own: they have no owner, and
// go where what they are added to goes.
func (a *analysis) pad(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		return
	}
	begin, end, _, _, ok := channelPads(n, l.axis)
	switch {
	case ok && begin == 0 && end == 0:
		a.set(n.Out(0), l)
	case !ok || begin < 0 || end < 0 || begin+end > maxChannels || n.Str("mode", "constant") != "constant" || n.In(1).Data == nil:
		a.unknown(n, fmt.Sprintf("%v pads channels in a way that is not understood", n))
	default:
		ids := a.fresh(begin)
		ids = append(ids, l.ids...)
		ids = append(ids, a.fresh(end)...)
		a.set(n.Out(0), &labels{l.axis, ids})
	}
}

func (a *analysis) transpose(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		return
	}
	a.set(n.Out(0), &labels{indexOf(n.perm(len(n.in(0))), l.axis), l.ids})
}

// depthToSpace ties the blocksize² channels that become one.
func (a *analysis) depthToSpace(n *Node) {
	l := a.of(n, 0)
	b := n.Int("blocksize", 1)
	if l == nil || l.axis != 1 || len(l.ids)%(b*b) != 0 {
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
		return
	}
	c := len(l.ids) / (b * b)
	out := make([]int32, c)
	for i := range out {
		at := func(k int) int { return k*c + i }
		if n.Str("mode", "DCR") == "CRD" {
			at = func(k int) int { return i*b*b + k }
		}
		out[i] = l.ids[at(0)]
		for k := 1; k < b*b; k++ {
			a.tie(out[i:i+1], l.ids[at(k):at(k)+1])
		}
	}
	a.set(n.Out(0), &labels{1, out})
}

func (a *analysis) spaceToDepth(n *Node) {
	l := a.of(n, 0)
	b := n.Int("blocksize", 1)
	if l == nil || l.axis != 1 {
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
		return
	}
	var out []int32
	for range b * b {
		out = append(out, l.ids...)
	}
	a.set(n.Out(0), &labels{1, out})
}
