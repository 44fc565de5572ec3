package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 1, map[string]Func{"Resize": resize})
	register("", arithmetic, 2, map[string]Func{"Upsample": upsample})
}

// Taps is how Resize makes one axis of its output: element o is the sum of
// Weight[o][t] times element At[o][t] of the input, or the extrapolation value
// where Outside[o] is set. Same tells that nothing changes along the axis.
type Taps struct {
	At      [][]int
	Weight  [][]float64
	Outside []bool
	Same    bool
}

// ResizeTaps works a Resize out for an input of the given shape: how each axis
// is made, and the extrapolation value. The other inputs are in's from index
// 1 on.
func ResizeTaps(n *graph.Node, shape []int, in []*tensor.Tensor) (axes []Taps, outside float32, err error) {
	args := append([]*tensor.Tensor{{Shape: shape}}, in[1:]...)
	r, _, lines, err := resizeLines(n, args)
	if err != nil {
		return nil, 0, err
	}
	for _, l := range lines {
		axes = append(axes, Taps{At: l.at, Weight: l.weight, Outside: l.out, Same: l.same})
	}
	return axes, float32(r.outside), nil
}

// resizer holds the attributes of a Resize.
type resizer struct {
	mode, coordinates, nearest string
	cubic                      float64
	exclude, antialias         bool
	outside                    float64 // extrapolation value
}

// line is how one axis is resized: element o of the result is Σ weight·x[at]
// over its taps, or the extrapolation value where out is set.
type line struct {
	at     [][]int
	weight [][]float64
	out    []bool
	same   bool // the identity
}

// resize interpolates along each axis in turn. Coordinates are computed in
// float32, as ONNX Runtime does, so that ties fall the same way.
func resize(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	r, shape, lines, err := resizeLines(n, in)
	if err != nil {
		return nil, err
	}
	if product(shape) == 0 {
		return one(allocate(in[0].DType, shape...))
	}
	if r.mode == "nearest" {
		return one(r.pick(in[0], shape, lines))
	}
	return one(r.blend(in[0], shape, lines))
}

// resizeLines reads a Resize: the output's shape and how each axis is resized.
func resizeLines(n *graph.Node, in []*tensor.Tensor) (*resizer, []int, []*line, error) {
	x := in[0]
	axes := upTo(x.Rank())
	if n.Has("axes") {
		var err error
		if axes, err = normAxes(n.Ints("axes"), x.Rank()); err != nil {
			return nil, nil, nil, err
		}
	}
	shape, scales, err := resizeShape(n, x, input(in, 2), input(in, 3), axes)
	if err != nil {
		return nil, nil, nil, err
	}
	r := &resizer{
		mode:        n.Str("mode", "nearest"),
		coordinates: n.Str("coordinate_transformation_mode", "half_pixel"),
		nearest:     n.Str("nearest_mode", "round_prefer_floor"),
		cubic:       float64(n.Float("cubic_coeff_a", -0.75)),
		exclude:     n.Int("exclude_outside", 0) != 0,
		antialias:   n.Int("antialias", 0) != 0,
		outside:     float64(n.Float("extrapolation_value", 0)),
	}
	lines := make([]*line, x.Rank())
	for a := range lines {
		lines[a] = &line{same: true}
	}
	for i, a := range axes {
		start, end := float32(0), float32(1)
		if roi := input(in, 1); roi != nil && r.coordinates == "tf_crop_and_resize" {
			v := roi.Float32s()
			if len(v) != 2*len(axes) {
				return nil, nil, nil, fmt.Errorf("roi of %d elements for %d axes", len(v), len(axes))
			}
			start, end = v[i], v[len(axes)+i]
		}
		if lines[a], err = r.line(x.Shape[a], shape[a], scales[i], start, end); err != nil {
			return nil, nil, nil, err
		}
	}
	return r, shape, lines, nil
}

