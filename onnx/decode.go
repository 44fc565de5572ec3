package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds the nesting of subgraphs.
const maxDepth = 32

func decodeModel(b []byte) (*modelProto, error) {
	m := &modelProto{}
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | varint:
			m.ir = int64(f.v)
		case 2<<3 | delimited:
			m.producer = f.str()
		case 3<<3 | delimited:
			m.producerVersion = f.str()
		case 4<<3 | delimited:
			m.domain = f.str()
		case 5<<3 | varint:
			m.version = int64(f.v)
		case 6<<3 | delimited:
			m.doc = f.str()
		case 7<<3 | delimited:
			g, err := decodeGraph(f.b, 0)
			m.graph = g
			return err
		case 8<<3 | delimited:
			o, err := decodeOpset(f.b)
			m.opsets = append(m.opsets, o)
			return err
		case 14<<3 | delimited:
			return appendEntry(&m.metadata, f.b)
		default:
			m.unknown = append(m.unknown, f.raw...)
		}
		return nil
	})
	return m, err
}

func decodeOpset(b []byte) (o opsetProto, err error) {
	err = fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			o.domain = f.str()
		case 2<<3 | varint:
			o.version = int64(f.v)
		}
		return nil
	})
	return o, err
}

func appendEntry(list *[]entry, b []byte) error {
	var e entry
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			e.key = f.str()
		case 2<<3 | delimited:
			e.value = f.str()
		}
		return nil
	})
	*list = append(*list, e)
	return err
}

func decodeGraph(b []byte, depth int) (*graphProto, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("subgraphs are nested deeper than %d", maxDepth)
	}
	g := &graphProto{}
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			n, err := decodeNode(f.b, depth)
			if err != nil {
				return fmt.Errorf("node %d: %w", len(g.nodes), err)
			}
			g.nodes = append(g.nodes, n)
		case 2<<3 | delimited:
			g.name = f.str()
		case 5<<3 | delimited:
			t, err := decodeTensor(f.b)
			if err != nil {
				return fmt.Errorf("initializer %d: %w", len(g.initializers), err)
			}
			g.initializers = append(g.initializers, t)
		case 10<<3 | delimited:
			g.doc = f.str()
		case 11<<3 | delimited:
			return appendValue(&g.inputs, f.b)
		case 12<<3 | delimited:
			return appendValue(&g.outputs, f.b)
		case 13<<3 | delimited:
			return appendValue(&g.valueInfo, f.b)
		case 15<<3 | delimited:
			s, err := decodeSparse(f.b)
			if err != nil {
				return fmt.Errorf("sparse initializer %d: %w", len(g.sparse), err)
			}
			g.sparse = append(g.sparse, s)
		default:
			g.unknown = append(g.unknown, f.raw...)
		}
		return nil
	})
	return g, err
}

func decodeNode(b []byte, depth int) (*nodeProto, error) {
	n := &nodeProto{}
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			n.inputs = append(n.inputs, f.str())
		case 2<<3 | delimited:
			n.outputs = append(n.outputs, f.str())
		case 3<<3 | delimited:
			n.name = f.str()
		case 4<<3 | delimited:
			n.op = f.str()
		case 5<<3 | delimited:
			a, err := decodeAttr(f.b, depth)
			if err != nil {
				return fmt.Errorf("attribute %q: %w", a.name, err)
			}
			n.attrs = append(n.attrs, a)
		case 6<<3 | delimited:
			n.doc = f.str()
		case 7<<3 | delimited:
			n.domain = f.str()
		case 8<<3 | delimited:
			n.overload = f.str()
		case 9<<3 | delimited:
			return appendEntry(&n.metadata, f.b)
		default:
			n.unknown = append(n.unknown, f.raw...)
		}
		return nil
	})
	return n, err
}

func decodeAttr(b []byte, depth int) (*attrProto, error) {
	a := &attrProto{raw: b}
	guess := int64(0) // very old files leave the type out
	err := fields(b, func(f field) (err error) {
		switch f.tag {
		case 1<<3 | delimited:
			a.name = f.str()
		case 20<<3 | varint:
			a.typ = int64(f.v)
		case 21<<3 | delimited:
			a.ref = f.str()
		case 2<<3 | fixed32:
			a.f, guess = math.Float32frombits(uint32(f.v)), attrFloat
		case 3<<3 | varint:
			a.i, guess = int64(f.v), attrInt
		case 4<<3 | delimited:
			a.s, guess = f.str(), attrString
		case 7<<3 | delimited:
			a.floats, err = packedFloats(a.floats, f.b)
			guess = attrFloats
		case 7<<3 | fixed32:
			a.floats = append(a.floats, math.Float32frombits(uint32(f.v)))
			guess = attrFloats
		case 8<<3 | delimited:
			a.ints, err = packedVarints(a.ints, f.b)
			guess = attrInts
		case 8<<3 | varint:
			a.ints = append(a.ints, int64(f.v))
			guess = attrInts
		case 9<<3 | delimited:
			a.strings = append(a.strings, f.str())
			guess = attrStrings
		default:
			var k int64
			k, err = a.nested(f, depth)
			guess = max(guess, k)
		}
		return err
	})
	if a.typ == 0 {
		a.typ = guess
	}
	if a.typ != attrGraph { // graphs count only where the type says so
		a.g = nil
	}
	if a.typ != attrGraphs {
		a.graphs = nil
	}
	return a, err
}

