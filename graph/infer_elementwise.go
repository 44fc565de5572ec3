package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(named(operator("", 1, 1, 1, inferSame),
		"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Mish", "Gelu", "Erf",
		"Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Shrink", "Swish", "Abs", "Neg", "Exp", "Log", "Sqrt",
		"Reciprocal", "Sign", "Ceil", "Floor", "Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh",
		"Asinh", "Acosh", "Atanh", "Identity", "BitwiseNot", "LRN", "MeanVarianceNormalization")...)
	Register(named(operator("", 1, 1, 1, inferSameAxis), "Softmax", "LogSoftmax", "Hardmax", "LpNormalization")...)
	Register(named(operator("", 1, 1, 1, inferSameBool), "IsNaN", "IsInf", "Not")...)
	Register(named(operator("", 2, 2, 1, inferBroadcast),
		"Add", "Sub", "Mul", "Div", "Pow", "Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift")...)
	Register(named(operator("", 1, -1, 1, inferBroadcast), "Min", "Max", "Sum", "Mean")...)
	Register(named(operator("", 2, 2, 1, inferCompare),
		"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")...)
	Register(
		operator("Clip", 1, 3, 1, inferClip),
		operator("CumSum", 2, 2, 1, inferSame),
		operator("Dropout", 1, 3, 2, inferDropout),
		operator("PRelu", 2, 2, 1, inferPRelu),
		operator("Where", 3, 3, 1, inferWhere),
		operator("Cast", 1, 1, 1, inferCast),
		operator("CastLike", 2, 2, 1, inferCastLike),
	)
	gelu := operator("Gelu", 1, 1, 1, inferSame)
	gelu.Domain = MicrosoftDomain
	Register(gelu)
}

// inferSame is for operators whose output has its first input's type and
// shape.
func inferSame(n *Node) error {
	n.set(0, n.inType(0), n.in(0))
	switch n.Op {
	case "Identity", "Floor", "Ceil", "Round":
		n.setElems(0, n.In(0).elems())
	case "Neg":
		n.mapElems(func(a Dim) Dim { return dimSub(D(0), a) })
	}
	return nil
}

// inferSameAxis is inferSame with an attribute axis, by default the last.
func inferSameAxis(n *Node) error {
	if s := n.in(0); s != nil {
		if _, err := axis(n.Int("axis", -1), max(len(s), 1)); err != nil {
			return err
		}
	}
	return inferSame(n)
}

func inferSameBool(n *Node) error {
	n.set(0, tensor.Bool, n.in(0))
	return nil
}

// inferBroadcast is for arithmetic on any number of inputs.
func inferBroadcast(n *Node) error {
	s, err := n.broadcastInputs()
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	if f := dimArithmetic[n.Op]; f != nil {
		n.foldElems(f)
	}
	return nil
}

// dimArithmetic lists the arithmetic that shape inference follows.
var dimArithmetic = map[string]func(a, b Dim) Dim{
	"Add": dimAdd, "Sub": dimSub, "Mul": dimMul, "Div": dimDiv, "Min": dimMin, "Max": dimMax, "Sum": dimAdd,
}

func (n *Node) broadcastInputs() (Shape, error) {
	var shapes []Shape
	for i, v := range n.Inputs {
		if v == nil {
			return nil, fmt.Errorf("lacks its input %d", i)
		}
		shapes = append(shapes, v.Shape)
	}
	return broadcast(shapes...)
}

// mapElems applies f to the known elements of input 0.
func (n *Node) mapElems(f func(Dim) Dim) {
	in := n.In(0).elems()
	if in == nil {
		return
	}
	out := make([]Dim, len(in))
	for i, d := range in {
		out[i] = f(d)
	}
	n.setElems(0, out)
}

// foldElems combines the inputs' known elements from the left with f. Inputs
// must have equally many elements, or one.
func (n *Node) foldElems(f func(a, b Dim) Dim) {
	acc := n.In(0).elems()
	for _, v := range n.Inputs[1:] {
		acc = zipElems(acc, v.elems(), f)
		// A division of floats is exact only where nothing is left over.
		if n.Op == "Div" && v.Type.IsFloat() {
			acc = exactQuotients(n.In(0).elems(), v.elems(), acc)
		}
	}
	n.setElems(0, acc)
}

// exactQuotients forgets the elements of q that are not exactly a/b.
func exactQuotients(a, b, q []Dim) []Dim {
	if q == nil {
		return nil
	}
	back := zipElems(q, b, dimMul)
	return zipElems(zipElems(a, back, func(x, y Dim) Dim {
		if x.Same(y) {
			return D(1)
		}
		return D(0)
	}), q, func(exact, v Dim) Dim {
		if exact.Size == 1 {
			return v
		}
		return unknown
	})
}

