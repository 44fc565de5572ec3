// Package layers removes whole residual blocks, and plain layers that change no
// shape: fewer, not narrower, layers save the most time for the work they save.
package layers

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/rewrite"
)

// Block is a part of a network that can be left out: what it computes has the
// shape of what it reads.
type Block struct {
	// Name is that of its first node.
	Name string
	// Nodes are those that go, in order.
	Nodes []*graph.Node
	// Input is what it reads, Output what it computes.
	Input, Output *graph.Value
	// Residual is set if Input is added to what the nodes compute.
	Residual bool
}

// Find lists the blocks of g that can be removed, each apart from the others:
// residual blocks with an identity shortcut; in networks without branches the
// convolutions, with their normalization and activation, whose output has the
// shape of their input.
func Find(g *graph.Graph) []*Block {
	var list []*Block
	for _, n := range g.Nodes {
		if !n.Is("Add") || n.In(0) == nil || n.In(1) == nil || n.In(0).Data != nil || n.In(1).Data != nil {
			continue
		}
		for i := range 2 {
			nodes := between(n, n.Inputs[i], n.Inputs[1-i])
			if nodes == nil || !hasWeights(nodes) {
				continue
			}
			nodes = append(nodes, n)
			list = append(list, &Block{Name: nodes[0].Name, Nodes: nodes, Input: n.Inputs[1-i], Output: n.Outputs[0], Residual: true})
			break
		}
	}
	if joins(g) {
		return list
	}
	for _, n := range g.Nodes {
		if b := plain(n); b != nil {
			list = append(list, b)
		}
	}
	return list
}

// between lists the nodes on the way from the value from to the value to, which
// join reads, in order; nil if something else reads or feeds them.
func between(join *graph.Node, to, from *graph.Value) []*graph.Node {
	set := map[*graph.Node]bool{}
	todo := []*graph.Value{to}
	reached := false
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch p := v.Producer(); {
		case v == from:
			reached = true
		case v.Data != nil:
		case p == nil:
			return nil
		case !set[p]:
			set[p] = true
			for _, in := range p.Inputs {
				if in != nil {
					todo = append(todo, in)
				}
			}
		}
	}
	if !reached || len(set) == 0 {
		return nil
	}
	var nodes []*graph.Node
	for _, n := range join.Graph().Nodes {
		if !set[n] {
			continue
		}
		nodes = append(nodes, n)
		for _, o := range n.Outputs {
			if o == nil {
				continue
			}
			if o.IsOutput() {
				return nil
			}
			for _, u := range o.Uses() {
				if !set[u.Node] && u.Node != join {
					return nil
				}
			}
		}
	}
	return nodes
}

func hasWeights(nodes []*graph.Node) bool {
	return slices.ContainsFunc(nodes, func(n *graph.Node) bool { return n.Is("Conv", "Gemm", "MatMul") && n.In(1).IsConst() })
}

// plain is the block that begins with a convolution.
func plain(n *graph.Node) *Block {
	if !n.Is("Conv") || n.Int("group", 1) != 1 || !n.In(1).IsConst() || n.In(0).Data != nil || n.In(0).IsInput() {
		return nil
	}
	b := &Block{Name: n.Name, Nodes: []*graph.Node{n}, Input: n.Inputs[0], Output: n.Outputs[0]}
	for {
		next := b.Output.SoleUse()
		if next == nil || b.Output.IsOutput() || !next.Is("BatchNormalization", "Relu", "Clip", "LeakyRelu", "HardSwish") || next.In(0) != b.Output {
			break
		}
		b.Nodes, b.Output = append(b.Nodes, next), next.Outputs[0]
		if !next.Is("BatchNormalization") {
			break
		}
	}
	if b.Output.IsOutput() || !sameShape(b.Input, b.Output) || b.Input.SoleUse() != n {
		return nil
	}
	return b
}

// joins reports networks with branches, in which a layer is a part of some
// block.
func joins(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		return n.Is("Add", "Concat", "Mul", "Sub", "Max", "Sum") && len(n.Inputs) > 1 && n.In(0).Data == nil && n.In(1).Data == nil
	})
}

func sameShape(a, b *graph.Value) bool {
	return a.Shape != nil && len(a.Shape) == len(b.Shape) &&
		slices.EqualFunc(a.Shape, b.Shape, func(x, y graph.Dim) bool { return x.Same(y) })
}

// remove leaves a block of g out, and a rectifier behind it that finds nothing
// left to do.
func (b *Block) remove(g *graph.Graph) {
	readers := b.Output.Uses()
	g.ReplaceUses(b.Output, b.Input)
	for _, u := range readers {
		if u.Node.Is("Relu") {
			rewrite.DropNoOp(rewrite.Scope{}, u.Node)
		}
	}
	for _, n := range slices.Backward(b.Nodes) {
		g.Remove(n)
	}
}
