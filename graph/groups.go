package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Role tells what a tensor does in a channel group.
type Role int

const (
	// Follows: the tensor holds something for each channel that passes by: a
	// bias, a normalization's vectors, a depthwise filter, a per-channel scale.
	Follows Role = iota
	// Produces: the tensor's filters compute the channels.
	Produces
	// Consumes: the tensor's filters read the channels.
	Consumes
)

func (r Role) String() string { return [...]string{"follows", "produces", "consumes"}[r] }

// Member is a tensor's share in a channel group.
type Member struct {
	// Node reads Value (for an activation: computes it; nil for an input).
	Node *Node
	// Value is a constant (in Group.Members) or an activation.
	Value *Value
	Axis  int
	Role  Role
	// At lists, for each logical channel of the group, its indices along Axis:
	// none, one, or several (a channel that was flattened holds H·W features).
	At [][]int
	// Groups is more than 1 for the input axis of a grouped convolution's
	// weight W[O, C/Groups, …]. The indices in At then count the C input
	// channels: i stands for W[o, i mod (C/Groups)] of the outputs o of group
	// ⌊i/(C/Groups)⌋. Of a grouped transposed convolution's W[C, O/Groups, …] it
	// is the output axis, in the same way.
	Groups int
}

// Group is a set of tensors that must lose the same channels together
// (Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023).
type Group struct {
	// Name is that of the first producer.
	Name string
	// Size is the number of logical channels.
	Size int
	// Members are the constants, in order of their first reader.
	Members []Member
	// Activations are the values that carry the channels.
	Activations []Member
	// Frozen says why no channel can be removed; "" if channels can be.
	Frozen string
	// Inexact says why removing channels that are zero changes the result all
	// the same; "" if it does not.
	Inexact string
	// Residual is set if an Add (or Sub, Max, …) ties two branches.
	Residual bool
	// Partitions are the constraints of grouped convolutions: the blocks of a
	// partition must lose equally many channels. A block lists logical
	// channels, one that holds several places several times.
	Partitions [][][]int

	graph *Graph
	roots []int32
	from  *analysis
}

// Producers lists the members whose filters compute the group's channels.
func (gr *Group) Producers() []Member { return gr.withRole(Produces) }

// Consumers lists the members whose filters read the group's channels.
func (gr *Group) Consumers() []Member { return gr.withRole(Consumes) }

func (gr *Group) withRole(r Role) []Member {
	var list []Member
	for _, m := range gr.Members {
		if m.Role == r {
			list = append(list, m)
		}
	}
	return list
}

// Divisor is the number of which the count of removed channels should be a
// multiple so that grouped convolutions lose equally many from each block; 1 if
// there are none.
func (gr *Group) Divisor() int {
	_, steps := gr.steps()
	sum := 0
	for _, n := range steps {
		sum += n
	}
	return sum
}

// steps cuts the channels into cells, the common refinement of the partitions,
// and says how many of each cell go together: one, if every block of a
// partition then loses equally many; otherwise shares in proportion to the
// cells' sizes, which always do (blocks are equally large).
func (gr *Group) steps() (cells [][]int, steps []int) {
	cells = gr.cells()
	steps = make([]int, len(cells))
	for i := range steps {
		steps[i] = 1
	}
	if gr.even(cells, steps) {
		return cells, steps
	}
	unit := 0
	for _, c := range cells {
		unit = gcd(unit, len(c))
	}
	for i, c := range cells {
		steps[i] = len(c) / unit
	}
	return cells, steps
}

