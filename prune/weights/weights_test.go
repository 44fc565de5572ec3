package weights

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

const small = "resnet8?channels=1&size=8&classes=4&width=0.25"

func build(t testing.TB, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// images are noisy 8×8 pictures of four classes: a bright quarter.
func images(t testing.TB, n, batch int) *prune.Data {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := make([]float32, n*64), make([]int32, n)
	for i := range n {
		y[i] = int32(i % 4)
		for p := range 64 {
			v := float32(rng.NormFloat64()) * 0.5
			if p/32*2+p%8/4 == i%4 {
				v++
			}
			x[i*64+p] = v
		}
	}
	ds, err := data.FromFloats(x, 1, 8, 8, y, []string{"a", "b", "c", "d"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: batch, DropLast: true})
	if err != nil {
		t.Fatal(err)
	}
	return &prune.Data{Loader: l, Images: n, Threads: 1}
}

// fit trains for some epochs.
func fit(d *prune.Data, epochs int, checkpoint string, stop int) Fit {
	return func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		steps := 0
		r, err := train.Run(ctx, g, d.Loader, train.Config{Epochs: epochs, Threads: 1, Optimizer: train.SGD(0.05, 0.9, 1e-3), Hooks: hooks,
			Checkpoint: checkpoint, Resume: checkpoint != "", Progress: func(train.Progress) {
				if steps++; steps == stop {
					cancel()
				}
			}})
		if err != nil {
			return nil, err
		}
		return r.Graph, nil
	}
}

func output(t testing.TB, g *graph.Graph) []float32 {
	t.Helper()
	x := tensor.New(tensor.Float32, 2, 1, 8, 8)
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

func TestSparsityIsExact(t *testing.T) {
	g := build(t, small)
	before := output(t, g)
	for _, alloc := range []string{"global", "uniform", "lamp", "erk", "std", "gmm", "energy"} {
		p, r, err := Prune(context.Background(), g, Options{Sparsity: 0.8, Allocator: alloc}, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", alloc, err)
			continue
		}
		if math.Abs(r.Sparsity-0.8) > 0.004 {
			t.Errorf("%s: %.4f of the weights are zero, want 0.8", alloc, r.Sparsity)
		}
		zeros, all := 0, 0
		for _, n := range p.Nodes {
			if n.Is("Conv", "Gemm") {
				w := n.Inputs[1].Data.Float32s()
				zeros += countZeros(w)
				all += len(w)
			}
		}
		if all != r.Weights || all-zeros != r.NonZero {
			t.Errorf("%s: the report says %d of %d weights are left, the model has %d of %d", alloc, r.NonZero, r.Weights, all-zeros, all)
		}
		output(t, p)
	}
	if !slices.Equal(before, output(t, g)) {
		t.Error("pruning changed the model it was given")
	}
}

func TestErrors(t *testing.T) {
	g := build(t, small)
	d := images(t, 16, 8)
	none := graph.New("none")
	none.AddOutput(none.Add("Relu", "r", nil, none.AddInput("x", tensor.Float32, graph.Dims(1, 1, 4, 4))))
	if err := none.InferShapes(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		g    *graph.Graph
		o    Options
		d    *prune.Data
		want string
	}{
		{g, Options{Sparsity: 1}, d, "sparsity 1"},
		{g, Options{Sparsity: math.NaN()}, d, "sparsity NaN"},
		{g, Options{Sparsity: 0.5, Method: "magic"}, d, "magic"},
		{g, Options{Sparsity: 0.5, Allocator: "magic"}, d, "magic"},
		{g, Options{Sparsity: 0.5, Schedule: "magic"}, d, "magic"},
		{g, Options{Sparsity: 0.5, Pattern: "magic"}, d, "magic"},
		{g, Options{Sparsity: 0.5, Skip: []string{"conv99"}}, d, "conv99"},
		{g, Options{Sparsity: 0.5, Skip: []string{"[a"}}, d, "[a"},
		{g, Options{Sparsity: 0.5, Method: "snip"}, nil, "images"},
		{g, Options{Sparsity: 0.5, Method: "obc"}, nil, "images"},
		{g, Options{Sparsity: 0.5, Method: "energy-aware"}, nil, "images"},
		{g, Options{Sparsity: 0.5, Method: "dynamic"}, d, "training"},
		{g, Options{Sparsity: 0.5, Schedule: "gradual"}, d, "training"},
		{g, Options{Sparsity: 0.5, Schedule: "iterative"}, d, "training"},
		{g, Options{Sparsity: 0.5, Schedule: "lottery"}, d, "training"},
		{g, Options{Sparsity: 0.5, Method: "snip", Schedule: "gradual"}, d, "one-shot"},
		{g, Options{Sparsity: 0.5, Allocator: "cost"}, d, "energy"},
		{none, Options{Sparsity: 0.5}, d, "no layer"},
	} {
		if _, _, err := Prune(context.Background(), c.g, c.o, c.d, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.o, err, c.want)
		}
	}
}

