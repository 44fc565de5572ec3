package graph

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"text/tabwriter"

	"github.com/drawknife/drawknife/tensor"
)

// Diff lists how one graph differs from another.
type Diff struct {
	Added   []NodeCost   `json:"added"`
	Removed []NodeCost   `json:"removed"`
	Changed []NodeChange `json:"changed"`
	// Same counts the nodes without a change.
	Same int `json:"same"`
	// Before and After are the totals, without their nodes.
	Before Cost `json:"before"`
	After  Cost `json:"after"`
}

// NodeChange is a node that both graphs have, but not alike.
type NodeChange struct {
	Name   string   `json:"name"`
	What   []string `json:"what"`
	Before NodeCost `json:"before"`
	After  NodeCost `json:"after"`
}

// Compare lists the differences from a to b. Nodes are matched by name if
// their operators agree too; what is left over is matched in order by operator
// and first output, so that a renamed node is not counted as removed and
// added.
func Compare(a, b *Graph) *Diff {
	ca, cb := a.Cost(), b.Cost()
	d := &Diff{Before: *ca, After: *cb}
	d.Before.Nodes, d.After.Nodes = nil, nil
	pairs := matchNodes(a, b)
	taken := map[*Node]bool{}
	costs := map[*Node]NodeCost{}
	for _, c := range cb.Nodes {
		costs[c.Node] = c
	}
	for _, c := range ca.Nodes {
		m := pairs[c.Node]
		if m == nil {
			d.Removed = append(d.Removed, c)
			continue
		}
		taken[m] = true
		if what := differences(c.Node, m); len(what) > 0 {
			d.Changed = append(d.Changed, NodeChange{c.Name, what, c, costs[m]})
		} else {
			d.Same++
		}
	}
	for _, c := range cb.Nodes {
		if !taken[c.Node] {
			d.Added = append(d.Added, c)
		}
	}
	return d
}

func matchNodes(a, b *Graph) map[*Node]*Node {
	type key struct{ name, domain, op string }
	pairs, taken := map[*Node]*Node{}, map[*Node]bool{}
	for _, by := range []func(n *Node) key{
		func(n *Node) key { return key{n.Name, n.Domain, n.Op} },
		func(n *Node) key {
			if n.Out(0) == nil {
				return key{}
			}
			return key{n.Out(0).Name, n.Domain, n.Op}
		},
	} {
		left := map[key][]*Node{}
		for _, n := range b.Nodes {
			if k := by(n); !taken[n] && k != (key{}) {
				left[k] = append(left[k], n)
			}
		}
		for _, n := range a.Nodes {
			k := by(n)
			if list := left[k]; pairs[n] == nil && len(list) > 0 {
				pairs[n], taken[list[0]], left[k] = list[0], true, list[1:]
			}
		}
	}
	return pairs
}

// differences says in words how b differs from a.
func differences(a, b *Node) []string {
	var what []string
	say := func(format string, args ...any) { what = append(what, fmt.Sprintf(format, args...)) }
	for i := range max(len(a.Inputs), len(b.Inputs)) {
		va, vb := a.In(i), b.In(i)
		switch {
		case va == nil && vb == nil:
		case va == nil:
			say("input %d: %s added", i, vb.Name)
		case vb == nil:
			say("input %d: %s removed", i, va.Name)
		case va.Data != nil && vb.Data != nil:
			if s := dataDifference(va.Data, vb.Data); s != "" {
				say("%s: %s", va.Name, s)
			}
		case va.Shape.String() != vb.Shape.String() || va.Type != vb.Type:
			say("input %d: %v %v to %v %v", i, va.Type, va.Shape, vb.Type, vb.Shape)
		}
	}
	for _, name := range attrNames(a, b) {
		if !sameAttr(a.Attrs[name], b.Attrs[name]) {
			say("%s: %v to %v", name, a.Attrs[name], b.Attrs[name])
		}
	}
	return what
}

func dataDifference(a, b *tensor.Tensor) string {
	switch {
	case a.DType != b.DType || !slices.Equal(a.Shape, b.Shape):
		return fmt.Sprintf("%v to %v", a, b)
	case !a.Equal(b):
		return "other elements"
	}
	return ""
}

func attrNames(a, b *Node) []string {
	var names []string
	for _, n := range []*Node{a, b} {
		for name := range n.Attrs {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func sameAttr(a, b any) bool {
	ta, ok := a.(*tensor.Tensor)
	tb, ok2 := b.(*tensor.Tensor)
	if ok && ok2 {
		return ta.Equal(tb)
	}
	return reflect.DeepEqual(a, b)
}

// WriteText prints the differences for a person: what was removed (-), added
// (+) and changed (~), then the totals.
func (d *Diff) WriteText(w io.Writer) error {
	for _, n := range d.Removed {
		fmt.Fprintf(w, "- %s (%s) %s\n", n.Name, n.Op, n.Output)
	}
	for _, n := range d.Added {
		fmt.Fprintf(w, "+ %s (%s) %s\n", n.Name, n.Op, n.Output)
	}
	for _, c := range d.Changed {
		fmt.Fprintf(w, "~ %s (%s)\n", c.Name, c.After.Op)
		for _, s := range c.What {
			fmt.Fprintf(w, "    %s\n", s)
		}
	}
	if len(d.Removed)+len(d.Added)+len(d.Changed) == 0 {
		fmt.Fprintln(w, "the graphs are the same")
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tbefore\tafter\tratio\t")
	row := func(name string, a, b int64) {
		ratio := "-"
		if a > 0 {
			ratio = fmt.Sprintf("%.3f", float64(b)/float64(a))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", name, Thousands(a), Thousands(b), ratio)
	}
	row("parameters", d.Before.Params, d.After.Params)
	row("weight bytes", d.Before.WeightBytes, d.After.WeightBytes)
	row("MACs", d.Before.MACs, d.After.MACs)
	row("bit operations", d.Before.BOPs, d.After.BOPs)
	row("peak activation bytes", d.Before.PeakActivationBytes, d.After.PeakActivationBytes)
	return t.Flush()
}
