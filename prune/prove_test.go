package prune_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// proofs proves a network of the zoo as package graph's tests do, but by the
// engine.
func proofs(t *testing.T, spec string) []prune.Proof {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	prune.Unsettle(g, 1)
	list, err := prune.Prove(t.Context(), g, oneImage(g), 1)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func oneImage(g *graph.Graph) map[string]*tensor.Tensor {
	shape := g.Inputs[0].Shape.Ints()
	shape[0] = 1
	x := tensor.New(tensor.Float32, shape...)
	r := rand.New(rand.NewPCG(1, 2))
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = r.Float32()
	}
	return map[string]*tensor.Tensor{g.Inputs[0].Name: x}
}

func TestProve(t *testing.T) {
	for _, spec := range []string{"lenet5", "resnet20?width=0.5", "squeezenet1.1?size=32&width=0.5", "shufflenetv2?size=32&width=0.5", "mobilenetv3-small?size=32&width=0.5"} {
		t.Run(spec, func(t *testing.T) {
			left := 0
			for _, p := range proofs(t, spec) {
				if p.Failed {
					t.Errorf("%+v", p)
				}
				if p.Reason == "" && (p.Removed == 0 || p.Zeroed == 0) {
					t.Errorf("%+v proves nothing", p)
				}
				if p.Reason != "" {
					left++
					if !strings.HasSuffix(p.Reason, "is an output of the graph") {
						t.Errorf("%q is not proved: %s", p.Group, p.Reason)
					}
				}
			}
			if left != 1 {
				t.Errorf("%d groups are not proved, want the outputs alone", left)
			}
		})
	}
}

// TestProveInexact meets a network whose local response normalization mixes
// neighbouring channels: the difference is told, with the reason.
func TestProveInexact(t *testing.T) {
	inexact := 0
	for _, p := range proofs(t, "alexnet-2012?size=67&width=0.125") {
		if strings.Contains(p.Reason, "LRN") && p.Difference > 0 && !p.Failed {
			inexact++
		}
	}
	if inexact != 2 {
		t.Errorf("%d groups are not exact, want 2", inexact)
	}
}

// TestProveSilent gives a network whose classifier ignores everything.
func TestProveSilent(t *testing.T) {
	g, err := zoo.Build("lenet5", 1)
	if err != nil {
		t.Fatal(err)
	}
	var last *graph.Node
	for _, n := range g.Nodes {
		if n.Is("Gemm") {
			last = n
		}
	}
	w := last.In(1)
	w.SetData(tensor.New(tensor.Float32, w.Data.Shape...))
	list, err := prune.Prove(t.Context(), g, oneImage(g), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Reason == "" || p.Failed {
			t.Errorf("%+v: nothing is proved where nothing is noticed", p)
		}
	}
}
