package onnx

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Messages are built by hand here, from fields.

type part func(r *rope)

func msg(parts ...part) *rope {
	r := &rope{}
	for _, p := range parts {
		p(r)
	}
	return r
}

func sub(num protowire.Number, parts ...part) part {
	return func(r *rope) { r.message(num, msg(parts...)) }
}

func str(num protowire.Number, s string) part { return func(r *rope) { r.blob(num, []byte(s)) } }

func num(n protowire.Number, v int64) part { return func(r *rope) { r.int(n, v) } }

func join(parts ...part) part {
	return func(r *rope) {
		for _, p := range parts {
			p(r)
		}
	}
}

// node is a NodeProto: inputs, outputs and attributes.
func node(op, name string, in, out []string, more ...part) part {
	var parts []part
	for _, s := range in {
		parts = append(parts, str(1, s))
	}
	for _, s := range out {
		parts = append(parts, str(2, s))
	}
	return sub(1, append(parts, str(3, name), str(4, op), join(more...))...)
}

// value is a ValueInfoProto of a float tensor; dimensions below 0 are "N".
func value(field protowire.Number, name string, dims ...int) part {
	shape := make(graph.Shape, len(dims))
	for i, d := range dims {
		shape[i] = graph.D(d)
		if d < 0 {
			shape[i] = graph.Sym("N")
		}
	}
	return sub(field, str(1, name), func(r *rope) { r.message(2, encodeType(tensor.Float32, shape, nil)) })
}

func initializer(name string, t *tensor.Tensor) part {
	return func(r *rope) { r.message(5, encodeTensor(name, "", t, nil)) }
}

// model is a ModelProto of the given IR version and operator set.
func model(ir, opset int64, parts ...part) []byte {
	return msg(num(1, ir), sub(7, append([]part{str(2, "g")}, parts...)...), sub(8, str(1, ""), num(2, opset))).bytes()
}

func mustDecode(t testing.TB, data []byte, o ...Options) *graph.Graph {
	t.Helper()
	g, err := Decode(data, o...)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	return g
}

func mustEncode(t testing.TB, g *graph.Graph, o ...WriteOptions) []byte {
	t.Helper()
	data, err := Encode(g, o...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// again writes and reads a graph.
func again(t testing.TB, g *graph.Graph) *graph.Graph {
	t.Helper()
	return mustDecode(t, mustEncode(t, g), Options{KeepTypes: true})
}

// relu is a small complete model.
func relu(more ...part) []byte {
	return model(8, 13, value(11, "x", -1, 3), value(12, "y", -1, 3), node("Relu", "relu", []string{"x"}, []string{"y"}), join(more...))
}
