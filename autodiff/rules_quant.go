package autodiff

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(quantizeRule, "QuantizeLinear")
	register(dequantizeRule, "DequantizeLinear")
}

// dequantizeRule hands the gradient on to QuantizeLinear in the units of the
// real value: between the two, rounding counts as the identity.
func dequantizeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	if !n.Inputs[0].Producer().Is("QuantizeLinear") {
		return nil, nil
	}
	return []*graph.Value{dy[0]}, nil
}

// quantizeRule is the clipped straight-through estimator: the gradient passes
// where the value lies inside the range of the grid, and is 0 outside.
func quantizeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, scale := n.Inputs[0], n.Inputs[1]
	q := n.Outputs[0].Type
	if q.Bits() == 0 || !q.IsInt() || q.Bits() > 32 {
		return nil, fmt.Errorf("no straight-through estimator for %v", q)
	}
	least, most := 0.0, math.Ldexp(1, q.Bits())-1
	if q.Signed() {
		least, most = -math.Ldexp(1, q.Bits()-1), math.Ldexp(1, q.Bits()-1)-1
	}
	bound := func(v float64) *graph.Value {
		c := b.Scalar(x, v)
		if z := n.In(2); z != nil {
			c = b.Op("Sub", nil, c, b.Op("Cast", graph.Attrs{"to": int64(x.Type)}, z))
		}
		return b.alongAxis(b.Op("Mul", nil, c, scale), x, n.Int("axis", 1))
	}
	inside := b.Op("And", nil,
		b.Op("GreaterOrEqual", nil, x, bound(least)), b.Op("LessOrEqual", nil, x, bound(most)))
	return []*graph.Value{b.Op("Where", nil, inside, dy[0], b.Scalar(x, 0))}, nil
}

// alongAxis reshapes a list so that it runs along the given axis of x.
func (b *Builder) alongAxis(v, x *graph.Value, axis int) *graph.Value {
	if len(v.Shape) != 1 || isOne(v.Shape[0]) && v.Type != tensor.Invalid {
		return v
	}
	if axis < 0 {
		axis += len(x.Shape)
	}
	dims := make([]int, max(len(x.Shape)-axis, 1))
	for i := range dims {
		dims[i] = 1
	}
	dims[0] = -1
	return b.Op("Reshape", nil, v, b.Ints(dims...))
}
