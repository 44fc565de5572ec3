package onnx

import "github.com/drawknife/drawknife/tensor"

// The messages of onnx.proto as far as we interpret them. Whatever else a
// message holds is kept in unknown, whole fields one after the other, and
// written back.

type modelProto struct {
	ir, version                            int64
	producer, producerVersion, domain, doc string
	opsets                                 []opsetProto
	graph                                  *graphProto
	metadata                               []entry
	unknown                                []byte
}

type opsetProto struct {
	domain  string
	version int64
}

type entry struct{ key, value string }

type graphProto struct {
	name, doc                  string
	nodes                      []*nodeProto
	initializers               []*tensorProto
	sparse                     []*sparseProto
	inputs, outputs, valueInfo []*valueProto
	unknown                    []byte

	free []string // see freeNames
}

type nodeProto struct {
	op, domain, overload, name, doc string
	inputs, outputs                 []string
	attrs                           []*attrProto
	metadata                        []entry
	unknown                         []byte

	opset int64 // of a function's body, 0 for the model's own nodes
}

func (n *nodeProto) String() string { return nodeString(n.name, n.domain, n.op) }

type attrProto struct {
	name, ref string
	typ       int64
	f         float32
	i         int64
	s         string
	t         *tensorProto
	g         *graphProto
	sparse    *sparseProto
	floats    []float32
	ints      []int64
	strings   []string
	tensors   []*tensorProto
	graphs    []*graphProto
	raw       []byte // the whole message
}

// Attribute types of AttributeProto.
const (
	attrFloat   = 1
	attrInt     = 2
	attrString  = 3
	attrTensor  = 4
	attrGraph   = 5
	attrFloats  = 6
	attrInts    = 7
	attrStrings = 8
	attrTensors = 9
	attrGraphs  = 10
	attrSparse  = 11
)

type valueProto struct {
	name, doc string
	typ       []byte // TypeProto
	unknown   []byte
}

type tensorProto struct {
	name, doc string
	dims      []int64
	typ       int64
	raw       []byte
	hasRaw    bool
	floats    []byte // packed, little endian
	doubles   []byte
	ints      []int32
	longs     []int64
	ulongs    []uint64
	strings   []string
	external  []entry
	location  int64
	unknown   []byte
	message   []byte // the whole message
}

func (t *tensorProto) dtype() tensor.DType {
	if t.typ < 0 || t.typ > 255 {
		return tensor.Invalid
	}
	return tensor.DType(t.typ)
}

type sparseProto struct {
	values, indices *tensorProto
	dims            []int64
}
