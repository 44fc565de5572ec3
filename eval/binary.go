package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// operation is a binary operator in the three domains of arithmetic; nil
// where it is not defined. Narrower types compute in the widest of their
// domain and wrap around.
type operation struct {
	float  func(a, b float64) float64
	signed func(a, b int64) int64
	plain  func(a, b uint64) uint64 // unsigned
}

var (
	add = operation{
		func(a, b float64) float64 { return a + b },
		func(a, b int64) int64 { return a + b },
		func(a, b uint64) uint64 { return a + b },
	}
	sub = operation{
		func(a, b float64) float64 { return a - b },
		func(a, b int64) int64 { return a - b },
		func(a, b uint64) uint64 { return a - b },
	}
	mul = operation{
		func(a, b float64) float64 { return a * b },
		func(a, b int64) int64 { return a * b },
		func(a, b uint64) uint64 { return a * b },
	}
	div = operation{
		func(a, b float64) float64 { return a / b },
		func(a, b int64) int64 {
			if b == 0 {
				return 0
			}
			return a / b
		},
		func(a, b uint64) uint64 {
			if b == 0 {
				return 0
			}
			return a / b
		},
	}
	minimum = operation{
		math.Min,
		func(a, b int64) int64 { return min(a, b) },
		func(a, b uint64) uint64 { return min(a, b) },
	}
	maximum = operation{
		math.Max,
		func(a, b int64) int64 { return max(a, b) },
		func(a, b uint64) uint64 { return max(a, b) },
	}
	// modulo has the sign of the divisor, as in Python; floats must ask for
	// remainder instead.
	modulo = operation{
		nil,
		func(a, b int64) int64 {
			if b == 0 {
				return 0
			}
			if m := a % b; m == 0 || m < 0 == (b < 0) {
				return m
			} else {
				return m + b
			}
		},
		remainder.plain,
	}
	// remainder has the sign of the dividend, as C's fmod.
	remainder = operation{
		math.Mod,
		func(a, b int64) int64 {
			if b == 0 {
				return 0
			}
			return a % b
		},
		func(a, b uint64) uint64 {
			if b == 0 {
				return 0
			}
			return a % b
		},
	}
	bitAnd = operation{nil, func(a, b int64) int64 { return a & b }, func(a, b uint64) uint64 { return a & b }}
	bitOr  = operation{nil, func(a, b int64) int64 { return a | b }, func(a, b uint64) uint64 { return a | b }}
	bitXor = operation{nil, func(a, b int64) int64 { return a ^ b }, func(a, b uint64) uint64 { return a ^ b }}
	left   = operation{nil, nil, func(a, b uint64) uint64 { return a << b }}
	right  = operation{nil, nil, func(a, b uint64) uint64 { return a >> b }}
)

func init() {
	register("", arithmetic, 2, map[string]Func{
		"Add": add.node, "Sub": sub.node, "Mul": mul.node, "Div": div.node, "Pow": pow, "PRelu": prelu,
		"BitwiseAnd": bitAnd.node, "BitwiseOr": bitOr.node, "BitwiseXor": bitXor.node,
		"Mod": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if n.Int("fmod", 0) != 0 {
				return remainder.node(n, in)
			}
			return modulo.node(n, in)
		},
		"BitShift": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if n.Str("direction", "") == "LEFT" {
				return left.node(n, in)
			}
			return right.node(n, in)
		},
	})
	register("", arithmetic, 1, map[string]Func{
		"Sum": add.fold, "Max": maximum.fold, "Min": minimum.fold, "Mean": mean,
	})
}

// node is the operator as a Func of two inputs.
func (op operation) node(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	return one(op.apply(in[0], in[1]))
}

// fold is the operator as a Func of any number of inputs.
func (op operation) fold(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	acc := in[0]
	for _, t := range in[1:] {
		if t == nil {
			return nil, fmt.Errorf("an input is left out")
		}
		var err error
		if acc, err = op.apply(acc, t); err != nil {
			return nil, err
		}
	}
	return []*tensor.Tensor{acc}, nil
}

func mean(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out, err := add.fold(n, in)
	if err != nil {
		return nil, err
	}
	count, err := ofFloats(in[0].DType, []float64{float64(len(in))}, nil)
	if err != nil {
		return nil, err
	}
	return div.node(n, []*tensor.Tensor{out[0], count})
}

