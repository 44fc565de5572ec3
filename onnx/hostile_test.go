package onnx

import (
	"errors"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func TestHostileModels(t *testing.T) {
	tensorOf := func(parts ...part) part { return sub(5, append(parts, str(8, "w"))...) }
	in, out := value(11, "x", 3), value(12, "y", 3)
	relu := node("Relu", "r", []string{"x"}, []string{"y"})
	deep := node("Relu", "r", nil, nil)
	for range 100 {
		deep = node("If", "if", nil, nil, sub(5, str(1, "then_branch"), sub(6, deep), num(20, attrGraph)))
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "empty"},
		{"text", []byte("this is not a model"), "not a complete ONNX model"},
		{"no graph", msg(num(1, 8), sub(8, num(2, 13))).bytes(), "no graph"},
		{"no operator set", msg(num(1, 8), sub(7, in, out, relu)).bytes(), "does not say which ONNX operator set"},
		{"old operator set", model(3, 6, in, out, node("Add", "a", []string{"x", "x"}, []string{"y"})), `node "a" (Add): operator set 6 is older than 7`},
		{"two operator sets", msg(sub(8, num(2, 13)), sub(8, str(1, "ai.onnx"), num(2, 12)), sub(7, in)).bytes(), "two versions"},
		{"cycle", model(8, 13, in, value(12, "b", 3), node("Add", "p", []string{"x", "b"}, []string{"a"}), node("Relu", "q", []string{"a"}, []string{"b"})), "cycle"},
		{"self-loop", model(8, 13, in, out, node("Add", "p", []string{"x", "y"}, []string{"y"})), "cycle"},
		{"dangling input", model(8, 13, in, out, node("Add", "p", []string{"x", "nowhere"}, []string{"y"})), `node "p" (Add) reads "nowhere", which is defined nowhere`},
		{"dangling output", model(8, 13, in, out), `output "y" is computed nowhere`},
		{"two producers", model(8, 13, in, out, relu, node("Relu", "s", []string{"x"}, []string{"y"})), `"y" is also an output of node "r" (Relu)`},
		{"output twice in a node", model(8, 13, in, out, node("Split", "s", []string{"x"}, []string{"y", "y"})), "also an output"},
		{"output is an input", model(8, 13, in, value(11, "y", 3), out, relu), "taken"},
		{"output is an initializer", model(8, 13, in, out, initializer("y", f32(1)), relu), "taken"},
		{"two inputs", model(8, 13, in, in, out, relu), "two inputs"},
		{"two outputs", model(8, 13, in, out, out, relu), "two outputs"},
		{"two initializers", model(8, 13, in, out, initializer("w", f32(1)), initializer("w", f32(1)), relu), "taken"},
		{"nameless initializer", model(8, 13, in, out, initializer("", f32(1)), relu), "has no name"},
		{"nameless input", model(8, 13, value(11, "", 3), out, relu), "has no name"},
		{"attribute twice", model(8, 13, in, out, node("Relu", "r", []string{"x"}, []string{"y"}, sub(5, str(1, "a"), num(3, 1)), sub(5, str(1, "a"), num(3, 1)))), "given twice"},
		{"reserved attribute", model(8, 13, in, out, node("Relu", "r", []string{"x"}, []string{"y"}, sub(5, str(1, capturesKey), num(3, 1)))), "given twice"},
		{"attribute without its tensor", model(8, 13, in, out, node("Relu", "r", []string{"x"}, []string{"y"}, sub(5, str(1, "a"), num(20, attrTensor)))), "no tensor"},
		{"attribute without its graph", model(8, 13, in, out, node("Relu", "r", []string{"x"}, []string{"y"}, sub(5, str(1, "a"), num(20, attrGraph)))), "no graph"},
		{"negative dimension", model(8, 13, in, out, relu, tensorOf(num(1, -1), num(2, 1))), "invalid dimensions"},
		{"overflowing dimensions", model(8, 13, in, out, relu, tensorOf(num(1, 1<<32), num(1, 1<<32), num(2, 1), str(9, "1234"))), "too large"},
		{"huge tensor without data", model(8, 13, in, out, relu, tensorOf(num(1, 1<<35), num(2, 1))), "0 bytes for float32"},
		{"huge tensor of typed integers", model(8, 13, in, out, relu, tensorOf(num(1, 1<<35), num(2, 7), num(7, 1))), "holds 1 values"},
		{"too little data", model(8, 13, in, out, relu, tensorOf(num(1, 3), num(2, 1), str(9, "12345678"))), "8 bytes for float32"},
		{"too few strings", model(8, 13, in, out, relu, tensorOf(num(1, 2), num(2, 8), str(6, "a"))), "1 strings"},
		{"external strings", model(8, 13, in, out, relu, tensorOf(num(1, 2), num(2, 8), num(14, 1))), "strings"},
		{"unknown location", model(8, 13, in, out, relu, tensorOf(num(1, 2), num(2, 1), num(14, 2))), "data_location"},
		{"external data in memory", model(8, 13, in, out, relu, tensorOf(num(1, 1), num(2, 1), num(14, 1), sub(13, str(1, "location"), str(2, "w")))), "stored outside the model"},
		{"dense bomb", model(8, 13, in, out, relu, sub(15, sub(1, num(1, 1), num(2, 1), str(8, "w"), str(9, "1234")), sub(2, num(1, 1), num(2, 7), num(7, 0)), num(3, 1<<34))), "when dense"},
		{"sparse index outside", model(8, 13, in, out, relu, sub(15, sub(1, num(1, 1), num(2, 1), str(8, "w"), str(9, "1234")), sub(2, num(1, 1), num(2, 7), num(7, 4)), num(3, 4))), "outside shape"},
		{"sparse without indices", model(8, 13, in, out, relu, sub(15, sub(1, str(8, "w")), num(3, 4))), "lacks"},
		{"subgraphs too deep", model(8, 13, deep), "nested deeper"},
		{"odd packed floats", model(8, 13, in, out, node("X", "r", []string{"x"}, []string{"y"}, sub(5, str(1, "a"), str(7, "abc")))), "damaged"},
	} {
		_, err := Decode(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "onnx: ") {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

func TestCycleIsErrCycle(t *testing.T) {
	_, err := Decode(model(8, 13, value(12, "y", 3), node("Relu", "p", []string{"y"}, []string{"y"})))
	if !errors.Is(err, graph.ErrCycle) {
		t.Errorf("error %v", err)
	}
}

func TestUnsortedNodesAreSorted(t *testing.T) {
	g := mustDecode(t, model(8, 13, value(11, "x", 3), value(12, "y", 3),
		node("Relu", "second", []string{"a"}, []string{"y"}), node("Neg", "first", []string{"x"}, []string{"a"})))
	if g.Nodes[0].Name != "first" || g.Nodes[1].Name != "second" {
		t.Errorf("order %v", g.Nodes)
	}
}

// samples are small models with something of everything.
func samples(tb testing.TB) [][]byte {
	sparse := sub(15, sub(1, num(1, 1), num(2, 1), str(8, "sp"), str(9, "1234")), sub(2, num(1, 1), num(2, 7), num(7, 1)), num(3, 3))
	list := [][]byte{
		relu(str(99, "unknown"), sparse, initializer("w", f32(1, 2, 3))),
		ifModel(),
		calls(),
		model(3, 8, value(11, "w", 3), value(11, "x", -1, 3), value(12, "y", -1, 3), initializer("w", f32(1, 2, 3)),
			node("Add", "", []string{"x", "w"}, []string{"s"}), node("Softmax", "", []string{"s"}, []string{"y"})),
		model(9, 19, value(11, "x", 1, 2, 4, 4), value(12, "y", 1, 2, 8, 8), initializer("roi", f32()), initializer("scales", f32(1, 1, 2, 2)),
			node("Resize", "up", []string{"x", "roi", "scales"}, []string{"y"}, sub(5, str(1, "mode"), str(4, "nearest"), num(20, attrString)))),
	}
	for _, c := range oldForms {
		if data, _ := c.model(tb); len(data) < 1500 {
			list = append(list, data)
		}
	}
	return list
}

// try decodes a damaged model; if that goes well, so must writing and reading
// it.
func try(t *testing.T, data []byte) {
	g, err := Decode(data, Options{KeepTypes: true})
	if err != nil {
		return
	}
	if err := g.Verify(); err != nil {
		t.Fatalf("decoded a graph that is not valid: %v", err)
	}
	out, err := Encode(g)
	if err != nil {
		return // such as an element type that nothing can write
	}
	if _, err := Decode(out, Options{KeepTypes: true}); err != nil {
		t.Fatalf("cannot read what was written: %v", err)
	}
}

func TestTruncatedAndFlipped(t *testing.T) {
	for k, data := range samples(t) {
		for i := range data {
			// Cut between two fields it may be a model still, but not half of
			// the first one, whose graph is the greater part.
			if _, err := Decode(data[:i]); err == nil && k == 0 && i < len(data)/2 {
				t.Errorf("a model cut at %d of %d is read without an error", i, len(data))
			}
			bit := byte(1) << (i * 5 % 8) // the fuzzer tries the others
			data[i] ^= bit
			try(t, data)
			data[i] ^= bit
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(data)
	}
	f.Fuzz(try)
}

func FuzzDecodeTensor(f *testing.F) {
	f.Add(EncodeTensor("w", f32(1, 2)))
	f.Add(EncodeTensor("s", tensor.Of([]string{"a"}, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		name, x, err := DecodeTensor(data)
		if err != nil {
			return
		}
		_, y, err := DecodeTensor(EncodeTensor(name, x))
		if err != nil || !x.Equal(y) {
			t.Fatalf("%v became %v: %v", x, y, err)
		}
	})
}