func zipElems(a, b []Dim, f func(a, b Dim) Dim) []Dim {
	if a == nil || b == nil || len(a) != len(b) && len(a) != 1 && len(b) != 1 {
		return nil
	}
	if len(a) == 0 || len(b) == 0 {
		return []Dim{}
	}
	out := make([]Dim, max(len(a), len(b)))
	for i := range out {
		out[i] = f(a[min(i, len(a)-1)], b[min(i, len(b)-1)])
	}
	return out
}

func inferCompare(n *Node) error {
	s, err := n.broadcastInputs()
	if err != nil {
		return err
	}
	n.set(0, tensor.Bool, s)
	compare := map[string]func(a, b int) bool{
		"Equal":          func(a, b int) bool { return a == b },
		"Less":           func(a, b int) bool { return a < b },
		"LessOrEqual":    func(a, b int) bool { return a <= b },
		"Greater":        func(a, b int) bool { return a > b },
		"GreaterOrEqual": func(a, b int) bool { return a >= b },
	}[n.Op]
	if compare == nil {
		return nil
	}
	n.foldElems(func(a, b Dim) Dim {
		switch {
		case n.Op == "Equal" && a.Same(b):
			return D(1)
		case a.Known() && b.Known():
			if compare(a.Size, b.Size) {
				return D(1)
			}
			return D(0)
		case n.Op == "Equal" && (a.Known() && a.Size < 0 || b.Known() && b.Size < 0):
			return D(0) // a dimension is never negative, and never equal to -1
		}
		return unknown
	})
	return nil
}

func inferWhere(n *Node) error {
	s, err := broadcast(n.in(0), n.in(1), n.in(2))
	if err != nil {
		return err
	}
	n.set(0, n.inType(1), s)
	cond, x, y := n.In(0).elems(), n.In(1).elems(), n.In(2).elems()
	// Pair the two choices by position, then pick.
	chosen := zipElems(cond, x, func(c, v Dim) Dim {
		if c.Known() && c.Size != 0 {
			return v
		}
		return unknown
	})
	other := zipElems(cond, y, func(c, v Dim) Dim {
		if c.Known() && c.Size == 0 {
			return v
		}
		return unknown
	})
	n.setElems(0, zipElems(chosen, other, func(a, b Dim) Dim {
		if a.Known() || a.Name != "" {
			return a
		}
		return b
	}))
	return nil
}

func inferClip(n *Node) error {
	for i := 1; i < len(n.Inputs); i++ {
		if s := n.in(i); len(s) > 1 || len(s) == 1 && s[0].Known() && s[0].Size != 1 {
			return fmt.Errorf("input %d (a bound) has shape %v, want a scalar", i, s)
		}
	}
	return inferSame(n)
}

func inferDropout(n *Node) error {
	n.set(0, n.inType(0), n.in(0))
	n.set(1, tensor.Bool, n.in(0))
	return nil
}

// inferPRelu: the slope broadcasts to the input, never the other way.
func inferPRelu(n *Node) error {
	x, slope := n.in(0), n.in(1)
	n.set(0, n.inType(0), x)
	if x == nil || slope == nil {
		return nil
	}
	s, err := broadcast(x, slope)
	if err != nil {
		return fmt.Errorf("%w; a slope per channel has shape Cx1x1", err)
	}
	if len(s) != len(x) {
		return fmt.Errorf("the slope of shape %v does not broadcast to the input's %v", slope, x)
	}
	return nil
}

func inferCast(n *Node) error {
	to := tensor.DType(n.Int("to", 0))
	if !to.Known() {
		return fmt.Errorf("attribute to = %d is not an element type", n.Int("to", 0))
	}
	n.set(0, to, n.in(0))
	n.castElems(to)
	return nil
}

func inferCastLike(n *Node) error {
	n.set(0, n.inType(1), n.in(0))
	n.castElems(n.inType(1))
	return nil
}

func (n *Node) castElems(to tensor.DType) {
	switch {
	case to == tensor.Bool:
		n.mapElems(func(d Dim) Dim {
			switch {
			case !d.Known():
				return unknown
			case d.Size != 0:
				return D(1)
			}
			return d
		})
	case to.Bits() >= 32 && !(to.IsFloat() && to.Bits() < 32):
		n.setElems(0, n.In(0).elems())
	}
}
