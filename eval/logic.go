package eval

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 2, map[string]Func{
		"Less":           relation(func(c int) bool { return c == less }),
		"LessOrEqual":    relation(func(c int) bool { return c == less || c == equal }),
		"Greater":        relation(func(c int) bool { return c == greater }),
		"GreaterOrEqual": relation(func(c int) bool { return c == greater || c == equal }),
		"Equal":          relation(func(c int) bool { return c == equal }),
		"And":            logical(func(a, b bool) bool { return a && b }),
		"Or":             logical(func(a, b bool) bool { return a || b }),
		"Xor":            logical(func(a, b bool) bool { return a != b }),
	})
	register("", arithmetic, 1, map[string]Func{
		"Not": not,
		"BitwiseNot": func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			return one(mapInts(in[0], func(x int64) int64 { return ^x }))
		},
		"IsNaN": isNaN,
		"IsInf": isInf,
		"Clip":  clip,
	})
	register("", movement, 3, map[string]Func{"Where": where})
}

// The outcomes of comparing two elements; unordered is a NaN's.
const (
	less = iota
	equal
	greater
	unordered
)

func compare[T number | string](a, b T) int {
	switch {
	case a < b:
		return less
	case a > b:
		return greater
	case a == b:
		return equal
	}
	return unordered
}

func relation(holds func(int) bool) Func {
	return func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		a, b := in[0], in[1]
		if err := sameTypes(a, b); err != nil {
			return nil, err
		}
		switch d := a.DType; {
		case d == tensor.Float32:
			return one(zip(a, b, func(x, y float32) bool { return holds(compare(x, y)) }))
		case d == tensor.String:
			return one(zip(a, b, func(x, y string) bool { return holds(compare(x, y)) }))
		case d == tensor.Uint64:
			return one(zip(a, b, func(x, y uint64) bool { return holds(compare(x, y)) }))
		case d.IsInt() || d == tensor.Bool:
			a, b = tensor.Of(integers(a), a.Shape...), tensor.Of(integers(b), b.Shape...)
			return one(zip(a, b, func(x, y int64) bool { return holds(compare(x, y)) }))
		default:
			a, b = tensor.Of(floats(a), a.Shape...), tensor.Of(floats(b), b.Shape...)
			return one(zip(a, b, func(x, y float64) bool { return holds(compare(x, y)) }))
		}
	}
}

func logical(f func(a, b bool) bool) Func {
	return func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if in[0].DType != tensor.Bool || in[1].DType != tensor.Bool {
			return nil, fmt.Errorf("operands of types %v and %v, want bool", in[0].DType, in[1].DType)
		}
		return one(zip(in[0], in[1], f))
	}
}

func not(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if in[0].DType != tensor.Bool {
		return nil, fmt.Errorf("operand of type %v, want bool", in[0].DType)
	}
	return one(test(in[0], func(x float64) bool { return x == 0 }), nil)
}

// test makes a bool tensor of a property of each element.
func test(x *tensor.Tensor, f func(float64) bool) *tensor.Tensor {
	out := make([]bool, x.Len())
	for i, v := range floats(x) {
		out[i] = f(v)
	}
	return tensor.Of(out, x.Shape...)
}

func isNaN(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	return one(test(in[0], math.IsNaN), nil)
}

func isInf(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	up, down := n.Int("detect_positive", 1) != 0, n.Int("detect_negative", 1) != 0
	return one(test(in[0], func(x float64) bool {
		return up && math.IsInf(x, 1) || down && math.IsInf(x, -1)
	}), nil)
}

// clip limits to [min, max], each of which may be left out.
func clip(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	for i, op := range []operation{maximum, minimum} {
		bound := input(in, 1+i)
		if bound == nil {
			continue
		}
		if bound.Len() != 1 {
			return nil, fmt.Errorf("bound of shape %v, want a scalar", bound.Shape)
		}
		bound, err := bound.Reshape()
		if err != nil {
			return nil, err
		}
		if x, err = op.apply(x, bound); err != nil {
			return nil, err
		}
	}
	return []*tensor.Tensor{x}, nil
}

// where picks from input 1 where input 0 is true, from input 2 elsewhere.
func where(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	cond, x, y := in[0], in[1], in[2]
	if cond.DType != tensor.Bool {
		return nil, fmt.Errorf("condition of type %v, want bool", cond.DType)
	}
	if err := sameTypes(x, y); err != nil {
		return nil, err
	}
	shape, err := broadcastShape(cond.Shape, x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	out, err := allocate(x.DType, shape...)
	if err != nil {
		return nil, err
	}
	c, o := tensor.Data[bool](cond), 0
	steps := [][]int{spread(cond.Shape, shape), spread(x.Shape, shape), spread(y.Shape, shape)}
	rows(shape, steps, func(n int, at, step []int) {
		for i := 0; i < n; {
			run := 1 // neighbours with the same condition move together
			for i+run < n && c[at[0]+(i+run)*step[0]] == c[at[0]+i*step[0]] {
				run++
			}
			src, k := y, 2
			if c[at[0]+i*step[0]] {
				src, k = x, 1
			}
			copyRow(out, src, o+i, 1, at[k]+i*step[k], step[k], run)
			i += run
		}
		o += n
	})
	return []*tensor.Tensor{out}, nil
}
