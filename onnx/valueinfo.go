package onnx

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// valueInfos writes the graph's inputs, outputs and the types of the values
// between that the file declared.
func (e *exporter) valueInfos(r *rope, keep func(*graph.Value) bool) {
	inputs := e.g.Inputs[:e.formal()]
	next := 0
	for _, name := range e.o.inputs { // the file's order, initializers between
		v := e.g.Value(name)
		switch {
		case v == nil:
		case next < len(inputs) && inputs[next] == v:
			next++
			r.message(11, e.valueInfo(v, true))
		case v.IsConst() && v.Producer() == nil && keep(v):
			r.message(11, e.valueInfo(v, true))
		}
	}
	for _, v := range inputs[next:] {
		r.message(11, e.valueInfo(v, true))
	}
	for _, v := range e.g.Outputs {
		r.message(12, e.valueInfo(v, false))
	}
	for _, v := range e.described(keep) {
		r.message(13, e.valueInfo(v, false))
	}
}

// described lists the values whose types are written beside those of inputs
// and outputs: what the file declared, and the outputs of operators that
// ONNX's own shape inference does not know.
func (e *exporter) described(keep func(*graph.Value) bool) (list []*graph.Value) {
	seen := map[*graph.Value]bool{}
	for _, v := range e.g.Outputs {
		seen[v] = true
	}
	add := func(v *graph.Value) {
		if v != nil && !seen[v] && e.typed(v) {
			seen[v] = true
			list = append(list, v)
		}
	}
	for _, name := range e.o.valueInfo {
		if v := e.g.Value(name); v != nil && (!v.IsConst() || keep(v)) {
			add(v)
		}
	}
	for _, n := range e.g.Nodes {
		if n.Domain == "" {
			continue
		}
		for _, v := range n.Outputs {
			if v != nil && v.Shape != nil {
				add(v)
			}
		}
	}
	return list
}

// typed reports whether there is a type to write for v.
func (e *exporter) typed(v *graph.Value) bool {
	return v.Type != tensor.Invalid || len(e.o.values[v.Name].typ) > 0
}

// valueInfo makes a ValueInfoProto. The file's own words are used as long as
// they are true; an input's are true only if they say the same.
func (e *exporter) valueInfo(v *graph.Value, exact bool) *rope {
	r := &rope{}
	r.blob(1, []byte(e.name(v)))
	o := e.o.values[v.Name]
	d, shape, err := decodeType(o.typ)
	same := err == nil && len(o.typ) > 0 && (v.Type == tensor.Invalid || d == v.Type) && compatible(shape, v.Shape)
	if same && exact {
		same = shape.String() == v.Shape.String()
	}
	switch {
	case same:
		r.blob(2, o.typ)
	case v.Type != tensor.Invalid:
		r.message(2, encodeType(v.Type, v.Shape, denotations(o.typ)))
	}
	if !v.IsConst() {
		r.str(3, v.Doc)
	}
	r.raw(o.unknown)
	return r
}
