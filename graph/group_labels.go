package graph

import (
	"fmt"
	"slices"
)

// The analysis gives every place along a channel axis, of activations and of
// constants, an identity; operators unite the identities that must be removed
// together. What is one identity in the end is one logical channel.

// union is a union-find structure over int32.
type union struct{ parent []int32 }

func newUnion() *union { return &union{} }

func (u *union) grow(n int) {
	for len(u.parent) < n {
		u.parent = append(u.parent, int32(len(u.parent)))
	}
}

func (u *union) find(i int32) int32 {
	for u.parent[i] != i {
		u.parent[i] = u.parent[u.parent[i]]
		i = u.parent[i]
	}
	return i
}

// join unites two sets; the smaller number becomes the root. It returns the
// root and what was a root before.
func (u *union) join(a, b int32) (root, lost int32) {
	a, b = u.find(a), u.find(b)
	if b < a {
		a, b = b, a
	}
	u.parent[b] = a
	return a, b
}

// labels are the identities along the one channel axis of an activation.
type labels struct {
	axis int
	ids  []int32
}

// constAxis is one axis of a constant.
type constAxis struct {
	v    *Value
	axis int
}

// constLabels are the identities along an axis of a constant, and the first
// node that reads it in this way.
type constLabels struct {
	ids    []int32
	role   Role
	node   *Node
	groups int
}

type analysis struct {
	g *Graph
	union
	frozen   map[int32]string // by root
	inexact  map[int32]string
	residual map[int32]bool
	at       map[*Value]*labels
	seen     []*Value // keys of at, in order
	consts   map[constAxis]*constLabels
	order    []constAxis
	claimed  map[Use]bool
	parts    [][][]int32
	shuffles map[*Node]*shuffle // by first node
	inside   map[*Node]bool     // the second and third nodes of shuffles
}

func newAnalysis(g *Graph) *analysis {
	a := &analysis{g: g, frozen: map[int32]string{}, inexact: map[int32]string{}, residual: map[int32]bool{},
		at: map[*Value]*labels{}, consts: map[constAxis]*constLabels{}, claimed: map[Use]bool{},
		shuffles: map[*Node]*shuffle{}, inside: map[*Node]bool{}}
	for _, v := range g.Inputs {
		a.opaque(v, 1, fmt.Sprintf("%q is an input of the graph", v.Name))
	}
	return a
}

// fresh makes n new identities.
func (a *analysis) fresh(n int) []int32 {
	start := len(a.parent)
	a.grow(start + n)
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(start + i)
	}
	return ids
}

// freeze marks identities as not removable.
func (a *analysis) freeze(ids []int32, format string, args ...any) {
	var why string
	for _, id := range ids {
		if r := a.find(id); a.frozen[r] == "" {
			if why == "" {
				why = fmt.Sprintf(format, args...)
			}
			a.frozen[r] = why
		}
	}
}

// tie unites two lists place by place.
func (a *analysis) tie(x, y []int32) {
	if len(x) != len(y) {
		a.freeze(x, "channel counts %d and %d do not match", len(x), len(y))
		a.freeze(y, "channel counts %d and %d do not match", len(x), len(y))
		return
	}
	for i := range x {
		if a.find(x[i]) == a.find(y[i]) {
			continue
		}
		root, lost := a.join(x[i], y[i])
		if why := a.frozen[lost]; why != "" && a.frozen[root] == "" {
			a.frozen[root] = why
		}
		if why := a.inexact[lost]; why != "" {
			a.inexact[root] = why
		}
		a.residual[root] = a.residual[root] || a.residual[lost]
	}
}

// set gives an activation its labels; nil leaves it without.
func (a *analysis) set(v *Value, l *labels) {
	if v == nil || l == nil {
		return
	}
	if v.Shape == nil || l.axis >= len(v.Shape) || !v.Shape[l.axis].Known() || v.Shape[l.axis].Size != len(l.ids) {
		a.freeze(l.ids, "the shape of %q is not known well enough", v.Name)
		return
	}
	if a.at[v] == nil {
		a.seen = append(a.seen, v)
	}
	a.at[v] = l
}

// opaque gives a value frozen channels of its own.
func (a *analysis) opaque(v *Value, axis int, why string) {
	if v == nil || axis >= len(v.Shape) || !v.Shape[axis].Known() || v.Shape[axis].Size > maxChannels {
		return
	}
	ids := a.fresh(v.Shape[axis].Size)
	a.freeze(ids, "%s", why)
	a.set(v, &labels{axis, ids})
}

// maxChannels bounds the axes that the analysis follows.
const maxChannels = 1 << 24

// of returns the labels of input i, nil if it has none.
func (a *analysis) of(n *Node, i int) *labels { return a.at[n.In(i)] }

// constant returns the identities along an axis of the constant v.
func (a *analysis) constant(v *Value, axis int) []int32 { return a.member(nil, v, axis, Follows, 1) }

// member is constant, and records the node that reads it and how.
func (a *analysis) member(n *Node, v *Value, axis int, role Role, groups int) []int32 {
	k := constAxis{v, axis}
	c := a.consts[k]
	if c == nil {
		c = &constLabels{ids: a.fresh(v.Data.Shape[axis] * groups)}
		a.consts[k] = c
		a.order = append(a.order, k)
	}
	if n != nil && (c.node == nil || role == Produces && c.role != Produces) {
		c.node, c.role, c.groups = n, role, groups
	}
	if len(c.ids) != v.Data.Shape[axis]*groups { // read in two ways
		a.freeze(c.ids, "%q is read in two ways", v.Name)
		ids := a.fresh(v.Data.Shape[axis] * groups)
		a.freeze(ids, "%q is read in two ways", v.Name)
		return ids
	}
	return c.ids
}

