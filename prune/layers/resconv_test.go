package layers

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func grown(t *testing.T, spec string) *graph.Graph {
	t.Helper()
	g := build(t, spec)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") {
			continue
		}
		for i, center := range []float32{1, 0, 0, 1} {
			d := n.Inputs[i+1].Data.Clone()
			for k, x := 0, tensor.Data[float32](d); k < len(x); k++ {
				x[k] = center + 0.3*rng.Float32()
			}
			n.Inputs[i+1].SetData(d)
		}
	}
	before := run(t, g)
	r := &resconv{lambda: 1}
	_, n, err := r.Grow(g, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	if n == 0 || !alike(run(t, g), before) {
		t.Fatalf("%s: %d layers with shortcuts change what the network computes", spec, n)
	}
	return g
}

// alike allows a hundred-thousandth of the largest output.
func alike(a, b []float32) bool {
	scale, worst := 1e-6, 0.0
	for i, v := range b {
		scale = max(scale, math.Abs(float64(v)))
		worst = max(worst, math.Abs(float64(a[i]-v)))
	}
	return worst <= 1e-5*scale
}

// set gives a number of Grow's to all channels of one.
func set(g *graph.Graph, name string, to float32) {
	v := g.Value(name)
	v.SetData(tensor.Of(slices.Repeat([]float32{to}, v.Data.Len()), v.Data.Shape...))
}

// TestResConvFuses: plain convolutions compute what the trained form did, with
// normalization or a bias, and grouped; and so do those left when others, whose
// scale is zero, are gone.
func TestResConvFuses(t *testing.T) {
	for _, spec := range []string{deep, "vgg16-cifar?channels=1&size=32&classes=4&width=0.125", "mobilenetv1?channels=1&size=32&classes=4&width=0.25",
		"resnet8-mlperf?channels=1&size=16&classes=4"} {
		for _, gone := range []int{0, 1, 2} {
			g := grown(t, spec)
			rng := rand.New(rand.NewPCG(1, uint64(gone)))
			list := grownOf(g)
			for i, f := range list {
				set(g, f.scale(), 0.5+rng.Float32())
				set(g, f.control(), rng.Float32()-0.3)
				if i == 1 && gone > 0 || i == 3 && gone > 1 {
					set(g, f.scale(), 0)
				}
			}
			want, before := run(t, g), len(convs(g))
			rows, err := (&resconv{}).Shed(g, gone)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Verify(); err != nil {
				t.Fatal(err)
			}
			if !alike(run(t, g), want) {
				t.Errorf("%s without %d layers computes something else", spec, gone)
			}
			// Of every layer's three convolutions one is left, or none.
			if got := len(convs(g)); got != before-2*len(list)-gone || len(rows) != len(list) {
				t.Errorf("%s: %d of %d convolutions are left after %d of %d layers went", spec, got, before, gone, len(list))
			}
		}
	}
}

// grownOf lists what Grow gave shortcuts.
func grownOf(g *graph.Graph) []fusible {
	return slices.DeleteFunc(fusibles(g), func(f fusible) bool { return !g.Value(f.scale()).IsConst() })
}

func convs(g *graph.Graph) []*graph.Node {
	return slices.DeleteFunc(slices.Clone(g.Nodes), func(n *graph.Node) bool { return !n.Is("Conv") })
}

// TestResConvIdentity: with scale 0 and shortcut 1, a layer that reads the output
// of a rectifier is the identity, and nothing of it stays.
func TestResConvIdentity(t *testing.T) {
	g := grown(t, "vgg16-cifar?channels=1&size=32&classes=4&width=0.125")
	for _, f := range grownOf(g) {
		set(g, f.scale(), 0)
		set(g, f.control(), 1)
	}
	want := run(t, g)
	if _, err := (&resconv{}).Shed(g, len(grownOf(g))); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(run(t, g), want) {
		t.Error("layers that are the identity were not")
	}
	if n := len(convs(g)); n != 4 {
		t.Errorf("%d convolutions are left, want the 4 that change the number of channels", n)
	}
	relus := 0
	for _, n := range g.Nodes {
		if n.Is("Relu") {
			relus++
		}
		if n.Is("Mul") {
			t.Errorf("%v is left", n)
		}
	}
	if relus != 4 {
		t.Errorf("%d rectifiers are left, want 4", relus)
	}
}

// TestResConvTrains: the penalty makes scales small, all channels of one stay
// the same, and the layers of the smallest go.
func TestResConvTrains(t *testing.T) {
	g := build(t, deep)
	d := images(t)
	var trained *graph.Graph
	fit := func(ctx context.Context, g *graph.Graph, h train.Hook) (*graph.Graph, error) {
		r, err := train.Run(ctx, g, d.Loader, train.Config{Epochs: 3, Threads: 1, Optimizer: train.SGD(0.05, 0.9, 1e-4), Hooks: []train.Hook{h}})
		if err != nil {
			return nil, err
		}
		trained = r.Graph.Clone()
		return r.Graph, nil
	}
	o := Options{Method: "resconv:lambda=0.3", Blocks: 2, Skip: []string{"layer1.0.*"}, Fit: fit}
	p, r, err := Prune(context.Background(), g, o, d)
	if err != nil {
		t.Fatal(err)
	}
	least := math.Inf(1)
	for _, f := range grownOf(trained) {
		for _, name := range []string{f.scale(), f.control()} {
			w := trained.Value(name).Data.Float32s()
			if slices.Min(w) != slices.Max(w) {
				t.Errorf("%s is %v", name, w)
			}
		}
		least = min(least, float64(trained.Value(f.scale()).Data.Float32s()[0]))
		if strings.HasPrefix(f.conv.Name, "layer1.0.") {
			t.Errorf("%s was to be skipped", f.conv.Name)
		}
	}
	if !(least < 0.95) {
		t.Errorf("the least scale is %g", least)
	}
	kept, gone := math.Inf(1), 0.0
	for _, b := range r.Blocks {
		if b.Removed {
			gone = max(gone, b.Score)
		} else {
			kept = min(kept, b.Score)
		}
	}
	if gone > kept || r.MACsAfter >= r.MACs {
		t.Errorf("%+v", r)
	}
	run(t, p)

	if _, _, err := Prune(context.Background(), g, Options{Method: "resconv", Blocks: 2}, d); !errors.Is(err, ErrTraining) {
		t.Errorf("without training: %v", err)
	}
	o.Blocks, o.Skip = 99, nil
	if _, _, err := Prune(context.Background(), g, o, d); err == nil || !strings.Contains(err.Error(), "only") {
		t.Errorf("99 layers: %v", err)
	}
	o.Blocks, o.Skip = 1, []string{"nothing"}
	if _, _, err := Prune(context.Background(), g, o, d); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
}
