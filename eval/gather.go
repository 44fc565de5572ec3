package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", movement, 2, map[string]Func{
		"Gather": gatherNode, "GatherElements": gatherElements, "GatherND": gatherND, "Compress": compress, "ReverseSequence": reverseSequence,
	})
	register("", movement, 3, map[string]Func{"ScatterElements": scatterElements, "ScatterND": scatterND, "OneHot": oneHot})
	register("", movement, 1, map[string]Func{"Trilu": trilu, "NonZero": nonZero})
}

// indices reads positions into an axis of d elements; negative ones count
// from the end.
func indices(t *tensor.Tensor, d int) ([]int, error) {
	if !t.DType.IsInt() {
		return nil, fmt.Errorf("indices of type %v", t.DType)
	}
	out := t.Ints()
	for i, v := range out {
		if v < -d || v >= d {
			return nil, fmt.Errorf("index %d is outside an axis of %d elements", v, d)
		}
		if v < 0 {
			out[i] = v + d
		}
	}
	return out, nil
}

// gatherNode replaces an axis by the axes of the indices.
func gatherNode(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axis, err := normAxis(n.Int("axis", 0), x.Rank())
	if err != nil {
		return nil, err
	}
	at, err := indices(in[1], x.Shape[axis])
	if err != nil {
		return nil, err
	}
	index := make([][]int, x.Rank())
	for a, d := range x.Shape {
		index[a] = upTo(d)
	}
	index[axis] = at
	out, err := take(x, index, nil)
	if err != nil {
		return nil, err
	}
	shape := slices.Concat(x.Shape[:axis], in[1].Shape, x.Shape[axis+1:])
	return one(out.Reshape(shape...))
}

// elementwiseAt visits the elements of an index tensor with the position in x
// that they name along an axis.
func elementwiseAt(x, index *tensor.Tensor, axis int, visit func(i, at int)) error {
	axis, err := normAxis(axis, x.Rank())
	if err != nil {
		return err
	}
	if index.Rank() != x.Rank() {
		return fmt.Errorf("indices of shape %v for %v", index.Shape, x.Shape)
	}
	for a, d := range index.Shape {
		if a != axis && d > x.Shape[a] {
			return fmt.Errorf("indices of shape %v for %v", index.Shape, x.Shape)
		}
	}
	at, err := indices(index, x.Shape[axis])
	if err != nil {
		return err
	}
	step := strides(x.Shape)
	along := step[axis]
	step[axis] = 0
	i := 0
	rows(index.Shape, [][]int{step}, func(n int, base, step []int) {
		for j := range n {
			visit(i, base[0]+j*step[0]+at[i]*along)
			i++
		}
	})
	return nil
}

// gatherElements picks one element for each index.
func gatherElements(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, index := in[0], in[1]
	out, err := allocate(x.DType, index.Shape...)
	if err != nil {
		return nil, err
	}
	err = elementwiseAt(x, index, n.Int("axis", 0), func(i, at int) { copyRow(out, x, i, 1, at, 1, 1) })
	return one(out, err)
}

// combiner returns how a scattered element joins the one it meets.
func combiner(mode string) (func(old, update *tensor.Tensor) (*tensor.Tensor, error), error) {
	switch mode {
	case "none", "":
		return nil, nil
	case "add":
		return add.apply, nil
	case "mul":
		return mul.apply, nil
	case "min":
		return minimum.apply, nil
	case "max":
		return maximum.apply, nil
	}
	return nil, fmt.Errorf("unknown reduction %q", mode)
}

// put writes n elements of src from position at into dst from position to on,
// combining them with what is there.
func put(dst, src *tensor.Tensor, to, at, n int, combine func(old, update *tensor.Tensor) (*tensor.Tensor, error)) error {
	if combine == nil {
		copyRow(dst, src, to, 1, at, 1, n)
		return nil
	}
	old, err := strided(dst, []int{n}, to, []int{1})
	if err != nil {
		return err
	}
	update, err := strided(src, []int{n}, at, []int{1})
	if err != nil {
		return err
	}
	merged, err := combine(old, update)
	if err != nil {
		return err
	}
	copyRow(dst, merged, to, 1, 0, 1, n)
	return nil
}

