package graph

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// maxElems bounds the tensors whose elements shape inference follows.
const maxElems = 1024

// operator is shorthand for a row of the table with one or more outputs in
// ONNX's domain.
func operator(name string, minIn, maxIn, maxOut int, infer func(*Node) error) Op {
	return Op{Name: name, MinIn: minIn, MaxIn: maxIn, MinOut: 1, MaxOut: maxOut, Infer: infer}
}

// named gives the same row to several operators.
func named(row Op, names ...string) []Op {
	list := make([]Op, len(names))
	for i, name := range names {
		list[i] = row
		list[i].Name = name
	}
	return list
}

// in returns the shape of input i, nil if it is left out or of unknown rank.
func (n *Node) in(i int) Shape {
	if v := n.In(i); v != nil {
		return v.Shape
	}
	return nil
}

// inType returns the element type of input i, Invalid if left out or unknown.
func (n *Node) inType(i int) tensor.DType {
	if v := n.In(i); v != nil {
		return v.Type
	}
	return tensor.Invalid
}

// set stores what was inferred about output i. What remains unknown keeps
// what the file declared.
func (n *Node) set(i int, t tensor.DType, s Shape) {
	o := n.Out(i)
	if o == nil {
		return
	}
	if t != tensor.Invalid {
		o.Type = t
	}
	if s == nil {
		return
	}
	s = slices.Clone(s)
	if len(o.Shape) == len(s) {
		for j, d := range s {
			if !d.Known() && d.Name == "" {
				s[j] = o.Shape[j]
			}
		}
	}
	o.Shape = s
}

// setElems stores the known elements of output i, whose shape is set already.
// Lists that are too long, or do not fit the shape, are dropped.
func (n *Node) setElems(i int, e []Dim) {
	o := n.Out(i)
	if o == nil || len(e) > maxElems || e == nil {
		return
	}
	if size, ok := tensor.NumElements(o.Shape.Ints()); !ok || o.Shape == nil || size != len(e) {
		return
	}
	o.Elems = e
}

// elems returns the elements of a small tensor as far as they are known as
// integers: those of a constant or those that inference found. Elements with
// a fraction are unknown. Nil means that nothing is known.
func (v *Value) elems() []Dim {
	switch {
	case v == nil:
		return nil
	case v.Elems != nil:
		return v.Elems
	case v.Data == nil || v.Data.Len() > maxElems || v.Data.DType.Bits() == 0:
		return nil
	}
	out := make([]Dim, v.Data.Len())
	if !v.Data.DType.IsFloat() {
		for i, x := range v.Data.Int64s() {
			out[i] = D(int(x))
		}
		return out
	}
	for i := range out {
		out[i] = unknown
		if x := v.Data.At(i); x == float64(int(x)) && x > -1<<53 && x < 1<<53 {
			out[i] = D(int(x))
		}
	}
	return out
}

// IntElems returns the elements of a small integer tensor, from a constant or
// from shape inference; ok is false unless every one is known.
func (v *Value) IntElems() (list []int, ok bool) {
	e := v.elems()
	if e == nil {
		return nil, false
	}
	list = make([]int, len(e))
	for i, d := range e {
		if !d.Known() {
			return nil, false
		}
		list[i] = d.Size
	}
	return list, true
}

// unknown is a dimension of which nothing is known.
var unknown = Dim{Size: -1}

// unknowns is a shape of the given rank and nothing more.
func unknowns(rank int) Shape {
	s := make(Shape, rank)
	for i := range s {
		s[i] = unknown
	}
	return s
}

// checkedMul multiplies; ok is false on overflow.
func checkedMul(a, b int) (p int, ok bool) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int(lo), true
	}
	return int(lo), true
}