// nested decodes the fields that hold messages and returns the attribute type
// that goes with the field, 0 for fields we do not know.
func (a *attrProto) nested(f field, depth int) (kind int64, err error) {
	switch f.tag {
	case 5<<3 | delimited:
		kind = attrTensor
		a.t, err = decodeTensor(f.b)
	case 6<<3 | delimited:
		kind = attrGraph
		a.g, err = decodeGraph(f.b, depth+1)
	case 10<<3 | delimited:
		kind = attrTensors
		var t *tensorProto
		t, err = decodeTensor(f.b)
		a.tensors = append(a.tensors, t)
	case 11<<3 | delimited:
		kind = attrGraphs
		var g *graphProto
		g, err = decodeGraph(f.b, depth+1)
		a.graphs = append(a.graphs, g)
	case 22<<3 | delimited:
		kind = attrSparse
		a.sparse, err = decodeSparse(f.b)
	}
	return kind, err
}

func appendValue(list *[]*valueProto, b []byte) error {
	v := &valueProto{}
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			v.name = f.str()
		case 2<<3 | delimited:
			v.typ = f.b
		case 3<<3 | delimited:
			v.doc = f.str()
		default:
			v.unknown = append(v.unknown, f.raw...)
		}
		return nil
	})
	*list = append(*list, v)
	return err
}

func decodeSparse(b []byte) (*sparseProto, error) {
	s := &sparseProto{}
	err := fields(b, func(f field) (err error) {
		switch f.tag {
		case 1<<3 | delimited:
			s.values, err = decodeTensor(f.b)
		case 2<<3 | delimited:
			s.indices, err = decodeTensor(f.b)
		case 3<<3 | varint:
			s.dims = append(s.dims, int64(f.v))
		case 3<<3 | delimited:
			s.dims, err = packedVarints(s.dims, f.b)
		}
		return err
	})
	return s, err
}

func decodeTensor(b []byte) (*tensorProto, error) {
	t := &tensorProto{message: b}
	err := fields(b, func(f field) (err error) {
		switch f.tag {
		case 1<<3 | varint:
			t.dims = append(t.dims, int64(f.v))
		case 1<<3 | delimited:
			t.dims, err = packedVarints(t.dims, f.b)
		case 2<<3 | varint:
			t.typ = int64(f.v)
		case 8<<3 | delimited:
			t.name = f.str()
		case 9<<3 | delimited:
			t.raw, t.hasRaw = f.b, true
		case 12<<3 | delimited:
			t.doc = f.str()
		case 13<<3 | delimited:
			err = appendEntry(&t.external, f.b)
		case 14<<3 | varint:
			t.location = int64(f.v)
		default:
			var known bool
			if known, err = t.typed(f); !known {
				t.unknown = append(t.unknown, f.raw...)
			}
		}
		return err
	})
	if err != nil && t.name != "" {
		err = fmt.Errorf("tensor %q: %w", t.name, err)
	}
	return t, err
}

// typed decodes the fields that hold elements by type.
func (t *tensorProto) typed(f field) (known bool, err error) {
	switch f.tag {
	case 4<<3 | delimited:
		if t.floats == nil {
			t.floats = f.b[:len(f.b):len(f.b)]
		} else {
			t.floats = append(t.floats, f.b...)
		}
	case 4<<3 | fixed32:
		t.floats = protowire.AppendFixed32(t.floats, uint32(f.v))
	case 5<<3 | delimited:
		t.ints, err = packedVarints(t.ints, f.b)
	case 5<<3 | varint:
		t.ints = append(t.ints, int32(f.v))
	case 6<<3 | delimited:
		t.strings = append(t.strings, f.str())
	case 7<<3 | delimited:
		t.longs, err = packedVarints(t.longs, f.b)
	case 7<<3 | varint:
		t.longs = append(t.longs, int64(f.v))
	case 10<<3 | delimited:
		if t.doubles == nil {
			t.doubles = f.b[:len(f.b):len(f.b)]
		} else {
			t.doubles = append(t.doubles, f.b...)
		}
	case 10<<3 | fixed64:
		t.doubles = protowire.AppendFixed64(t.doubles, f.v)
	case 11<<3 | delimited:
		t.ulongs, err = packedVarints(t.ulongs, f.b)
	case 11<<3 | varint:
		t.ulongs = append(t.ulongs, f.v)
	default:
		return false, nil
	}
	return true, err
}
