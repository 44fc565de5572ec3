package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	abs := func(x int64) int64 { return max(x, -x) }
	square := func(x int64) int64 { return x * x }
	self := func(x int64) int64 { return x }
	register("", arithmetic, 1, map[string]Func{
		"ReduceSum": reduction(sum, intSum(self)),
		"ReduceSumSquare": reduction(func(x []float64) float64 {
			return reduceFloats(x, 0, func(a, v float64) float64 { return a + v*v })
		}, intSum(square)),
		"ReduceMean": reduction(func(x []float64) float64 { return sum(x) / float64(len(x)) }, func(x []int64) int64 {
			return intSum(self)(x) / int64(max(len(x), 1))
		}),
		"ReduceMax":  reduction(func(x []float64) float64 { return reduceFloats(x, math.Inf(-1), math.Max) }, maxInt),
		"ReduceMin":  reduction(func(x []float64) float64 { return reduceFloats(x, math.Inf(1), math.Min) }, minInt),
		"ReduceProd": reduction(product1, intProduct),
		"ReduceL1":   reduction(func(x []float64) float64 { return lpNorm(x, 1) }, intSum(abs)),
		"ReduceL2": reduction(euclid, func(x []int64) int64 {
			return int64(math.Sqrt(float64(intSum(square)(x))))
		}),
		"ReduceLogSum": reduction(func(x []float64) float64 { return math.Log(sum(x)) }, func(x []int64) int64 {
			return int64(math.Log(float64(intSum(self)(x))))
		}),
		"ReduceLogSumExp": reduction(logSumExp, func(x []int64) int64 {
			return int64(logSumExp(convert[float64](x)))
		}),
		"ArgMax": arg(func(a, b float64) bool { return a > b }),
		"ArgMin": arg(func(a, b float64) bool { return a < b }),
	})
}

func product1(x []float64) float64 {
	return reduceFloats(x, 1, func(a, b float64) float64 { return a * b })
}

func euclid(x []float64) float64 {
	return math.Sqrt(reduceFloats(x, 0, func(a, v float64) float64 { return a + v*v }))
}

func logSumExp(x []float64) float64 {
	top := reduceFloats(x, math.Inf(-1), math.Max)
	if math.IsInf(top, 0) {
		return top
	}
	total := 0.0
	for _, v := range x {
		total += math.Exp(v - top)
	}
	return top + math.Log(total)
}

func intSum(f func(int64) int64) func([]int64) int64 {
	return func(x []int64) int64 {
		s := int64(0)
		for _, v := range x {
			s += f(v)
		}
		return s
	}
}

func intProduct(x []int64) int64 {
	p := int64(1)
	for _, v := range x {
		p *= v
	}
	return p
}

func maxInt(x []int64) int64 {
	if len(x) == 0 {
		return math.MinInt64
	}
	return slices.Max(x)
}

func minInt(x []int64) int64 {
	if len(x) == 0 {
		return math.MaxInt64
	}
	return slices.Min(x)
}

// eachReduced visits the elements of the result of reducing axes of shape,
// with the flat positions of the elements that are reduced to it. The slice is
// reused.
func eachReduced(shape, axes []int, f func(o int, at []int)) {
	step := strides(shape)
	var keep, keepStep, gone, goneStep []int
	for a, d := range shape {
		if slices.Contains(axes, a) {
			gone, goneStep = append(gone, d), append(goneStep, step[a])
		} else {
			keep, keepStep = append(keep, d), append(keepStep, step[a])
		}
	}
	offsets := make([]int, 0, product(gone))
	rows(gone, [][]int{goneStep}, func(n int, at, step []int) {
		for i := range n {
			offsets = append(offsets, at[0]+i*step[0])
		}
	})
	at, o := make([]int, len(offsets)), 0
	rows(keep, [][]int{keepStep}, func(n int, base, step []int) {
		for i := range n {
			for j, off := range offsets {
				at[j] = base[0] + i*step[0] + off
			}
			f(o, at)
			o++
		}
	})
}

// reduction makes a Func that reduces the axes of input 1 (all if it is left
// out or empty, unless noop_with_empty_axes) with float or with signed.
func reduction(float func([]float64) float64, signed func([]int64) int64) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		x := in[0]
		axes, err := reducedAxes(n, in)
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 && n.Int("noop_with_empty_axes", 0) != 0 {
			return []*tensor.Tensor{x}, nil
		}
		shape := reducedShape(x.Shape, axes, n.Int("keepdims", 1) != 0)
		if x.DType.IsInt() || x.DType == tensor.Bool {
			data, out := integers(x), make([]int64, product(shape))
			if x.DType == tensor.Uint64 && len(data) > 0 && slices.Min(data) < 0 {
				return nil, fmt.Errorf("uint64 elements from 2^63 on are not supported")
			}
			gather(data, x.Shape, axes, func(o int, part []int64) { out[o] = signed(part) })
			return one(ofInts(x.DType, out, shape))
		}
		out := make([]float64, product(shape))
		gather(floats(x), x.Shape, axes, func(o int, part []float64) { out[o] = float(part) })
		return one(ofFloats(x.DType, out, shape))
	}
}

// gather collects the elements reduced to each result.
func gather[T float64 | int64](data []T, shape, axes []int, f func(o int, part []T)) {
	var part []T
	eachReduced(shape, axes, func(o int, at []int) {
		part = part[:0]
		for _, a := range at {
			part = append(part, data[a])
		}
		f(o, part)
	})
}

// reducedAxes reads the axes of a reduction, from input 1 or, as older
// operator sets have it, the attribute; all axes if there are none and
// noop_with_empty_axes is not set.
func reducedAxes(n *graph.Node, in []*tensor.Tensor) ([]int, error) {
	axes := n.Ints("axes")
	if t := input(in, 1); t != nil {
		var err error
		if axes, err = list(t, "axes"); err != nil {
			return nil, err
		}
	}
	rank := in[0].Rank()
	if len(axes) == 0 && n.Int("noop_with_empty_axes", 0) == 0 {
		return upTo(rank), nil
	}
	return normAxes(axes, rank)
}

func reducedShape(shape, axes []int, keep bool) []int {
	out := []int{}
	for a, d := range shape {
		switch {
		case !slices.Contains(axes, a):
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

// arg makes ArgMax or ArgMin.
func arg(better func(a, b float64) bool) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		x := in[0]
		axis, err := normAxis(n.Int("axis", 0), x.Rank())
		if err != nil {
			return nil, err
		}
		if x.Shape[axis] == 0 {
			return nil, fmt.Errorf("axis %d of %v is empty", axis, x.Shape)
		}
		last := n.Int("select_last_index", 0) != 0
		shape := reducedShape(x.Shape, []int{axis}, n.Int("keepdims", 1) != 0)
		data, out := floats(x), make([]int64, product(shape))
		eachReduced(x.Shape, []int{axis}, func(o int, at []int) {
			best := 0
			for i, a := range at {
				if better(data[a], data[at[best]]) || last && data[a] == data[at[best]] {
					best = i
				}
			}
			out[o] = int64(best)
		})
		return []*tensor.Tensor{tensor.Of(out, shape...)}, nil
	}
}
