package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// maxElements bounds one output, so that a hostile model cannot exhaust the
// memory with a single Expand.
var maxElements = 1 << 29

// number lists the element types that Go computes with.
type number interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// allocate returns a tensor of zeros, or an error if the shape is invalid or
// unreasonably large.
func allocate(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	if err := checkSize(shape); err != nil {
		return nil, err
	}
	if d.Bits() == 0 && d != tensor.String || d == tensor.Complex64 || d == tensor.Complex128 {
		return nil, fmt.Errorf("element type %v is not supported", d)
	}
	return tensor.New(d, shape...), nil
}

// checkSize refuses shapes of more than maxElements elements, empty axes not
// counted: loops run over the others.
func checkSize(shape []int) error {
	if _, ok := tensor.NumElements(shape); !ok {
		return fmt.Errorf("invalid shape %v", shape)
	}
	n := 1
	for _, d := range shape {
		if n *= max(d, 1); n > maxElements || n < 0 {
			return fmt.Errorf("a tensor of shape %v has more than %d elements", shape, maxElements)
		}
	}
	return nil
}

// typeAttr reads an element type from an attribute; def if it is absent or 0.
func typeAttr(n *graph.Node, name string, def tensor.DType) (tensor.DType, error) {
	v := n.Int(name, 0)
	if v == 0 {
		return def, nil
	}
	d := tensor.DType(v)
	if v < 0 || v > 255 || !d.Known() || d == tensor.Complex64 || d == tensor.Complex128 {
		return 0, fmt.Errorf("%s %d is no element type that can be computed with", name, v)
	}
	return d, nil
}

// one wraps a single output.
func one(t *tensor.Tensor, err error) ([]*tensor.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*tensor.Tensor{t}, nil
}

// input returns input i, nil if it is left out.
func input(in []*tensor.Tensor, i int) *tensor.Tensor {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// wants reports whether the node asks for output i. A node without an output
// list (a hand-made one) asks for all.
func wants(n *graph.Node, i int) bool {
	return len(n.Outputs) == 0 || n.Out(i) != nil
}

// floats returns the elements as float64; the slice may be t's own.
func floats(t *tensor.Tensor) []float64 {
	switch s := t.Any().(type) {
	case []float64:
		return s
	case []float32:
		return convert[float64](s)
	case []uint64:
		return convert[float64](s)
	case []int64:
		return convert[float64](s)
	}
	out := make([]float64, t.Len())
	for i := range out {
		out[i] = t.At(i)
	}
	return out
}

// integers returns the elements of an integer or bool tensor as int64 (uint64
// keeps its bits); the slice may be t's own.
func integers(t *tensor.Tensor) []int64 {
	switch s := t.Any().(type) {
	case []int8:
		return convert[int64](s)
	case []int16:
		return convert[int64](s)
	case []int32:
		return convert[int64](s)
	case []uint16:
		return convert[int64](s)
	case []uint32:
		return convert[int64](s)
	case []uint8:
		if t.DType == tensor.Uint8 {
			return convert[int64](s)
		}
	}
	return t.Int64s()
}

func convert[D, S number](s []S) []D {
	out := make([]D, len(s))
	for i, v := range s {
		out[i] = D(v)
	}
	return out
}

// ofFloats makes a tensor of type d from computed values: rounded for float
// types, truncated and saturated for integers. It may keep v.
func ofFloats(d tensor.DType, v []float64, shape []int) (*tensor.Tensor, error) {
	if d == tensor.Float32 {
		return tensor.Of(convert[float32](v), shape...), nil
	}
	return tensor.Of(v, shape...).Convert(d)
}

// ofInts makes a tensor of type d from computed values, wrapping around.
func ofInts(d tensor.DType, v []int64, shape []int) (*tensor.Tensor, error) {
	if d == tensor.Int32 {
		return tensor.Of(convert[int32](v), shape...), nil
	}
	return tensor.Of(v, shape...).Convert(d)
}

// scalar returns the only element of a tensor of one element.
func scalar(t *tensor.Tensor, what string) (float64, error) {
	if t.Len() != 1 {
		return 0, fmt.Errorf("%s has shape %v, want one element", what, t.Shape)
	}
	if t.DType.IsInt() {
		return float64(integers(t)[0]), nil
	}
	return t.At(0), nil
}

// list returns the elements of a small integer tensor.
func list(t *tensor.Tensor, what string) ([]int, error) {
	if t.Rank() > 1 || !t.DType.IsInt() {
		return nil, fmt.Errorf("%s is a %v, want a list of integers", what, t)
	}
	return t.Ints(), nil
}

// normAxis makes an axis of a tensor of that rank non-negative.
func normAxis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d is outside a tensor of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// normAxes normalizes a list of axes, which must be distinct.
func normAxes(axes []int, rank int) ([]int, error) {
	out := make([]int, len(axes))
	for i, a := range axes {
		var err error
		if out[i], err = normAxis(a, rank); err != nil {
			return nil, err
		}
		if slices.Contains(out[:i], out[i]) {
			return nil, fmt.Errorf("axis %d is listed twice", a)
		}
	}
	return out, nil
}

func product(s []int) int {
	p := 1
	for _, d := range s {
		p *= d
	}
	return p
}

// sameTypes checks that operands have one type.
func sameTypes(ts ...*tensor.Tensor) error {
	for _, t := range ts[1:] {
		if t.DType != ts[0].DType {
			return fmt.Errorf("operands of types %v and %v", ts[0].DType, t.DType)
		}
	}
	return nil
}

// roundEven rounds half to even.
func roundEven(v float64) float64 { return math.RoundToEven(v) }
