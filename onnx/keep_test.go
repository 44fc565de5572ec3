package onnx

import (
	stdbytes "bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// has reports whether a message holds the given field, whole.
func has(t *testing.T, message []byte, p part) bool {
	t.Helper()
	want, found := msg(p).bytes(), false
	if err := fields(message, func(f field) error {
		found = found || stdbytes.Equal(f.raw, want)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnknownFieldsSurvive(t *testing.T) {
	secret := str(99, "secret")
	function := sub(25, str(1, "f"), str(10, "own"))
	annotation := sub(14, str(1, "x"))
	data := msg(num(1, 8), str(2, "maker"), str(3, "1.2"), str(4, "org.example"), num(5, 7), str(6, "about"), sub(8, num(2, 13)),
		sub(7, str(2, "g"), str(10, "the graph"), secret, annotation,
			sub(11, str(1, "x"), func(r *rope) { r.message(2, encodeType(tensor.Float32, graph.Dims(2), nil)) }, str(3, "an input"), secret),
			value(12, "y", 2),
			value(13, "h", 2),
			node("Relu", "a", []string{"x"}, []string{"h"}, secret, str(6, "first"), sub(9, str(1, "k"), str(2, "v")), str(8, "over")),
			node("Add", "", []string{"h", "c"}, []string{"y"}),
			sub(5, num(1, 1), num(2, 1), str(8, "c"), str(9, "\x00\x00\x80\x3f"), str(12, "one"), secret)),
		sub(14, str(1, "key"), str(2, "value")), secret, function).bytes()
	out := mustEncode(t, mustDecode(t, data, Options{KeepFunctions: true}))
	p, err := decodeModel(out)
	if err != nil {
		t.Fatal(err)
	}
	if !has(t, out, secret) || !has(t, out, function) {
		t.Error("the model lost unknown fields")
	}
	for what, b := range map[string][]byte{"graph": p.graph.unknown, "node": p.graph.nodes[0].unknown,
		"input": p.graph.inputs[0].unknown, "tensor": p.graph.initializers[0].unknown} {
		if !has(t, b, secret) {
			t.Errorf("%s: lost the unknown field", what)
		}
	}
	if !has(t, p.graph.unknown, annotation) {
		t.Error("the quantization annotation is lost")
	}
	if got := *p; got.producer != "maker" || got.producerVersion != "1.2" || got.domain != "org.example" || got.version != 7 ||
		got.doc != "about" || got.ir != 8 || len(got.metadata) != 1 || got.metadata[0] != (entry{"key", "value"}) {
		t.Errorf("header: %+v", got)
	}
	n := p.graph.nodes
	if n[0].doc != "first" || n[0].overload != "over" || len(n[0].metadata) != 1 || n[1].name != "" {
		t.Errorf("nodes: %+v %+v", n[0], n[1])
	}
	if p.graph.doc != "the graph" || p.graph.inputs[0].doc != "an input" || p.graph.initializers[0].doc != "one" || len(p.graph.valueInfo) != 1 {
		t.Error("documentation or value_info is lost")
	}
}

func TestInitializersThatAreInputs(t *testing.T) {
	data := model(3, 8, value(11, "w", 3), value(11, "x", -1, 3), value(12, "y", -1, 3), initializer("w", f32(1, 2, 3)),
		node("Add", "add", []string{"x", "w"}, []string{"y"}))
	g := mustDecode(t, data)
	if len(g.Inputs) != 1 || len(g.Constants()) != 1 {
		t.Fatalf("%d inputs, %d constants", len(g.Inputs), len(g.Constants()))
	}
	p, err := decodeModel(mustEncode(t, g))
	if err != nil {
		t.Fatal(err)
	}
	if p.ir != 3 || len(p.graph.inputs) != 2 || p.graph.inputs[0].name != "w" {
		t.Errorf("IR %d, inputs %v", p.ir, p.graph.inputs)
	}
	g.AddConst("unrelated", f32(1))
	if p, err = decodeModel(mustEncode(t, g)); err != nil || p.ir != 4 {
		t.Errorf("IR %d with a constant that is not an input, want 4 (%v)", p.ir, err)
	}
}

func TestConstantNodes(t *testing.T) {
	sparse := join(
		func(r *rope) { r.message(1, encodeTensor("", "", f32(5, 6), nil)) },
		func(r *rope) { r.message(2, encodeTensor("", "", tensor.Of([]int64{0, 1, 1, 2}, 2, 2), nil)) },
		num(3, 2), num(3, 3))
	for _, c := range []struct {
		name string
		attr part
		want *tensor.Tensor
	}{
		{"value", join(func(r *rope) { r.message(5, encodeTensor("", "", f32(1, 2), nil)) }, num(20, attrTensor)), f32(1, 2)},
		{"value_float", join(func(r *rope) { r.float(2, 1.5) }, num(20, attrFloat)), tensor.Scalar[float32](1.5)},
		{"value_floats", join(func(r *rope) { r.float(7, 1.5); r.float(7, 2) }, num(20, attrFloats)), f32(1.5, 2)},
		{"value_int", join(num(3, -4), num(20, attrInt)), tensor.Scalar[int64](-4)},
		{"value_ints", join(num(8, -4), num(8, 5), num(20, attrInts)), i64(-4, 5)},
		{"value_string", join(str(4, "a"), num(20, attrString)), tensor.Scalar("a")},
		{"value_strings", join(str(9, "a"), str(9, "b"), num(20, attrStrings)), tensor.Of([]string{"a", "b"}, 2)},
		{"sparse_value", join(sub(22, sparse), num(20, attrSparse)), tensor.Of([]float32{0, 5, 0, 0, 0, 6}, 2, 3)},
	} {
		data := model(8, 13, sub(12, str(1, "y")), node("Constant", "the_constant", nil, []string{"c"}, sub(5, str(1, c.name), c.attr)),
			node("Identity", "id", []string{"c"}, []string{"y"}))
		g := mustDecode(t, data)
		if len(g.Nodes) != 1 || len(g.Constants()) != 1 || !g.Constants()[0].Data.Equal(c.want) {
			t.Errorf("%s: %d nodes, constants %v", c.name, len(g.Nodes), g.Constants())
			continue
		}
		p, err := decodeModel(mustEncode(t, g))
		if err != nil {
			t.Fatal(err)
		}
		if n := p.graph.nodes; len(n) != 2 || n[0].op != "Constant" || n[0].name != "the_constant" {
			t.Errorf("%s: not written as a Constant node again", c.name)
		}
		if !again(t, g).Constants()[0].Data.Equal(c.want) {
			t.Errorf("%s: written with other elements", c.name)
		}
	}
}

func TestSparseInitializer(t *testing.T) {
	sparse := sub(15,
		func(r *rope) { r.message(1, encodeTensor("w", "", f32(5, 6), nil)) },
		func(r *rope) { r.message(2, encodeTensor("", "", i64(1, 5), nil)) }, num(3, 2), num(3, 3))
	g := mustDecode(t, model(8, 13, value(12, "y", 2, 3), sparse, node("Identity", "id", []string{"w"}, []string{"y"})))
	if want := tensor.Of([]float32{0, 5, 0, 0, 0, 6}, 2, 3); !g.Constants()[0].Data.Equal(want) {
		t.Errorf("got %v", g.Constants()[0].Data.Any())
	}
}

func TestTypedFields(t *testing.T) {
	ints := func(n int64, list ...int64) part {
		return func(r *rope) {
			for _, v := range list {
				r.int(protowire.Number(n), v)
			}
		}
	}
	for _, c := range []struct {
		data part
		want *tensor.Tensor
	}{
		{func(r *rope) { r.float(4, 1); r.float(4, -2) }, f32(1, -2)},
		{str(4, "\x00\x00\x80\x3f\x00\x00\x00\xc0"), f32(1, -2)},
		{str(10, "\x00\x00\x00\x00\x00\x00\xf0\x3f"), tensor.Of([]float64{1}, 1)},
		{ints(5, 1, -2), tensor.Of([]int32{1, -2}, 2)},
		{str(5, "\x01\x02\x03"), tensor.Of([]int32{1, 2, 3}, 3)},
		{ints(5, 1, -2), tensor.Of([]int8{1, -2}, 2)},
		{ints(5, 1, 254), tensor.Of([]uint8{1, 254}, 2)},
		{ints(5, 1, -2), tensor.Of([]int16{1, -2}, 2)},
		{ints(5, 1, 65535), tensor.Of([]uint16{1, 65535}, 2)},
		{ints(5, 0, 1), tensor.Of([]bool{false, true}, 2)},
		{ints(5, 0x3c00, 0xc000), tensor.Typed(tensor.Float16, []uint16{0x3c00, 0xc000}, 2)},
		{ints(5, 0x3f80), tensor.Typed(tensor.BFloat16, []uint16{0x3f80}, 1)},
		{ints(5, 0x21, 0x03), tensor.Typed(tensor.Int4, []uint8{0x21, 0x03}, 3)},
		{ints(5, 0x38), tensor.Typed(tensor.Float8E4M3FN, []uint8{0x38}, 1)},
		{ints(7, 1, -2), i64(1, -2)},
		{ints(11, 1, 2), tensor.Of([]uint64{1, 2}, 2)},
		{ints(11, 1, 2), tensor.Of([]uint32{1, 2}, 2)},
		{join(str(6, "a"), str(6, "")), tensor.Of([]string{"a", ""}, 2)},
	} {
		m := msg(num(1, int64(c.want.Shape[0])), num(2, int64(c.want.DType)), str(8, "c"), c.data).bytes()
		name, got, err := DecodeTensor(m)
		if err != nil || name != "c" || !got.Equal(c.want) {
			t.Errorf("%v: got %v, %v", c.want, got, err)
			continue
		}
		if _, got, err = DecodeTensor(EncodeTensor("c", c.want)); err != nil || !got.Equal(c.want) {
			t.Errorf("%v: written and read: %v, %v", c.want, got, err)
		}
	}
}

func TestDimensions(t *testing.T) {
	dim := func(parts ...part) part { return sub(1, parts...) }
	typ := sub(2, sub(1, num(1, 1), sub(2, dim(str(2, "batch"), str(3, "DATA_BATCH")), dim(num(1, 3), str(3, "DATA_CHANNEL")), dim(), dim(num(1, -1)))), str(6, "IMAGE"))
	g := mustDecode(t, model(8, 13, sub(11, str(1, "x"), typ), sub(12, str(1, "y")), node("Relu", "relu", []string{"x"}, []string{"y"})))
	if got := g.Inputs[0].Shape.String(); got != "batchx3x?x?" {
		t.Errorf("shape %s", got)
	}
	if out := mustEncode(t, g); !stdbytes.Contains(out, msg(typ).bytes()) {
		t.Error("the type is not written as it was")
	}
	// A changed shape keeps what it can.
	g.Inputs[0].Shape[1] = graph.D(4)
	h := again(t, g)
	if got := h.Inputs[0].Shape.String(); got != "batchx4x?x?" {
		t.Errorf("shape %s", got)
	}
	if names := denotations(originOf(h).values["x"].typ); !slices.Equal(names, []string{"DATA_BATCH", "DATA_CHANNEL", "", ""}) {
		t.Errorf("denotations %q", names)
	}
}

func TestOtherTypesAreKept(t *testing.T) {
	sequence := sub(2, sub(4, sub(1, sub(1, num(1, 1)))))
	complexTensor := sub(5, num(1, 1), num(2, int64(tensor.Complex64)), str(8, "c"), str(9, "\x00\x00\x80\x3f\x00\x00\x80\x3f"))
	typeAttr := sub(5, str(1, "t"), sub(14, sub(1, num(1, 1))), num(20, 13))
	data := model(8, 17, sub(11, str(1, "x"), sequence), complexTensor, sub(12, str(1, "y")),
		node("Mystery", "m", []string{"x", "c"}, []string{"y"}, typeAttr))
	g := mustDecode(t, data)
	if len(g.Nodes) != 2 {
		t.Fatalf("nodes %v", g.Nodes)
	}
	h := again(t, g)
	sameGraph(t, g, h)
	if out := mustEncode(t, h); !stdbytes.Contains(out, msg(sequence).bytes()) || !stdbytes.Contains(out, msg(typeAttr).bytes()) {
		t.Error("the sequence type or the attribute of a type is lost")
	}
}

func TestLog(t *testing.T) {
	g := mustDecode(t, relu())
	if out := mustEncode(t, g); stdbytes.Contains(out, []byte(LogKey)) {
		t.Error("an empty log is written")
	}
	g.Record("prune", "because", "relu")
	h := again(t, g)
	if len(h.Log) != 1 || h.Log[0].Pass != "prune" || h.Log[0].Nodes[0] != "relu" || len(h.Metadata) != 0 {
		t.Errorf("log %v, metadata %v", h.Log, h.Metadata)
	}
}

func TestFloatsBecomeFloat32(t *testing.T) {
	half := tensor.Typed(tensor.Float16, []uint16{0x3c00, 0xc000, 0}, 3)
	typed := func(field int64, name string, d tensor.DType) part {
		return sub(protowire.Number(field), str(1, name), func(r *rope) { r.message(2, encodeType(d, graph.Dims(3), nil)) })
	}
	data := model(8, 13, typed(11, "x", tensor.Float16), typed(12, "y", tensor.Float64), initializer("w", half),
		node("Add", "add", []string{"x", "w"}, []string{"s"}),
		node("Cast", "cast", []string{"s"}, []string{"y"}, sub(5, str(1, "to"), num(3, int64(tensor.Float64)), num(20, attrInt))))
	g := mustDecode(t, data)
	if g.Inputs[0].Type != tensor.Float32 || g.Outputs[0].Type != tensor.Float32 || !g.Constants()[0].Data.Equal(f32(1, -2, 0)) ||
		g.Nodes[1].Int("to", 0) != int(tensor.Float32) {
		t.Error("half or double is left")
	}
	if len(g.Log) != 2 {
		t.Errorf("log %v", g.Log)
	}
	k := mustDecode(t, data, Options{KeepTypes: true})
	if k.Inputs[0].Type != tensor.Float16 || !k.Constants()[0].Data.Equal(half) || k.Nodes[1].Int("to", 0) != int(tensor.Float64) || len(k.Log) != 0 {
		t.Error("KeepTypes does not")
	}
	sameGraph(t, k, again(t, k))
}
