package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/rewrite"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestBandsChangeNoBit compares programs with chains to ones that keep every
// value, which have none.
func TestBandsChangeNoBit(t *testing.T) {
	for spec, batches := range map[string][]int{
		"mobilenetv1?size=128": {1, 2}, "mobilenetv2?size=128": {1, 2}, "mnasnet1.0?size=160": {1, 2},
		"densenet121?size=128": {1}, // of two images, more layers are Winograd's
	} {
		g, err := zoo.Build(spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		// What keeping every value would prevent.
		rewrite.Apply(g, rewrite.Scope{}, rewrite.DropNoOp, rewrite.FoldBatchNorm)
		for _, batch := range batches {
			sameInBands(t, spec, g, batch)
		}
	}
}

// TestBandsOfSparseLayers does the same with layers whose zeros are left out.
func TestBandsOfSparseLayers(t *testing.T) {
	g, err := zoo.Build("mobilenetv1?size=128", 1)
	if err != nil {
		t.Fatal(err)
	}
	rewrite.Apply(g, rewrite.Scope{}, rewrite.DropNoOp, rewrite.FoldBatchNorm)
	thin(g, 0.9)
	for _, batch := range []int{1, 2} {
		sameInBands(t, "sparse", g, batch)
	}
}

// TestBandsOfOddShapes joins layers of windows, strides and paddings of all kinds.
func TestBandsOfOddShapes(t *testing.T) {
	for _, v := range []struct{ size, c, window, stride, pad int }{
		{150, 24, 3, 1, 1}, {151, 24, 3, 2, 1}, {149, 17, 5, 2, 2}, {150, 40, 7, 3, 0}, {150, 24, 1, 2, 0}, {97, 32, 2, 4, 0}, {120, 24, 3, 1, 3},
	} {
		m, x := newMaker(1, 3, v.size, v.size)
		x = m.op("HardSwish", nil, m.conv(x, 3, v.c, 1, 1))
		x = m.op("Conv", graph.Attrs{"kernel_shape": []int64{int64(v.window), int64(v.window)}, "strides": []int64{int64(v.stride), int64(v.stride)},
			"pads": []int64{int64(v.pad), int64(v.pad), int64(v.pad), int64(v.pad)}, "group": int64(v.c)}, x, m.weights(0.3, v.c, 1, v.window, v.window))
		x = m.op("Relu", nil, m.conv(x, v.c, 30, 1, 1))
		sameInBands(t, fmt.Sprint(v), m.done(t, x), 1)
	}
}

// sameInBands runs g with and without bands, on one worker and on more.
func sameInBands(t *testing.T, name string, g *graph.Graph, batch int) {
	t.Helper()
	var want []byte
	for _, o := range []engine.Options{{All: true}, {Threads: 1}, {Threads: 2}, {Threads: 3}} {
		o.Batch = batch
		p, err := engine.Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		if o.All == slices.ContainsFunc(p.Steps(), func(s engine.StepTime) bool { return s.Banded }) {
			t.Errorf("%s, %+v: bands where there should be none, or none", name, o)
		}
		in := tensor.New(tensor.Float32, p.InputShape(0)...)
		for i := range in.Float32s() {
			in.Float32s()[i] = float32(i*7%1001)/500 - 1
		}
		out := p.NewOutputs()
		if err := p.RunInto(context.Background(), []*tensor.Tensor{in}, out); err != nil {
			t.Fatal(err)
		}
		if got := out[0].Bytes(); want == nil {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("%s, %+v: other bits in bands", name, o)
		}
	}
}

// TestProfileOfAChain expects a row for each node of a chain, with times that add
// up to no more than the run.
func TestProfileOfAChain(t *testing.T) {
	g, err := zoo.Build("mobilenetv2?size=128", 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.Compile(g, engine.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.Profile(context.Background(), []*tensor.Tensor{tensor.New(tensor.Float32, p.InputShape(0)...)}, 3)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r.Node] = true
		if r.Min <= 0 || r.Bytes < 0 {
			t.Errorf("%+v", r)
		}
	}
	for _, n := range g.Nodes {
		if n.Is("Conv") && !seen[n.Name] {
			t.Errorf("no row for %s", n.Name)
		}
	}
}

func TestFirstCut(t *testing.T) {
	for _, v := range []struct {
		links []int
		want  int
	}{
		{nil, 0}, {[]int{5}, 1}, {[]int{5, 5}, 2}, {[]int{9, 1, 9}, 1}, {[]int{9, 9, 1}, 2}, {[]int{2, 9, 9}, 0}, {[]int{9, 8, 9, 9, 7}, 2}, {[]int{9, 9, 1, 9, 9}, 2},
	} {
		if got := engine.FirstCut(v.links); got != v.want {
			t.Errorf("%v: cut after link %d, want %d", v.links, got, v.want)
		}
	}
}
