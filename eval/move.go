package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", movement, 1, map[string]Func{
		"Transpose": transpose, "Concat": concat, "Split": split,
		"DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth,
	})
	register("", movement, 2, map[string]Func{"Expand": expand, "Tile": tile, "Pad": pad})
	register("", movement, 3, map[string]Func{"Slice": slice})
}

func transpose(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	perm := n.Ints("perm")
	if perm == nil {
		perm = upTo(x.Rank())
		slices.Reverse(perm)
	}
	if len(perm) != x.Rank() {
		return nil, fmt.Errorf("perm %v for a tensor of rank %d", perm, x.Rank())
	}
	perm, err := normAxes(perm, x.Rank())
	if err != nil {
		return nil, err
	}
	return one(permute(x, perm))
}

func concat(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	return one(join(in, n.Int("axis", 0)))
}

// join concatenates along an axis.
func join(in []*tensor.Tensor, axis int) (*tensor.Tensor, error) {
	axis, err := normAxis(axis, in[0].Rank())
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(in[0].Shape)
	shape[axis] = 0
	for _, t := range in {
		if t == nil {
			return nil, fmt.Errorf("an input is left out")
		}
		if err := sameTypes(in[0], t); err != nil {
			return nil, err
		}
		if t.Rank() != len(shape) {
			return nil, fmt.Errorf("inputs of shapes %v and %v", in[0].Shape, t.Shape)
		}
		for a, d := range t.Shape {
			if a != axis && d != shape[a] {
				return nil, fmt.Errorf("inputs of shapes %v and %v", in[0].Shape, t.Shape)
			}
		}
		shape[axis] += t.Shape[axis]
	}
	out, err := allocate(in[0].DType, shape...)
	if err != nil {
		return nil, err
	}
	outer, row, start := product(shape[:axis]), product(shape[axis:]), 0
	for _, t := range in {
		part := product(t.Shape[axis:])
		for i := range outer {
			copyRow(out, t, i*row+start, 1, i*part, 1, part)
		}
		start += part
	}
	return out, nil
}

// split cuts along an axis, into the sizes of input 1 or equal parts (the
// last one smaller if need be).
func split(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axis, err := normAxis(n.Int("axis", 0), x.Rank())
	if err != nil {
		return nil, err
	}
	sizes := n.Ints("split")
	if t := input(in, 1); t != nil {
		if sizes, err = list(t, "split"); err != nil {
			return nil, err
		}
	}
	if sizes == nil {
		parts := n.Int("num_outputs", len(n.Outputs))
		if parts < 1 || parts > max(len(n.Outputs), 1<<16) {
			return nil, fmt.Errorf("%d parts", parts)
		}
		part := (x.Shape[axis] + parts - 1) / parts
		for i := range parts {
			sizes = append(sizes, max(min(part, x.Shape[axis]-i*part), 0))
		}
	}
	total := 0
	for _, s := range sizes {
		if s < 0 || s > x.Shape[axis] {
			return nil, fmt.Errorf("part of %d elements of an axis of %d", s, x.Shape[axis])
		}
		total += s
	}
	if total != x.Shape[axis] {
		return nil, fmt.Errorf("parts %v do not add up to the %d elements of axis %d", sizes, x.Shape[axis], axis)
	}
	step := strides(x.Shape)
	out := make([]*tensor.Tensor, len(sizes))
	start := 0
	for i, s := range sizes {
		shape := slices.Clone(x.Shape)
		shape[axis] = s
		if out[i], err = strided(x, shape, start*step[axis], step); err != nil {
			return nil, err
		}
		start += s
	}
	return out, nil
}

