package graph

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

func small(t *testing.T) (*Graph, *Node, *Node) {
	t.Helper()
	g := New("small")
	x := g.AddInput("x", tensor.Float32, Shape{Sym("N"), D(3)})
	a := g.Append(g.NewNode("", "Relu", "a", []*Value{x}, []string{"ya"}, nil))
	b := g.Append(g.NewNode("", "Relu", "b", []*Value{a.Outputs[0]}, []string{"yb"}, nil))
	g.AddOutput(b.Outputs[0])
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	return g, a, b
}

func TestReplaceUsesKeepsOutputName(t *testing.T) {
	g, a, b := small(t)
	g.ReplaceUses(b.Outputs[0], a.Outputs[0])
	g.Remove(b)
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if got := g.Outputs[0].Name; got != "yb" {
		t.Fatalf("output is named %q, want yb", got)
	}
	if g.Value("yb") != a.Outputs[0] {
		t.Fatal("the index does not find the output by its name")
	}
}

func TestRemoveDead(t *testing.T) {
	g, a, _ := small(t)
	c := g.AddConst("c", tensor.Scalar[float32](1))
	g.Add("Add", "unused", nil, a.Outputs[0], c)
	if n := g.RemoveDead(); n != 1 {
		t.Fatalf("removed %d nodes, want 1", n)
	}
	if g.Value("c") != nil || len(g.Constants()) != 0 {
		t.Fatal("the unused constant is still there")
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestSortFindsOrderAndCycles(t *testing.T) {
	g, a, b := small(t)
	g.Nodes[0], g.Nodes[1] = b, a
	if err := g.Verify(); err == nil || !strings.Contains(err.Error(), "before it is computed") {
		t.Fatalf("Verify of a wrong order: %v", err)
	}
	if err := g.Sort(); err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	a.SetInput(0, b.Outputs[0])
	if err := g.Sort(); !errors.Is(err, ErrCycle) {
		t.Fatalf("Sort of a cycle: %v", err)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	g, _, _ := small(t)
	c := g.Clone()
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	c.ReplaceUses(c.Nodes[1].Outputs[0], c.Nodes[0].Outputs[0])
	c.Remove(c.Nodes[1])
	if len(g.Nodes) != 2 {
		t.Fatal("a change of the clone reached the original")
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestSortReversedChainAndManyUses(t *testing.T) {
	g := New("long")
	x := g.AddInput("x", tensor.Float32, Dims(1))
	y := x
	for range 5000 {
		y = g.Add("Add", "", nil, y, x)
	}
	g.AddOutput(y)
	want := slices.Clone(g.Nodes)
	slices.Reverse(g.Nodes)
	if err := g.Sort(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Nodes, want) {
		t.Fatal("the chain is not in its only order")
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	g.Outputs = []*Value{x}
	if n := g.RemoveDead(); n != 5000 || len(x.uses) != 0 {
		t.Fatalf("removed %d nodes, %d uses are left", n, len(x.uses))
	}
}
