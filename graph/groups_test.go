package graph_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// execute computes a graph's outputs by the reference interpreter.
func execute(t *testing.T, g *graph.Graph, inputs ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	at := map[*graph.Value]*tensor.Tensor{}
	for i, v := range g.Inputs {
		at[v] = inputs[i]
	}
	for _, v := range g.Constants() {
		at[v] = v.Data
	}
	for _, n := range g.Nodes {
		in := make([]*tensor.Tensor, len(n.Inputs))
		for i, v := range n.Inputs {
			in[i] = at[v]
		}
		out, err := eval.Node(n, in)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range n.Outputs {
			if v != nil {
				at[v] = out[i]
			}
		}
	}
	var outs []*tensor.Tensor
	for _, v := range g.Outputs {
		outs = append(outs, at[v])
	}
	return outs
}

// randomInputs fills every graph input, a symbolic dimension being 2.
func randomInputs(g *graph.Graph, r *rand.Rand) []*tensor.Tensor {
	var list []*tensor.Tensor
	for _, v := range g.Inputs {
		shape := v.Shape.Ints()
		for i := range shape {
			if shape[i] < 0 {
				shape[i] = 2
			}
		}
		x := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			d[i] = float32(r.NormFloat64())
		}
		list = append(list, x)
	}
	return list
}

// difference is the largest difference of two outputs, relative to the
// largest value.
func difference(t *testing.T, a, b []*tensor.Tensor) float64 {
	t.Helper()
	worst, scale := 0.0, 1e-6
	for i := range a {
		x, y := a[i].Float32s(), b[i].Float32s()
		if len(x) != len(y) {
			t.Fatalf("outputs have shapes %v and %v", a[i].Shape, b[i].Shape)
		}
		for j := range x {
			worst = max(worst, math.Abs(float64(x[j]-y[j])))
			scale = max(scale, math.Abs(float64(x[j])))
		}
	}
	if math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst / scale
}

// choose picks channels of every group at random, about the given share.
func choose(groups []*graph.Group, share float64, r *rand.Rand) map[*graph.Group][]int {
	remove := map[*graph.Group][]int{}
	for _, gr := range groups {
		if list := gr.Choose(r.Perm(gr.Size), int(math.Ceil(share*float64(gr.Size)))); len(list) > 0 {
			remove[gr] = list
		}
	}
	return remove
}

// onClone finds, in a clone of the graph, the groups and channels that match.
func onClone(t *testing.T, g *graph.Graph, remove map[*graph.Group][]int) (*graph.Graph, map[*graph.Group][]int) {
	t.Helper()
	byName := map[string][]int{}
	for gr, list := range remove {
		byName[gr.Name] = list
	}
	c := g.Clone()
	groups, err := c.Groups()
	if err != nil {
		t.Fatal(err)
	}
	out := map[*graph.Group][]int{}
	for _, gr := range groups {
		if list := byName[gr.Name]; list != nil {
			out[gr] = list
		}
	}
	if len(out) != len(remove) {
		t.Fatalf("the clone has %d of %d groups", len(out), len(remove))
	}
	return c, out
}

// proveRemoval is T-REMOVE: what a graph with zeroed channels computes, the
// graph without them computes too.
func proveRemoval(t *testing.T, g *graph.Graph, remove map[*graph.Group][]int, r *rand.Rand) *graph.Graph {
	t.Helper()
	masked, sets := onClone(t, g, remove)
	if err := masked.ZeroChannels(sets); err != nil {
		t.Fatal(err)
	}
	small, sets := onClone(t, masked, remove)
	if err := small.RemoveChannels(sets); err != nil {
		t.Fatal(err)
	}
	if err := small.Verify(); err != nil {
		t.Fatal(err)
	}
	x := randomInputs(g, r)
	if d := difference(t, execute(t, masked, x...), execute(t, small, x...)); !(d <= 1e-4) {
		t.Errorf("removal changes the output by %.3g of its largest value", d)
	}
	return small
}

func describe(groups []*graph.Group) string {
	s := ""
	for _, gr := range groups {
		s += fmt.Sprintf("%s: %d channels, %d members, divisor %d, residual %v, frozen %q\n",
			gr.Name, gr.Size, len(gr.Members), gr.Divisor(), gr.Residual, gr.Frozen)
	}
	return s
}

// TestRemoveZoo proves removal on every family of network, small.
func TestRemoveZoo(t *testing.T) {
	for _, spec := range []string{
		"lenet5", "resnet8", "resnet20", "resnet18?size=32&width=0.25", "resnet50?size=32&width=0.125", "vgg11-cifar?width=0.125",
		"squeezenet1.1?size=32", "mobilenetv1?size=32&width=0.25", "mobilenetv2?size=32&width=0.25",
		"mobilenetv3-small?size=32", "shufflenetv1?size=32", "shufflenetv2?size=32&width=0.5", "densenet121?size=32&width=0.25",
		"dscnn", "vww?size=32", "resnet8-mlperf",
	} {
		t.Run(spec, func(t *testing.T) {
			g := build(t, spec)
			groups, err := g.Groups()
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			remove := choose(groups, 0.4, r)
			if len(remove) < 2 {
				t.Errorf("only %d groups can lose channels:\n%s", len(remove), describe(groups))
			}
			small := proveRemoval(t, g, remove, r)
			before, after := g.Cost(), small.Cost()
			t.Logf("%d of %d groups cut; parameters %d to %d", len(remove), len(groups), before.Params, after.Params)
			if after.Params >= before.Params {
				t.Error("nothing became smaller")
			}
		})
	}
}

// TestHalvedWidths removes half the channels and counts what is left: Li et
// al., "Pruning Filters for Efficient ConvNets" (2017), and Torch-Pruning's
// 3.05588 M for ResNet-18.
func TestHalvedWidths(t *testing.T) {
	inner := func(gr *graph.Group) bool { return !gr.Residual && gr.Name != "conv1" } // conv1 is ResNet-50's stem
	all := func(*graph.Group) bool { return true }
	vgg := func(gr *graph.Group) bool { // the first convolution and the last six
		list := []string{"conv1", "conv8", "conv9", "conv10", "conv11", "conv12", "conv13"}
		return slices.Contains(list, gr.Name)
	}
	for _, c := range []struct {
		spec         string
		half         func(*graph.Group) bool
		params, macs int64
	}{
		{"resnet18", all, 3_055_880, 483_149_824},
		{"resnet18", inner, 6_194_856, 975_933_440},
		{"resnet50", inner, 12_381_864, 1_822_031_872},
		{"resnet20", inner, 135_754, 20_497_024},
		{"resnet56", inner, 428_074, 62_964_352},
		// The paper's 5,399,690 and 206,279,680 less a hidden layer of 512 and the
		// biases, which this form does not have.
		{"vgg16-cifar", vgg, 5_261_866, 206_146_048},
	} {
		g := build(t, c.spec)
		groups, err := g.Groups()
		if err != nil {
			t.Fatal(err)
		}
		remove := map[*graph.Group][]int{}
		for _, gr := range groups {
			if gr.Frozen == "" && c.half(gr) {
				for i := range gr.Size / 2 {
					remove[gr] = append(remove[gr], 2*i)
				}
			}
		}
		if err := g.RemoveChannels(remove); err != nil {
			t.Fatal(err)
		}
		if got := g.Cost(); got.Params != c.params || got.MACs != c.macs {
			t.Errorf("%s: %d parameters and %d MACs, want %d and %d\n%s", c.spec, got.Params, got.MACs, c.params, c.macs, describe(groups))
		}
	}
}
