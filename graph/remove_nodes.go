package graph

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// rewrite adjusts what one node says about channels that go: it still sees the
// shapes from before.
func (r *removal) rewrite(n *Node) {
	if r.a.inside[n] || n.Domain != "" && n.Domain != MicrosoftDomain {
		return
	}
	switch n.Op {
	case "Conv", "FusedConv", "QLinearConv", "ConvInteger", "ConvTranspose":
		r.convolution(n)
	case "Split":
		r.splitSizes(n)
	case "Slice":
		r.sliceBounds(n)
	case "Gather":
		r.gatherIndices(n)
	case "Pad":
		r.padAmounts(n)
	case "Reshape":
		if s := r.a.shuffles[n]; s != nil {
			r.shuffle(s)
		} else {
			r.reshapeTarget(n)
		}
	case "Squeeze":
		r.squeezeAxes(n)
	case "Resize":
		r.resizeSizes(n)
	}
}

// labels returns the labels of input 0 if some of them go.
func (r *removal) labels(n *Node) *labels {
	l := r.a.of(n, 0)
	if l == nil || !r.cut(l.ids) {
		return nil
	}
	return l
}

// convolution adjusts the group count of depthwise convolutions.
func (r *removal) convolution(n *Node) {
	l := r.labels(n)
	group := n.Int("group", 1)
	if l == nil || group == 1 || group != len(l.ids) {
		return
	}
	n.SetInt("group", len(r.keep(l.ids)))
}

// ints gives input i of n a constant of its own with the given integers, in
// the type that the input has.
func (r *removal) ints(n *Node, i int, list []int) {
	t := tensor.Of(Int64s(list), len(list))
	name := n.Name + "_" + n.Op
	if v := n.In(i); v != nil {
		if v.Type == tensor.Int32 {
			t, _ = t.Convert(tensor.Int32)
		}
		if v.Data != nil && len(v.uses) == 1 && !v.IsOutput() {
			v.SetData(t)
			return
		}
		name = v.Name
	}
	old := n.In(i)
	n.SetInput(i, r.g.AddConst(name, t))
	if old != nil && old.Data != nil && len(old.uses) == 0 && !old.IsOutput() {
		r.g.RemoveConst(old)
	}
}

func (r *removal) splitSizes(n *Node) {
	l := r.labels(n)
	if l == nil {
		return
	}
	if k, err := axis(n.Int("axis", 0), len(n.in(0))); err != nil || k != l.axis {
		return
	}
	sizes, err := SplitSizes(n, len(l.ids))
	if err != nil {
		return
	}
	rest := l.ids
	for i, s := range sizes {
		sizes[i] = len(r.keep(rest[:s]))
		rest = rest[s:]
	}
	r.ints(n, 1, sizes)
	delete(n.Attrs, "num_outputs")
}

func (r *removal) sliceBounds(n *Node) {
	l := r.labels(n)
	if l == nil {
		return
	}
	first, count, step, at, all, ok := channelSlice(n, l.axis)
	if !ok || at < 0 {
		return
	}
	before := len(r.keep(l.ids[:first]))
	if step != 1 {
		var list []int
		for i := range count {
			if p := first + i*step; !r.gone[r.a.find(l.ids[p])] {
				list = append(list, len(r.keep(l.ids[:p])))
			}
		}
		r.becomeGather(n, l.axis, list)
		return
	}
	if all {
		before, count = 0, len(l.ids)
	}
	starts, _ := n.In(1).IntElems()
	ends, _ := n.In(2).IntElems()
	starts, ends = slices.Clone(starts), slices.Clone(ends)
	starts[at] = before
	ends[at] = before + len(r.keep(l.ids[first:first+count]))
	r.ints(n, 1, starts)
	r.ints(n, 2, ends)
}

// becomeGather turns a node that picks channels into a Gather of the given
// places.
func (r *removal) becomeGather(n *Node, axis int, list []int) {
	x := n.Inputs[0]
	n.Op, n.Domain = "Gather", ""
	n.Attrs = Attrs{"axis": int64(axis)}
	n.SetInputs(x, r.g.AddConst(n.Name+"_indices", tensor.Of(Int64s(list), len(list))))
}

