package engine_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// thin sets the share of the weights of convolutions and matrix products to
// zero.
func thin(g *graph.Graph, share float64) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, n := range g.Nodes {
		if !n.Is("Conv", "Gemm") || n.Int("group", 1) != 1 || n.Inputs[1].Data == nil {
			continue
		}
		w := tensor.Data[float32](n.Inputs[1].Data)
		for i := range w {
			if rng.Float64() < share {
				w[i] = 0
			}
		}
	}
}

// sparseSteps counts the steps of g's program that leave out zeros.
func sparseSteps(t *testing.T, g *graph.Graph, batch int) int {
	t.Helper()
	p, err := engine.Compile(g, engine.Options{Batch: batch, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, s := range p.Steps() {
		if strings.HasPrefix(s.Kernel, "sparse ") {
			count++
		}
	}
	return count
}

// TestSparseAgainstReference runs networks with many zeros: the engine chooses
// kernels that leave them out, and computes the same.
func TestSparseAgainstReference(t *testing.T) {
	for spec, want := range map[string]int{
		"mobilenetv1?size=64&width=0.5": 10, "resnet50?size=64&width=0.25": 20, "mobilenetv2?size=64": 15, "resnet20": 3,
	} {
		for _, batch := range []int{1, 3} {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			settle(g, 3)
			thin(g, 0.95)
			if n := sparseSteps(t, g, batch); n < want {
				t.Errorf("%s, batch %d: %d steps leave out zeros, expected %d or more", spec, batch, n, want)
			}
			compare(t, g, randomInputs(g, batch, 7), 1e-4)
		}
	}
}

// TestDenseStaysDense compiles a network without zeros.
func TestDenseStaysDense(t *testing.T) {
	g, err := zoo.Build("mobilenetv1?size=64&width=0.5", 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := sparseSteps(t, g, 1); n > 0 {
		t.Errorf("%d steps leave out zeros that are not there", n)
	}
}

// TestVariablesStayDense compiles weights that may change between runs.
func TestVariablesStayDense(t *testing.T) {
	g, err := zoo.Build("mobilenetv1?size=64&width=0.5", 1)
	if err != nil {
		t.Fatal(err)
	}
	thin(g, 0.95)
	var names []string
	for _, n := range g.Nodes {
		if n.Is("Conv", "Gemm") {
			names = append(names, n.Inputs[1].Name)
		}
	}
	p, err := engine.Compile(g, engine.Options{Batch: 1, Threads: 1, Variables: names})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps() {
		if strings.HasPrefix(s.Kernel, "sparse ") {
			t.Errorf("node %q runs on %s although its weights may change", s.Node, s.Kernel)
		}
	}
}
