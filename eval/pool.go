package eval

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 1, map[string]Func{
		"MaxPool": maxPool, "AveragePool": averagePool, "LpPool": lpPool,
		"GlobalMaxPool":     global(func(x []float64, _ float64) float64 { return reduceFloats(x, math.Inf(-1), math.Max) }),
		"GlobalAveragePool": global(func(x []float64, _ float64) float64 { return sum(x) / float64(len(x)) }),
		"GlobalLpPool":      global(lpNorm),
	})
	register("", arithmetic, 2, map[string]Func{"MaxUnpool": maxUnpool})
}

// poolWindow checks a pool's input [N, C, …] and reads its window.
func poolWindow(n *graph.Node, x *tensor.Tensor) (*window, []int, error) {
	if x.Rank() < 3 {
		return nil, nil, fmt.Errorf("input of shape %v has no spatial axes", x.Shape)
	}
	kernel := n.Ints("kernel_shape")
	if kernel == nil {
		return nil, nil, fmt.Errorf("lacks its kernel_shape")
	}
	w, err := newWindow(n, x.Shape[2:], kernel, n.Int("ceil_mode", 0) != 0)
	if err != nil {
		return nil, nil, err
	}
	shape := append([]int{x.Shape[0], x.Shape[1]}, w.outShape()...)
	return w, shape, checkSize(shape)
}

// maxPool is the greatest element of each window and, as output 1, its flat
// position in the input. A window without elements gives the type's least
// value and position 0.
func maxPool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	win, shape, err := poolWindow(n, x)
	if err != nil {
		return nil, err
	}
	data, planes := floats(x), shape[0]*shape[1]
	out, where := make([]float64, product(shape)), make([]int64, product(shape))
	fill(out, lowest(x.DType))
	inSize, outSize, step := volume(win.in), volume(win.out), win.stride[2]
	for p := range planes {
		src, dst, pos := data[p*inSize:][:inSize], out[p*outSize:][:outSize], where[p*outSize:][:outSize]
		seen := make([]bool, outSize)
		win.taps(func(_, count, o, i int) {
			for j := range count {
				v := src[i+j*step]
				if !seen[o+j] || v > dst[o+j] || v != v {
					seen[o+j], dst[o+j], pos[o+j] = true, v, int64(p*inSize+i+j*step)
				}
			}
		})
	}
	values, err := ofFloats(x.DType, out, shape)
	if err != nil {
		return nil, err
	}
	if n.Int("storage_order", 0) != 0 {
		columnMajor(where, win)
	}
	return []*tensor.Tensor{values, tensor.Of(where, shape...)}, nil
}

// columnMajor renumbers flat positions so that the first spatial axis of the
// window varies fastest.
func columnMajor(where []int64, win *window) {
	size, d, h := int64(volume(win.in)), int64(win.in[0]), int64(win.in[1])
	w := int64(win.in[2])
	for i, v := range where {
		plane, at := v/size, v%size
		iw, ih, id := at%w, at/w%h, at/(w*h)
		where[i] = plane*size + (iw*h+ih)*d + id
	}
}

// lowest is the least value of a type.
func lowest(d tensor.DType) float64 {
	switch {
	case d.IsFloat():
		return math.Inf(-1)
	case d.Signed():
		return -math.Ldexp(1, d.Bits()-1)
	}
	return 0
}

// averagePool is the mean of each window. Padding counts as zeros with
// count_include_pad, else not at all.
func averagePool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	win, shape, err := poolWindow(n, x)
	if err != nil {
		return nil, err
	}
	counts := win.counts(n.Int("count_include_pad", 0) != 0)
	out := poolSums(win, floats(x), shape, func(v float64) float64 { return v })
	for i := range out {
		out[i] /= float64(counts[i%len(counts)])
	}
	return one(ofFloats(x.DType, out, shape))
}

