package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Operators that work on each line along one axis.

func init() {
	register("", arithmetic, 1, map[string]Func{
		"Softmax": axisFunc(softmax), "LogSoftmax": axisFunc(logSoftmax), "Hardmax": axisFunc(hardmax),
	})
	register("", arithmetic, 2, map[string]Func{"TopK": topK, "CumSum": cumSum})
}

func softmax(v []float64) {
	top, total := reduceFloats(v, math.Inf(-1), math.Max), 0.0
	for i := range v {
		v[i] = math.Exp(v[i] - top)
		total += v[i]
	}
	for i := range v {
		v[i] /= total
	}
}

func logSoftmax(v []float64) {
	total := logSumExp(v)
	for i := range v {
		v[i] -= total
	}
}

// hardmax puts 1 at the first greatest element, 0 elsewhere.
func hardmax(v []float64) {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	clear(v)
	if len(v) > 0 {
		v[best] = 1
	}
}

// axisFunc makes a Func that rewrites each line along the attribute axis.
func axisFunc(f func([]float64)) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		return alongAxis(in[0], n.Int("axis", -1), f)
	}
}

func alongAxis(x *tensor.Tensor, axis int, f func([]float64)) ([]*tensor.Tensor, error) {
	axis, err := normAxis(axis, x.Rank())
	if err != nil {
		return nil, err
	}
	data, out := floats(x), make([]float64, x.Len())
	part := make([]float64, x.Shape[axis])
	eachReduced(x.Shape, []int{axis}, func(_ int, at []int) {
		for i, a := range at {
			part[i] = data[a]
		}
		f(part)
		for i, a := range at {
			out[a] = part[i]
		}
	})
	return one(ofFloats(x.DType, out, x.Shape))
}

// cumSum adds up along an axis, with or without the element itself, from
// either end.
func cumSum(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	a, err := scalar(in[1], "axis")
	if err != nil {
		return nil, err
	}
	axis, err := normAxis(int(a), x.Rank())
	if err != nil {
		return nil, err
	}
	exclusive, reverse := n.Int("exclusive", 0) != 0, n.Int("reverse", 0) != 0
	if x.DType.IsInt() {
		out := running(integers(x), x.Shape, axis, exclusive, reverse)
		return one(ofInts(x.DType, out, x.Shape))
	}
	return one(ofFloats(x.DType, running(floats(x), x.Shape, axis, exclusive, reverse), x.Shape))
}

func running[T float64 | int64](data []T, shape []int, axis int, exclusive, reverse bool) []T {
	out := make([]T, len(data))
	eachReduced(shape, []int{axis}, func(_ int, at []int) {
		var total T
		for i := range at {
			a := at[i]
			if reverse {
				a = at[len(at)-1-i]
			}
			if exclusive {
				out[a] = total
			}
			total += data[a]
			if !exclusive {
				out[a] = total
			}
		}
	})
	return out
}

// topK returns the k largest or smallest elements along an axis, best first
// (equal ones in order of position), and their positions.
func topK(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axis, err := normAxis(n.Int("axis", -1), x.Rank())
	if err != nil {
		return nil, err
	}
	count, err := scalar(in[1], "k")
	if err != nil {
		return nil, err
	}
	k := int(count)
	if k < 0 || k > x.Shape[axis] {
		return nil, fmt.Errorf("k is %d for an axis of %d elements", k, x.Shape[axis])
	}
	shape := slices.Clone(x.Shape)
	shape[axis] = k
	values, err := allocate(x.DType, shape...)
	if err != nil {
		return nil, err
	}
	data, positions := floats(x), make([]int64, values.Len())
	largest, step := n.Int("largest", 1) != 0, product(shape[axis+1:])
	eachReduced(x.Shape, []int{axis}, func(o int, at []int) {
		order := upTo(len(at))
		slices.SortStableFunc(order, func(i, j int) int {
			a, b := data[at[i]], data[at[j]]
			if largest {
				a, b = b, a
			}
			switch {
			case a < b:
				return -1
			case a > b:
				return 1
			}
			return 0
		})
		to := o/step*step*k + o%step
		for i := range k {
			copyRow(values, x, to+i*step, 1, at[order[i]], 1, 1)
			positions[to+i*step] = int64(order[i])
		}
	})
	return []*tensor.Tensor{values, tensor.Of(positions, shape...)}, nil
}
