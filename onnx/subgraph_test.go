package onnx

import (
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// ifModel computes h+1 if c holds and h*h otherwise, for h = relu(x): both
// branches read h from the graph around them.
func ifModel() []byte {
	branch := func(name, op string, in []string, out string, more ...part) part {
		return sub(5, str(1, name), sub(6, append(more, str(2, name), node(op, "", in, []string{out}), value(12, out, 3))...), num(20, attrGraph))
	}
	boolean := sub(11, str(1, "c"), func(r *rope) { r.message(2, encodeType(tensor.Bool, graph.Shape{}, nil)) })
	return model(8, 13, boolean, value(11, "x", 3), value(12, "y", 3),
		node("If", "if", []string{"c"}, []string{"y"},
			branch("then_branch", "Add", []string{"h", "one"}, "t", initializer("one", f32(1))),
			branch("else_branch", "Mul", []string{"h", "h"}, "e")),
		node("Relu", "relu", []string{"x"}, []string{"h"}))
}

func TestSubgraphsCapture(t *testing.T) {
	g := mustDecode(t, ifModel())
	relu, branch := g.Nodes[0], g.Nodes[1]
	if relu.Op != "Relu" || branch.Op != "If" {
		t.Fatalf("order %v", g.Nodes)
	}
	if n := len(relu.Outputs[0].Uses()); n != 1 {
		t.Fatalf("the captured value has %d uses", n)
	}
	then := branch.Attrs["then_branch"].(*graph.Graph)
	if err := then.Verify(); err != nil || len(then.Inputs) != 1 {
		t.Errorf("then_branch: %v, inputs %v", err, then.Inputs)
	}
	sameGraph(t, g, again(t, g))
	// A rewrite outside is seen inside.
	g.Rename(relu.Outputs[0], "renamed")
	if n := g.RemoveDead(); n != 0 {
		t.Errorf("%d nodes are thought dead", n)
	}
	h := again(t, g)
	if got := h.Nodes[1].In(1); got == nil || got.Name != "renamed" {
		t.Errorf("captured %v", got)
	}
}

func TestSubgraphsInORT(t *testing.T) {
	r := runtime(t)
	g := mustDecode(t, ifModel())
	g.Rename(g.Nodes[0].Outputs[0], "t") // a name that a branch uses as well
	data := mustEncode(t, g)
	for _, c := range []bool{true, false} {
		in := map[string]*tensor.Tensor{"c": tensor.Scalar(c), "x": f32(-1, 2, 3)}
		same(t, outputs(t, r, ifModel(), in), outputs(t, r, data, in), 0)
	}
}