// lpPool is the p-norm of each window.
func lpPool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	win, shape, err := poolWindow(n, x)
	if err != nil {
		return nil, err
	}
	p := float64(n.Int("p", 2))
	out := poolSums(win, floats(x), shape, func(v float64) float64 { return math.Pow(math.Abs(v), p) })
	for i := range out {
		out[i] = math.Pow(out[i], 1/p)
	}
	return one(ofFloats(x.DType, out, shape))
}

// poolSums adds f of the elements of each window.
func poolSums(win *window, data []float64, shape []int, f func(float64) float64) []float64 {
	out := make([]float64, product(shape))
	inSize, outSize, step := volume(win.in), volume(win.out), win.stride[2]
	for p := range shape[0] * shape[1] {
		src, dst := data[p*inSize:][:inSize], out[p*outSize:][:outSize]
		win.taps(func(_, count, o, i int) {
			for j := range count {
				dst[o+j] += f(src[i+j*step])
			}
		})
	}
	return out
}

// counts is the number of elements in each window, at least 1. With padding,
// that is what lies within the padded input.
func (w *window) counts(padded bool) []int {
	wide := *w
	if padded {
		for a := range 3 {
			wide.in[a] += w.begin[a] + w.end[a]
			wide.begin[a], wide.end[a] = 0, 0
		}
	}
	out := make([]int, volume(w.out))
	wide.taps(func(_, n, o, _ int) {
		for j := range n {
			out[o+j]++
		}
	})
	for i := range out {
		out[i] = max(out[i], 1)
	}
	return out
}

// global reduces the spatial axes of [N, C, …] to 1 each.
func global(f func(x []float64, p float64) float64) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		x := in[0]
		if x.Rank() < 2 {
			return nil, fmt.Errorf("input of shape %v has no spatial axes", x.Shape)
		}
		shape := append([]int{}, x.Shape...)
		for i := 2; i < len(shape); i++ {
			shape[i] = 1
		}
		size := product(x.Shape[2:])
		data, out, p := floats(x), make([]float64, product(shape)), float64(n.Int("p", 2))
		for i := range out {
			out[i] = f(data[i*size:][:size], p)
		}
		return one(ofFloats(x.DType, out, shape))
	}
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

func lpNorm(x []float64, p float64) float64 {
	s := 0.0
	for _, v := range x {
		s += math.Pow(math.Abs(v), p)
	}
	return math.Pow(s, 1/p)
}

func reduceFloats(x []float64, start float64, f func(a, b float64) float64) float64 {
	for _, v := range x {
		start = f(start, v)
	}
	return start
}

// maxUnpool puts the elements of x at the positions that MaxPool reported,
// zeros elsewhere.
func maxUnpool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, at := in[0], integers(in[1])
	if x.Rank() < 3 || len(at) != x.Len() {
		return nil, fmt.Errorf("values %v and positions %v do not fit", x.Shape, in[1].Shape)
	}
	win, err := bareWindow(n, x.Shape[2:], n.Ints("kernel_shape"))
	if err != nil {
		return nil, err
	}
	if err := win.readPads(n); err != nil {
		return nil, err
	}
	shape := append([]int{}, x.Shape...)
	for i := range win.rank {
		a := 3 - win.rank + i
		shape[2+i] = (x.Shape[2+i]-1)*win.stride[a] + win.kernel[a] - win.begin[a] - win.end[a]
	}
	given := shape
	if s := input(in, 2); s != nil {
		if given, err = list(s, "output shape"); err != nil {
			return nil, err
		}
	}
	out, err := allocate(x.DType, given...)
	if err != nil {
		return nil, err
	}
	if len(given) != len(shape) {
		return nil, fmt.Errorf("output shape %v for values %v", given, x.Shape)
	}
	to := strides(given)
	from := strides(shape) // positions count within the natural shape
	for i, p := range at {
		o, rest := 0, int(p)
		for a := range shape {
			o += rest / from[a] * to[a]
			rest %= from[a]
		}
		if p < 0 || o >= out.Len() {
			return nil, fmt.Errorf("position %d is outside %v", p, given)
		}
		copyRow(out, x, o, 1, i, 1, 1)
	}
	return []*tensor.Tensor{out}, nil
}