// TestDeadUnits silences channels and removes them: outputs stay.
func TestDeadUnits(t *testing.T) {
	g := build(t, small)
	conv := g.Node("layer2.0.conv1")
	w := conv.Inputs[1].Data.Clone()
	x := tensor.Data[float32](w)
	per := len(x) / w.Shape[0]
	clear(x[:3*per]) // nothing computes three channels
	conv.Inputs[1].SetData(w)
	next := g.Node("layer2.0.conv2").Inputs[1]
	n := next.Data.Clone()
	y := tensor.Data[float32](n)
	for o := range n.Shape[0] {
		clear(y[(o*n.Shape[1]+5)*9:][:9]) // nothing reads another
	}
	next.SetData(n)
	for _, b := range g.Nodes {
		if b.Name == "layer2.0.bn1" {
			m := b.Inputs[3].Data.Clone() // what is silent carries a constant, below zero
			for i, v := 0, tensor.Data[float32](m); i < len(v); i++ {
				v[i] = 0.3 // and so zero behind ReLU
			}
			b.Inputs[3].SetData(m)
		}
	}
	p, r, err := Prune(context.Background(), g, Options{Sparsity: 0, DeadUnits: true}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.DeadUnits != 4 {
		t.Errorf("%d dead units removed, want 4", r.DeadUnits)
	}
	if got := p.Node("layer2.0.conv1").Inputs[1].Data.Shape[0]; got != w.Shape[0]-4 {
		t.Errorf("%d channels are left of %d", got, w.Shape[0])
	}
	before, after := output(t, g), output(t, p)
	for i, v := range before {
		if math.Abs(float64(v-after[i])) > 1e-4*max(1, math.Abs(float64(v))) {
			t.Errorf("output %d became %g, was %g", i, after[i], v)
		}
	}
}

// TestEveryMethod reaches the sparsity with all of them, with a little training.
func TestEveryMethod(t *testing.T) {
	d := images(t, 32, 8)
	g := build(t, small)
	for _, m := range method.Of(method.Weights) {
		for _, pattern := range []string{"unstructured", "2:4", "block4"} {
			if m.Name == "frequency" && pattern != "unstructured" {
				continue
			}
			p, r, err := Prune(context.Background(), g, Options{Method: m.Name, Sparsity: 0.7, Pattern: pattern}, d, fit(d, 2, "", 0))
			if err != nil {
				t.Errorf("%s %s: %v", m.Name, pattern, err)
				continue
			}
			want, slack := 0.7, 0.004
			if pattern == "2:4" {
				want, slack = 0.5, 0.05 // the first layer stays dense
			} else if pattern == "block4" {
				slack = 0.02
			}
			if math.Abs(r.Sparsity-want) > slack {
				t.Errorf("%s %s: %.4f of the weights are zero, want %.2f", m.Name, pattern, r.Sparsity, want)
			}
			pat, err := ParsePattern(pattern)
			if err != nil {
				t.Fatal(err)
			}
			layers, _, err := Layers(p, nil, pat)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range layers {
				if err := pat.Verify(l, nonZero(l.W)); err != nil {
					t.Errorf("%s %s: %v", m.Name, pattern, err)
				}
			}
			for _, v := range output(t, p) {
				if math.IsNaN(float64(v)) {
					t.Errorf("%s %s: NaN", m.Name, pattern)
					break
				}
			}
		}
	}
}

// TestIterativeIsNested trains between rounds; what went stays zero through
// momentum and weight decay, and each round removes more.
func TestIterativeIsNested(t *testing.T) {
	d := images(t, 32, 8)
	g := build(t, small)
	var seen []Masks
	inner := fit(d, 1, "", 0)
	watch := func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
		out, err := inner(ctx, g, k, n, hooks)
		if err != nil {
			return nil, err
		}
		m := Masks{}
		layers, _, err := Layers(out, nil, Pattern{})
		for _, l := range layers {
			m[l.Value.Name] = nonZero(l.W)
		}
		seen = append(seen, m)
		return out, err
	}
	_, r, err := Prune(context.Background(), g, Options{Sparsity: 0.9, Schedule: "iterative:rounds=3"}, d, watch)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 3 || math.Abs(r.Sparsity-0.9) > 0.004 {
		t.Fatalf("%d rounds, sparsity %.4f", len(seen), r.Sparsity)
	}
	for k, m := range seen {
		zeros, all := 0, 0
		for name, v := range m {
			zeros, all = zeros+countZeros(v), all+len(v)
			for i, on := range v {
				if k > 0 && on != 0 && seen[k-1][name][i] == 0 {
					t.Fatalf("round %d: weight %d of %s came back", k+1, i, name)
				}
			}
		}
		want := 1 - math.Pow(0.1, float64(k+1)/3)
		if got := float64(zeros) / float64(all); math.Abs(got-want) > 0.004 {
			t.Errorf("round %d: %.4f of the weights are zero, want %.4f", k+1, got, want)
		}
	}
}

