package graph

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(named(operator("", 1, 2, 1, inferReduce),
		"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
		"ReduceLogSum", "ReduceLogSumExp")...)
	Register(
		operator("ArgMax", 1, 1, 1, inferArg),
		operator("ArgMin", 1, 1, 1, inferArg),
		operator("TopK", 2, 2, 2, inferTopK),
	)
}

// reduced removes the given axes, or leaves them as 1.
func reduced(x Shape, axes []int, keep bool) Shape {
	out := Shape{}
	for i, d := range x {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, d)
		case keep:
			out = append(out, D(1))
		}
	}
	return out
}

func inferReduce(n *Node) error {
	x := n.in(0)
	keep := n.Int("keepdims", 1) != 0
	n.set(0, n.inType(0), nil)
	axes, known := n.Ints("axes"), true // the attribute's form, if an importer kept it
	if n.In(1) != nil {
		axes, known = n.In(1).IntElems()
	}
	switch {
	case !known:
		if x != nil && keep {
			n.set(0, n.inType(0), unknowns(len(x)))
		}
		return nil
	case len(axes) == 0 && n.Int("noop_with_empty_axes", 0) != 0:
		n.set(0, n.inType(0), x)
		return nil
	case x == nil:
		if len(axes) == 0 && !keep {
			n.set(0, n.inType(0), Shape{})
		}
		return nil
	case len(axes) == 0:
		for i := range x {
			axes = append(axes, i)
		}
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), reduced(x, axes, keep))
	if len(axes) == len(x) {
		n.reduceElems()
	}
	return nil
}

// reduceElems reduces all the known elements to one.
func (n *Node) reduceElems() {
	f := map[string]func(a, b Dim) Dim{
		"ReduceProd": dimMul, "ReduceSum": dimAdd, "ReduceMax": dimMax, "ReduceMin": dimMin,
	}[n.Op]
	e := n.In(0).elems()
	if f == nil || len(e) == 0 {
		return
	}
	acc := e[0]
	for _, d := range e[1:] {
		acc = f(acc, d)
	}
	n.setElems(0, []Dim{acc})
}

func inferArg(n *Node) error {
	x := n.in(0)
	n.set(0, tensor.Int64, nil)
	if x == nil {
		return nil
	}
	a, err := axis(n.Int("axis", 0), len(x))
	if err != nil {
		return err
	}
	n.set(0, tensor.Int64, reduced(x, []int{a}, n.Int("keepdims", 1) != 0))
	return nil
}

func inferTopK(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), nil)
	n.set(1, tensor.Int64, nil)
	if x == nil {
		return nil
	}
	a, err := axis(n.Int("axis", -1), len(x))
	if err != nil {
		return err
	}
	out := append(Shape{}, x...)
	out[a] = unknown
	if k := n.In(1).elems(); len(k) == 1 {
		if k[0].Known() && (k[0].Size < 0 || x[a].Known() && k[0].Size > x[a].Size) {
			return fmt.Errorf("operand K is %d, but dimension %d has %v elements", k[0].Size, a, x[a])
		}
		out[a] = k[0]
	}
	n.set(0, n.inType(0), out)
	n.set(1, tensor.Int64, out)
	return nil
}
