package autodiff

import "github.com/drawknife/drawknife/graph"

func init() {
	register(addRule, "Add", "Sum")
	register(subRule, "Sub")
	register(mulRule, "Mul")
	register(divRule, "Div")
	register(powRule, "Pow")
	register(meanRule, "Mean")
	register(extremeRule, "Min", "Max")
	register(whereRule, "Where")
	register(castRule, "Cast")
}

// each builds the gradients of the inputs that want one, undoing broadcasting.
func each(b *Builder, n *graph.Node, f func(i int) *graph.Value) []*graph.Value {
	dx := make([]*graph.Value, len(n.Inputs))
	for i := range dx {
		if b.Wants(n, i) {
			dx[i] = b.Unbroadcast(f(i), n.Inputs[i])
		}
	}
	return dx
}

func addRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return each(b, n, func(int) *graph.Value { return dy[0] }), nil
}

func subRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	dx := each(b, n, func(int) *graph.Value { return dy[0] })
	if dx[1] != nil {
		dx[1] = b.Op("Neg", nil, dx[1]) // of the sum, which may be small
	}
	return dx, nil
}

func mulRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return each(b, n, func(i int) *graph.Value { return b.Op("Mul", nil, dy[0], n.Inputs[1-i]) }), nil
}

// divRule: y = p/q has dp = dy/q and dq = -dy·y/q.
func divRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return each(b, n, func(i int) *graph.Value {
		d := b.Op("Div", nil, dy[0], n.Inputs[1])
		if i == 1 {
			d = b.Op("Neg", nil, b.Op("Mul", nil, d, n.Outputs[0]))
		}
		return d
	}), nil
}

// powRule: y = x^p has dx = dy·p·x^(p-1) and dp = dy·y·log x.
func powRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, p := n.Inputs[0], n.Inputs[1]
	return each(b, n, func(i int) *graph.Value {
		if i == 1 {
			return b.Op("Mul", nil, dy[0], b.Op("Mul", nil, n.Outputs[0], b.Op("Log", nil, x)))
		}
		if p.Type != x.Type {
			p = b.Op("Cast", graph.Attrs{"to": int64(x.Type)}, p)
		}
		slope := b.Op("Mul", nil, p, b.Op("Pow", nil, x, b.Op("Sub", nil, p, b.Scalar(p, 1))))
		return b.Op("Mul", nil, dy[0], slope)
	}), nil
}

func meanRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	d := b.Scale(dy[0], 1/float64(len(n.Inputs)))
	return each(b, n, func(int) *graph.Value { return d }), nil
}

// extremeRule shares the gradient equally between the inputs that attain the
// extreme.
func extremeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	y := n.Outputs[0]
	if len(n.Inputs) == 1 {
		return []*graph.Value{dy[0]}, nil
	}
	hits := make([]*graph.Value, len(n.Inputs))
	var count *graph.Value
	for i, x := range n.Inputs {
		hits[i] = b.mask("Equal", x, y)
		if count == nil {
			count = hits[i]
		} else {
			count = b.Op("Add", nil, count, hits[i])
		}
	}
	share := b.Op("Div", nil, dy[0], count)
	return each(b, n, func(i int) *graph.Value { return b.Op("Mul", nil, share, hits[i]) }), nil
}

// mask compares two values and gives 1 where it holds, else 0.
func (b *Builder) mask(op string, x, y *graph.Value) *graph.Value {
	return b.Op("Cast", graph.Attrs{"to": int64(x.Type)}, b.Op(op, nil, x, y))
}

func whereRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	zero := b.Scalar(dy[0], 0)
	return each(b, n, func(i int) *graph.Value {
		if i == 1 {
			return b.Op("Where", nil, n.Inputs[0], dy[0], zero)
		}
		return b.Op("Where", nil, n.Inputs[0], zero, dy[0])
	}), nil
}

func castRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x := n.Inputs[0]
	if !x.Type.IsFloat() {
		return nil, nil
	}
	return []*graph.Value{b.Op("Cast", graph.Attrs{"to": int64(x.Type)}, dy[0])}, nil
}
