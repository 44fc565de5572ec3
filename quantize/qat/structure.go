package qat

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// hardTanh replaces every Relu by a clip to [−1, 1]: behind a Relu, all signs
// are the same.
func hardTanh(g *graph.Graph, _ []*graph.Node) error {
	var least, most *graph.Value
	for _, n := range g.Nodes {
		if n.Is("Relu") {
			if least == nil {
				least, most = g.AddConst("hardtanh/least", tensor.Scalar(float32(-1))), g.AddConst("hardtanh/most", tensor.Scalar(float32(1)))
			}
			n.Op = "Clip"
			n.SetInputs(n.Inputs[0], least, most)
		}
	}
	return nil
}

// withShortcuts adds a shortcut around every inner layer whose input and
// normalized output have the same shape, unless one stands there already, and
// then does what next does. A shortcut around two layers gives way to those
// around each: with both, what passes by would double at every block.
func withShortcuts(next func(*graph.Graph, []*graph.Node) error) func(*graph.Graph, []*graph.Node) error {
	return func(g *graph.Graph, inner []*graph.Node) error {
		passed := map[*graph.Value]*graph.Value{} // by sum, what a new shortcut added to it
		for _, n := range inner {
			x, y := n.Inputs[0], n.Outputs[0]
			if bn := y.SoleUse(); bn.Is("BatchNormalization") {
				y = bn.Outputs[0]
			}
			if !n.Is("Conv") || y.IsOutput() || len(x.Shape) < 2 || !slices.EqualFunc(x.Shape, y.Shape, func(a, b graph.Dim) bool { return a.Same(b) }) {
				continue
			}
			if add := y.SoleUse(); add.Is("Add") {
				if slices.Contains(add.Inputs, x) {
					continue
				}
				sum := x
				for p := sum.Producer(); p.Is("Relu", "Clip", "PRelu", "LeakyRelu", "HardSwish"); p = sum.Producer() {
					sum = p.Inputs[0]
				}
				if i := slices.Index(add.Inputs, passed[sum]); i >= 0 {
					add.SetInput(i, x)
					continue
				}
			}
			uses := append([]graph.Use(nil), y.Uses()...)
			add := g.NewNode("", "Add", n.Name+"/shortcut", []*graph.Value{y, x}, []string{n.Name + "/shortcut"}, nil)
			g.InsertAfter(y.Producer(), add)
			add.Outputs[0].Type, add.Outputs[0].Shape = y.Type, y.Shape
			for _, u := range uses {
				u.Node.SetInput(u.Index, add.Outputs[0])
			}
			passed[add.Outputs[0]] = x
		}
		return next(g, inner)
	}
}
