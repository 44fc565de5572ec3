package layers

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func build(t *testing.T, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// deep has three blocks a stage, and identity shortcuts.
const deep = "resnet20?channels=1&size=16&classes=4&width=0.25"

func images(t *testing.T) *prune.Data {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 48
	x, y := make([]float32, n*256), make([]int32, n)
	for i := range n {
		y[i] = int32(i % 4)
		for p := range 256 {
			x[i*256+p] = float32(rng.NormFloat64()) * 0.5
			if p/128*2+p%16/8 == i%4 {
				x[i*256+p]++
			}
		}
	}
	ds, err := data.FromFloats(x, 1, 16, 16, y, []string{"a", "b", "c", "d"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: 16, DropLast: true})
	if err != nil {
		t.Fatal(err)
	}
	return &prune.Data{Loader: l, Images: n, Threads: 1}
}

func run(t *testing.T, g *graph.Graph) []float32 {
	t.Helper()
	s := g.Inputs[0].Shape.Ints()
	x := tensor.New(tensor.Float32, 1, s[1], s[2], s[3])
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(math.Sin(float64(i)))
	}
	out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

// TestFind counts the blocks of known networks.
func TestFind(t *testing.T) {
	for spec, want := range map[string]int{
		"resnet20": 7, "resnet56": 25, // all but the two that change the shape
		"resnet50?size=64":               12, // 3+4+6+3 less four projections
		"mobilenetv2?size=64":            10,
		"efficientnet-b0?size=64":        9,
		"vgg16-cifar?width=0.25":         9, // convolutions with as many outputs as inputs
		"lenet5":                         0,
		"shufflenetv2?size=64":           0,
		"densenet121?size=64&width=0.25": 0,
	} {
		g, err := zoo.Build(spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := Find(g); len(got) != want {
			var names []string
			for _, b := range got {
				names = append(names, b.Name)
			}
			t.Errorf("%s: %d blocks, want %d: %v", spec, len(got), want, names)
		}
	}
}

// TestSizes removes one identity block of each stage of ResNet-56 and counts.
func TestSizes(t *testing.T) {
	for stage, params := range map[string]int64{"layer1": 848_346, "layer2": 834_458, "layer3": 779_034} {
		g := build(t, "resnet56")
		for _, b := range Find(g) {
			if strings.HasPrefix(b.Name, stage+".5") {
				b.remove(g)
			}
		}
		g.RemoveDead()
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		if c := g.Cost(); c.Params != params || c.MACs != 120_767_104 {
			t.Errorf("without a block of %s: %d parameters and %d MACs, want %d and 120767104", stage, c.Params, c.MACs, params)
		}
	}
}

// TestIdentityBlock makes one block do nothing: every score that looks at what
// blocks do finds it, and its removal changes nothing.
func TestIdentityBlock(t *testing.T) {
	g := build(t, deep)
	bn := g.Node("layer2.1.bn2")
	if bn == nil {
		t.Fatal("no layer2.1.bn2")
	}
	for _, v := range bn.Inputs[1:3] {
		v.SetData(tensor.New(tensor.Float32, v.Data.Shape...))
	}
	conv := g.Node("layer2.1.conv2").Inputs[1]
	small := conv.Data.Clone()
	for i, d := 0, tensor.Data[float32](small); i < len(d); i++ {
		d[i] *= 1e-3
	}
	conv.SetData(small)
	first := g.Node("layer2.1.conv1").Inputs[1]
	small = first.Data.Clone()
	for i, d := 0, tensor.Data[float32](small); i < len(d); i++ {
		d[i] *= 1e-3
	}
	first.SetData(small)
	before := run(t, g)
	for _, m := range []string{"output", "taylor", "bn", "norm"} {
		p, r, err := Prune(context.Background(), g, Options{Method: m, Blocks: 1}, images(t))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range run(t, p) {
			if v != before[i] {
				t.Errorf("%s: output %d became %g, was %g: %+v", m, i, v, before[i], r.Blocks)
				break
			}
		}
		if r.MACsAfter >= r.MACs || r.ParamsAfter >= r.Params {
			t.Errorf("%s: nothing was saved: %+v", m, r)
		}
	}
	for _, of := range []func(x [][]float64, y []int32, classes int) float64{imprint, probe} {
		blocks := Find(g)
		s, err := gain{of}.Rate(context.Background(), g, blocks, images(t))
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range blocks {
			if strings.HasPrefix(b.Name, "layer2.1") && s[i] != 0 {
				t.Errorf("a block that does nothing gains %g", s[i])
			}
		}
	}
}

// TestImprint: orthogonal classes are told apart without fail, noise is not.
func TestImprint(t *testing.T) {
	x := [][]float64{{1, 0, 0}, {2, 0, 0}, {0, 3, 0}, {0, 1, 0}, {0, 0, 5}, {0, 0, 1}}
	if got := imprint(x, []int32{0, 0, 1, 1, 2, 2}, 3); got != 1 {
		t.Errorf("orthogonal classes: %g, want 1", got)
	}
	if got := imprint([][]float64{{1}, {1}, {1}, {1}}, []int32{0, 1, 2, 3}, 4); got != 0.25 {
		t.Errorf("no information: %g, want 0.25", got)
	}
}

// TestEveryMethod removes half the blocks by each that needs no training.
func TestEveryMethod(t *testing.T) {
	g := build(t, deep)
	for _, m := range method.Of(method.Layers) {
		if m.Needs.Train {
			continue
		}
		p, r, err := Prune(context.Background(), g, Options{Method: m.Name, Blocks: 3}, images(t))
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		gone := 0
		for _, b := range r.Blocks {
			if b.Removed {
				gone++
			}
		}
		if left := len(Find(p)); gone != 3 || left != 4 {
			t.Errorf("%s: %d blocks removed, %d left; want 3 and 4", m.Name, gone, left)
		}
		run(t, p)
	}
}

func TestErrors(t *testing.T) {
	g := build(t, deep)
	for _, c := range []struct {
		g    *graph.Graph
		o    Options
		want string
	}{
		{g, Options{}, "0 blocks"},
		{g, Options{Blocks: 99}, "only 7"},
		{g, Options{Blocks: 1, Method: "magic"}, "magic"},
		{g, Options{Blocks: 1, Skip: []string{"nothing"}}, "nothing"},
		{g, Options{Blocks: 1, Skip: []string{"[a"}}, "[a"},
		{g, Options{Blocks: 1, Method: "output"}, "images"},
		{build(t, "lenet5"), Options{Blocks: 1}, "no block"},
	} {
		if _, _, err := Prune(context.Background(), c.g, c.o, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.o, err, c.want)
		}
	}
}
