package weights

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// removeDead really removes the channels that nothing computes (all weights of
// every filter are zero: what bias and normalization make of nothing is added to
// the biases of the layers that read it) or nothing reads. It goes on until
// there is none, and returns how many went.
func removeDead(g *graph.Graph, report *Report) (int, error) {
	total := 0
	for {
		groups, err := g.Groups()
		if err != nil {
			return total, err
		}
		gone := map[*graph.Group][]int{}
		for _, gr := range groups {
			if gr.Frozen != "" || gr.Inexact != "" {
				continue
			}
			dead := deadChannels(gr)
			if list := gr.Choose(dead, len(dead)); len(list) > 0 && subset(list, dead) {
				gone[gr] = list
				total += len(list)
			}
		}
		if len(gone) == 0 {
			return total, nil
		}
		note := func(s string) { report.Notes = append(report.Notes, s) }
		if err := g.RemoveChannels(gone, graph.RemoveOptions{FoldConstants: true, Note: note}); err != nil {
			return total, err
		}
	}
}

// deadChannels lists the channels of a group that carry a constant or that
// nobody reads.
func deadChannels(gr *graph.Group) []int {
	silent := allZero(gr, gr.Producers())
	unread := allZero(gr, gr.Consumers())
	var out []int
	for c := range gr.Size {
		if silent[c] || unread[c] {
			out = append(out, c)
		}
	}
	return out
}

// allZero reports the channels for which all members hold zeros only.
func allZero(gr *graph.Group, members []graph.Member) []bool {
	out := slices.Repeat([]bool{len(members) > 0}, gr.Size)
	for _, m := range members {
		t := m.Value.Data
		if t == nil || t.DType != tensor.Float32 {
			return make([]bool, gr.Size)
		}
		x := tensor.Data[float32](t)
		inner := 1
		for _, d := range t.Shape[m.Axis+1:] {
			inner *= d
		}
		size := t.Shape[m.Axis]
		outer := len(x) / max(size*inner, 1)
		for c, at := range m.At {
			for _, i := range at {
				first, last := 0, outer
				if m.Groups > 1 {
					first, last = i/size*(outer/m.Groups), (i/size+1)*(outer/m.Groups)
				}
				for o := first; o < last; o++ {
					for _, v := range x[(o*size+i%size)*inner:][:inner] {
						out[c] = out[c] && v == 0
					}
				}
			}
		}
	}
	return out
}

func subset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(v int) bool { return !slices.Contains(b, v) })
}
