package prune

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func trained(t *testing.T, g *graph.Graph, epochs int, rate, decay float64, hooks ...train.Hook) *graph.Graph {
	t.Helper()
	r, err := train.Run(context.Background(), g, images(t, 32, 1, 16, 4, 16).Loader, train.Config{Epochs: epochs, Threads: 1,
		Optimizer: train.SGD(rate, 0, decay), Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	return r.Graph
}

// stepper counts the zero filters of a layer after each step and epoch.
type stepper struct {
	train.NoHook
	name  string
	steps []int
	ends  []int
}

func (h *stepper) zeros(s *train.State) int {
	p := s.Param(h.name)
	w := tensor.Data[float32](p)
	per := len(w) / p.Shape[0]
	n := 0
	for i := 0; i < len(w); i += per {
		if zeros(w[i:i+per]) == per {
			n++
		}
	}
	return n
}

func (h *stepper) AfterStep(s *train.State) error {
	h.steps = append(h.steps, h.zeros(s))
	return nil
}

func (h *stepper) EpochEnd(s *train.State) error {
	h.ends = append(h.ends, h.zeros(s))
	return nil
}

// TestSFP zeroes exactly ⌊P·n⌋ filters after each epoch; one step later they
// live again; the removal of the last ones changes nothing where the network
// has no padding to spoil it.
func TestSFP(t *testing.T) {
	g := build(t, small)
	randomNorm(g) // a filter of zeros behind which ReLU is shut would stay so
	for _, spec := range []string{"sfp", "sfp:score=fpgm"} {
		h, score, err := Sparsify(g, spec, Options{Ratio: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		conv := g.Node("layer2.0.conv1").Inputs[1]
		watch := &stepper{name: conv.Name}
		out := trained(t, g, 3, 0.05, 1e-4, h, watch)
		want := conv.Data.Shape[0] * 3 / 10
		if !slices.Equal(watch.ends, []int{want, want, want}) {
			t.Errorf("%s: zero filters after the epochs: %v, want %d each", spec, watch.ends, want)
		}
		if watch.steps[2] != 0 {
			t.Errorf("%s: %d filters are still zero after the first step of the second epoch", spec, watch.steps[2])
		}
		if spec != "sfp" {
			continue
		}
		p, _, err := Apply(context.Background(), out, Options{Score: score, Ratio: 0.3, RoundTo: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.Node("layer2.0.conv1").Inputs[1].Data.Float32s() {
			if v == 0 {
				t.Fatal("a zero filter was kept")
			}
		}
	}
}

// TestSlimming: plain descent moves the scale of a channel without gradient by
// η·λ a step; the proximal form reaches zero and stays.
func TestSlimming(t *testing.T) {
	w, g := []float32{0.5, -0.5, 0}, []float32{0, 0, 0}
	addSign(g, w, 1e-2)
	if !slices.Equal(g, []float32{1e-2, -1e-2, 0}) {
		t.Errorf("gradients of the penalty %v", g)
	}
	shrink(w, 0.2)
	if !near([]float64{float64(w[0]), float64(w[1]), float64(w[2])}, []float64{.3, -.3, 0}) {
		t.Errorf("shrunk by 0.2: %v", w)
	}
	shrink(w, 0.4)
	if !slices.Equal(w, []float32{0, 0, 0}) {
		t.Errorf("shrunk beyond zero: %v", w)
	}
	net := build(t, small)
	h, score, err := Sparsify(net, "slimming:lambda=50,proximal=true", Options{Ratio: 0.5})
	if err != nil || score != "bn" {
		t.Fatal(score, err)
	}
	out := trained(t, net, 12, 0.01, 0, h)
	for _, v := range out.Node("layer2.0.bn1").Inputs[1].Data.Float32s() {
		if math.Abs(float64(v)) > 0.5 {
			t.Errorf("a scale is %g after a heavy penalty", v)
		}
	}
}

func TestGroupLasso(t *testing.T) {
	a, b := []float32{.3, .4}, []float32{.03, .04}
	proximal([]*float32{&a[0], &a[1]}, 0.1)
	proximal([]*float32{&b[0], &b[1]}, 0.1)
	if !near([]float64{float64(a[0]), float64(a[1])}, []float64{.24, .32}) || b[0] != 0 || b[1] != 0 {
		t.Errorf("(0.3, 0.4) and (0.03, 0.04) become %v and %v, want (0.24, 0.32) and 0", a, b)
	}
}

// TestClusterPull has gradients that vanish for equal filters and add up to
// zero in a cluster.
func TestClusterPull(t *testing.T) {
	m := graph.Member{Value: &graph.Value{Data: tensor.Of([]float32{1, 2, 3, 4, 1, 2}, 3, 2)}, At: [][]int{{0}, {1}, {2}}}
	w := tensor.Data[float32](m.Value.Data)
	g := make([]float32, 6)
	pull(m, w, g, []int{0, 1}, 1)
	if !slices.Equal(g, []float32{-1, -1, 1, 1, 0, 0}) {
		t.Errorf("pull %v, want −1 −1 1 1 0 0", g)
	}
	clear(g)
	pull(m, w, g, []int{0, 2}, 1)
	if !slices.Equal(g, make([]float32, 6)) {
		t.Errorf("equal filters are pulled by %v", g)
	}
	p := points{5, 1, []float32{0, 10, 0.1, 10.2, 5}}
	score, into := agglomerate(p.n, p.squaredDistances())
	if got := clusters(score, into, 3); len(got) != 3 || !slices.Equal(got[0], []int{0, 2}) && !slices.Equal(got[2], []int{0, 2}) && !slices.Equal(got[1], []int{0, 2}) {
		t.Errorf("three clusters of 0, 10, 0.1, 10.2, 5: %v", got)
	}
}

func TestDecays(t *testing.T) {
	got := decays([]float64{1, 2, 3})
	if !slices.Equal(got, []float32{16, 4, 1}) {
		t.Errorf("decays %v, want 16 4 1", got)
	}
}

// TestEverySparsifier trains and prunes with all of them.
func TestEverySparsifier(t *testing.T) {
	g := build(t, small)
	for _, m := range method.Of(method.Sparsify) {
		h, score, err := Sparsify(g, m.Name, Options{MACs: 0.5})
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		out := trained(t, g, 1, 0.05, 1e-4, h)
		_, r, err := Apply(context.Background(), out, Options{Score: score, MACs: 0.5, RoundTo: 1}, nil)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		} else if float64(r.MACsAfter) > 0.5*float64(r.MACs) {
			t.Errorf("%s: %d of %d MACs are left", m.Name, r.MACsAfter, r.MACs)
		}
	}
	plain := pointConvs(1, [][]float32{{1}, {2}}, [][]float32{{1, 1}})
	for spec, want := range map[string]string{"slimming": "batch normalization", "group-lasso": "batch normalization", "magic": "magic",
		"sfp:score=taylor": "images", "slimming:lambda=0": "lambda", "sfp:ramp=2": "ramp"} {
		if _, _, err := Sparsify(plain, spec, Options{Ratio: 0.5}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", spec, err, want)
		}
	}
	frozen := pointConvs(1, [][]float32{{1}, {2}})
	if _, _, err := Sparsify(frozen, "sfp", Options{Ratio: 0.5}); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing to prune: %v", err)
	}
}

// TestGates: nothing but scales and shifts changes, by a factor in [0, 1] for
// each channel, whose mean the penalty holds at the share to keep.
func TestGates(t *testing.T) {
	g := build(t, small)
	randomNorm(g)
	h, score, err := Sparsify(g, "gates:balance=50,rate=0.05", Options{Ratio: 0.7})
	if err != nil || score != "bn" {
		t.Fatal(score, err)
	}
	out := trained(t, g, 16, 0.05, 1e-2, h)
	for _, n := range g.Nodes {
		if n.Is("Conv", "Gemm") && !slices.Equal(n.Inputs[1].Data.Float32s(), out.Node(n.Name).Inputs[1].Data.Float32s()) {
			t.Errorf("the weights of %s changed", n.Name)
		}
	}
	before, after := g.Node("layer2.0.bn1"), out.Node("layer2.0.bn1")
	sum, lowest, highest := 0.0, 1.0, 0.0
	for c := range before.Inputs[1].Data.Len() {
		gate := after.Inputs[1].Data.At(c) / before.Inputs[1].Data.At(c)
		if shift := after.Inputs[2].Data.At(c) / before.Inputs[2].Data.At(c); math.Abs(gate-shift) > 1e-5 || gate < 0 || gate > 1 {
			t.Errorf("channel %d: scale times %g, shift times %g", c, gate, shift)
		}
		sum, lowest, highest = sum+gate, min(lowest, gate), max(highest, gate)
	}
	if mean := sum / float64(before.Inputs[1].Data.Len()); math.Abs(mean-0.3) > 0.1 || highest-lowest < 0.01 {
		t.Errorf("gates from %g to %g, their mean is %g, want about 0.3", lowest, highest, mean)
	}
}

// TestGroupLassoOfFilters empties whole channels, filters and normalization
// together, and adapts until enough are empty.
func TestGroupLassoOfFilters(t *testing.T) {
	g := build(t, small)
	h, score, err := Sparsify(g, "group-lasso:lambda=3,ramp=0,filters=true", Options{Ratio: 0.5})
	if err != nil || score != "depgraph" {
		t.Fatal(score, err)
	}
	out := trained(t, g, 6, 0.01, 0, h)
	conv, bn := out.Node("layer2.0.conv1"), out.Node("layer2.0.bn1")
	w := conv.Inputs[1].Data.Float32s()
	empty := 0
	for c, per := 0, len(w)/conv.Inputs[1].Data.Shape[0]; c < conv.Inputs[1].Data.Shape[0]; c++ {
		filter := zeros(w[c*per:][:per]) == per
		if filter != (bn.Inputs[1].Data.At(c) == 0) || filter != (bn.Inputs[2].Data.At(c) == 0) {
			t.Errorf("channel %d is empty in part", c)
		}
		if filter {
			empty++
		}
	}
	if empty == 0 {
		t.Error("no channel is empty after a heavy penalty")
	}

	for lambda, want := range map[string]float32{"1e-9": 1.5 * 1.5 * 1.5, "50": 1 / 1.5 / 1.5 / 1.5} {
		h, _, err := Sparsify(g, "group-lasso:adapt=true,ramp=0,lambda="+lambda, Options{Ratio: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		trained(t, g, 3, 0.1, 0, h)
		if got := h.(*groupLassoHook).strength[0]; math.Abs(float64(got/want-1)) > 1e-5 {
			t.Errorf("lambda %s: strength %g after three epochs, want %g", lambda, got, want)
		}
	}
	plain := pointConvs(1, [][]float32{{1}, {2}}, [][]float32{{1, 1}})
	if _, _, err := Sparsify(plain, "group-lasso:filters=true", Options{Ratio: 0.5}); err != nil {
		t.Errorf("filters without normalization: %v", err)
	}
}
