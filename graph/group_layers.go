package graph

import "fmt"

// convInputs are the positions of a convolution's operands.
type convInputs struct{ weight, bias int }

func convOperands(n *Node) (c convInputs, vectors []int, tied int) {
	switch {
	case n.Op == "QLinearConv":
		return convInputs{3, 8}, []int{4, 5, 8}, -1
	case n.Op == "ConvInteger":
		return convInputs{1, -1}, []int{3}, -1
	case n.Op == "FusedConv":
		return convInputs{1, 2}, []int{2}, 3
	}
	return convInputs{1, 2}, []int{2}, -1
}

// input returns the labels of input i if they lie on the given axis; otherwise
// it freezes what there is and returns frozen ones.
func (a *analysis) input(n *Node, i, axis, size int) []int32 {
	l := a.of(n, i)
	if l != nil && l.axis == axis && len(l.ids) == size {
		return l.ids
	}
	why := fmt.Sprintf("the channels that %v reads are not known", n)
	if l != nil {
		a.freeze(l.ids, "%s", why)
	}
	ids := a.fresh(size)
	a.freeze(ids, "%s", why)
	return ids
}

func (a *analysis) conv(n *Node) {
	c, vectors, z := convOperands(n)
	p := a.param(n, c.weight)
	if p == nil || len(p.axes) < 3 {
		a.unknown(n, fmt.Sprintf("the weight of %v is computed", n))
		return
	}
	group := n.Int("group", 1)
	outs, local := p.v.Data.Shape[p.axes[0]], p.v.Data.Shape[p.axes[1]]
	in := a.input(n, 0, 1, local*group)
	var out []int32
	switch {
	case group == 1:
		out = a.member(n, p.v, p.axes[0], Produces, 1)
		a.tie(in, a.member(n, p.v, p.axes[1], Consumes, 1))
	case local == 1:
		out = a.member(n, p.v, p.axes[0], Follows, 1)
		spread := make([]int32, outs)
		for i := range spread {
			spread[i] = in[i/(outs/group)]
		}
		a.tie(spread, out)
	default:
		out = a.member(n, p.v, p.axes[0], Produces, 1)
		a.tie(in, a.member(n, p.v, p.axes[1], Consumes, group))
		if p.axes[0] != 0 || p.axes[1] != 1 {
			a.freeze(in, "the weight of %v is transposed", n)
			a.freeze(out, "the weight of %v is transposed", n)
		}
		a.parts = append(a.parts, blocks(in, group), blocks(out, group))
	}
	for _, i := range vectors {
		a.vector(n, i, out)
	}
	if z >= 0 && n.In(z) != nil {
		l := a.of(n, z)
		if l == nil || l.axis != 1 {
			a.freeze(out, "%v adds %q, whose channels are not known", n, n.In(z).Name)
		} else {
			a.tie(out, l.ids)
			a.markResidual(out)
		}
	}
	a.set(n.Out(0), &labels{1, out})
}

func (a *analysis) markResidual(ids []int32) {
	for _, id := range ids {
		a.residual[a.find(id)] = true
	}
}

// blocks cuts a list into equal parts.
func blocks(ids []int32, count int) [][]int32 {
	out := make([][]int32, count)
	size := len(ids) / count
	for i := range out {
		out[i] = ids[i*size : (i+1)*size]
	}
	return out
}

// convTranspose is conv with the weight's first two axes swapped.
func (a *analysis) convTranspose(n *Node) {
	p := a.param(n, 1)
	if p == nil || len(p.axes) < 3 {
		a.unknown(n, fmt.Sprintf("the weight of %v is computed", n))
		return
	}
	group := n.Int("group", 1)
	ins, local := p.v.Data.Shape[p.axes[0]], p.v.Data.Shape[p.axes[1]]
	in := a.input(n, 0, 1, ins)
	var out []int32
	switch {
	case group == 1:
		out = a.member(n, p.v, p.axes[1], Produces, 1)
		a.tie(in, a.member(n, p.v, p.axes[0], Consumes, 1))
	case group == ins:
		out = make([]int32, ins*local)
		for i := range out {
			out[i] = in[i/local]
		}
		a.tie(in, a.member(n, p.v, p.axes[0], Follows, 1))
	default:
		out = a.member(n, p.v, p.axes[1], Produces, group)
		a.tie(in, a.member(n, p.v, p.axes[0], Consumes, 1))
		if p.axes[0] != 0 || p.axes[1] != 1 {
			a.freeze(in, "the weight of %v is transposed", n)
			a.freeze(out, "the weight of %v is transposed", n)
		}
		a.parts = append(a.parts, blocks(in, group), blocks(out, group))
	}
	a.vector(n, 2, out)
	a.set(n.Out(0), &labels{1, out})
}

func (a *analysis) gemm(n *Node) {
	b, bias := 1, 2
	vectors := []int{}
	if n.Op == "QGemm" {
		b, bias, vectors = 3, 6, []int{4, 5}
	}
	p := a.param(n, b)
	if p == nil || len(p.axes) != 2 || n.Int("transA", 0) != 0 {
		a.unknown(n, fmt.Sprintf("%v does not multiply by a constant", n))
		return
	}
	t := n.Int("transB", 0) & 1
	k, o := p.axes[t], p.axes[1-t]
	in := a.input(n, 0, 1, p.v.Data.Shape[k])
	a.tie(in, a.member(n, p.v, k, Consumes, 1))
	out := a.member(n, p.v, o, Produces, 1)
	a.lastAxis(n, bias, out)
	for _, i := range vectors {
		a.vector(n, i, out)
	}
	a.set(n.Out(0), &labels{1, out})
}

// lastAxis ties a constant operand that broadcasts against the last axis.
func (a *analysis) lastAxis(n *Node, i int, ids []int32) {
	v := n.In(i)
	if v == nil || len(v.Shape) == 0 {
		return
	}
	p := a.param(n, i)
	if p == nil {
		a.freeze(ids, "%v reads %q, which is computed", n, v.Name)
		return
	}
	last := p.axes[len(p.axes)-1]
	if p.v.Data.Shape[last] == 1 && len(ids) != 1 {
		return
	}
	a.tie(a.member(n, p.v, last, Follows, 1), ids)
}

func (a *analysis) matMul(n *Node) {
	b := 1
	vectors := []int{}
	switch n.Op {
	case "QLinearMatMul":
		b, vectors = 3, []int{4, 5}
	case "MatMulInteger":
		vectors = []int{3}
	}
	p := a.param(n, b)
	rank := len(n.in(0))
	if p == nil || len(p.axes) != 2 || rank < 2 {
		a.unknown(n, fmt.Sprintf("%v does not multiply by a constant matrix", n))
		return
	}
	if l := a.of(n, 0); l != nil && l.axis < rank-1 && !a.allFrozen(l.ids) { // channels are rows
		a.set(n.Out(0), l)
		return
	}
	in := a.input(n, 0, rank-1, p.v.Data.Shape[p.axes[0]])
	a.tie(in, a.member(n, p.v, p.axes[0], Consumes, 1))
	out := a.member(n, p.v, p.axes[1], Produces, 1)
	for _, i := range vectors {
		a.vector(n, i, out)
	}
	a.set(n.Out(0), &labels{rank - 1, out})
}

func (a *analysis) allFrozen(ids []int32) bool {
	for _, id := range ids {
		if a.frozen[a.find(id)] == "" {
			return false
		}
	}
	return true
}