// even reports that all blocks of a partition lose equally many channels when
// the cells lose the given numbers.
func (gr *Group) even(cells [][]int, steps []int) bool {
	of := make([]int, gr.Size)
	for i, cell := range cells {
		for _, c := range cell {
			of[c] = i
		}
	}
	for _, blocks := range gr.Partitions {
		first := -1
		for _, block := range blocks {
			places := make([]int, len(cells)) // of each cell in the block
			for _, c := range block {
				places[of[c]]++
			}
			lost := 0
			for i, n := range places {
				lost += n / len(cells[i]) * steps[i]
			}
			if first >= 0 && lost != first {
				return false
			}
			first = lost
		}
	}
	return true
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// cells is the common refinement of the partitions: sets of channels that lie
// in the same block of every partition.
func (gr *Group) cells() [][]int {
	key := make([]string, gr.Size)
	for p, blocks := range gr.Partitions {
		for b, block := range blocks {
			for _, c := range block {
				key[c] += fmt.Sprint(p, ".", b, " ")
			}
		}
	}
	index := map[string]int{}
	var cells [][]int
	for c, k := range key {
		i, ok := index[k]
		if !ok {
			i = len(cells)
			index[k] = i
			cells = append(cells, nil)
		}
		cells[i] = append(cells[i], c)
	}
	return cells
}

// Check reports whether the given channels can be removed together: they
// exist, the group is not frozen, every producer keeps one, and the blocks of
// every partition lose equally many.
func (gr *Group) Check(channels []int) error {
	if gr.Frozen != "" {
		return fmt.Errorf("graph: group %q is frozen: %s", gr.Name, gr.Frozen)
	}
	gone := make([]bool, gr.Size)
	for _, c := range channels {
		if c < 0 || c >= gr.Size || gone[c] {
			return fmt.Errorf("graph: group %q: channel %d is listed twice or not one of 0 to %d", gr.Name, c, gr.Size-1)
		}
		gone[c] = true
	}
	for _, m := range gr.Activations {
		if kept(m, gone) == 0 {
			return fmt.Errorf("graph: group %q: %q would keep no channel; keep at least one", gr.Name, m.Value.Name)
		}
	}
	for _, blocks := range gr.Partitions {
		first := -1
		for _, block := range blocks {
			n := 0
			for _, c := range block {
				if gone[c] {
					n++
				}
			}
			if first >= 0 && n != first {
				return fmt.Errorf("graph: group %q: a grouped convolution's groups must lose equally many channels, not %d and %d", gr.Name, first, n)
			}
			first = n
		}
	}
	return nil
}

// kept counts the places of an activation's axis that are left, those of other
// groups included.
func kept(m Member, gone []bool) int {
	n := m.Value.Shape[m.Axis].Size
	for c, at := range m.At {
		if gone[c] {
			n -= len(at)
		}
	}
	return n
}

// Choose picks at most n channels to remove, the first of order (least
// important first) that fit: every activation keeps a channel, and grouped
// convolutions lose equally many from each block. The result is sorted.
func (gr *Group) Choose(order []int, n int) []int {
	if gr.Frozen != "" || n <= 0 {
		return nil
	}
	rank := make([]int, gr.Size)
	for i := range rank {
		rank[i] = gr.Size
	}
	for i, c := range order {
		rank[c] = i
	}
	cells, steps := gr.steps()
	for i := range cells {
		slices.SortStableFunc(cells[i], func(a, b int) int { return rank[a] - rank[b] })
	}
	var chosen []int
	if len(cells) == 1 {
		return gr.chooseFree(cells[0], n)
	}
	together := 0
	for _, step := range steps {
		together += step
	}
	for k := 0; len(chosen)+together <= n; k++ {
		next := slices.Clone(chosen)
		for i, cell := range cells {
			if (k+1)*steps[i] > len(cell) {
				return slices.Sorted(slices.Values(chosen))
			}
			next = append(next, cell[k*steps[i]:(k+1)*steps[i]]...)
		}
		if gr.Check(next) != nil {
			break
		}
		chosen = next
	}
	return slices.Sorted(slices.Values(chosen))
}

// chooseFree picks without partitions: only the last channel of an activation
// is spared.
func (gr *Group) chooseFree(order []int, n int) []int {
	left := make([]int, len(gr.Activations))
	holds := make([][]int, gr.Size) // activations that hold a channel
	for i, m := range gr.Activations {
		left[i] = m.Value.Shape[m.Axis].Size
		for c, at := range m.At {
			if len(at) > 0 {
				holds[c] = append(holds[c], i)
			}
		}
	}
	var chosen []int
	for _, c := range order {
		if len(chosen) == n {
			break
		}
		spare := false
		for _, i := range holds[c] {
			spare = spare || left[i] <= len(gr.Activations[i].At[c])
		}
		if spare {
			continue
		}
		for _, i := range holds[c] {
			left[i] -= len(gr.Activations[i].At[c])
		}
		chosen = append(chosen, c)
	}
	slices.Sort(chosen)
	return chosen
}

// ErrNoShapes is the cause of the error of Groups on a graph whose shapes were
// not inferred.
var ErrNoShapes = errors.New("shapes are not known; run InferShapes first")

// Groups finds the channel-dependency groups: what the operators tie together
// on the way from each layer's output channels to the layers that read them.
// Every group that has a producer is listed, frozen ones too, in order of
// their first producer. The groups hold for the graph as it is now: after a
// change of its structure, call Groups again.
func (g *Graph) Groups() ([]*Group, error) {
	for _, n := range g.Nodes {
		if n.Out(0) != nil && n.Out(0).Shape == nil && n.Is("Conv", "Gemm", "ConvTranspose", "MatMul") {
			return nil, fmt.Errorf("graph: %w", n.Errorf("%w", ErrNoShapes))
		}
	}
	a := newAnalysis(g)
	for _, n := range g.Nodes {
		a.visit(n)
	}
	a.freezeOutputs()
	a.freezeUnclaimed()
	return a.groups(), nil
}

// groups gathers the logical channels that one producer computes, or one
// grouped convolution constrains, into groups.
func (a *analysis) groups() []*Group {
	sets := newUnion()
	set := func(ids []int32) int32 {
		first := int32(-1)
		for _, id := range ids {
			r := a.find(id)
			sets.grow(int(r) + 1)
			if first < 0 {
				first = r
			}
			sets.join(first, r)
		}
		return first
	}
	for _, p := range a.parts {
		for _, b := range p {
			set(b)
		}
		set(firsts(p))
	}
	for _, k := range a.order {
		if a.consts[k].role == Produces {
			set(a.consts[k].ids)
		}
	}
	byset := map[int32]*Group{}
	var list []*Group
	for _, k := range a.order {
		c := a.consts[k]
		if c.role != Produces || len(c.ids) == 0 {
			continue
		}
		s := sets.find(a.find(c.ids[0]))
		if byset[s] == nil {
			byset[s] = &Group{Name: c.node.Name, graph: a.g, from: a}
			list = append(list, byset[s])
		}
	}
	a.number(list, byset, sets)
	return list
}

func firsts(blocks [][]int32) []int32 {
	var out []int32
	for _, b := range blocks {
		if len(b) > 0 {
			out = append(out, b[0])
		}
	}
	return out
}

// number gives every logical channel its place in its group (in the order of
// the group's widest producer, then of the others), and fills in the members.
func (a *analysis) number(list []*Group, byset map[int32]*Group, sets *union) {
	type place struct {
		group   *Group
		channel int
	}
	places := map[int32]place{}
	groupOf := func(root int32) *Group {
		if int(root) >= len(sets.parent) {
			return nil
		}
		return byset[sets.find(root)]
	}
	wide := slices.Clone(a.order)
	slices.SortStableFunc(wide, func(x, y constAxis) int { return len(a.consts[y].ids) - len(a.consts[x].ids) })
	for _, k := range wide {
		if a.consts[k].role != Produces {
			continue
		}
		for _, id := range a.consts[k].ids {
			r := a.find(id)
			if _, done := places[r]; done {
				continue
			}
			gr := groupOf(r)
			places[r] = place{gr, gr.Size}
			gr.roots = append(gr.roots, r)
			gr.Size++
			if why := a.frozen[r]; why != "" && gr.Frozen == "" {
				gr.Frozen = why
			}
			if why := a.inexact[r]; why != "" {
				gr.Inexact = why
			}
			gr.Residual = gr.Residual || a.residual[r]
		}
	}
	// A partition may reach channels that no layer computes (a grouped
	// convolution over the image): they cannot be removed.
	member := func(ids []int32) map[*Group][][]int {
		at := map[*Group][][]int{}
		for i, id := range ids {
			p, ok := places[a.find(id)]
			if !ok {
				continue
			}
			if at[p.group] == nil {
				at[p.group] = make([][]int, p.group.Size)
			}
			at[p.group][p.channel] = append(at[p.group][p.channel], i)
		}
		return at
	}
	for _, k := range a.order {
		c := a.consts[k]
		for gr, at := range member(c.ids) {
			gr.Members = append(gr.Members, Member{c.node, k.v, k.axis, c.role, at, max(c.groups, 1)})
		}
	}
	for _, v := range a.seen {
		l := a.at[v]
		for gr, at := range member(l.ids) {
			gr.Activations = append(gr.Activations, Member{v.producer, v, l.axis, Follows, at, 1})
		}
	}
	for _, blocks := range a.parts {
		a.addPartition(blocks, groupOf, func(id int32) (int, bool) {
			p, ok := places[a.find(id)]
			return p.channel, ok
		})
	}
}

func (a *analysis) addPartition(blocks [][]int32, groupOf func(int32) *Group, channel func(int32) (int, bool)) {
	var part [][]int
	var gr *Group
	for _, b := range blocks {
		var list []int
		for _, id := range b {
			if gr == nil {
				gr = groupOf(a.find(id))
			}
			c, ok := channel(id)
			if !ok {
				if gr != nil && gr.Frozen == "" {
					gr.Frozen = "a grouped convolution reads channels that no layer computes"
				}
				continue
			}
			list = append(list, c)
		}
		part = append(part, list)
	}
	if gr != nil {
		gr.Partitions = append(gr.Partitions, part)
	}
}