// param is a constant operand: the constant and, for each axis as the operator
// sees it, the axis of the constant.
type param struct {
	v    *Value
	axes []int
}

// param finds the constant behind input i, through quantization and
// transposition. It ties per-channel scales to their axis. Nil if there is
// none.
func (a *analysis) param(n *Node, i int) *param {
	v := n.In(i)
	if v == nil {
		return nil
	}
	p := a.resolve(v)
	if p != nil {
		a.claimed[Use{n, i}] = true
	}
	return p
}

func (a *analysis) resolve(v *Value) *param {
	if v.Data != nil {
		p := &param{v: v}
		for i := range v.Data.Shape {
			p.axes = append(p.axes, i)
		}
		return p
	}
	n := v.producer
	switch {
	case n == nil || n.In(0) == nil:
		return nil
	case n.Is("Identity", "Cast"), n.Domain == DrawknifeDomain && n.keepsWeight():
		p := a.resolve(n.In(0))
		if p == nil {
			return nil
		}
		a.claimed[Use{n, 0}] = true
		for i := 1; i < len(n.Inputs); i++ {
			a.perChannelOperand(n, i, p)
		}
		return p
	case n.Is("QuantizeLinear", "DequantizeLinear"):
		p := a.resolve(n.In(0))
		if p == nil {
			return nil
		}
		a.claimed[Use{n, 0}] = true
		for i := 1; i < 3; i++ {
			a.perChannelOperand(n, i, p)
		}
		return p
	case n.Is("Transpose"):
		p := a.resolve(n.In(0))
		if p == nil {
			return nil
		}
		a.claimed[Use{n, 0}] = true
		perm := n.perm(len(p.axes))
		q := &param{v: p.v}
		for _, k := range perm {
			q.axes = append(q.axes, p.axes[k])
		}
		return q
	}
	return nil
}

func (n *Node) keepsWeight() bool {
	op := n.Lookup()
	return op != nil && op.KeepsWeight
}

// perm is a Transpose's permutation for a tensor of the given rank.
func (n *Node) perm(rank int) []int {
	perm := n.Ints("perm")
	if len(perm) == rank {
		return perm
	}
	perm = make([]int, rank)
	for i := range perm {
		perm[i] = rank - 1 - i
	}
	return perm
}

// perChannelOperand ties the scale or zero point in input i of n to the
// constant p that n quantizes or dequantizes.
func (a *analysis) perChannelOperand(n *Node, i int, p *param) {
	s := n.In(i)
	if s == nil || oneElement(s.Shape) {
		return
	}
	c := a.param(n, i)
	if c == nil {
		for _, k := range p.axes {
			a.freeze(a.constant(p.v, k), "%v reads a computed scale", n)
		}
		return
	}
	shape := c.v.Data.Shape
	if len(shape) == 1 {
		if k, err := axis(n.Int("axis", 1), len(p.axes)); err == nil {
			a.tie(a.member(n, c.v, 0, Follows, 1), a.constant(p.v, p.axes[k]))
		}
		return
	}
	for k := range min(len(shape), len(p.axes)) { // blocks
		w := a.constant(p.v, p.axes[k])
		switch {
		case shape[c.axes[k]] == len(w):
			a.tie(a.member(n, c.v, c.axes[k], Follows, 1), w)
		case shape[c.axes[k]] > 1:
			a.freeze(w, "%v quantizes blocks along this axis", n)
		}
	}
}

// vector ties a one-dimensional operand (a bias, a scale) to channels.
func (a *analysis) vector(n *Node, i int, ids []int32) {
	v := n.In(i)
	if v == nil {
		return
	}
	p := a.param(n, i)
	switch {
	case p == nil:
		a.freeze(ids, "%v reads %q, which is computed", n, v.Name)
	case p.v.Data.Len() == 1 && len(ids) != 1:
	case p.v.Data.Rank() != 1:
		a.freeze(ids, "%v reads %q, which is not a vector", n, v.Name)
	default:
		a.tie(a.member(n, p.v, 0, Follows, 1), ids)
	}
}

// freezeOutputs freezes what the graph's caller sees.
func (a *analysis) freezeOutputs() {
	for _, v := range a.g.Outputs {
		if l := a.at[v]; l != nil {
			a.freeze(l.ids, "%q is an output of the graph", v.Name)
		}
		if v.Data != nil {
			a.freezeConst(v, "%q is an output of the graph", v.Name)
		}
	}
	for _, n := range a.g.Nodes {
		for _, x := range n.Attrs {
			switch x.(type) {
			case *Graph, []*Graph:
				for id := range a.parent {
					a.freeze([]int32{int32(id)}, "%v holds a graph of its own, which may read any value", n)
				}
				return
			}
		}
	}
}

func (a *analysis) freezeConst(v *Value, format string, args ...any) {
	for k := range v.Data.Shape {
		if c := a.consts[constAxis{v, k}]; c != nil {
			a.freeze(c.ids, format, args...)
		}
	}
}

// freezeUnclaimed freezes constants that a node reads in a way that the
// analysis did not follow.
func (a *analysis) freezeUnclaimed() {
	for _, k := range slices.Clone(a.order) {
		if n := a.unclaimed(k.v); n != nil {
			a.freezeConst(k.v, "%v reads %q in a way that is not understood", n, k.v.Name)
		}
	}
}

func (a *analysis) unclaimed(v *Value) *Node {
	for _, u := range v.uses {
		if !a.claimed[u] {
			return u.Node
		}
		n := u.Node
		if u.Index == 0 && (n.Is("Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Transpose") || n.keepsWeight()) &&
			a.at[n.Out(0)] == nil {
			if m := a.unclaimed(n.Out(0)); m != nil {
				return m
			}
		}
	}
	return nil
}
