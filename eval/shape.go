package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", raw, 1, map[string]Func{
		"Identity": func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return one(in[0], nil) },
		"Flatten":  flatten,
		"Squeeze":  squeeze,
		"Shape":    shapeOf,
		"Size": func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			return one(tensor.Scalar(int64(in[0].Len())), nil)
		},
		"Dropout":         dropout,
		"Cast":            cast,
		"EyeLike":         eyeLike,
		"ConstantOfShape": constantOfShape,
	})
	register("", raw, 0, map[string]Func{"Constant": constant})
	register("", arithmetic, 3, map[string]Func{"Range": rangeOf})
	register("", raw, 2, map[string]Func{
		"Reshape":   reshape,
		"Unsqueeze": unsqueeze,
		"CastLike": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			return one(castTo(in[0], in[1].DType, n.Int("saturate", 1) != 0))
		},
	})
}

// reshape gives x the shape of input 1, where 0 copies a dimension (unless
// allowzero) and one -1 is whatever is left.
func reshape(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	target, err := list(in[1], "shape")
	if err != nil {
		return nil, err
	}
	free := -1
	for i, d := range target {
		switch {
		case d == 0 && n.Int("allowzero", 0) == 0:
			if i >= x.Rank() {
				return nil, fmt.Errorf("shape %v copies dimension %d of %v", target, i, x.Shape)
			}
			target[i] = x.Shape[i]
		case d == -1 && free < 0:
			free = i
		case d < 0:
			return nil, fmt.Errorf("invalid shape %v", target)
		}
	}
	if free >= 0 {
		target[free] = 1
		known, ok := tensor.NumElements(target)
		if !ok || known == 0 || x.Len()%known != 0 {
			return nil, fmt.Errorf("%v cannot be reshaped to %v", x.Shape, target)
		}
		target[free] = x.Len() / known
	}
	return one(x.Reshape(target...))
}

func flatten(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, axis := in[0], n.Int("axis", 1)
	if axis < -x.Rank() || axis > x.Rank() {
		return nil, fmt.Errorf("axis %d is outside a tensor of rank %d", axis, x.Rank())
	}
	if axis < 0 {
		axis += x.Rank()
	}
	return one(x.Reshape(product(x.Shape[:axis]), product(x.Shape[axis:])))
}

// axesOf reads axes from input 1 or, as older operator sets have it, the
// attribute. ok tells whether there are any.
func axesOf(n *graph.Node, in []*tensor.Tensor, rank int) (axes []int, ok bool, err error) {
	axes = n.Ints("axes")
	if t := input(in, 1); t != nil {
		if axes, err = list(t, "axes"); err != nil {
			return nil, false, err
		}
	}
	if axes == nil {
		return nil, false, nil
	}
	axes, err = normAxes(axes, rank)
	return axes, true, err
}

func squeeze(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axes, ok, err := axesOf(n, in, x.Rank())
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for a, d := range x.Shape {
		drop := d == 1 && !ok || slices.Contains(axes, a)
		if drop && d != 1 {
			return nil, fmt.Errorf("axis %d of %v is not of size 1", a, x.Shape)
		}
		if !drop {
			shape = append(shape, d)
		}
	}
	return one(x.Reshape(shape...))
}

func unsqueeze(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	count, err := list(in[1], "axes")
	if err != nil {
		return nil, err
	}
	axes, err := normAxes(count, x.Rank()+len(count))
	if err != nil {
		return nil, err
	}
	shape, next := make([]int, x.Rank()+len(axes)), 0
	for a := range shape {
		shape[a] = 1
		if !slices.Contains(axes, a) {
			shape[a] = x.Shape[next]
			next++
		}
	}
	return one(x.Reshape(shape...))
}

