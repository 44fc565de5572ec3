package graph

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
)

// ErrCycle is the cause of Sort's error.
var ErrCycle = errors.New("the graph has a cycle")

// Sort puts the nodes in a topological order, keeping the present order where
// it can: of the nodes that are ready, the earliest comes next.
func (g *Graph) Sort() error {
	at := make(map[*Node]int, len(g.Nodes))
	for i, n := range g.Nodes {
		at[n] = i
	}
	pending := make([]int, len(g.Nodes))
	ready := &intHeap{}
	for i, n := range g.Nodes {
		for _, v := range n.Inputs {
			if v != nil && v.producer != nil {
				pending[i]++
			}
		}
		if pending[i] == 0 {
			*ready = append(*ready, i) // ascending, so already a heap
		}
	}
	sorted := make([]*Node, 0, len(g.Nodes))
	for ready.Len() > 0 {
		n := g.Nodes[heap.Pop(ready).(int)]
		sorted = append(sorted, n)
		for _, o := range n.Outputs {
			if o == nil {
				continue
			}
			for _, u := range o.uses {
				i, ok := at[u.Node]
				if !ok {
					continue
				}
				if pending[i]--; pending[i] == 0 {
					heap.Push(ready, i)
				}
			}
		}
	}
	if len(sorted) != len(g.Nodes) {
		for i, n := range g.Nodes {
			if pending[i] > 0 {
				return n.Errorf("%w", ErrCycle)
			}
		}
	}
	g.Nodes = sorted
	return nil
}

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

// Verify checks the structure: names, order, producers and uses.
func (g *Graph) Verify() error {
	seen := map[*Value]bool{}
	for name, v := range g.names {
		if v.Name != name {
			return fmt.Errorf("graph: value %q is indexed as %q", v.Name, name)
		}
	}
	for _, v := range g.Inputs {
		seen[v] = true
	}
	for _, v := range g.consts {
		seen[v] = true
	}
	recorded := g.recordedUses()
	at := map[*Node]bool{}
	for _, n := range g.Nodes {
		if at[n] {
			return n.Errorf("is listed twice")
		}
		at[n] = true
		for i, v := range n.Inputs {
			if v == nil {
				continue
			}
			if !seen[v] {
				return n.Errorf("reads %q before it is computed", v.Name)
			}
			if recorded[Use{n, i}] != v {
				return n.Errorf("its use of %q is not recorded", v.Name)
			}
		}
		for i, v := range n.Outputs {
			if v == nil {
				continue
			}
			if v.producer != n || v.index != i {
				return n.Errorf("does not know its output %q", v.Name)
			}
			if seen[v] {
				return n.Errorf("computes %q a second time", v.Name)
			}
			seen[v] = true
		}
	}
	for _, v := range g.Outputs {
		if !seen[v] {
			return fmt.Errorf("graph: output %q is never computed", v.Name)
		}
	}
	for v := range seen {
		for _, u := range v.uses {
			if !at[u.Node] || u.Node.In(u.Index) != v {
				return fmt.Errorf("graph: value %q records a use by %v that is not there", v.Name, u.Node)
			}
		}
	}
	return nil
}

// recordedUses is what the values say about where they are read.
func (g *Graph) recordedUses() map[Use]*Value {
	uses := map[Use]*Value{}
	record := func(list []*Value) {
		for _, v := range list {
			if v != nil {
				for _, u := range v.uses {
					uses[u] = v
				}
			}
		}
	}
	record(g.Inputs)
	record(g.consts)
	for _, n := range g.Nodes {
		record(n.Outputs)
	}
	return uses
}

// Clone returns a deep copy that shares the constants' elements (which a
// rewrite replaces, never changes in place; training is the exception and
// works on tensors of its own).
func (g *Graph) Clone() *Graph {
	c := New(g.Name)
	c.Doc, c.Origin, c.serial = g.Doc, g.Origin, g.serial
	for k, v := range g.Metadata {
		c.Metadata[k] = v
	}
	for k, v := range g.Opsets {
		c.Opsets[k] = v
	}
	c.Log = slices.Clone(g.Log)
	to := map[*Value]*Value{}
	copyValue := func(v *Value) *Value {
		w := &Value{Name: v.Name, Type: v.Type, Shape: slices.Clone(v.Shape), Data: v.Data,
			Elems: slices.Clone(v.Elems), Doc: v.Doc, index: v.index, graph: c}
		c.names[w.Name] = w
		to[v] = w
		return w
	}
	for _, v := range g.Inputs {
		c.Inputs = append(c.Inputs, copyValue(v))
	}
	for _, v := range g.consts {
		c.consts = append(c.consts, copyValue(v))
	}
	for _, n := range g.Nodes {
		m := &Node{Name: n.Name, Op: n.Op, Domain: n.Domain, Attrs: n.Attrs.Clone(), Doc: n.Doc,
			Overload: n.Overload, Metadata: n.Metadata, graph: c}
		c.nodes[m.Name]++
		for i, v := range n.Inputs {
			m.Inputs = append(m.Inputs, to[v])
			if v != nil {
				to[v].uses = append(to[v].uses, Use{m, i})
			}
		}
		for _, v := range n.Outputs {
			if v == nil {
				m.Outputs = append(m.Outputs, nil)
				continue
			}
			w := copyValue(v)
			w.producer = m
			m.Outputs = append(m.Outputs, w)
		}
		c.Nodes = append(c.Nodes, m)
	}
	for _, v := range g.Outputs {
		c.Outputs = append(c.Outputs, to[v])
	}
	return c
}
