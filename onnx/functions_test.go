package onnx

import (
	"fmt"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// function is a FunctionProto of domain own.
func function(name string, in, out []string, parts ...part) part {
	list := []part{str(1, name), str(10, "own"), sub(9, num(2, 13)), sub(9, str(1, "own"), num(2, 1))}
	for _, s := range in {
		list = append(list, str(4, s))
	}
	for _, s := range out {
		list = append(list, str(5, s))
	}
	return sub(25, append(list, parts...)...)
}

// fnode is a node of a function's body: the field has another number there.
func fnode(op, name string, in, out []string, more ...part) part {
	return func(r *rope) {
		m := msg(node(op, name, in, out, more...)).bytes()
		_ = fields(m, func(f field) error { r.blob(7, f.b); return nil })
	}
}

func call(op string, in, out []string, more ...part) part {
	return node(op, op, in, out, append(more, str(7, "own"))...)
}

// calls computes y = leaky(x)+h and z = x by way of functions: attributes by
// reference and by default, an optional input, a function that calls another
// one, a body with a subgraph.
func calls() []byte {
	alpha := func(v float32) part {
		return sub(5, str(1, "slope"), func(r *rope) { r.float(2, v) }, num(20, attrFloat))
	}
	ref := sub(5, str(1, "alpha"), str(21, "slope"), num(20, attrFloat))
	branch := func(name string, parts ...part) part {
		return sub(5, str(1, name), sub(6, append(parts, str(2, name))...), num(20, attrGraph))
	}
	isTrue := sub(5, str(1, "value"), sub(5, num(2, int64(tensor.Bool)), str(9, "\x01")), num(20, attrTensor))
	return msg(num(1, 8), sub(8, num(2, 13)), sub(8, str(1, "own"), num(2, 1)),
		sub(7, str(2, "g"), value(11, "x", 3), value(12, "y", 3), value(12, "z", 3),
			call("Leaky", []string{"x"}, []string{"h"}, alpha(0.5)),
			call("Outer", []string{"h"}, []string{"y", "z"})),
		function("Leaky", []string{"x", "unused"}, []string{"y"},
			sub(11, str(1, "slope"), func(r *rope) { r.float(2, 0.25) }, num(20, attrFloat)),
			fnode("LeakyRelu", "", []string{"x"}, []string{"y"}, ref)),
		function("Outer", []string{"h"}, []string{"sum", "same"},
			fnode("Identity", "same", []string{"h"}, []string{"same"}),
			fnode("Leaky", "again", []string{"h"}, []string{"a"}, str(7, "own")),
			fnode("Constant", "yes", nil, []string{"yes"}, isTrue),
			fnode("If", "if", []string{"yes"}, []string{"sum"},
				branch("then_branch", node("Add", "", []string{"a", "h"}, []string{"t"}), value(12, "t", 3)),
				branch("else_branch", node("Neg", "", []string{"a"}, []string{"e"}), value(12, "e", 3))))).bytes()
}

func TestFunctionsAreInlined(t *testing.T) {
	g := mustDecode(t, calls())
	var ops []string
	for _, n := range g.Nodes {
		ops = append(ops, n.Op)
	}
	if got := strings.Join(ops, " "); got != "LeakyRelu Identity LeakyRelu If" {
		t.Fatalf("nodes %s", got)
	}
	if a, b := g.Nodes[0].Float("alpha", 0), g.Nodes[2].Float("alpha", 0); a != 0.5 || b != 0.25 {
		t.Errorf("slopes %v and %v, want 0.5 and 0.25 (the default)", a, b)
	}
	sameGraph(t, g, again(t, g))
	k := mustDecode(t, calls(), Options{KeepFunctions: true})
	if len(k.Nodes) != 2 || k.Nodes[0].Domain != "own" {
		t.Errorf("kept: %v", k.Nodes)
	}
}

func TestFunctionsThatPassInputsOn(t *testing.T) {
	g := mustDecode(t, msg(num(1, 8), sub(8, num(2, 13)), sub(8, str(1, "own"), num(2, 1)),
		sub(7, str(2, "g"), value(11, "x", 3), value(12, "y", 3), value(12, "z", 3), call("Twice", []string{"x"}, []string{"y", "z"})),
		function("Twice", []string{"a"}, []string{"a", "a"})).bytes())
	if len(g.Nodes) != 2 || !g.Nodes[0].Is("Identity") || g.Nodes[1].In(0) != g.Inputs[0] {
		t.Errorf("nodes %v", g.Nodes)
	}
	if len(g.Opsets) != 1 {
		t.Errorf("operator sets %v", g.Opsets)
	}
}

// TestLargeConstantsOfFunctions calls a function with a large constant twice:
// both calls view the same bytes of the file, moved to alignment once.
func TestLargeConstantsOfFunctions(t *testing.T) {
	w := noise(2000)
	for shift := range 4 {
		data := msg(num(1, 8), sub(8, num(2, 13)), sub(7, str(2, strings.Repeat("g", shift)), value(11, "x", 2000), value(12, "y", 2000),
			call("Bias", []string{"x"}, []string{"h"}), call("Bias", []string{"h"}, []string{"y"})),
			function("Bias", []string{"a"}, []string{"b"},
				fnode("Constant", "c", nil, []string{"w"}, sub(5, str(1, "value"), func(r *rope) { r.message(5, encodeTensor("", "", w, nil)) }, num(20, attrTensor))),
				fnode("Add", "add", []string{"a", "w"}, []string{"b"}))).bytes()
		g, err := decode(data, true, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range g.Constants() {
			if !c.Data.Equal(w) {
				t.Errorf("shift %d: %s has wrong elements", shift, c.Name)
			}
		}
	}
}

func TestFunctionsInORT(t *testing.T) {
	r := runtime(t)
	in := map[string]*tensor.Tensor{"x": f32(-1, 2, -3)}
	want := outputs(t, r, calls(), in)
	if want["y"].At(0) != -0.625 {
		t.Fatalf("y %v", want["y"].Any())
	}
	same(t, want, outputs(t, r, mustEncode(t, mustDecode(t, calls())), in), 0)
	same(t, want, outputs(t, r, mustEncode(t, mustDecode(t, calls(), Options{KeepFunctions: true})), in), 0)
}

func TestHostileFunctions(t *testing.T) {
	build := func(functions ...part) []byte {
		return msg(num(1, 8), sub(8, num(2, 13)), sub(7, str(2, "g"), value(11, "x", 3), value(12, "y", 3),
			call("F0", []string{"x"}, []string{"y"})), join(functions...)).bytes()
	}
	// Each function calls the next one 16 times: 16^8 nodes.
	var bomb []part
	for k := range 8 {
		var body []part
		for i := range 16 {
			from, to := fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", i+1)
			body = append(body, fnode(fmt.Sprintf("F%d", k+1), "", []string{from}, []string{to}, str(7, "own")))
		}
		bomb = append(bomb, function(fmt.Sprintf("F%d", k), []string{"v0"}, []string{"v16"}, body...))
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"recursive", build(function("F0", []string{"a"}, []string{"b"}, fnode("F0", "", []string{"a"}, []string{"b"}, str(7, "own")))), "call each other"},
		{"bomb", build(bomb...), "more than"},
		{"too many inputs", build(function("F0", nil, []string{"b"})), "has 1 inputs"},
		{"output undefined", build(function("F0", []string{"a"}, []string{"b"})), "computed nowhere"},
		{"in ONNX's domain", build(sub(25, str(1, "Relu"))), "own domain"},
	} {
		if _, err := Decode(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}