// shapeOf is the part [start, end) of the shape.
func shapeOf(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	rank := in[0].Rank()
	bound := func(v int) int {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	start, end := bound(n.Int("start", 0)), bound(n.Int("end", rank))
	part := graph.Int64s(in[0].Shape[start:max(start, end)])
	return one(tensor.Of(part, len(part)), nil)
}

// dropout is the identity; output 1 is a mask of ones. Its random form is a
// training operator and not computed here.
func dropout(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	ratio, training := float64(n.Float("ratio", 0.5)), false
	var err error
	if t := input(in, 1); t != nil {
		if ratio, err = scalar(t, "ratio"); err != nil {
			return nil, err
		}
	}
	if t := input(in, 2); t != nil {
		mode, err := scalar(t, "training_mode")
		if err != nil {
			return nil, err
		}
		training = mode != 0
	}
	if training && ratio != 0 {
		return nil, fmt.Errorf("training_mode with ratio %v is random", ratio)
	}
	mask := tensor.New(tensor.Bool, x.Shape...)
	fill(tensor.Data[bool](mask), true)
	return []*tensor.Tensor{x, mask}, nil
}

func cast(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := typeAttr(n, "to", tensor.Invalid)
	if err != nil {
		return nil, err
	}
	return one(castTo(in[0], to, n.Int("saturate", 1) != 0))
}

// constant is the tensor of the attribute that is present.
func constant(n *graph.Node, _ []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if t := n.Tensor("value"); t != nil {
		return one(t, nil)
	}
	switch {
	case n.Has("value_float"):
		return one(tensor.Scalar(n.Float("value_float", 0)), nil)
	case n.Has("value_int"):
		return one(tensor.Scalar(int64(n.Int("value_int", 0))), nil)
	case n.Has("value_string"):
		return one(tensor.Scalar(n.Str("value_string", "")), nil)
	case n.Has("value_floats"):
		v := n.Floats("value_floats")
		return one(tensor.Of(v, len(v)), nil)
	case n.Has("value_ints"):
		v := graph.Int64s(n.Ints("value_ints"))
		return one(tensor.Of(v, len(v)), nil)
	case n.Has("value_strings"):
		v, _ := n.Attrs["value_strings"].([]string)
		return one(tensor.Of(v, len(v)), nil)
	}
	return nil, fmt.Errorf("has no value that can be computed with (sparse constants are not)")
}

func constantOfShape(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	shape, err := list(in[0], "shape")
	if err != nil {
		return nil, err
	}
	value := n.Tensor("value")
	if value == nil {
		value = tensor.Of([]float32{0}, 1)
	}
	if value.Len() != 1 {
		return nil, fmt.Errorf("value of shape %v, want one element", value.Shape)
	}
	out, err := allocate(value.DType, shape...)
	if err != nil {
		return nil, err
	}
	if value.DType.Bits() < 8 && value.DType != tensor.String {
		return nil, fmt.Errorf("not defined for %v", value.DType)
	}
	copyRow(out, value, 0, 1, 0, 0, out.Len())
	return one(out, nil)
}

// rangeOf counts from start (input 0) by delta (2) up to but without limit (1).
func rangeOf(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := sameTypes(in[:3]...); err != nil {
		return nil, err
	}
	var v [3]float64
	for i, t := range in[:3] {
		var err error
		if v[i], err = scalar(t, "argument"); err != nil {
			return nil, err
		}
	}
	count := math.Ceil((v[1] - v[0]) / v[2])
	if !(count > 0) { // also when delta is 0 or something is NaN
		count = 0
	}
	if v[2] == 0 || count > float64(maxElements) {
		return nil, fmt.Errorf("the range from %v to %v by %v is too long", v[0], v[1], v[2])
	}
	shape, d := []int{int(count)}, in[0].DType
	if d.IsInt() {
		start, delta, out := integers(in[0])[0], integers(in[2])[0], make([]int64, int(count))
		for i := range out {
			out[i] = start + int64(i)*delta
		}
		return one(ofInts(d, out, shape))
	}
	out := make([]float64, int(count))
	for i := range out {
		out[i] = v[0] + float64(i)*v[2]
	}
	return one(ofFloats(d, out, shape))
}

func eyeLike(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	if x.Rank() != 2 {
		return nil, fmt.Errorf("input of shape %v, want a matrix", x.Shape)
	}
	d, err := typeAttr(n, "dtype", x.DType)
	if err != nil {
		return nil, err
	}
	k := n.Int("k", 0)
	out := make([]float64, x.Len())
	for i := range x.Shape[0] {
		if j := i + k; j >= 0 && j < x.Shape[1] {
			out[i*x.Shape[1]+j] = 1
		}
	}
	return one(ofFloats(d, out, x.Shape))
}
