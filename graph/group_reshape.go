package graph

import (
	"fmt"
	"slices"
)

// reshape follows Reshape, Flatten, Squeeze and Unsqueeze: the channels stay an
// axis, or are spread over an axis that they share with others, or are shuffled.
func (a *analysis) reshape(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		return
	}
	out := n.Out(0)
	if out == nil || out.Shape == nil {
		a.unknown(n, fmt.Sprintf("the shape of %v is not known", n))
		return
	}
	if n.Op == "Reshape" && n.In(1) != nil {
		if _, ok := reshapeTarget(n.in(0), out.Shape); !ok && n.In(1).Data == nil {
			a.unknown(n, fmt.Sprintf("%v takes a computed shape", n))
			return
		}
	}
	if to, ok := movedLabels(n.in(0), out.Shape, l); ok {
		a.set(out, to)
		return
	}
	if s := findShuffle(n, l.axis); s != nil {
		ids := make([]int32, len(s.perm))
		for i, p := range s.perm {
			ids[i] = l.ids[p]
		}
		a.shuffles[n] = s
		a.inside[s.transpose], a.inside[s.last] = true, true
		a.set(s.last.Outputs[0], &labels{l.axis, ids})
		return
	}
	a.unknown(n, fmt.Sprintf("%v cuts the channels into several axes", n))
}

// reshapeTarget writes a shape as the target of a Reshape: numbers, 0 for a
// dimension that is copied, and at most one -1.
func reshapeTarget(in, out Shape) ([]int64, bool) {
	target, rest := make([]int64, len(out)), false
	for i, d := range out {
		switch {
		case d.Known() && d.Size > 0:
			target[i] = int64(d.Size)
		case i < len(in) && d.Same(in[i]):
			target[i] = 0
		case rest || d.Known():
			return nil, false
		default:
			target[i], rest = -1, true
		}
	}
	return target, true
}

// movedLabels finds where the channel axis of shape in lies in shape out, both
// of the same elements in the same order.
func movedLabels(in, out Shape, l *labels) (*labels, bool) {
	if len(l.ids) == 1 {
		if l.axis < len(out) && out[l.axis].Same(D(1)) {
			return l, true
		}
		return nil, false
	}
	// Leave out dimensions of 1, which change no order.
	x, at := squeezed(in)
	y, back := squeezed(out)
	k := indexOf(at, l.axis)
	p := 0
	for p < len(x) && p < len(y) && x[p].Same(y[p]) {
		p++
	}
	if k < p {
		return &labels{back[k], l.ids}, true
	}
	s := 0
	for s < len(x)-p && s < len(y)-p && x[len(x)-1-s].Same(y[len(y)-1-s]) {
		s++
	}
	if k >= len(x)-s {
		return &labels{back[k+len(y)-len(x)], l.ids}, true
	}
	spread := spreadLabels(x[p:len(x)-s], k-p, l.ids)
	if spread == nil {
		return nil, false
	}
	j, ids := gatherLabels(y[p:len(y)-s], spread)
	if j < 0 {
		return nil, false
	}
	return &labels{back[p+j], ids}, true
}

func squeezed(s Shape) (out Shape, at []int) {
	for i, d := range s {
		if !d.Same(D(1)) {
			out, at = append(out, d), append(at, i)
		}
	}
	return out, at
}

// spreadLabels lists the identity of each element of a block of dimensions,
// one of which is the channel axis; nil if the block is unknown or too large.
func spreadLabels(block Shape, k int, ids []int32) []int32 {
	total := productOf(block)
	if !block.Known() || total > maxChannels || len(ids) == 0 {
		return nil
	}
	inner := int(productOf(block[k+1:]))
	out := make([]int32, total)
	for i := range out {
		out[i] = ids[i/inner%len(ids)]
	}
	return out
}

