package graph

import (
	"fmt"
	"slices"
)

func init() {
	Register(
		operator("Concat", 1, -1, 1, inferConcat),
		operator("Split", 1, 2, -1, inferSplit),
		operator("Slice", 3, 5, 1, inferSlice),
		operator("Pad", 2, 4, 1, inferPad),
		operator("Gather", 2, 2, 1, inferGather),
		operator("GatherElements", 2, 2, 1, inferGatherElements),
		operator("GatherND", 2, 2, 1, inferGatherND),
		operator("ScatterElements", 3, 3, 1, inferSame),
		operator("ScatterND", 3, 3, 1, inferSame),
		operator("OneHot", 3, 3, 1, inferOneHot),
	)
}

func inferConcat(n *Node) error {
	s, err := concatShape(n, n.Inputs)
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	var all []Dim
	for _, v := range n.Inputs {
		e := v.elems()
		if e == nil || len(v.Shape) != 1 {
			return nil
		}
		all = append(all, e...)
	}
	n.setElems(0, all)
	return nil
}

// concatShape joins the operands along the attribute axis.
func concatShape(n *Node, parts []*Value) (Shape, error) {
	var out Shape
	a := n.Int("axis", 0)
	if !n.Has("axis") {
		return nil, fmt.Errorf("lacks its attribute axis")
	}
	if slices.Contains(parts, nil) {
		return nil, fmt.Errorf("an operand is left out")
	}
	for _, v := range parts {
		if v.Shape == nil {
			return nil, nil
		}
		if out == nil {
			var err error
			if a, err = axis(a, len(v.Shape)); err != nil {
				return nil, err
			}
			out = slices.Clone(v.Shape)
			continue
		}
		if len(v.Shape) != len(out) {
			return nil, fmt.Errorf("operands of shape %v and %v have different numbers of dimensions", out, v.Shape)
		}
		for i, d := range v.Shape {
			if i == a {
				out[i] = dimAdd(out[i], d)
				continue
			}
			var err error
			if out[i], err = agree(out[i], d, fmt.Sprintf("dimension %d of %q and of the operands before", i, v.Name)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// SplitSizes returns the sizes of a Split's outputs along its axis, which has
// total elements.
func SplitSizes(n *Node, total int) ([]int, error) {
	outs := len(n.Outputs)
	if v := n.In(1); v != nil {
		sizes, ok := v.IntElems()
		if !ok {
			return nil, fmt.Errorf("the sizes in %q are not constant", v.Name)
		}
		return sizes, checkSplit(sizes, outs, total)
	}
	if want := n.Int("num_outputs", outs); want != outs {
		return nil, fmt.Errorf("num_outputs = %d, but there are %d outputs", want, outs)
	}
	chunk := (total + outs - 1) / outs
	sizes := make([]int, outs)
	for i := range sizes {
		sizes[i] = max(0, min(chunk, total-i*chunk))
	}
	return sizes, nil
}

func checkSplit(sizes []int, outs, total int) error {
	if len(sizes) != outs {
		return fmt.Errorf("%d sizes for %d outputs", len(sizes), outs)
	}
	rest := total
	for _, s := range sizes {
		if s < 0 || s > rest {
			return fmt.Errorf("sizes %v do not add up to the axis's %d", sizes, total)
		}
		rest -= s
	}
	if rest != 0 {
		return fmt.Errorf("sizes %v do not add up to the axis's %d", sizes, total)
	}
	return nil
}

func inferSplit(n *Node) error {
	x := n.in(0)
	for i := range n.Outputs {
		n.set(i, n.inType(0), nil)
	}
	if x == nil {
		return nil
	}
	a, err := axis(n.Int("axis", 0), len(x))
	if err != nil {
		return err
	}
	var sizes []int
	if x[a].Known() {
		if _, ok := n.In(1).IntElems(); ok || n.In(1) == nil {
			if sizes, err = SplitSizes(n, x[a].Size); err != nil {
				return err
			}
		}
	} else if s, ok := n.In(1).IntElems(); ok && len(s) == len(n.Outputs) {
		sizes = s
	}
	elems := n.In(0).elems()
	for i := range n.Outputs {
		out := slices.Clone(x)
		out[a] = unknown
		if sizes != nil {
			out[a] = D(sizes[i])
		}
		n.set(i, n.inType(0), out)
		if len(x) == 1 && sizes != nil && sizes[i] <= len(elems) {
			n.setElems(i, elems[:sizes[i]])
			elems = elems[sizes[i]:]
		}
	}
	return nil
}

// SliceRange brings the start, end and step of a Slice along a dimension of
// size dim into range, as ONNX defines it, and counts the elements taken:
// start, start+step, ….
func SliceRange(dim, start, end, step int) (first, count int) {
	clamp := func(v, lo, hi int) int {
		if v < 0 {
			v = max(v, -dim-1) + dim
		}
		return min(max(v, lo), hi)
	}
	if dim == 0 || step == 0 {
		return 0, 0
	}
	if step > 0 {
		first, end = clamp(start, 0, dim), clamp(end, 0, dim)
		if end <= first {
			return first, 0
		}
		return first, (end-first-1)/step + 1
	}
	first = clamp(start, 0, dim-1)
	if end < -dim {
		end = -1
	} else {
		end = clamp(end, -1, dim-1)
	}
	if end >= first {
		return first, 0
	}
	if step < -dim {
		return first, 1
	}
	return first, (first-end-1)/-step + 1
}

func inferSlice(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	starts, ends := n.In(1).elems(), n.In(2).elems()
	axes, known := n.sliceAxes(len(x), len(starts))
	if starts == nil || ends == nil || !known {
		n.set(0, n.inType(0), unknowns(len(x)))
		return nil
	}
	steps := n.In(4).elems()
	if steps == nil && n.In(4) != nil {
		steps = unknowns(len(starts))
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return fmt.Errorf("starts, ends, axes and steps have %d, %d, %d and %d numbers; they must be equally many",
			len(starts), len(ends), len(axes), len(steps))
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	for i, a := range axes {
		step := D(1)
		if steps != nil {
			step = steps[i]
		}
		if step.Known() && step.Size == 0 {
			return fmt.Errorf("step 0 along axis %d", a)
		}
		out[a] = slicedDim(x[a], starts[i], ends[i], step)
	}
	n.set(0, n.inType(0), out)
	n.sliceElems(starts, ends, steps)
	return nil
}

// sliceAxes are the axes that a Slice names, by default the first ones.
func (n *Node) sliceAxes(rank, count int) ([]int, bool) {
	if n.In(3) != nil {
		return n.In(3).IntElems()
	}
	axes := make([]int, min(count, rank+1))
	for i := range axes {
		axes[i] = i
	}
	return axes, true
}

func slicedDim(d, start, end, step Dim) Dim {
	switch {
	case d.Known() && start.Known() && end.Known() && step.Known():
		_, count := SliceRange(d.Size, start.Size, end.Size, step.Size)
		return D(count)
	case !start.Known() || start.Size != 0 || !step.Known() || step.Size != 1:
		return unknown
	case end.Same(d), end.Known() && end.Size >= 1<<31-1: // all of it
		return d
	}
	return unknown
}

func (n *Node) sliceElems(starts, ends, steps []Dim) {
	e := n.In(0).elems()
	if e == nil || len(n.in(0)) != 1 || len(starts) != 1 || !starts[0].Known() || !ends[0].Known() {
		return
	}
	step := 1
	if steps != nil {
		if !steps[0].Known() {
			return
		}
		step = steps[0].Size
	}
	first, count := SliceRange(len(e), starts[0].Size, ends[0].Size, step)
	out := make([]Dim, count)
	for i := range out {
		out[i] = e[first+i*step]
	}
	n.setElems(0, out)
}

func inferPad(n *Node) error {
	x := n.in(0)
	switch m := n.Str("mode", "constant"); m {
	case "constant", "reflect", "edge", "wrap":
	default:
		return fmt.Errorf("mode %q is not one of constant, reflect, edge, wrap", m)
	}
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	pads := n.In(1).elems()
	axes, known := []int(nil), true
	if n.In(3) != nil {
		axes, known = n.In(3).IntElems()
	} else {
		for i := range x {
			axes = append(axes, i)
		}
	}
	if pads == nil || !known {
		n.set(0, n.inType(0), unknowns(len(x)))
		return nil
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return err
	}
	if len(pads) != 2*len(axes) {
		return fmt.Errorf("pads has %d numbers, want %d (starts, then ends)", len(pads), 2*len(axes))
	}
	out := slices.Clone(x)
	for i, a := range axes {
		out[a] = dimAdd(dimAdd(x[a], pads[i]), pads[len(axes)+i])
		if out[a].Known() && out[a].Size < 0 {
			return fmt.Errorf("dimension %d would have size %d", a, out[a].Size)
		}
	}
	n.set(0, n.inType(0), out)
	return nil
}

// joined concatenates lists of dimensions; the result is never nil.
func joined(parts ...Shape) Shape {
	out := Shape{}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func inferGather(n *Node) error {
	x, idx := n.in(0), n.in(1)
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	a, err := axis(n.Int("axis", 0), len(x))
	if err != nil {
		return err
	}
	list := n.In(1).elems()
	for _, d := range list {
		if d.Known() && x[a].Known() && (d.Size < -x[a].Size || d.Size >= x[a].Size) {
			return fmt.Errorf("index %d is outside dimension %d, whose size is %d", d.Size, a, x[a].Size)
		}
	}
	if idx == nil {
		return nil
	}
	n.set(0, n.inType(0), joined(x[:a], idx, x[a+1:]))
	e := n.In(0).elems()
	if e == nil || len(x) != 1 || list == nil {
		return nil
	}
	out := make([]Dim, len(list))
	for i, d := range list {
		out[i] = unknown
		if d.Known() {
			out[i] = e[(d.Size+len(e))%len(e)]
		}
	}
	n.setElems(0, out)
	return nil
}

func inferGatherElements(n *Node) error {
	x, idx := n.in(0), n.in(1)
	if x != nil {
		if _, err := axis(n.Int("axis", 0), len(x)); err != nil {
			return err
		}
		if idx != nil && len(idx) != len(x) {
			return fmt.Errorf("indices of shape %v must have as many dimensions as the data %v", idx, x)
		}
	}
	n.set(0, n.inType(0), idx)
	return nil
}

func inferGatherND(n *Node) error {
	x, idx := n.in(0), n.in(1)
	n.set(0, n.inType(0), nil)
	if x == nil || len(idx) == 0 || !idx[len(idx)-1].Known() {
		return nil
	}
	b, last := n.Int("batch_dims", 0), idx[len(idx)-1].Size
	if b < 0 || b >= min(len(idx), len(x)) || b+last > len(x) {
		return fmt.Errorf("batch_dims %d and indices of shape %v do not fit the data %v", b, idx, x)
	}
	n.set(0, n.inType(0), joined(idx[:len(idx)-1], x[b+last:]))
	return nil
}

func inferOneHot(n *Node) error {
	idx, depth := n.in(0), n.In(1).elems()
	n.set(0, n.inType(2), nil)
	if idx == nil {
		return nil
	}
	a, err := axis(n.Int("axis", -1), len(idx)+1)
	if err != nil {
		return err
	}
	d := unknown
	if len(depth) == 1 {
		if d = depth[0]; d.Known() && d.Size < 0 {
			return fmt.Errorf("depth %d is negative", d.Size)
		}
	}
	n.set(0, n.inType(2), slices.Insert(slices.Clone(idx), a, d))
	return nil
}
