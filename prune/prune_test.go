package prune

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func build(t testing.TB, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// randomNorm gives batch normalization statistics that do something.
func randomNorm(g *graph.Graph) {
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
}

func run(t testing.TB, g *graph.Graph) []float32 {
	t.Helper()
	s := g.Inputs[0].Shape.Ints()
	x := tensor.New(tensor.Float32, 2, s[1], s[2], s[3])
	rng := rand.New(rand.NewPCG(3, 3))
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64())
	}
	out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

func cut(t testing.TB, g *graph.Graph, o Options) (*graph.Graph, *Report) {
	t.Helper()
	p, r, err := Channels(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

const small = "resnet8?channels=1&size=16&classes=4"

// TestPublishedCounts halves the first convolution of every block, as Li et
// al. (2017) do, and compares with the sizes in the literature.
func TestPublishedCounts(t *testing.T) {
	for _, c := range []struct {
		spec         string
		params, macs int64
	}{{"resnet20", 135_754, 20_497_024}, {"resnet56", 428_074, 62_964_352}} {
		_, r := cut(t, build(t, c.spec), Options{Ratio: 0.5, RoundTo: 1, InnerOnly: true})
		if r.ParamAfter != c.params || r.MACsAfter != c.macs {
			t.Errorf("%s: %d parameters and %d MACs, want %d and %d", c.spec, r.ParamAfter, r.MACsAfter, c.params, c.macs)
		}
	}
	// VGG-16 on CIFAR-10: −64.0 % parameters, −34.2 % MACs.
	keep := map[string]int{"conv1": 32}
	for _, n := range []string{"conv8", "conv9", "conv10", "conv11", "conv12", "conv13"} {
		keep[n] = 256
	}
	_, r, err := To(build(t, "vgg16-cifar?fc=2"), "l1", keep)
	if err != nil {
		t.Fatal(err)
	}
	if r.Params != 14_991_946 || r.ParamAfter != 5_399_690 || r.MACsAfter != 206_279_680 {
		t.Errorf("VGG-16: from %d to %d parameters and %d MACs, want 14991946, 5399690 and 206279680", r.Params, r.ParamAfter, r.MACsAfter)
	}
}

// TestRemovedChannelsWereZero zeroes a third of the channels of every group.
// They have the lowest scores, so they are what pruning takes away, and the
// outputs stay as they are.
func TestRemovedChannelsWereZero(t *testing.T) {
	for _, spec := range []string{small, "mobilenetv2?channels=1&size=32&classes=4&width=0.5", "lenet5?size=16&classes=4"} {
		t.Run(spec, func(t *testing.T) {
			g := build(t, spec)
			randomNorm(g)
			cs, _, err := Candidates(g, Options{})
			if err != nil {
				t.Fatal(err)
			}
			zero, keep := map[*graph.Group][]int{}, map[string]int{}
			for _, c := range cs {
				order := rand.New(rand.NewPCG(8, 8)).Perm(c.Group.Size)
				gone := c.Group.Choose(order, c.Group.Size/3)
				if len(gone) > 0 {
					zero[c.Group], keep[c.Group.Name] = gone, c.Group.Size-len(gone)
				}
			}
			if err := g.ZeroChannels(zero); err != nil {
				t.Fatal(err)
			}
			before := run(t, g)
			p, r, err := To(g, "l1", keep)
			if err != nil {
				t.Fatal(err)
			}
			if r.ParamAfter >= r.Params || r.MACsAfter >= r.MACs {
				t.Errorf("nothing was removed: %+v", r)
			}
			for i, v := range run(t, p) {
				if math.Abs(float64(v-before[i])) > 1e-4*max(1, math.Abs(float64(before[i]))) {
					t.Fatalf("output %d became %g, was %g", i, v, before[i])
				}
			}
			if again := run(t, g); !slices.Equal(again, before) {
				t.Error("pruning changed the model it was given")
			}
		})
	}
}

func TestCounts(t *testing.T) {
	g := build(t, small)
	for _, c := range []struct {
		name string
		o    Options
		keep func(size int) int // -1: any
	}{
		{"uniform", Options{Ratio: 0.3, RoundTo: 1}, func(n int) int { return n - n*3/10 }},
		{"rounded up", Options{Ratio: 0.4, RoundTo: 8}, func(n int) int { return min(n, (n-n*4/10+7)/8*8) }},
		{"rounded by default", Options{Ratio: 0.4}, func(n int) int {
			if n <= 32 {
				return (n - n*4/10 + 3) / 4 * 4
			}
			return (n - n*4/10 + 7) / 8 * 8
		}},
		{"at least a tenth", Options{Ratio: 0.99, RoundTo: 1}, func(n int) int { return (n + 9) / 10 }},
		{"at least a half", Options{Ratio: 0.99, RoundTo: 1, MinKeep: 0.5}, func(n int) int { return (n + 1) / 2 }},
		{"nothing", Options{}, func(n int) int { return n }},
	} {
		_, r := cut(t, g, c.o)
		for _, row := range r.Groups {
			if want := c.keep(row.Before); row.Reason == "" && row.After != want {
				t.Errorf("%s: %s keeps %d of %d channels, want %d", c.name, row.Group, row.After, row.Before, want)
			}
		}
	}
}

// TestGlobal removes the share of all channels together, where they matter
// least.
func TestGlobal(t *testing.T) {
	g := build(t, small)
	cs, _, err := Candidates(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, c := range cs {
		all += c.Group.Size
	}
	_, r := cut(t, g, Options{Ratio: 0.25, RoundTo: 1, Allocator: "global", MinKeep: 0.01})
	left := 0
	for _, row := range r.Groups {
		if row.Reason == "" {
			left += row.After
		}
	}
	if want := all - all/4; left != want {
		t.Errorf("%d of %d channels are left, want %d", left, all, want)
	}
	_, uniform := cut(t, g, Options{Ratio: 0.25, RoundTo: 1})
	if slices.Equal(r.Groups, uniform.Groups) {
		t.Error("global allocation equals uniform")
	}
	alloc, err := method.New[Allocator](method.Allocate, "global")
	if err != nil {
		t.Fatal(err)
	}
	weak := []Candidate{{Group: &graph.Group{Size: 4}, Score: []float64{1, 1, 1, 1}}, {Group: &graph.Group{Size: 4}, Score: []float64{0, 0, 2, 2}}}
	if keep := alloc.Keep(weak, 0.25); !slices.Equal(keep, []int{4, 2}) {
		t.Errorf("of channels that score 1,1,1,1 and 0,0,2,2 global keeps %v, want [4 2]", keep)
	}
}

func TestMACsTarget(t *testing.T) {
	g := build(t, small)
	for _, alloc := range []string{"uniform", "global"} {
		for _, share := range []float64{0.8, 0.5, 0.25} {
			p, r := cut(t, g, Options{MACs: share, Allocator: alloc, RoundTo: 1})
			got := float64(r.MACsAfter) / float64(r.MACs)
			if got > share || got < share-0.12 {
				t.Errorf("%s: %.3f of the MACs are left, want %.2f or a little less", alloc, got, share)
			}
			if c := p.Cost().MACs; c != r.MACsAfter {
				t.Errorf("the report says %d MACs, the model has %d", r.MACsAfter, c)
			}
		}
	}
}

// TestBudgetIsSpent prunes to counts of eight, at which all groups shrink at once:
// some get back what the budget has left.
func TestBudgetIsSpent(t *testing.T) {
	g, err := zoo.Build("resnet20", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []float64{0.7, 0.5, 0.3} {
		_, r := cut(t, g, Options{MACs: share, RoundTo: 8})
		if r.Left > share || r.Left < share-0.04 {
			t.Errorf("%.3f of the MACs are left, want %.2f or a little less", r.Left, share)
		}
	}
}

func TestSkip(t *testing.T) {
	g := build(t, small)
	p, r := cut(t, g, Options{Ratio: 0.5, RoundTo: 1, Skip: []string{"layer2.*"}})
	for _, n := range p.Nodes {
		if n.Is("Conv") && strings.HasPrefix(n.Name, "layer2.") && n.Inputs[1].Shape[0] != g.Node(n.Name).Inputs[1].Shape[0] {
			t.Errorf("%v lost channels", n)
		}
	}
	skipped := 0
	for _, row := range r.Groups {
		if row.Reason == "skipped by request" {
			skipped++
		}
	}
	if skipped == 0 {
		t.Errorf("the report names no skipped group: %+v", r.Groups)
	}
}

func TestErrors(t *testing.T) {
	g := build(t, small)
	sick := g.Clone()
	w := sick.Node("layer2.0.conv1").Inputs[1]
	d := w.Data.Clone()
	tensor.Data[float32](d)[5] = float32(math.NaN())
	w.SetData(d)
	single := graph.New("single")
	single.AddOutput(single.Add("Conv", "conv", nil, single.AddInput("x", tensor.Float32, graph.Dims(1, 1, 4, 4)),
		single.AddConst("w", tensor.New(tensor.Float32, 2, 1, 3, 3))))
	for _, c := range []struct {
		name string
		g    *graph.Graph
		o    Options
		want string
	}{
		{"all of them", g, Options{Ratio: 1}, "ratio 1"},
		{"negative", g, Options{Ratio: -0.1}, "ratio -0.1"},
		{"NaN", g, Options{Ratio: math.NaN()}, "ratio NaN"},
		{"both", g, Options{Ratio: 0.5, MACs: 0.5}, "not both"},
		{"share", g, Options{MACs: 2}, "MACs 2"},
		{"round", g, Options{Ratio: 0.5, RoundTo: -1}, "round to -1"},
		{"least", g, Options{Ratio: 0.5, MinKeep: 2}, "least share to keep 2"},
		{"score", g, Options{Ratio: 0.5, Score: "dice"}, "dice"},
		{"allocator", g, Options{Ratio: 0.5, Allocator: "dice"}, "dice"},
		{"skip", g, Options{Ratio: 0.5, Skip: []string{"conv99"}}, `"conv99"`},
		{"pattern", g, Options{Ratio: 0.5, Skip: []string{"[a"}}, `"[a"`},
		{"out of reach", g, Options{MACs: 1e-6}, "out of reach"},
		{"sick weights", sick, Options{Ratio: 0.5}, "NaN or infinity"},
	} {
		if _, _, err := Channels(c.g, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	if _, _, err := Channels(single, Options{Ratio: 0.5}); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "is an output of the graph") {
		t.Errorf("a network whose only channels are its output: %v, want %v with the reason", err, ErrNothing)
	}
	for name, keep := range map[string]map[string]int{
		"cannot keep 0":   {"conv1": 0},
		"cannot keep 999": {"conv1": 999},
		`"conv99"`:        {"conv99": 1},
	} {
		if _, _, err := To(g, "l1", keep); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("To(%v) = %v, want an error with %q", keep, err, name)
		}
	}
}

// TestL1 scores channels by hand.
func TestL1(t *testing.T) {
	g := graph.New("l1")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 1, 4, 4))
	a := g.Add("Conv", "a", nil, x, g.AddConst("wa", tensor.Of([]float32{1, -1, 3, 2}, 4, 1, 1, 1)))
	b := g.Add("Conv", "b", nil, a, g.AddConst("wb", tensor.New(tensor.Float32, 2, 4, 1, 1)))
	g.AddOutput(b)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	cs, frozen, err := Candidates(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cs) != 1 || len(frozen) != 1 || frozen[0].Reason == "" {
		t.Fatalf("candidates %+v, frozen %+v", cs, frozen)
	}
	s := cs[0].Score
	if s[0] != s[1] || !(s[0] < s[3] && s[3] < s[2]) || math.Abs(s[2]/s[0]-3) > 1e-9 {
		t.Errorf("filters of norm 1, 1, 3, 2 score %v", s)
	}
	p, _, err := To(g, "l1", map[string]int{cs[0].Group.Name: 2})
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Node("a").Inputs[1].Data.Float32s(); !slices.Equal(w, []float32{3, 2}) {
		t.Errorf("the filters left are %v, want [3 2]", w)
	}
}

func BenchmarkChannels(b *testing.B) {
	g := build(b, "resnet20")
	for b.Loop() {
		if _, _, err := Channels(g, Options{Ratio: 0.5}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestReasonOfEveryGroup: whatever keeps its channels is listed with a reason,
// also what its grouped convolutions do not let go so few of.
func TestReasonOfEveryGroup(t *testing.T) {
	_, r := cut(t, build(t, "shufflenetv1?size=32"), Options{Ratio: 0.05, RoundTo: 1})
	uneven := 0
	for _, row := range r.Groups {
		if row.After == row.Before && row.Reason == "" {
			t.Errorf("%s keeps its %d channels without a reason", row.Group, row.Before)
		}
		if strings.Contains(row.Reason, "at a time") {
			uneven++
		}
	}
	if uneven == 0 {
		t.Errorf("no group is held by grouped convolutions: %+v", r.Groups)
	}
	_, r = cut(t, build(t, "alexnet-2012?size=67&width=0.125"), Options{Ratio: 0.5, RoundTo: 1})
	if !slices.ContainsFunc(r.Groups, func(row Row) bool { return strings.Contains(row.Reason, "mixes neighbouring channels") }) {
		t.Errorf("local response normalization is not named: %+v", r.Groups)
	}
}

// TestLooks holds how many images methods look at.
func TestLooks(t *testing.T) {
	many := method.Needs{Labels: true, Images: LabelledImages}
	for _, c := range []struct {
		asked int
		needs method.Needs
		macs  int64
		want  int
	}{
		{7, many, 1, 7},
		{0, method.Needs{Data: true}, 1, UsualImages},
		{0, many, 40e6, LabelledImages},
		{0, many, 400e6, 1000},
		{0, many, 4e9, UsualImages},
		{0, many, 0, LabelledImages},
	} {
		if got := Looks(c.asked, c.needs, c.macs); got != c.want {
			t.Errorf("%d asked for, %+v, %d MACs: %d images, want %d", c.asked, c.needs, c.macs, got, c.want)
		}
	}
}