func magnitude(a int) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// checkedAdd adds; ok is false on overflow.
func checkedAdd(a, b int) (int, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

// clampMul multiplies non-negative numbers and stops at the largest int64: it
// is for counts, which must not wrap around.
func clampMul(list ...int) int64 {
	p := 1
	for _, v := range list {
		q, ok := checkedMul(p, max(v, 0))
		if !ok {
			return 1<<63 - 1
		}
		p = q
	}
	return int64(p)
}

// size is a dimension's size for counting: an unknown one counts as 1.
func (d Dim) size() int {
	if d.Known() {
		return d.Size
	}
	return 1
}

// Arithmetic on dimensions: a result that is not certain is unknown.

func dimAdd(a, b Dim) Dim {
	switch {
	case a.Known() && a.Size == 0:
		return b
	case b.Known() && b.Size == 0:
		return a
	case a.Known() && b.Known():
		if s, ok := checkedAdd(a.Size, b.Size); ok {
			return D(s)
		}
	}
	return unknown
}

func dimSub(a, b Dim) Dim {
	switch {
	case a.Same(b):
		return D(0)
	case b.Known() && b.Size == 0:
		return a
	case a.Known() && b.Known():
		if s, ok := checkedAdd(a.Size, -b.Size); ok && b.Size != -b.Size {
			return D(s)
		}
	}
	return unknown
}

func dimMul(a, b Dim) Dim {
	switch {
	case a.Known() && a.Size == 1:
		return b
	case b.Known() && b.Size == 1:
		return a
	case a.Known() && b.Known():
		if p, ok := checkedMul(a.Size, b.Size); ok {
			return D(p)
		}
	}
	return unknown
}

// dimDiv divides integers, truncating towards zero as ONNX does.
func dimDiv(a, b Dim) Dim {
	switch {
	case b.Known() && b.Size == 1:
		return a
	case a.Known() && b.Known() && b.Size != 0 && b.Size != -1:
		return D(a.Size / b.Size)
	}
	return unknown
}

func dimMin(a, b Dim) Dim {
	switch {
	case a.Same(b):
		return a
	case a.Known() && b.Known():
		return D(min(a.Size, b.Size))
	}
	return unknown
}

func dimMax(a, b Dim) Dim {
	switch {
	case a.Same(b):
		return a
	case a.Known() && b.Known():
		return D(max(a.Size, b.Size))
	}
	return unknown
}

// axis brings an axis into 0..rank-1.
func axis(a, rank int) (int, error) {
	if a < -rank || a >= rank {
		return 0, fmt.Errorf("axis %d does not exist in a tensor of %d dimensions; it must be from %d to %d", a, rank, -rank, rank-1)
	}
	if a < 0 {
		a += rank
	}
	return a, nil
}

// axesOf brings a list of axes into 0..rank-1 and rejects repetitions.
func axesOf(list []int, rank int) ([]int, error) {
	out := make([]int, 0, len(list))
	for _, a := range list {
		k, err := axis(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, k) {
			return nil, fmt.Errorf("axis %d is listed twice in %v", a, list)
		}
		out = append(out, k)
	}
	return out, nil
}

// broadcast combines shapes by ONNX's (numpy's) multidirectional rule.
func broadcast(shapes ...Shape) (Shape, error) {
	rank := 0
	for _, s := range shapes {
		if s == nil {
			return nil, nil
		}
		rank = max(rank, len(s))
	}
	out := make(Shape, rank)
	for i := range out {
		d := D(1)
		for _, s := range shapes {
			k := i - rank + len(s)
			if k < 0 {
				continue
			}
			var ok bool
			if d, ok = broadcastDim(d, s[k]); !ok {
				return nil, fmt.Errorf("shapes %v do not broadcast: dimension %d (of %d) must be equal or 1", shapes, i, rank)
			}
		}
		out[i] = d
	}
	return out, nil
}

func broadcastDim(a, b Dim) (Dim, bool) {
	switch {
	case a.Same(b), b.Known() && b.Size == 1:
		return a, true
	case a.Known() && a.Size == 1:
		return b, true
	case a.Known() && b.Known():
		return a, false
	case a.Known(): // b must turn out to be 1 or the same
		return a, true
	case b.Known():
		return b, true
	}
	return unknown, true
}

// agree returns the more certain of two dimensions that must be equal.
func agree(a, b Dim, what string) (Dim, error) {
	switch {
	case a.Known() && b.Known() && a.Size != b.Size:
		return a, fmt.Errorf("%s: %d and %d must be equal", what, a.Size, b.Size)
	case a.Known() || !b.Known() && a.Name != "":
		return a, nil
	}
	return b, nil
}

// needRank rejects an input of known but wrong rank.
func (n *Node) needRank(i, lo, hi int) error {
	s := n.in(i)
	if s == nil || len(s) >= lo && (hi < 0 || len(s) <= hi) {
		return nil
	}
	return fmt.Errorf("input %d (%q) has %d dimensions, want %s", i, n.In(i).Name, len(s), span(lo, hi))
}
