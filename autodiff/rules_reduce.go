package autodiff

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

func init() {
	register(reduceRule, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd",
		"ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
}

// reduceAxes lists the axes that n reduces, nil if it does nothing.
func reduceAxes(n *graph.Node) ([]int, error) {
	rank := len(n.Inputs[0].Shape)
	if n.Inputs[0].Shape == nil {
		return nil, fmt.Errorf("the rank of the input is not known")
	}
	axes := n.Ints("axes")
	if v := n.In(1); v != nil {
		var ok bool
		if axes, ok = v.IntElems(); !ok {
			return nil, fmt.Errorf("the axes %q are not known", v.Name)
		}
	}
	if len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return nil, nil
		}
		for i := range rank {
			axes = append(axes, i)
		}
	}
	out := make([]int, len(axes))
	for i, a := range axes {
		if out[i] = a; a < 0 {
			out[i] += rank
		}
	}
	return out, nil
}

func reduceRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x := n.Inputs[0]
	axes, err := reduceAxes(n)
	if err != nil {
		return nil, err
	}
	if len(axes) == 0 {
		return []*graph.Value{dy[0]}, nil
	}
	d, y := dy[0], n.Outputs[0]
	if n.Int("keepdims", 1) == 0 {
		d = b.Op("Unsqueeze", nil, d, b.Ints(axes...))
		y = b.Op("Unsqueeze", nil, y, b.Ints(axes...))
	}
	mul := func(p, q *graph.Value) *graph.Value { return b.Op("Mul", nil, p, q) }
	var dx *graph.Value
	switch n.Op {
	case "ReduceSum":
		dx = b.spread(d, x)
	case "ReduceMean":
		dx = b.spread(b.Op("Div", nil, d, b.elements(x, axes)), x)
	case "ReduceMax", "ReduceMin":
		dx = b.sharedByEqual(x, y, d, axes)
	case "ReduceL1":
		dx = mul(b.Op("Sign", nil, x), d)
	case "ReduceL2": // 0 at the origin
		zero := b.Scalar(x, 0)
		dx = mul(x, b.Op("Where", nil, b.Op("Equal", nil, y, zero), zero, b.Op("Div", nil, d, y)))
	case "ReduceProd":
		dx = b.Op("Div", nil, mul(d, y), x)
	case "ReduceSumSquare":
		dx = mul(x, b.Scale(d, 2))
	case "ReduceLogSum":
		dx = b.spread(b.Op("Div", nil, d, b.Op("Exp", nil, y)), x)
	case "ReduceLogSumExp":
		dx = mul(d, b.Op("Exp", nil, b.Op("Sub", nil, x, y)))
	}
	return []*graph.Value{dx}, nil
}

// spread repeats v along the axes where it holds 1, to the shape of x.
func (b *Builder) spread(v, x *graph.Value) *graph.Value {
	return b.Op("Expand", nil, v, b.Op("Shape", nil, x))
}