// scatterElements puts each update where its index says.
func scatterElements(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, index, updates := in[0], in[1], in[2]
	if err := sameTypes(x, updates); err != nil {
		return nil, err
	}
	if !slices.Equal(index.Shape, updates.Shape) {
		return nil, fmt.Errorf("indices %v and updates %v differ in shape", index.Shape, updates.Shape)
	}
	combine, err := combiner(n.Str("reduction", "none"))
	if err != nil {
		return nil, err
	}
	out := x.Clone()
	var failed error
	err = elementwiseAt(x, index, n.Int("axis", 0), func(i, at int) {
		if e := put(out, updates, at, i, 1, combine); e != nil {
			failed = e
		}
	})
	if err == nil {
		err = failed
	}
	return one(out, err)
}

// tuples reads index tuples (the last axis of t) into x's axes from first on,
// as flat positions relative to the batch, and the size of what each names.
func tuples(x, t *tensor.Tensor, first int) (at []int, size int, err error) {
	if t.Rank() < 1 || !t.DType.IsInt() {
		return nil, 0, fmt.Errorf("indices %v", t)
	}
	k := t.Shape[t.Rank()-1]
	if k > x.Rank()-first {
		return nil, 0, fmt.Errorf("index tuples of %d for a tensor of rank %d", k, x.Rank())
	}
	step, v := strides(x.Shape), t.Ints()
	at = make([]int, product(t.Shape[:t.Rank()-1]))
	for i := range at {
		for j := range k {
			d, p := x.Shape[first+j], v[i*k+j]
			if p < -d || p >= d {
				return nil, 0, fmt.Errorf("index %d is outside an axis of %d elements", p, d)
			}
			if p < 0 {
				p += d
			}
			at[i] += p * step[first+j]
		}
	}
	return at, product(x.Shape[first+k:]), nil
}

func gatherND(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, index, batch := in[0], in[1], n.Int("batch_dims", 0)
	if batch < 0 || batch >= min(x.Rank(), index.Rank()) || !slices.Equal(x.Shape[:batch], index.Shape[:batch]) {
		return nil, fmt.Errorf("%d batch dimensions of %v and %v", batch, x.Shape, index.Shape)
	}
	at, size, err := tuples(x, index, batch)
	if err != nil {
		return nil, err
	}
	last := index.Rank() - 1
	out, err := allocate(x.DType, slices.Concat(index.Shape[:last], x.Shape[batch+index.Shape[last]:])...)
	if err != nil {
		return nil, err
	}
	perBatch, image := product(index.Shape[batch:last]), product(x.Shape[batch:])
	for i, p := range at {
		copyRow(out, x, i*size, 1, i/max(perBatch, 1)*image+p, 1, size)
	}
	return one(out, nil)
}

func scatterND(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, index, updates := in[0], in[1], in[2]
	if err := sameTypes(x, updates); err != nil {
		return nil, err
	}
	combine, err := combiner(n.Str("reduction", "none"))
	if err != nil {
		return nil, err
	}
	at, size, err := tuples(x, index, 0)
	if err != nil {
		return nil, err
	}
	if updates.Len() != len(at)*size {
		return nil, fmt.Errorf("updates of shape %v for indices %v into %v", updates.Shape, index.Shape, x.Shape)
	}
	out := x.Clone()
	for i, p := range at {
		if err := put(out, updates, p, i*size, size, combine); err != nil {
			return nil, err
		}
	}
	return one(out, nil)
}

