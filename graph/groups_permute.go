package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

// Alike lists the sets of two and more channels of the group that can change
// places without changing what the graph computes: those that lie in the same
// activations, once or side by side (a channel that was flattened), and in the
// same blocks of grouped convolutions. There are none if the group is frozen or
// an operator mixes neighbours.
func (gr *Group) Alike() [][]int {
	if gr.Frozen != "" || gr.Inexact != "" {
		return nil
	}
	key := make([]string, gr.Size)
	fixed := make([]bool, gr.Size)
	for i, cell := range gr.cells() {
		for _, c := range cell {
			key[c] = fmt.Sprint(i)
		}
	}
	for _, list := range [][]Member{gr.Members, gr.Activations} {
		for _, m := range list {
			for c, at := range m.At {
				key[c] += fmt.Sprint(" ", len(at))
				for k := range at {
					fixed[c] = fixed[c] || at[k] != at[0]+k
				}
			}
		}
	}
	index := map[string]int{}
	var sets [][]int
	for c, k := range key {
		if fixed[c] {
			continue
		}
		i, ok := index[k]
		if !ok {
			i = len(sets)
			index[k] = i
			sets = append(sets, nil)
		}
		sets[i] = append(sets[i], c)
	}
	var out [][]int
	for _, s := range sets {
		if len(s) > 1 {
			out = append(out, s)
		}
	}
	return out
}

// Permute gives the channels of a group new places: channel c becomes what
// channel order[c] was, in all constants, so that the graph computes what it
// did. Both must be of one set of Alike. The group stays valid.
func (gr *Group) Permute(order []int) error {
	if len(order) != gr.Size {
		return fmt.Errorf("graph: group %q: an order of %d channels, want %d", gr.Name, len(order), gr.Size)
	}
	set := make([]int, gr.Size)
	for i, s := range gr.Alike() {
		for _, c := range s {
			set[c] = i + 1
		}
	}
	taken := make([]bool, gr.Size)
	for c, from := range order {
		switch {
		case from < 0 || from >= gr.Size || taken[from]:
			return fmt.Errorf("graph: group %q: channel %d is listed twice or not one of 0 to %d", gr.Name, from, gr.Size-1)
		case from != c && (set[c] == 0 || set[c] != set[from]):
			return fmt.Errorf("graph: group %q: channels %d and %d cannot change places", gr.Name, c, from)
		}
		taken[from] = true
	}
	for _, m := range gr.Members {
		src := m.Value.Data
		dst := src.Clone()
		for c, from := range order {
			if c != from {
				for k, i := range m.At[c] {
					m.copy(dst, i, src, m.At[from][k])
				}
			}
		}
		m.Value.SetData(dst)
	}
	return nil
}

// copy copies index from of m's axis in src to index to in dst.
func (m Member) copy(dst *tensor.Tensor, to int, src *tensor.Tensor, from int) {
	inner := 1
	for _, d := range src.Shape[m.Axis+1:] {
		inner *= d
	}
	size := src.Shape[m.Axis]
	outer := src.Len() / max(size*inner, 1)
	first, last := 0, outer
	if m.Groups > 1 { // both are in the same group, since they share a block
		first, last = to/size*(outer/m.Groups), (to/size+1)*(outer/m.Groups)
		to, from = to%size, from%size
	}
	for o := first; o < last; o++ {
		for k := range inner {
			clearElement(dst, (o*size+to)*inner+k)
			copyRun(dst, (o*size+to)*inner+k, src, (o*size+from)*inner+k, 1)
		}
	}
}

// clearElement makes room for copyRun, which adds to packed elements.
func clearElement(t *tensor.Tensor, i int) {
	if t.DType.Bits() < 8 {
		setElement(t, i, 0)
	}
}
