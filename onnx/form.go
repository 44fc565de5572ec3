package onnx

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// form is a node while it is converted between versions of its operator:
// towards the canonical one on reading, away from it on writing.
type form struct {
	b        *builder // nil on writing
	node     *graph.Node
	domain   string
	op, name string
	in       []*graph.Value
	attrs    graph.Attrs
	outs     []string
	after    []func() error // adds the nodes that must follow this one
	opset    int64          // the version that is read, or to be written
}

// input returns input i, nil if it is left out.
func (f *form) input(i int) *graph.Value {
	if i < len(f.in) {
		return f.in[i]
	}
	return nil
}

// setInput makes v input i.
func (f *form) setInput(i int, v *graph.Value) {
	for len(f.in) <= i {
		f.in = append(f.in, nil)
	}
	f.in[i] = v
}

// trim drops left-out inputs from the end.
func (f *form) trim() {
	for len(f.in) > 0 && f.in[len(f.in)-1] == nil {
		f.in = f.in[:len(f.in)-1]
	}
}

// constant makes a constant for use as an input.
func (f *form) constant(name string, t *tensor.Tensor) *graph.Value {
	name = f.name + "." + name
	if f.b == nil {
		return &graph.Value{Name: name, Type: t.DType, Shape: graph.ShapeOf(t.Shape), Data: t}
	}
	v := f.b.g.AddConst(f.b.fresh(name), t)
	f.b.o.synthetic[v.Name] = true
	return v
}

// ints makes a constant list of integers.
func (f *form) ints(name string, list []int64) *graph.Value {
	return f.constant(name, tensor.Of(list, len(list)))
}

// scalar makes a constant of the element type of input 0.
func (f *form) scalar(name string, x float32) *graph.Value {
	t := tensor.Scalar(x)
	if d := f.typeOf(0); d.IsFloat() || d.IsInt() {
		if c, err := t.Convert(d); err == nil {
			t = c
		}
	}
	return f.constant(name, t)
}

// typeOf is the element type of input i, Invalid if it cannot be told.
func (f *form) typeOf(i int) tensor.DType {
	v := f.input(i)
	if v != nil && v.Type == tensor.Invalid && f.b != nil {
		f.b.infer()
	}
	if v == nil {
		return tensor.Invalid
	}
	return v.Type
}

// shapeOf is the shape of input i as far as it can be told, else nil.
func (f *form) shapeOf(i int) graph.Shape {
	v := f.input(i)
	if v != nil && v.Shape == nil && f.b != nil {
		f.b.infer()
	}
	if v == nil {
		return nil
	}
	return v.Shape
}

// intList returns the elements of a constant input; ok is false if the input
// is given but not constant.
func (f *form) intList(i int) (list []int64, ok bool) {
	v := f.input(i)
	if v == nil {
		return nil, true
	}
	if v.Data == nil || !v.Data.DType.IsInt() || v.Data.Rank() > 1 {
		return nil, false
	}
	return v.Data.Int64s(), true
}

// float returns the only element of a constant input, or def if the input is
// left out; ok is false if the input is given but not constant.
func (f *form) float(i int, def float32) (x float32, ok bool) {
	v := f.input(i)
	if v == nil {
		return def, true
	}
	if v.Data == nil || v.Data.Len() != 1 {
		return 0, false
	}
	return float32(v.Data.At(0)), true
}

// has reports whether an integer attribute is there and not zero.
func (f *form) has(name string) bool {
	v, ok := f.attrs[name].(int64)
	return ok && v != 0
}

// fileOpset is the operator set of the file that the node came from, 0 if it
// did not come from a file, on writing.
func (f *form) fileOpset() int64 { return f.node.Graph().Opsets[""] }

// emit adds a node before this one, on reading, and returns its output.
func (f *form) emit(op, suffix string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	b := f.b
	name := f.name + "." + suffix
	n := b.g.NewNode("", op, b.nodeName("", name), in, []string{b.fresh(name)}, attrs)
	b.g.Append(n)
	return n.Outputs[0]
}

// follow adds a node after this one, on reading: it takes this node's output
// (and the inputs given) and computes the value that was this node's output.
func (f *form) follow(op, suffix string, attrs graph.Attrs, in ...*graph.Value) {
	b, name := f.b, f.name+"."+suffix
	inner, outer := b.fresh(name), f.outs[0]
	f.outs[0] = inner
	f.after = append(f.after, func() error {
		in := slices.Insert(in, 0, b.g.Value(inner))
		return b.append(b.g.NewNode("", op, b.nodeName("", name), in, []string{outer}, attrs))
	})
}

// infer runs shape inference over the nodes that were added since the last
// time. Errors do not matter here: whoever uses the graph infers again.
func (b *builder) infer() {
	for ; b.inferred < len(b.g.Nodes); b.inferred++ {
		_ = b.g.Nodes[b.inferred].InferShape()
	}
}

// upgrade brings the node from the file's operator set to the newest form.
func (f *form) upgrade() error {
	for _, s := range rules[f.op].up {
		if f.opset < s.before {
			if err := s.convert(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// downgrade brings the node from the newest form to operator set f.opset. It
// returns the lowest version, above f.opset, that could do it, or 0 if the
// conversion was done.
func (f *form) downgrade() (need int64) {
	r := rules[f.op]
	if f.opset < r.since {
		return r.since
	}
	for _, s := range r.down {
		if f.opset < s.before && !s.convert(f) {
			return s.before
		}
	}
	return 0
}

// rule says how an operator changed.
type rule struct {
	since int64 // the operator set that introduced it, if above minOpset
	up    []up
	down  []down
}

// up converts forms older than operator set before. Steps run oldest first.
type up struct {
	before  int64
	convert func(f *form) error
}

// down converts to forms older than operator set before, and returns false if
// the node cannot be said there. Steps run newest first.
type down struct {
	before  int64
	convert func(f *form) bool
}
