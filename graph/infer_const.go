package graph

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(
		operator("Constant", 0, 0, 1, inferConstant),
		operator("ConstantOfShape", 1, 1, 1, inferConstantOfShape),
		operator("Shape", 1, 1, 1, inferShapeOp),
		operator("Size", 1, 1, 1, inferSize),
		operator("Range", 3, 3, 1, inferRange),
		operator("NonZero", 1, 1, 1, inferNonZero),
	)
}

// inferConstant is for Constant nodes that were not turned into constants of
// the graph.
func inferConstant(n *Node) error {
	switch v := n.Attrs["value"].(type) {
	case *tensor.Tensor:
		n.set(0, v.DType, ShapeOf(v.Shape))
		n.setElems(0, (&Value{Data: v}).elems())
		return nil
	}
	switch {
	case n.Has("value_int"):
		n.set(0, tensor.Int64, Shape{})
		n.setElems(0, []Dim{D(n.Int("value_int", 0))})
	case n.Has("value_float"):
		n.set(0, tensor.Float32, Shape{})
	case n.Has("value_string"):
		n.set(0, tensor.String, Shape{})
	case n.Has("value_ints"):
		list := n.Ints("value_ints")
		n.set(0, tensor.Int64, Dims(len(list)))
		n.setElems(0, ShapeOf(list))
	case n.Has("value_floats"):
		n.set(0, tensor.Float32, Dims(len(n.Floats("value_floats"))))
	}
	return nil
}

func inferConstantOfShape(n *Node) error {
	t, e := tensor.Float32, []Dim{D(0)}
	if v := n.Tensor("value"); v != nil {
		if v.Len() != 1 {
			return fmt.Errorf("attribute value has %d elements, want 1", v.Len())
		}
		t, e = v.DType, (&Value{Data: v}).elems()
	}
	n.set(0, t, nil)
	target := n.In(0).elems()
	if target == nil {
		if s := n.in(0); len(s) == 1 && s[0].Known() && s[0].Size <= maxElems {
			n.set(0, t, unknowns(s[0].Size))
		}
		return nil
	}
	for _, d := range target {
		if d.Known() && d.Size < 0 {
			return fmt.Errorf("the shape %v is negative", Shape(target))
		}
	}
	n.set(0, t, target)
	if len(e) == 1 {
		n.setElems(0, repeat(e[0], target))
	}
	return nil
}

func inferShapeOp(n *Node) error {
	x := n.in(0)
	n.set(0, tensor.Int64, Shape{unknown})
	if x == nil {
		return nil
	}
	// start and end count from the end if negative, and are clamped.
	bound := func(a int) int {
		if a < 0 {
			a += len(x)
		}
		return min(max(a, 0), len(x))
	}
	start, end := bound(n.Int("start", 0)), bound(n.Int("end", len(x)))
	part := x[min(start, end):end]
	n.set(0, tensor.Int64, Dims(len(part)))
	n.setElems(0, append([]Dim{}, part...))
	return nil
}

func inferSize(n *Node) error {
	n.set(0, tensor.Int64, Shape{})
	if x := n.in(0); x != nil {
		n.setElems(0, []Dim{dimProduct(x)})
	}
	return nil
}

func inferRange(n *Node) error {
	n.set(0, n.inType(0), Shape{unknown})
	if n.inType(0).IsFloat() {
		return inferFloatRange(n)
	}
	var lim [3]int
	for i := range lim {
		e := n.In(i).elems()
		if len(e) != 1 {
			return nil
		}
		if !e[0].Known() {
			// Range(0, N, 1) has N elements.
			if i == 1 && lim[0] == 0 {
				if step := n.In(2).elems(); len(step) == 1 && step[0].Same(D(1)) {
					n.set(0, n.inType(0), Shape{e[0]})
				}
			}
			return nil
		}
		lim[i] = e[0].Size
	}
	start, limit, delta := lim[0], lim[1], lim[2]
	if delta == 0 {
		return fmt.Errorf("delta is 0")
	}
	count := rangeCount(float64(start), float64(limit), float64(delta))
	if count > tensor.MaxElements {
		return fmt.Errorf("from %d to %d by %d has too many elements", start, limit, delta)
	}
	n.set(0, n.inType(0), Dims(int(count)))
	if count <= maxElems {
		e := make([]Dim, int(count))
		for i := range e {
			e[i] = D(start + i*delta)
		}
		n.setElems(0, e)
	}
	return nil
}

func inferFloatRange(n *Node) error {
	var lim [3]float64
	for i := range lim {
		v := n.In(i)
		if v.Data == nil || v.Data.Len() != 1 {
			return nil
		}
		lim[i] = v.Data.At(0)
	}
	count := rangeCount(lim[0], lim[1], lim[2])
	if lim[2] == 0 || !(count <= tensor.MaxElements) {
		return fmt.Errorf("from %v to %v by %v has too many elements", lim[0], lim[1], lim[2])
	}
	n.set(0, n.inType(0), Dims(int(count)))
	return nil
}

func rangeCount(start, limit, delta float64) float64 {
	return max(math.Ceil((limit-start)/delta), 0)
}

func inferNonZero(n *Node) error {
	rank := unknown
	if x := n.in(0); x != nil {
		rank = D(len(x))
	}
	n.set(0, tensor.Int64, Shape{rank, unknown})
	return nil
}
