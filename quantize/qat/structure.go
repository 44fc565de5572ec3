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

// slopes replaces every Relu by a PRelu with a learned slope for each channel.
func slopes(g *graph.Graph, _ []*graph.Node) error {
	for _, n := range g.Nodes {
		x := n.In(0)
		if !n.Is("Relu") || len(x.Shape) < 2 || !x.Shape[1].Known() {
			continue
		}
		shape := make([]int, len(x.Shape)-1)
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = x.Shape[1].Size
		t := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
			d[i] = 0.25
		}
		n.Op = "PRelu"
		n.SetInputs(x, g.AddConst(n.Name+"/slope", t))
	}
	return nil
}

// withShortcuts adds a shortcut around every inner layer whose input and
// normalized output have the same shape, unless one stands there already, and
// then does what next does.
func withShortcuts(next func(*graph.Graph, []*graph.Node) error) func(*graph.Graph, []*graph.Node) error {
	return func(g *graph.Graph, inner []*graph.Node) error {
		for _, n := range inner {
			x, y := n.Inputs[0], n.Outputs[0]
			if bn := y.SoleUse(); bn.Is("BatchNormalization") {
				y = bn.Outputs[0]
			}
			if !n.Is("Conv") || y.IsOutput() || len(x.Shape) < 2 || !slices.EqualFunc(x.Shape, y.Shape, func(a, b graph.Dim) bool { return a.Same(b) }) {
				continue
			}
			if add := y.SoleUse(); add.Is("Add") && slices.Contains(add.Inputs, x) {
				continue
			}
			uses := append([]graph.Use(nil), y.Uses()...)
			add := g.NewNode("", "Add", n.Name+"/shortcut", []*graph.Value{y, x}, []string{n.Name + "/shortcut"}, nil)
			g.InsertAfter(y.Producer(), add)
			add.Outputs[0].Type, add.Outputs[0].Shape = y.Type, y.Shape
			for _, u := range uses {
				u.Node.SetInput(u.Index, add.Outputs[0])
			}
		}
		return next(g, inner)
	}
}
