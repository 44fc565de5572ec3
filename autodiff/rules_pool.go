package autodiff

import "github.com/drawknife/drawknife/graph"

func init() {
	register(poolRule("MaxPoolGrad", false), "MaxPool")
	register(poolRule("AveragePoolGrad", false), "AveragePool")
	register(poolRule("LpPoolGrad", true), "LpPool")
	register(poolRule("GlobalAveragePoolGrad", false), "GlobalAveragePool")
	register(globalMaxRule, "GlobalMaxPool")
	register(resizeRule, "Resize")
}

func poolRule(op string, output bool) Rule {
	return func(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		if dy[0] == nil {
			return nil, nil
		}
		in := []*graph.Value{dy[0], n.Inputs[0]}
		if output {
			in = append(in, n.Outputs[0])
		}
		return []*graph.Value{b.Own(op, n.Attrs.Clone(), in...)}, nil
	}
}

func globalMaxRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	var axes []int
	for i := 2; i < len(n.Inputs[0].Shape); i++ {
		axes = append(axes, i)
	}
	return []*graph.Value{b.sharedByEqual(n.Inputs[0], n.Outputs[0], dy[0], axes)}, nil
}

// sharedByEqual gives each gradient, in equal shares, to the elements of x
// that equal y, where y and dy hold 1 along axes.
func (b *Builder) sharedByEqual(x, y, dy *graph.Value, axes []int) *graph.Value {
	hit := b.mask("Equal", x, y)
	return b.Op("Mul", nil, hit, b.Op("Div", nil, dy, b.Sum(hit, axes...)))
}

func resizeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	in := append([]*graph.Value{dy[0], n.Inputs[0]}, n.Inputs[1:]...)
	return []*graph.Value{b.Own("ResizeGrad", n.Attrs.Clone(), in...)}, nil
}
