package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// RawAttr is an attribute that is not interpreted (a type, a sparse tensor, a
// reference to a function's attribute, a tensor of a type that package tensor
// cannot hold): the bytes of its AttributeProto, written back as they are.
type RawAttr []byte

// attributes decodes a node's attributes, and adds what its subgraphs capture
// to its inputs.
func (b *builder) attributes(p *nodeProto, f *form) error {
	for _, a := range p.attrs {
		if _, ok := f.attrs[a.name]; ok || a.name == capturesKey {
			return fmt.Errorf("attribute %q is given twice", a.name)
		}
		v, err := b.attribute(a)
		if err != nil {
			return fmt.Errorf("attribute %q: %w", a.name, err)
		}
		f.attrs[a.name] = v
	}
	if names := p.captures(); len(names) > 0 {
		f.attrs[capturesKey] = names
		for _, name := range names {
			f.in = append(f.in, b.g.Value(name))
		}
	}
	return nil
}

func (b *builder) attribute(a *attrProto) (any, error) {
	if a.ref != "" {
		return RawAttr(a.raw), nil
	}
	switch a.typ {
	case attrFloat:
		return a.f, nil
	case attrInt:
		return a.i, nil
	case attrString:
		return a.s, nil
	case attrFloats:
		return orEmpty(a.floats), nil
	case attrInts:
		return orEmpty(a.ints), nil
	case attrStrings:
		return orEmpty(a.strings), nil
	case attrTensor:
		if a.t == nil {
			return nil, errors.New("holds no tensor")
		}
		if !holds(a.t.dtype()) {
			return RawAttr(a.raw), nil
		}
		return b.tensor(a.t)
	case attrTensors:
		list := []*tensor.Tensor{}
		if slices.ContainsFunc(a.tensors, func(p *tensorProto) bool { return !holds(p.dtype()) }) {
			return RawAttr(a.raw), nil
		}
		for _, p := range a.tensors {
			t, err := b.tensor(p)
			if err != nil {
				return nil, err
			}
			list = append(list, t)
		}
		return list, nil
	case attrGraph:
		if a.g == nil {
			return nil, errors.New("holds no graph")
		}
		return b.graph(a.g, b.g.Value)
	case attrGraphs:
		list := []*graph.Graph{}
		for _, p := range a.graphs {
			g, err := b.graph(p, b.g.Value)
			if err != nil {
				return nil, err
			}
			list = append(list, g)
		}
		return list, nil
	}
	return RawAttr(a.raw), nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// constantNode turns a Constant node into a constant. done is false if its
// value is not a tensor that we can hold; it stays a node then.
func (b *builder) constantNode(p *nodeProto) (done bool, err error) {
	if len(p.outputs) != 1 || p.outputs[0] == "" || len(p.attrs) != 1 || p.attrs[0].ref != "" {
		return false, nil
	}
	t, err := b.constantValue(p.attrs[0])
	if err != nil {
		if errors.Is(err, errNoHolder) {
			return false, nil
		}
		return false, fmt.Errorf("attribute %q: %w", p.attrs[0].name, err)
	}
	v := b.g.AddConst(p.outputs[0], t)
	v.Doc = p.doc
	if d := b.declared[v.Name]; d != nil {
		b.o.values[v.Name] = valueOrigin{d.typ, d.unknown}
	}
	b.o.constants[v.Name] = p.name
	if p.name != "" {
		b.names[p.name] = false
	}
	return true, nil
}

// constantValue is the tensor that a Constant node's attribute stands for.
func (b *builder) constantValue(a *attrProto) (*tensor.Tensor, error) {
	switch a.name {
	case "value":
		if a.t != nil {
			return b.tensor(a.t)
		}
	case "sparse_value":
		if a.sparse != nil {
			return b.dense(a.sparse)
		}
	case "value_float":
		return tensor.Scalar(a.f), nil
	case "value_floats":
		return tensor.Of(orEmpty(a.floats), len(a.floats)), nil
	case "value_int":
		return tensor.Scalar(a.i), nil
	case "value_ints":
		return tensor.Of(orEmpty(a.ints), len(a.ints)), nil
	case "value_string":
		return tensor.Scalar(a.s), nil
	case "value_strings":
		return tensor.Of(orEmpty(a.strings), len(a.strings)), nil
	}
	return nil, errNoHolder
}

// encodeAttr makes the AttributeProto of an attribute.
func (e *exporter) encodeAttr(name string, value any, outside map[string]string) (*rope, error) {
	r := &rope{}
	if v, ok := value.(RawAttr); ok {
		r.raw(v)
		return r, nil
	}
	r.str(1, name)
	kind := 0
	switch v := value.(type) {
	case float32:
		kind = attrFloat
		r.float(2, v)
	case int64:
		kind = attrInt
		r.int(3, v)
	case string:
		kind = attrString
		r.blob(4, []byte(v))
	case []float32:
		kind = attrFloats
		for _, x := range v {
			r.float(7, x)
		}
	case []int64:
		kind = attrInts
		for _, x := range v {
			r.int(8, x)
		}
	case []string:
		kind = attrStrings
		for _, x := range v {
			r.blob(9, []byte(x))
		}
	case *tensor.Tensor:
		kind = attrTensor
		r.message(5, encodeTensor("", "", v, nil))
	case []*tensor.Tensor:
		kind = attrTensors
		for _, t := range v {
			r.message(10, encodeTensor("", "", t, nil))
		}
	case *graph.Graph:
		kind = attrGraph
		m, err := e.subgraph(v, outside)
		if err != nil {
			return nil, err
		}
		r.message(6, m)
	case []*graph.Graph:
		kind = attrGraphs
		for _, g := range v {
			m, err := e.subgraph(g, outside)
			if err != nil {
				return nil, err
			}
			r.message(11, m)
		}
	default:
		return nil, fmt.Errorf("attribute %q: a value of Go type %T cannot be written", name, value)
	}
	r.int(20, int64(kind))
	return r, nil
}