// apply computes op on two tensors of one type, broadcasting.
func (op operation) apply(a, b *tensor.Tensor) (*tensor.Tensor, error) {
	if err := sameTypes(a, b); err != nil {
		return nil, err
	}
	d := a.DType
	switch {
	case d.IsFloat() && op.float == nil, d.Signed() && op.signed == nil, d.IsInt() && !d.Signed() && op.plain == nil:
		return nil, fmt.Errorf("not defined for %v", d)
	}
	switch d {
	case tensor.Float32:
		return zip(a, b, func(x, y float32) float32 { return float32(op.float(float64(x), float64(y))) })
	case tensor.Float64:
		return zip(a, b, op.float)
	case tensor.Int8:
		return zip(a, b, func(x, y int8) int8 { return int8(op.signed(int64(x), int64(y))) })
	case tensor.Int16:
		return zip(a, b, func(x, y int16) int16 { return int16(op.signed(int64(x), int64(y))) })
	case tensor.Int32:
		return zip(a, b, func(x, y int32) int32 { return int32(op.signed(int64(x), int64(y))) })
	case tensor.Int64:
		return zip(a, b, op.signed)
	case tensor.Uint8:
		return zip(a, b, func(x, y uint8) uint8 { return uint8(op.plain(uint64(x), uint64(y))) })
	case tensor.Uint16:
		return zip(a, b, func(x, y uint16) uint16 { return uint16(op.plain(uint64(x), uint64(y))) })
	case tensor.Uint32:
		return zip(a, b, func(x, y uint32) uint32 { return uint32(op.plain(uint64(x), uint64(y))) })
	case tensor.Uint64:
		return zip(a, b, op.plain)
	}
	return nil, fmt.Errorf("not defined for %v", d)
}

// zip applies f to the pairs of elements of a and b, broadcasting.
func zip[A, B, O tensor.Elem](a, b *tensor.Tensor, f func(A, B) O) (*tensor.Tensor, error) {
	shape, err := broadcastShape(a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	x, y := tensor.Data[A](a), tensor.Data[B](b)
	out := make([]O, product(shape))
	o := 0
	rows(shape, [][]int{spread(a.Shape, shape), spread(b.Shape, shape)}, func(n int, at, step []int) {
		i, j := at[0], at[1]
		for k := range n {
			out[o+k] = f(x[i], y[j])
			i += step[0]
			j += step[1]
		}
		o += n
	})
	return tensor.Of(out, shape...), nil
}

// pow raises to a power; the exponent may have a type of its own, the result
// has the base's. Integers to integer powers wrap around.
func pow(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	base, exp := in[0], in[1]
	if base.DType.IsInt() && exp.DType.IsInt() {
		x, y := tensor.Of(integers(base), base.Shape...), tensor.Of(integers(exp), exp.Shape...)
		t, err := zip(x, y, intPow)
		if err != nil {
			return nil, err
		}
		return one(t.Convert(base.DType))
	}
	x, y := tensor.Of(floats(base), base.Shape...), tensor.Of(floats(exp), exp.Shape...)
	t, err := zip(x, y, math.Pow)
	if err != nil {
		return nil, err
	}
	return one(t.Convert(base.DType))
}

func intPow(base, exp int64) int64 {
	if exp < 0 {
		switch base {
		case 1:
			return 1
		case -1:
			return 1 - 2*(exp&1)
		}
		return 0
	}
	result := int64(1)
	for ; exp > 0; exp >>= 1 {
		if exp&1 == 1 {
			result *= base
		}
		base *= base
	}
	return result
}

// prelu is x where x ≥ 0, slope·x elsewhere; slope is broadcast to x.
func prelu(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, slope := in[0], in[1]
	if shape, err := broadcastShape(x.Shape, slope.Shape); err != nil || !slices.Equal(shape, x.Shape) {
		return nil, fmt.Errorf("slope of shape %v cannot be broadcast to %v", slope.Shape, x.Shape)
	}
	op := operation{
		func(x, s float64) float64 {
			if x < 0 {
				return x * s
			}
			return x
		},
		func(x, s int64) int64 {
			if x < 0 {
				return x * s
			}
			return x
		},
		func(x, _ uint64) uint64 { return x },
	}
	return one(op.apply(x, slope))
}