// TestLottery rewinds: what a round trains are the first weights, masked.
func TestLottery(t *testing.T) {
	d := images(t, 32, 8)
	g := build(t, small)
	for _, c := range []struct {
		spec   string
		rewind bool
	}{{"lottery:rounds=2", true}, {"lottery:rounds=2,control=mask", true}, {"lottery:rounds=2,control=reinit", false}} {
		var starts []*graph.Graph
		inner := fit(d, 1, "", 0)
		watch := func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
			starts = append(starts, g.Clone())
			return inner(ctx, g, k, n, hooks)
		}
		_, r, err := Prune(context.Background(), g, Options{Sparsity: 0.36, Schedule: c.spec, Seed: 3}, d, watch)
		if err != nil {
			t.Fatal(err)
		}
		if len(starts) != 3 || math.Abs(r.Sparsity-0.36) > 0.01 {
			t.Fatalf("%s: %d trainings, sparsity %.4f", c.spec, len(starts), r.Sparsity)
		}
		first, _, err := Layers(starts[0], nil, Pattern{})
		if err != nil {
			t.Fatal(err)
		}
		same, left := 0, 0
		for _, l := range first {
			for i, v := range starts[2].Value(l.Value.Name).Data.Float32s() {
				if v != 0 {
					left++
					if v == l.W[i] {
						same++
					}
				}
			}
		}
		if (same == left) != c.rewind {
			t.Errorf("%s: %d of %d weights left start where the first training started", c.spec, same, left)
		}
	}
}

// TestResume interrupts training in the middle: the same bytes come out as in
// one go.
func TestResume(t *testing.T) {
	d := images(t, 32, 8)
	g := build(t, small)
	for _, o := range []Options{
		{Sparsity: 0.6, Schedule: "gradual"},
		{Sparsity: 0.6, Method: "dynamic"},
		{Sparsity: 0.6, Method: "movement"},
		{Sparsity: 0.6, Method: "gsm"},
		{Sparsity: 0.6, Method: "gsm:settle=0"},
		{Sparsity: 0.6, Method: "frequency"},
		{Sparsity: 0.6, Schedule: "iterative:rounds=2"},
		{Sparsity: 0.6, Schedule: "lottery:rounds=2,rewind=0.3"},
	} {
		name := o.Method + " " + o.Schedule
		var want []byte
		for _, stop := range []int{0, 9, 15} {
			dir := t.TempDir()
			o.Checkpoint = filepath.Join(dir, "rounds")
			file := func(k int) string { return filepath.Join(dir, string(rune('b'+k))) }
			run := func(stop int) (*graph.Graph, error) {
				p, _, err := Prune(context.Background(), g, o, d, func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
					return fit(d, 5, file(k), stop)(ctx, g, k, n, hooks)
				})
				return p, err
			}
			p, err := run(stop)
			for tries := 0; errors.Is(err, context.Canceled) && tries < 20; tries++ {
				p, err = run(stop)
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b, err := onnx.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = b
			}
			if !bytes.Equal(b, want) {
				t.Errorf("%s: interrupted every %d steps, another network came out", name, stop)
			}
			Forget(o)
			if left, _ := filepath.Glob(o.Checkpoint + "*"); left != nil {
				t.Errorf("%s: files are left: %v", name, left)
			}
		}
	}
}

// TestGSMSaysWhatHasNotDecayed trains far too little for GSM, which cuts at the
// end or before.
func TestGSMSaysWhatHasNotDecayed(t *testing.T) {
	d := images(t, 32, 8)
	for _, method := range []string{"gsm", "gsm:settle=0"} {
		p, r, err := Prune(context.Background(), build(t, small), Options{Sparsity: 0.6, Method: method, Checkpoint: filepath.Join(t.TempDir(), "rounds")}, d,
			func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
				return fit(d, 1, filepath.Join(t.TempDir(), "c"), 0)(ctx, g, k, n, hooks)
			})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "more epochs") {
			t.Errorf("%s: notes %q", method, r.Notes)
		}
		if math.Abs(r.Sparsity-0.6) > 0.02 || p == nil {
			t.Errorf("%s: %g of the weights are zero, want 0.6", method, r.Sparsity)
		}
	}
}

// TestCollapsedLayers: who is left with next to nothing of a layer is told so.
func TestCollapsedLayers(t *testing.T) {
	layers := []*Layer{{Name: "stem", Rows: 16}, {Name: "fine", Rows: 16}, {Name: "classes", Rows: 10}}
	rows := []Row{{Weights: 432, NonZero: 1}, {Weights: 2304, NonZero: 8}, {Weights: 640, NonZero: 5}}
	if note := collapsed(layers, rows); !strings.Contains(note, "stem (1 of 432)") || strings.Contains(note, "fine") || strings.Contains(note, "classes") {
		t.Errorf("note %q", note)
	}
	if note := collapsed(layers[1:], rows[1:]); note != "" {
		t.Errorf("note %q", note)
	}
}
