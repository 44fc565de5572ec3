package onnx

import (
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
	opset    int64          // on writing: the version wanted
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

// upgrade brings the node from the file's operator set to the newest form.
func (f *form) upgrade() error {
	for _, s := range rules[f.op].up {
		if f.b.opset < s.before {
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
	r, ok := rules[f.op]
	if !ok {
		return 0
	}
	if f.opset < r.since {
		return r.since
	}
	for _, s := range r.down {
		if f.opset < s.before && !s.convert(f) {
			need = max(need, s.before)
		}
	}
	return need
}

// rule says how an operator changed.
type rule struct {
	since int64 // the operator set that introduced it, if above minOpset
	// up converts forms older than operator set before, oldest first.
	up []struct {
		before  int64
		convert func(f *form) error
	}
	// down converts to forms older than operator set before, newest first,
	// and returns false if the node cannot be said there.
	down []struct {
		before  int64
		convert func(f *form) bool
	}
}

var rules = map[string]rule{}