// upsample is Resize as operator set 9 had it: scales, asymmetric, floor.
func upsample(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	mode := n.Str("mode", "nearest")
	if mode == "bilinear" {
		mode = "linear"
	}
	m := &graph.Node{Name: n.Name, Op: "Resize", Attrs: graph.Attrs{
		"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}}
	return resize(m, []*tensor.Tensor{in[0], nil, in[1], nil})
}

// resizeShape is the output's shape and the scale of each of the axes, from
// the scales or the sizes given.
func resizeShape(n *graph.Node, x, scales, sizes *tensor.Tensor, axes []int) ([]int, []float32, error) {
	shape := slices.Clone(x.Shape)
	given := scales != nil && scales.Len() > 0
	if given == (sizes != nil && sizes.Len() > 0) {
		return nil, nil, fmt.Errorf("takes either scales or sizes")
	}
	var scale []float32
	if given {
		scale = scales.Float32s()
	} else {
		want, err := list(sizes, "sizes")
		if err != nil {
			return nil, nil, err
		}
		if len(want) != len(axes) {
			return nil, nil, fmt.Errorf("sizes %v for %d axes", want, len(axes))
		}
		scale = sizeScales(n.Str("keep_aspect_ratio_policy", "stretch"), x.Shape, want, axes)
		for i, a := range axes {
			shape[a] = want[i]
		}
	}
	if len(scale) != len(axes) {
		return nil, nil, fmt.Errorf("scales %v for %d axes", scale, len(axes))
	}
	for i, a := range axes {
		if !(scale[i] > 0) || float64(scale[i])*float64(x.Shape[a]) > float64(maxElements) {
			return nil, nil, fmt.Errorf("scale %v of an axis of %d elements is out of range", scale[i], x.Shape[a])
		}
		if given {
			shape[a] = int(math.Floor(float64(scale[i] * float32(x.Shape[a]))))
		} else if n.Str("keep_aspect_ratio_policy", "stretch") != "stretch" {
			shape[a] = int(math.Floor(float64(scale[i]*float32(x.Shape[a])) + 0.5))
		}
	}
	return shape, scale, checkSize(shape)
}

// sizeScales turns wanted sizes into scales, one for all axes unless the
// policy is to stretch.
func sizeScales(policy string, shape, want, axes []int) []float32 {
	scale := make([]float32, len(axes))
	for i, a := range axes {
		scale[i] = float32(want[i]) / float32(shape[a])
	}
	if len(scale) > 0 {
		switch policy {
		case "not_larger":
			fill(scale, slices.Min(scale))
		case "not_smaller":
			fill(scale, slices.Max(scale))
		}
	}
	return scale
}

// coordinate maps position o of the result to the input.
func (r *resizer) coordinate(o, in, out int, scale, start, end float32) (float32, error) {
	x, i := float32(o), float32(in)
	switch r.coordinates {
	case "half_pixel":
		return (x+0.5)/scale - 0.5, nil
	case "half_pixel_symmetric":
		// Keeps the image's centre where rounding the size moved it.
		adjust := float32(out) / (scale * i)
		center := i / 2
		return center*(1-adjust) + (x+0.5)/scale - 0.5, nil
	case "pytorch_half_pixel":
		if out <= 1 {
			return 0, nil
		}
		return (x+0.5)/scale - 0.5, nil
	case "align_corners":
		if out <= 1 {
			return 0, nil
		}
		return x * (i - 1) / float32(out-1), nil
	case "asymmetric":
		return x / scale, nil
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale, nil
	case "tf_crop_and_resize":
		if out <= 1 {
			return 0.5 * (start + end) * (i - 1), nil
		}
		return start*(i-1) + x*(end-start)*(i-1)/float32(out-1), nil
	}
	return 0, fmt.Errorf("unknown coordinate_transformation_mode %q", r.coordinates)
}

// line computes the taps of one axis.
func (r *resizer) line(in, out int, scale, start, end float32) (*line, error) {
	if in == 0 && out > 0 {
		return nil, fmt.Errorf("an empty axis cannot be resized to %d elements", out)
	}
	l := &line{same: in == out}
	for o := range out {
		c, err := r.coordinate(o, in, out, scale, start, end)
		if err != nil {
			return nil, err
		}
		at, weight, err := r.taps(c, scale)
		if err != nil {
			return nil, err
		}
		at, weight = r.border(at, weight, in)
		outside := r.coordinates == "tf_crop_and_resize" && (c < 0 || c > float32(in-1))
		l.at, l.weight, l.out = append(l.at, at), append(l.weight, weight), append(l.out, outside)
		l.same = l.same && !outside && len(at) > 0 && alone(at, weight, o)
	}
	return l, nil
}

// alone reports whether all weight lies on element o.
func alone(at []int, weight []float64, o int) bool {
	for i, a := range at {
		if a != o && weight[i] != 0 {
			return false
		}
	}
	return true
}

// taps lists the elements around coordinate c and their weights.
func (r *resizer) taps(c, scale float32) ([]int, []float64, error) {
	x := float64(c)
	switch r.mode {
	case "nearest":
		at, err := r.round(x)
		return []int{at}, []float64{1}, err
	case "linear":
		f := func(d float64) float64 { return max(0, 1-math.Abs(d)) }
		if r.antialias && scale < 1 {
			at, weight := window1D(x, 1, float64(scale), f)
			return at, weight, nil
		}
		i := math.Floor(x)
		return []int{int(i), int(i) + 1}, []float64{1 - (x - i), x - i}, nil
	case "cubic":
		s := 1.0
		if r.antialias && scale < 1 {
			s = float64(scale)
		}
		at, weight := window1D(x, 2, s, r.keys)
		return at, weight, nil
	}
	return nil, nil, fmt.Errorf("unknown mode %q", r.mode)
}

// window1D samples a filter of the given support, stretched by 1/scale, at the
// elements around x; the weights add up to 1.
func window1D(x, support, scale float64, f func(float64) float64) ([]int, []float64) {
	lo, hi := int(math.Floor(x-support/scale))+1, int(math.Ceil(x+support/scale))-1
	if lo > hi {
		lo, hi = int(math.Floor(x)), int(math.Floor(x))
	}
	var at []int
	var weight []float64
	total := 0.0
	for i := lo; i <= hi; i++ {
		w := f((float64(i) - x) * scale)
		at, weight, total = append(at, i), append(weight, w), total+w
	}
	for i := range weight {
		weight[i] /= total
	}
	return at, weight
}

// keys is the cubic convolution kernel of Keys (1981) with parameter a.
func (r *resizer) keys(d float64) float64 {
	a := r.cubic
	switch d = math.Abs(d); {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

func (r *resizer) round(x float64) (int, error) {
	switch r.nearest {
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5)), nil
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5)), nil
	case "floor":
		return int(math.Floor(x)), nil
	case "ceil":
		return int(math.Ceil(x)), nil
	}
	return 0, fmt.Errorf("unknown nearest_mode %q", r.nearest)
}

