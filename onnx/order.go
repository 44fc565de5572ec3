package onnx

import (
	"container/heap"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
)

// subgraphs lists the subgraphs among a node's attributes.
func (n *nodeProto) subgraphs() (list []*graphProto) {
	for _, a := range n.attrs {
		if a.g != nil {
			list = append(list, a.g)
		}
		list = append(list, a.graphs...)
	}
	return list
}

// freeNames lists the names that a subgraph reads but does not define, in
// order of first use.
func freeNames(g *graphProto) []string {
	if g.free != nil {
		return g.free
	}
	bound := map[string]bool{"": true}
	for _, v := range g.inputs {
		bound[v.name] = true
	}
	for _, t := range g.initializers {
		bound[t.name] = true
	}
	for _, s := range g.sparse {
		if s.values != nil {
			bound[s.values.name] = true
		}
	}
	for _, n := range g.nodes {
		for _, o := range n.outputs {
			bound[o] = true
		}
	}
	free := []string{}
	read := func(name string) {
		if !bound[name] {
			bound[name] = true
			free = append(free, name)
		}
	}
	for _, n := range g.nodes {
		for _, name := range n.reads() {
			read(name)
		}
	}
	for _, o := range g.outputs {
		read(o.name)
	}
	g.free = free
	return free
}

// reads lists the names that a node reads, directly or in its subgraphs.
func (n *nodeProto) reads() []string {
	list := n.inputs
	for _, sub := range n.subgraphs() {
		list = append(slices.Clip(list), freeNames(sub)...)
	}
	return list
}

// captures lists the distinct names that a node's subgraphs read from around.
func (n *nodeProto) captures() (list []string) {
	seen := map[string]bool{}
	for _, sub := range n.subgraphs() {
		for _, name := range freeNames(sub) {
			if !seen[name] {
				seen[name] = true
				list = append(list, name)
			}
		}
	}
	return list
}

// order returns the file's nodes in a topological order, the file's own if it
// is one, and checks that every name that is read is defined once.
func (b *builder) order() ([]*nodeProto, error) {
	producer := map[string]int{}
	for i, n := range b.p.nodes {
		for _, o := range n.outputs {
			if o == "" {
				continue
			}
			if k, ok := producer[o]; ok {
				return nil, fmt.Errorf("%v: output %q is also an output of %v", n, o, b.p.nodes[k])
			}
			producer[o] = i
		}
	}
	pending := make([]int, len(b.p.nodes))
	readers := make([][]int, len(b.p.nodes))
	for i, n := range b.p.nodes {
		for _, name := range n.reads() {
			if k, ok := producer[name]; ok {
				pending[i]++
				readers[k] = append(readers[k], i)
			} else if name != "" && b.g.Value(name) == nil {
				return nil, fmt.Errorf("%v reads %q, which is defined nowhere", n, name)
			}
		}
	}
	return b.sorted(pending, readers)
}

// sorted orders the nodes: always the first in the file's order of those that
// wait for nothing.
func (b *builder) sorted(pending []int, readers [][]int) ([]*nodeProto, error) {
	ready := &intHeap{}
	for i, k := range pending {
		if k == 0 {
			*ready = append(*ready, i) // ascending, so a heap
		}
	}
	out := make([]*nodeProto, 0, len(pending))
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		out = append(out, b.p.nodes[i])
		for _, k := range readers[i] {
			if pending[k]--; pending[k] == 0 {
				heap.Push(ready, k)
			}
		}
	}
	if len(out) < len(pending) {
		i := slices.IndexFunc(pending, func(k int) bool { return k > 0 })
		return nil, fmt.Errorf("%v: %w", b.p.nodes[i], graph.ErrCycle)
	}
	return out, nil
}

// intHeap is a container/heap of node numbers.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