func (r *removal) gatherIndices(n *Node) {
	l := r.labels(n)
	if l == nil {
		return
	}
	k, err := axis(n.Int("axis", 0), len(n.in(0)))
	if err != nil || k != l.axis {
		return
	}
	var list []int
	for _, p := range n.In(1).Data.Ints() {
		if p < 0 {
			p += len(l.ids)
		}
		if !r.gone[r.a.find(l.ids[p])] {
			list = append(list, len(r.keep(l.ids[:p])))
		}
	}
	r.ints(n, 1, list)
}

func (r *removal) padAmounts(n *Node) {
	l, out := r.a.of(n, 0), r.a.at[n.Out(0)]
	if l == nil || out == nil || !r.cut(out.ids) {
		return
	}
	begin, end, at, count, ok := channelPads(n, l.axis)
	if !ok || at < 0 || begin == 0 && end == 0 {
		return
	}
	pads, _ := n.In(1).IntElems()
	pads = slices.Clone(pads)
	pads[at] = len(r.keep(out.ids[:begin]))
	pads[at+count] = len(r.keep(out.ids[len(out.ids)-end:]))
	r.ints(n, 1, pads)
}

func (r *removal) reshapeTarget(n *Node) {
	l, out := r.labels(n), r.a.at[n.Out(0)]
	if l == nil || out == nil {
		return
	}
	r.setTarget(n, out.axis, len(r.keep(out.ids)))
}

// setTarget makes a Reshape give the axis the given size.
func (r *removal) setTarget(n *Node, axis, size int) {
	v := n.In(1)
	if v.Data != nil {
		target := v.Data.Ints()
		if target[axis] > 0 {
			target = slices.Clone(target)
			target[axis] = size
			r.ints(n, 1, target)
		}
		return
	}
	shape := slices.Clone(n.Outputs[0].Shape)
	shape[axis] = D(size)
	// The channel axis of the input changes too: it must not be copied from
	// where it is not the same.
	if list, ok := reshapeTarget(n.in(0), shape); ok {
		n.SetInput(1, r.g.AddConst(n.Name+"_shape", tensor.Of(list, len(list))))
	}
}

// squeezeAxes writes out the axes of a Squeeze that has none: one channel that
// is left must not be squeezed away.
func (r *removal) squeezeAxes(n *Node) {
	if r.labels(n) == nil || n.In(1) != nil || n.Has("axes") {
		return
	}
	var axes []int
	for i, d := range n.in(0) {
		if d.Same(D(1)) {
			axes = append(axes, i)
		}
	}
	r.ints(n, 1, axes)
}

func (r *removal) resizeSizes(n *Node) {
	l := r.labels(n)
	if l == nil || !present(n.In(3)) || n.In(3).Data == nil { // what is computed follows
		return
	}
	at := l.axis
	if axes := n.Ints("axes"); axes != nil {
		if at = indexOf(axes, l.axis); at < 0 {
			return
		}
	}
	sizes, _ := n.In(3).IntElems()
	sizes = slices.Clone(sizes)
	sizes[at] = len(r.keep(l.ids))
	r.ints(n, 3, sizes)
}

// shuffle shrinks the blocks of a channel shuffle, or, where what stays no
// longer forms equal blocks, replaces it by a Gather.
func (r *removal) shuffle(s *shuffle) {
	l := r.labels(s.first)
	if l == nil {
		return
	}
	out := r.a.at[s.last.Outputs[0]]
	before, after := r.keep(l.ids), r.keep(out.ids)
	if dims, ok := s.shrunk(before, after); ok {
		for i, d := range dims {
			if d != s.dims[i] {
				r.setTarget(s.first, s.axis+i, d)
			}
		}
		r.setTarget(s.last, s.axis, len(after))
		return
	}
	list := make([]int, len(after))
	for i, p := range after {
		list[i], _ = slices.BinarySearch(before, s.perm[p])
	}
	x := s.first.Inputs[0]
	s.last.SetInput(0, x)
	r.becomeGather(s.last, s.axis, list)
	for _, n := range []*Node{s.transpose, s.first} {
		old := n.In(1)
		r.g.Remove(n)
		if old.IsConst() && len(old.uses) == 0 && !old.IsOutput() {
			r.g.RemoveConst(old)
		}
	}
	r.g.Record("remove", fmt.Sprintf("channel shuffle %q became a Gather: its blocks lost different channels", s.last.Name), s.last.Name)
}
