package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// strides returns the row-major distances between neighbours of each axis.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

// broadcastShape is the shape that all given shapes are broadcast to.
func broadcastShape(shapes ...[]int) ([]int, error) {
	var out []int
	for _, s := range shapes {
		for len(out) < len(s) {
			out = slices.Insert(out, 0, 1)
		}
		off := len(out) - len(s)
		for i, d := range s {
			switch o := out[off+i]; {
			case o == 1:
				out[off+i] = d
			case d != 1 && d != o:
				return nil, fmt.Errorf("shapes %v cannot be broadcast together", shapes)
			}
		}
	}
	if out == nil {
		out = []int{}
	}
	return out, checkSize(out)
}

// spread returns the strides of a tensor of the given shape seen as broadcast
// to out: 0 along repeated axes.
func spread(shape, out []int) []int {
	s := make([]int, len(out))
	off := len(out) - len(shape)
	for i, step := range strides(shape) {
		if shape[i] != 1 {
			s[off+i] = step
		}
	}
	return s
}

// rows visits the innermost rows of an iteration over shape, where operand k
// moves by steps[k][axis] along each axis. f gets the length of the row, the
// operands' offsets at its start and their steps within it. Adjacent axes that
// all operands cross evenly are joined, so contiguous operands make one row.
func rows(shape []int, steps [][]int, f func(n int, at, step []int)) {
	shape, steps = joinAxes(shape, steps)
	last := len(shape) - 1
	if slices.Contains(shape, 0) {
		return
	}
	at, step, index := make([]int, len(steps)), make([]int, len(steps)), make([]int, last+1)
	for k := range steps {
		step[k] = steps[k][last]
	}
	for {
		f(shape[last], at, step)
		axis := last - 1
		for ; axis >= 0; axis-- {
			index[axis]++
			for k := range steps {
				at[k] += steps[k][axis]
			}
			if index[axis] < shape[axis] {
				break
			}
			for k := range steps {
				at[k] -= steps[k][axis] * shape[axis]
			}
			index[axis] = 0
		}
		if axis < 0 {
			return
		}
	}
}

// joinAxes merges axes for rows; the result has at least one axis.
func joinAxes(shape []int, steps [][]int) ([]int, [][]int) {
	dims := []int{1}
	joined := make([][]int, len(steps))
	for k := range joined {
		joined[k] = []int{0}
	}
	for axis, d := range shape {
		if d == 1 {
			continue
		}
		last := len(dims) - 1
		even := true
		for k := range steps {
			even = even && (dims[last] == 1 || joined[k][last] == steps[k][axis]*d)
		}
		if even {
			dims[last] *= d
		} else {
			dims = append(dims, d)
			last++
		}
		for k := range steps {
			if !even {
				joined[k] = append(joined[k], 0)
			}
			joined[k][last] = steps[k][axis]
		}
	}
	return dims, joined
}

// strided copies the elements of src at offset + Σ index·step into a new
// tensor of the given shape.
func strided(src *tensor.Tensor, shape []int, offset int, step []int) (*tensor.Tensor, error) {
	out, err := allocate(src.DType, shape...)
	if err != nil {
		return nil, err
	}
	o := 0
	rows(shape, [][]int{step}, func(n int, at, step []int) {
		copyRow(out, src, o, 1, offset+at[0], step[0], n)
		o += n
	})
	return out, nil
}

// copyRow copies n elements of src from position at on, step apart, to dst
// from position to on, by apart.
func copyRow(dst, src *tensor.Tensor, to, by, at, step, n int) {
	switch s := src.Any().(type) {
	case []float32:
		copyElems(tensor.Data[float32](dst), s, to, by, at, step, n)
	case []float64:
		copyElems(tensor.Data[float64](dst), s, to, by, at, step, n)
	case []int8:
		copyElems(tensor.Data[int8](dst), s, to, by, at, step, n)
	case []int16:
		copyElems(tensor.Data[int16](dst), s, to, by, at, step, n)
	case []int32:
		copyElems(tensor.Data[int32](dst), s, to, by, at, step, n)
	case []int64:
		copyElems(tensor.Data[int64](dst), s, to, by, at, step, n)
	case []uint8:
		copyElems(tensor.Data[uint8](dst), s, to, by, at, step, n)
	case []uint16:
		copyElems(tensor.Data[uint16](dst), s, to, by, at, step, n)
	case []uint32:
		copyElems(tensor.Data[uint32](dst), s, to, by, at, step, n)
	case []uint64:
		copyElems(tensor.Data[uint64](dst), s, to, by, at, step, n)
	case []bool:
		copyElems(tensor.Data[bool](dst), s, to, by, at, step, n)
	case []string:
		copyElems(tensor.Data[string](dst), s, to, by, at, step, n)
	}
}

func copyElems[T any](dst, src []T, to, by, at, step, n int) {
	if step == 1 && by == 1 {
		copy(dst[to:to+n], src[at:at+n])
		return
	}
	for i := range n {
		dst[to+i*by] = src[at+i*step]
	}
}

// take makes a tensor whose element (i0, i1, …) is src's element
// (index[0][i0], index[1][i1], …). Where an index is negative the element is
// fill's only element, or zero if fill is nil.
func take(src *tensor.Tensor, index [][]int, fill *tensor.Tensor) (*tensor.Tensor, error) {
	shape := make([]int, len(index))
	for i, ix := range index {
		shape[i] = len(ix)
	}
	out, err := allocate(src.DType, shape...)
	if err != nil {
		return nil, err
	}
	if out.Len() == 0 {
		return out, nil
	}
	if fill != nil {
		copyRow(out, fill, 0, 1, 0, 0, out.Len())
	}
	if len(shape) == 0 {
		copyRow(out, src, 0, 1, 0, 1, 1)
		return out, nil
	}
	from, to := strides(src.Shape), strides(shape)
	last := len(index) - 1
	var walk func(axis, at, o int)
	walk = func(axis, at, o int) {
		if axis < last {
			for i, x := range index[axis] {
				if x >= 0 {
					walk(axis+1, at+x*from[axis], o+i*to[axis])
				}
			}
			return
		}
		for i := 0; i < len(index[last]); { // runs of consecutive indices
			x := index[last][i]
			n := 1
			for x >= 0 && i+n < len(index[last]) && index[last][i+n] == x+n {
				n++
			}
			if x >= 0 {
				copyRow(out, src, o+i, 1, at+x, 1, n)
			}
			i += n
		}
	}
	walk(0, 0, 0)
	return out, nil
}

// upTo lists 0 … n-1.
func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// permute reorders the axes: axis i of the result is axis perm[i] of src.
func permute(src *tensor.Tensor, perm []int) (*tensor.Tensor, error) {
	from := strides(src.Shape)
	shape, step := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		shape[i], step[i] = src.Shape[p], from[p]
	}
	return strided(src, shape, 0, step)
}
