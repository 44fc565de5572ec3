package onnx

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

// Lowering replaces a node of domain "drawknife" by ONNX's own operators in g.
// The node must be gone afterwards, unless files define its operator (bodies).
type Lowering func(g *graph.Graph, n *graph.Node) error

var lowerings = map[string]Lowering{}

// RegisterExport says how an operator of domain "drawknife" is written. It
// panics on a duplicate. Operators without a lowering cannot be written.
func RegisterExport(op string, f Lowering) {
	if lowerings[op] != nil {
		panic("onnx: export registered twice: " + op)
	}
	lowerings[op] = f
}

// lowerOwn returns g with its nodes of domain "drawknife" lowered: g itself
// if there are none, a changed clone otherwise.
func lowerOwn(g *graph.Graph) (*graph.Graph, error) {
	own := func(n *graph.Node) bool { return n.Domain == graph.DrawknifeDomain }
	has := false
	for _, n := range g.Nodes {
		if !own(n) {
			continue
		}
		has = true
		if lowerings[n.Op] == nil {
			return nil, fmt.Errorf("%v has no ONNX form; finish or strip the step that added it before writing", n)
		}
	}
	if !has {
		return g, nil
	}
	c := g.Clone()
	for _, n := range append([]*graph.Node(nil), c.Nodes...) {
		if !own(n) {
			continue
		}
		if err := lowerings[n.Op](c, n); err != nil {
			return nil, n.Errorf("%w", err)
		}
	}
	if err := c.Verify(); err != nil {
		return nil, fmt.Errorf("after lowering: %w", err)
	}
	return c, nil
}