// border moves taps outside the input to its edge or, with exclude_outside,
// drops them and scales the others up.
func (r *resizer) border(at []int, weight []float64, in int) ([]int, []float64) {
	if r.mode != "nearest" && r.exclude {
		total := 0.0
		for i, a := range at {
			if a < 0 || a >= in {
				weight[i] = 0
			}
			total += weight[i]
		}
		for i := range weight {
			if total != 0 {
				weight[i] /= total
			}
		}
	}
	for i := range at {
		at[i] = min(max(at[i], 0), in-1)
	}
	return at, weight
}

// pick takes the nearest elements.
func (r *resizer) pick(x *tensor.Tensor, shape []int, lines []*line) (*tensor.Tensor, error) {
	index := make([][]int, len(lines))
	for a, l := range lines {
		if l.same {
			index[a] = upTo(shape[a])
			continue
		}
		for o := range shape[a] {
			i := l.at[o][0]
			if l.out[o] {
				i = -1
			}
			index[a] = append(index[a], i)
		}
		if index[a] == nil {
			index[a] = []int{}
		}
	}
	fill, err := ofFloats(x.DType, []float64{r.outside}, nil)
	if err != nil {
		return nil, err
	}
	return take(x, index, fill)
}

// blend applies the lines axis after axis in float64.
func (r *resizer) blend(x *tensor.Tensor, shape []int, lines []*line) (*tensor.Tensor, error) {
	data, now := floats(x), slices.Clone(x.Shape)
	for a, l := range lines {
		if l.same {
			continue
		}
		outer, inner, in := product(now[:a]), product(now[a+1:]), now[a]
		if err := checkSize([]int{outer, shape[a], inner}); err != nil {
			return nil, err
		}
		next := make([]float64, outer*shape[a]*inner)
		for i := range outer {
			for o := range shape[a] {
				dst := next[(i*shape[a]+o)*inner:][:inner]
				for t, at := range l.at[o] {
					w := l.weight[o][t]
					for j, v := range data[(i*in+at)*inner:][:inner] {
						dst[j] += w * v
					}
				}
			}
		}
		data, now[a] = next, shape[a]
	}
	if r.coordinates == "tf_crop_and_resize" {
		r.extrapolate(data, shape, lines)
	}
	return ofFloats(x.DType, data, shape)
}

// extrapolate overwrites elements whose coordinate lies outside the input
// along any axis.
func (r *resizer) extrapolate(data []float64, shape []int, lines []*line) {
	step := strides(shape)
	for a, l := range lines {
		if l.same {
			continue
		}
		for i := range data {
			if l.out[i/step[a]%shape[a]] {
				data[i] = r.outside
			}
		}
	}
}
