// Package rewrite holds the rewrites of a graph that keep what it computes:
// constants folded, no-ops dropped, batch normalisation folded into weights,
// padding moved into convolutions, spelled-out activations merged. The engine
// applies them to its own copy before lowering; quantization and export apply
// the ones they need to the model itself.
package rewrite

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Scope says what a rewrite may touch.
type Scope struct {
	// Keep reports values that must be computed under their own name though
	// they are not outputs; nil keeps none.
	Keep func(*graph.Value) bool
	// Variable reports initializers that are not constant (they are trained);
	// nil means every initializer is.
	Variable func(*graph.Value) bool
}

// Observed reports whether v must be computed under its own name.
func (s Scope) Observed(v *graph.Value) bool { return v.IsOutput() || s.Keep != nil && s.Keep(v) }

// Only returns the sole reader of v if v itself need not be observable.
func (s Scope) Only(v *graph.Value) *graph.Node {
	if s.Keep != nil && s.Keep(v) {
		return nil
	}
	return v.SoleUse()
}

// Constant returns v's elements if they are fixed, else nil.
func (s Scope) Constant(v *graph.Value) *tensor.Tensor {
	if v == nil || v.Data == nil || s.Variable != nil && s.Variable(v) {
		return nil
	}
	return v.Data
}

// Rule rewrites the graph around one node and reports whether it did.
type Rule func(s Scope, n *graph.Node) bool

// Apply tries rules in turn, each on every node in order, and returns how many
// rewrites were made. Nodes left without readers are removed.
func Apply(g *graph.Graph, s Scope, rules ...Rule) int {
	count := 0
	for _, rule := range rules {
		for _, n := range append([]*graph.Node(nil), g.Nodes...) {
			if n.Out(0) == nil || g.Value(n.Outputs[0].Name) != n.Outputs[0] {
				continue // removed meanwhile
			}
			if rule(s, n) {
				count++
			}
		}
	}
	g.RemoveDead()
	return count
}

// replace removes n and lets v take the place, and the name, of its output.
func replace(n *graph.Node, v *graph.Value) {
	g, name := n.Graph(), n.Outputs[0].Name
	g.ReplaceUses(n.Outputs[0], v)
	g.Remove(n)
	g.Rename(v, name)
}

// DropNoOp removes Identity, inference-mode Dropout, casts to the same type and
// rectifiers of what is rectified already.
func DropNoOp(s Scope, n *graph.Node) bool {
	noop := n.Is("Identity") || n.Is("Dropout") && n.Out(1) == nil ||
		n.Is("Cast") && n.In(0).Type == n.Outputs[0].Type ||
		n.Is("Relu") && Rectified(n.In(0))
	if !noop || s.Observed(n.Outputs[0]) {
		return false
	}
	n.Graph().ReplaceUses(n.Outputs[0], n.Inputs[0])
	n.Graph().Remove(n)
	return true
}

// Rectified reports that x is known to have no negative elements.
func Rectified(x *graph.Value) bool {
	n := x.Producer()
	for n.Is("MaxPool", "AveragePool", "GlobalAveragePool", "Dropout") {
		n = n.In(0).Producer()
	}
	return n.Is("Relu", "Sigmoid")
}