// slice takes starts (input 1) to ends (2) of axes (3) by steps (4).
func slice(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	starts, err := list(in[1], "starts")
	if err != nil {
		return nil, err
	}
	ends, err := list(in[2], "ends")
	if err != nil {
		return nil, err
	}
	axes, steps := upTo(len(starts)), slices.Repeat([]int{1}, len(starts))
	if t := input(in, 3); t != nil {
		if axes, err = list(t, "axes"); err != nil {
			return nil, err
		}
	}
	if t := input(in, 4); t != nil {
		if steps, err = list(t, "steps"); err != nil {
			return nil, err
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v differ in length", starts, ends, axes, steps)
	}
	if axes, err = normAxes(axes, x.Rank()); err != nil {
		return nil, err
	}
	shape, step, offset := slices.Clone(x.Shape), strides(x.Shape), 0
	for i, a := range axes {
		first, count, err := sliceRange(starts[i], ends[i], steps[i], x.Shape[a])
		if err != nil {
			return nil, err
		}
		offset += first * step[a]
		if shape[a] = count; count > 1 {
			step[a] *= steps[i]
		}
	}
	return one(strided(x, shape, offset, step))
}

// sliceRange is the first element of a slice of d elements and their number.
func sliceRange(start, end, step, d int) (first, count int, err error) {
	if step == 0 {
		return 0, 0, fmt.Errorf("step 0")
	}
	if start < 0 {
		start += d
	}
	if end < 0 {
		end += d
	}
	if step > 0 {
		start, end = min(max(start, 0), d), min(max(end, 0), d)
		if end <= start {
			return 0, 0, nil
		}
		return start, (end-start-1)/step + 1, nil
	}
	start, end = min(max(start, 0), d-1), min(max(end, -1), d-1)
	if end >= start || d == 0 {
		return 0, 0, nil
	}
	if step == math.MinInt {
		return start, 1, nil
	}
	return start, (start-end-1)/-step + 1, nil
}

// expand broadcasts x with the shape of input 1.
func expand(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	target, err := list(in[1], "shape")
	if err != nil {
		return nil, err
	}
	shape, err := broadcastShape(x.Shape, target)
	if err != nil {
		return nil, err
	}
	return one(strided(x, shape, 0, spread(x.Shape, shape)))
}

// tile repeats x along each axis.
func tile(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	repeats, err := list(in[1], "repeats")
	if err != nil {
		return nil, err
	}
	if len(repeats) != x.Rank() {
		return nil, fmt.Errorf("repeats %v for a tensor of rank %d", repeats, x.Rank())
	}
	shape := slices.Clone(x.Shape)
	for a, r := range repeats {
		if r < 0 || r > maxElements {
			return nil, fmt.Errorf("repeats %v are out of range", repeats)
		}
		shape[a] *= r
	}
	if err := checkSize(shape); err != nil {
		return nil, err
	}
	index := make([][]int, x.Rank())
	for a, r := range repeats {
		index[a] = slices.Repeat(upTo(x.Shape[a]), r)
	}
	return one(take(x, index, nil))
}

// pad grows (or, with negative counts, crops) the axes of input 3, all by
// default, by the counts of input 1: all those before, then all those after.
func pad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	counts, err := list(in[1], "pads")
	if err != nil {
		return nil, err
	}
	axes := upTo(x.Rank())
	if t := input(in, 3); t != nil {
		if axes, err = list(t, "axes"); err != nil {
			return nil, err
		}
		if axes, err = normAxes(axes, x.Rank()); err != nil {
			return nil, err
		}
	}
	if len(counts) != 2*len(axes) {
		return nil, fmt.Errorf("pads %v for %d axes", counts, len(axes))
	}
	value := input(in, 2)
	if value != nil && (value.DType != x.DType || value.Len() != 1) {
		return nil, fmt.Errorf("padding value %v for a tensor of %v", value, x.DType)
	}
	index, shape := make([][]int, x.Rank()), slices.Clone(x.Shape)
	before := make([]int, x.Rank())
	for i, a := range axes {
		before[a] = counts[i]
		if counts[i] > maxElements || counts[len(axes)+i] > maxElements {
			return nil, fmt.Errorf("pads %v are out of range", counts)
		}
		shape[a] = max(shape[a]+counts[i]+counts[len(axes)+i], 0)
	}
	if err := checkSize(shape); err != nil {
		return nil, err
	}
	mode := n.Str("mode", "constant")
	for a := range shape {
		if index[a], err = padIndex(mode, x.Shape[a], before[a], shape[a]); err != nil {
			return nil, err
		}
	}
	return one(take(x, index, value))
}

// padIndex lists which of d elements stands at each place of a padded axis,
// -1 for the constant. Cropping comes before padding.
func padIndex(mode string, d, before, size int) ([]int, error) {
	lo, hi := max(0, -before), min(d, size-before)
	n := hi - lo
	out := make([]int, size)
	for i := range out {
		p := i - before - lo
		switch {
		case p >= 0 && p < n:
		case mode == "constant":
			out[i] = -1
			continue
		case n <= 0:
			return nil, fmt.Errorf("an empty axis cannot be padded with %q", mode)
		case mode == "edge":
			p = min(max(p, 0), n-1)
		case mode == "wrap":
			p = ((p % n) + n) % n
		case mode == "reflect" && n == 1:
			p = 0
		case mode == "reflect":
			period := 2 * (n - 1)
			if p = ((p % period) + period) % period; p >= n {
				p = period - p
			}
		default:
			return nil, fmt.Errorf("unknown mode %q", mode)
		}
		out[i] = p + lo
	}
	return out, nil
}

// blocks checks the input and block size of DepthToSpace and SpaceToDepth.
func blocks(n *graph.Node, x *tensor.Tensor) (b, c, h, w int, err error) {
	b = n.Int("blocksize", 0)
	if x.Rank() != 4 || b < 1 || b > maxExtent {
		return 0, 0, 0, 0, fmt.Errorf("block size %d for input %v", b, x.Shape)
	}
	return b, x.Shape[1], x.Shape[2], x.Shape[3], nil
}

func depthToSpace(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	b, c, h, w, err := blocks(n, x)
	if err != nil {
		return nil, err
	}
	if c%(b*b) != 0 {
		return nil, fmt.Errorf("%d channels are no multiple of %d", c, b*b)
	}
	c /= b * b
	split, perm := []int{x.Shape[0], b, b, c, h, w}, []int{0, 3, 4, 1, 5, 2}
	if n.Str("mode", "DCR") == "CRD" {
		split, perm = []int{x.Shape[0], c, b, b, h, w}, []int{0, 1, 4, 2, 5, 3}
	}
	return one(regroup(x, split, perm, x.Shape[0], c, h*b, w*b))
}

func spaceToDepth(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	b, c, h, w, err := blocks(n, x)
	if err != nil {
		return nil, err
	}
	if h%b != 0 || w%b != 0 {
		return nil, fmt.Errorf("an image of %dx%d is no multiple of %d", h, w, b)
	}
	return one(regroup(x, []int{x.Shape[0], c, h / b, b, w / b, b}, []int{0, 3, 5, 1, 2, 4}, x.Shape[0], c*b*b, h/b, w/b))
}

// regroup splits axes, permutes them and joins them again.
func regroup(x *tensor.Tensor, split, perm []int, shape ...int) (*tensor.Tensor, error) {
	x, err := x.Reshape(split...)
	if err != nil {
		return nil, err
	}
	if x, err = permute(x, perm); err != nil {
		return nil, err
	}
	return x.Reshape(shape...)
}