// oneHot adds an axis that is on (values[1]) at the index and off (values[0])
// elsewhere; an index out of range is off everywhere.
func oneHot(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	index, values := in[0], in[2]
	depth, err := scalar(in[1], "depth")
	if err != nil {
		return nil, err
	}
	if values.Len() != 2 || depth < 0 || depth > float64(maxElements) {
		return nil, fmt.Errorf("depth %v with values of shape %v", depth, values.Shape)
	}
	axis, err := normAxis(n.Int("axis", -1), index.Rank()+1)
	if err != nil {
		return nil, err
	}
	d := int(depth)
	out, err := allocate(values.DType, slices.Insert(slices.Clone(index.Shape), axis, d)...)
	if err != nil {
		return nil, err
	}
	copyRow(out, values, 0, 1, 0, 0, out.Len())
	inner := product(index.Shape[axis:])
	for i, v := range floats(index) {
		p := int(v)
		if p < 0 {
			p += d
		}
		if p >= 0 && p < d {
			copyRow(out, values, (i/inner*d+p)*inner+i%inner, 1, 1, 1, 1)
		}
	}
	return one(out, nil)
}

// compress keeps the slices along an axis (or the elements) whose condition
// holds.
func compress(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, cond := in[0], in[1]
	if cond.DType != tensor.Bool {
		return nil, fmt.Errorf("condition of type %v", cond.DType)
	}
	var err error
	if !n.Has("axis") {
		if x, err = x.Reshape(x.Len()); err != nil {
			return nil, err
		}
	}
	axis, err := normAxis(n.Int("axis", 0), x.Rank())
	if err != nil {
		return nil, err
	}
	index := make([][]int, x.Rank())
	for a, d := range x.Shape {
		index[a] = upTo(d)
	}
	index[axis] = []int{}
	for i, keep := range tensor.Data[bool](cond) {
		if keep && i < x.Shape[axis] {
			index[axis] = append(index[axis], i)
		}
	}
	return one(take(x, index, nil))
}

// reverseSequence turns the first lens[b] steps of each batch entry around.
func reverseSequence(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, time, batch := in[0], n.Int("time_axis", 0), n.Int("batch_axis", 1)
	lens, err := list(in[1], "sequence lengths")
	if err != nil {
		return nil, err
	}
	if x.Rank() < 2 || time+batch != 1 || time*batch != 0 || len(lens) != x.Shape[batch] {
		return nil, fmt.Errorf("time axis %d, batch axis %d and %d lengths for %v", time, batch, len(lens), x.Shape)
	}
	out := x.Clone()
	step, size := strides(x.Shape), product(x.Shape[2:])
	for b, l := range lens {
		if l < 0 || l > x.Shape[time] {
			return nil, fmt.Errorf("sequence length %d of %d steps", l, x.Shape[time])
		}
		for t := range l {
			copyRow(out, x, b*step[batch]+t*step[time], 1, b*step[batch]+(l-1-t)*step[time], 1, size)
		}
	}
	return one(out, nil)
}

// trilu keeps the upper or lower triangle of each matrix, moved by k diagonals.
func trilu(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, k := in[0], 0
	if x.Rank() < 2 {
		return nil, fmt.Errorf("input of shape %v is no matrix", x.Shape)
	}
	if t := input(in, 1); t != nil {
		v, err := scalar(t, "k")
		if err != nil {
			return nil, err
		}
		k = int(v)
	}
	h, w := x.Shape[x.Rank()-2], x.Shape[x.Rank()-1]
	out := tensor.New(x.DType, x.Shape...)
	upper := n.Int("upper", 1) != 0
	for r := range product(x.Shape[:x.Rank()-1]) {
		lo, hi := 0, min(max(r%h+k+1, 0), w)
		if upper {
			lo, hi = min(max(r%h+k, 0), w), w
		}
		copyRow(out, x, r*w+lo, 1, r*w+lo, 1, hi-lo)
	}
	return one(out, nil)
}

// nonZero lists the positions of non-zero elements, one column each.
func nonZero(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	var at []int
	for i, v := range floats(x) {
		if v != 0 {
			at = append(at, i)
		}
	}
	rank, step := max(x.Rank(), 1), strides(x.Shape)
	out := make([]int64, rank*len(at))
	for a := range step {
		for i, p := range at {
			out[a*len(at)+i] = int64(p / step[a] % x.Shape[a])
		}
	}
	return one(tensor.Of(out, rank, len(at)), nil)
}