// gatherLabels finds the one dimension of a block on which the identities of
// its elements depend, and the identities along it; -1 if there is none.
func gatherLabels(block Shape, elems []int32) (int, []int32) {
	if !block.Known() || productOf(block) != int64(len(elems)) {
		return -1, nil
	}
	for j := range block {
		inner, size := int(productOf(block[j+1:])), block[j].Size
		ids := make([]int32, size)
		for c := range ids {
			ids[c] = elems[c*inner]
		}
		same := true
		for i, e := range elems {
			if same = e == ids[i/inner%size]; !same {
				break
			}
		}
		if same {
			return j, ids
		}
	}
	return -1, nil
}

// shuffle is a channel shuffle: Reshape cuts the channels into blocks,
// Transpose exchanges the blocks' axes, Reshape joins them again.
type shuffle struct {
	first, transpose, last *Node
	axis                   int
	dims                   []int // the blocks, between the first and second node
	order                  []int // the permutation of dims
	perm                   []int // perm[i] is the place before of channel i after
}

// findShuffle recognizes a shuffle that starts at n with channels on axis k.
func findShuffle(n *Node, k int) *shuffle {
	t := n.Outputs[0].SoleUse()
	if !n.Is("Reshape") || !t.Is("Transpose") {
		return nil
	}
	last := t.Outputs[0].SoleUse()
	if !last.Is("Reshape") || last.In(0) != t.Outputs[0] || last.Out(0) == nil {
		return nil
	}
	x, y, z := n.in(0), n.Outputs[0].Shape, last.Outputs[0].Shape
	// The blocks are at axes k … k+m-1 of y.
	m, size := 0, 1
	for k+m < len(y) && y[k+m].Known() && size < x[k].Size {
		size *= max(y[k+m].Size, 1)
		m++
	}
	perm := t.perm(len(y))
	if size != x[k].Size || m < 2 || len(z) != len(x) || !z[k].Same(x[k]) {
		return nil
	}
	s := &shuffle{first: n, transpose: t, last: last, axis: k}
	for i, p := range perm {
		switch {
		case i >= k && i < k+m:
			if p < k || p >= k+m {
				return nil
			}
			s.order = append(s.order, p-k)
			s.dims = append(s.dims, y[i].Size)
		case p != i:
			return nil
		}
	}
	for i, d := range z {
		if i < k && !(i < len(y) && d.Same(y[i])) && i > 0 || d.Known() && x[i].Known() && d.Size != x[i].Size {
			return nil
		}
	}
	s.perm = permuteBlocks(s.dims, s.order)
	if _, ok := reshapeTarget(x, y); !ok {
		return nil
	}
	if _, ok := reshapeTarget(t.Outputs[0].Shape, z); !ok {
		return nil
	}
	return s
}

// permuteBlocks lists, for each element of a transposed array, its place in
// the array before, whose dimensions are dims.
func permuteBlocks(dims, order []int) []int {
	total := 1
	for _, d := range dims {
		total *= d
	}
	strides := make([]int, len(dims))
	for i, s := len(dims)-1, 1; i >= 0; i-- {
		strides[i] = s
		s *= dims[i]
	}
	out := make([]int, total)
	coord := make([]int, len(dims)) // in the transposed array
	for i := range out {
		for k, p := range order {
			out[i] += coord[k] * strides[p]
		}
		for k := len(order) - 1; k >= 0; k-- {
			if coord[k]++; coord[k] < dims[order[k]] {
				break
			}
			coord[k] = 0
		}
	}
	return out
}

// shrunk finds blocks for a shuffle of the kept channels (before: their
// places, in order; after: their places behind the shuffle, in order) so that
// the shuffle keeps their order; ok is false if there are none.
func (s *shuffle) shrunk(before, after []int) (dims []int, ok bool) {
	for d := range s.dims {
		rest := 1
		for i, n := range s.dims {
			if i != d {
				rest *= n
			}
		}
		if len(before)%rest != 0 {
			continue
		}
		dims = slices.Clone(s.dims)
		dims[d] = len(before) / rest
		perm := permuteBlocks(dims, s.order)
		same := true
		for i, p := range perm {
			same = same && before[p] == s.perm[after[i]]
		}
		if same {
			return dims, true
		}
	}
	return nil, false
}
