package qat

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("reactnet", "Bi-Real Net with a learned threshold for each channel's sign, and a learned slope and shifts for its activation",
		"Liu et al., ReActNet: towards precise binary neural network with generalized activation functions, ECCV", 2020, []method.Option{steOption("polynomial"), realOption("0.4")},
		func(o opts) *Method {
			signs := signInputs(o.estimator())
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 2e-3, Batch: 32, NoDecay: true}, Structure: withShortcuts(slopes),
				Weights: realFirst(o.number("real")),
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					if l.ABits > 1 || len(l.Node.Inputs[0].Shape) < 2 {
						return nil
					}
					shifted(b, l)
					return signs(b, l)
				},
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{temperatures(b), &later{names: b.Shares, at: o.number("real")}}
				}}
		})
}

// shifted takes a learned threshold for each channel off what the layer reads
// (ReActNet's RSign).
func shifted(b *Builder, l *Layer) {
	x := l.Node.Inputs[0]
	shape := make([]int, len(x.Shape)-1)
	for i := range shape {
		shape[i] = 1
	}
	shape[0] = x.Shape[1].Size
	th := b.Own(l, fake.Learned, "inputs/learned", nil, b.Variable(l, "inputs/threshold", tensor.New(tensor.Float32, shape...)))
	name := l.Node.Name + "/inputs/shift"
	sub := b.Graph.NewNode("", "Sub", name, []*graph.Value{x, th}, []string{name}, nil)
	b.Graph.InsertBefore(l.Node, sub)
	sub.Outputs[0].Type, sub.Outputs[0].Shape = x.Type, x.Shape
	l.Node.SetInput(0, sub.Outputs[0])
}

// slopes replaces every Relu by ReActNet's RPReLU, y = PReLU(x − γ) + ζ, whose
// slope and two shifts are learned for each channel.
func slopes(g *graph.Graph, _ []*graph.Node) error {
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		x, y := n.In(0), n.Outputs[0]
		if !n.Is("Relu") || len(x.Shape) < 2 || !x.Shape[1].Known() {
			continue
		}
		shape := make([]int, len(x.Shape)-1)
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = x.Shape[1].Size
		slope := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](slope); i < len(d); i++ {
			d[i] = 0.25
		}
		node := func(domain, op, what string, in ...*graph.Value) *graph.Node {
			m := g.NewNode(domain, op, n.Name+"/"+what, in, []string{n.Name + "/" + what}, nil)
			m.Outputs[0].Type, m.Outputs[0].Shape = in[0].Type, in[0].Shape
			return m
		}
		learned := func(what string) *graph.Node {
			m := node(graph.DrawknifeDomain, fake.Learned, what+"/learned", g.AddConst(n.Name+"/"+what, tensor.New(tensor.Float32, shape...)))
			g.InsertBefore(n, m)
			return m
		}
		sub := node("", "Sub", "shifted", x, learned("before").Outputs[0])
		g.InsertBefore(n, sub)
		after := learned("behind")
		uses := append([]graph.Use(nil), y.Uses()...)
		n.Op = "PRelu"
		n.SetInputs(sub.Outputs[0], g.AddConst(n.Name+"/slope", slope))
		add := node("", "Add", "moved", y, after.Outputs[0])
		g.InsertAfter(n, add)
		for _, u := range uses {
			u.Node.SetInput(u.Index, add.Outputs[0])
		}
		for i, o := range g.Outputs {
			if o == y {
				g.Outputs[i] = add.Outputs[0]
			}
		}
	}
	return nil
}
