package qat

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

// toy loads noisy 8x8 pictures of three classes: a bright quarter at one of
// three places.
func toy(t *testing.T, n, batch int) *data.Loader {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	x, labels := make([]float32, n*64), make([]int32, n)
	for i := range n {
		labels[i] = int32(rng.IntN(3))
		for p := range 64 {
			v := float32(rng.NormFloat64()) * 0.3
			if p/8/4*2+p%8/4 == int(labels[i]) {
				v++
			}
			x[i*64+p] = v
		}
	}
	ds, err := data.FromFloats(x, 1, 8, 8, labels, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: batch, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func network(t *testing.T) *graph.Graph {
	t.Helper()
	g, err := zoo.Build("resnet8?channels=1&size=8&classes=3&width=0.5", 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func outputs(t *testing.T, g *graph.Graph, x *tensor.Tensor) []float32 {
	t.Helper()
	out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

func pictures(t *testing.T, n int) *tensor.Tensor {
	for b, err := range toy(t, n, n).Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		return tensor.Of(b.X, b.N, b.C, b.H, b.W)
	}
	return nil
}

// trained trains a few steps by the method and returns the network with its
// operators of training.
func trained(t *testing.T, spec string, o Options, steps int) (*graph.Graph, *train.Result, *Builder) {
	t.Helper()
	m, err := method.New[*Method](method.Quantize, spec)
	if err != nil {
		t.Fatal(err)
	}
	loader := toy(t, 96, 32)
	g, b, hooks, err := m.Prepare(t.Context(), network(t), loader.Batches(t.Context(), 0), o)
	if err != nil {
		t.Fatal(err)
	}
	lr := m.Recipe.LR
	r, err := train.Run(t.Context(), g, loader, train.Config{Epochs: steps / 3, Threads: 1, Hooks: hooks,
		Optimizer: train.Optimizer{Name: m.Recipe.Optimizer, LR: lr, Momentum: 0.9, WeightDecay: m.Recipe.Decay}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Graph, r, b
}

// TestEveryMethod trains by each method: the loss falls, and the finished
// network computes what the trained one did.
func TestEveryMethod(t *testing.T) {
	for _, c := range []struct {
		spec string
		o    Options
		// most is the root mean square error of the finished network's outputs,
		// as a share of the outputs': at few bits a rounding that tips over
		// weighs much.
		most float64
	}{
		{"lsq", Options{}, 0.1}, {"lsq:offset=true", Options{WBits: 3, ABits: 3}, 0.15}, {"lsq:per-channel=true", Options{WBits: 2, ABits: 2}, 0.3},
		{"qat", Options{}, 0.1}, {"pact", Options{}, 0.15}, {"dorefa", Options{}, 0.15}, {"dorefa:gbits=6", Options{WBits: 1, ABits: 2}, 0.2},
		{"qnn", Options{}, 0.3}, {"qnn:gbits=6", Options{WBits: 4, ABits: 4}, 0.2}, {"octo", Options{}, 0.1}, {"octo:compensate=false,clip=1", Options{}, 0.1}, {"ternary", Options{}, 0.1}, {"inq", Options{}, 0.1},
		{"binaryconnect", Options{}, 0.1}, {"binaryconnect:stochastic=true", Options{}, 0.1}, {"bwn", Options{}, 0.1}, {"lab", Options{}, 0.1},
		{"lab:activations=true", Options{}, 1e-4}, {"bnn", Options{}, 1e-4}, {"bnn:ste=swish", Options{}, 1e-4}, {"xnor", Options{}, 1e-4}, {"xnor:map=true", Options{}, 1e-4},
		{"irnet", Options{}, 1e-4}, {"irnet:shortcuts=true", Options{}, 1e-4}, {"bireal", Options{}, 1e-4}, {"bireal:real=0.5", Options{}, 1e-4}, {"reactnet", Options{}, 1e-4}, {"reactnet:real=0.5", Options{}, 1e-4},
	} {
		t.Run(c.spec, func(t *testing.T) {
			g, r, _ := trained(t, c.spec, c.o, 24)
			first, last := r.Epochs[0].Loss, r.Epochs[len(r.Epochs)-1].Loss
			if !(last < first) {
				t.Errorf("the loss went from %.4f to %.4f", first, last)
			}
			q, report, err := Finish(t.Context(), g, toy(t, 96, 32).Batches(t.Context(), 0), quantize.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			x := pictures(t, 24)
			a, b := outputs(t, g, x), outputs(t, q, x)
			diff, top := 0.0, 0.0
			for i := range a {
				diff, top = diff+float64((a[i]-b[i])*(a[i]-b[i])), top+float64(a[i]*a[i])
			}
			diff, top = math.Sqrt(diff/float64(len(a))), math.Sqrt(top/float64(len(a)))
			t.Logf("loss %.3f to %.3f, error %.4f of %.3f", first, last, diff, top)
			if diff > c.most*top {
				t.Errorf("finished network differs by %g of %g", diff, top)
			}
			for _, n := range q.Nodes {
				if n.Domain == graph.DrawknifeDomain && !graph.IsBinaryConv(n) {
					t.Errorf("%v is still there", n)
				}
			}
			if len(report.Layers) == 0 {
				t.Error("the report names no layer")
			}
		})
	}
}

// TestStandardForm computes the same without BinaryConv.
func TestStandardForm(t *testing.T) {
	g, _, _ := trained(t, "reactnet", Options{}, 3)
	q, _, err := Finish(t.Context(), g, toy(t, 96, 32).Batches(t.Context(), 0), quantize.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	x := pictures(t, 8)
	before := outputs(t, q, x)
	if err := Standard(q); err != nil {
		t.Fatal(err)
	}
	for i, v := range outputs(t, q, x) {
		if math.Abs(float64(v-before[i])) > 1e-4*max(1, math.Abs(float64(v))) {
			t.Fatalf("output %d is %g, with BinaryConv %g", i, v, before[i])
		}
	}
	for _, n := range q.Nodes {
		if n.Domain != "" {
			t.Errorf("%v is not of ONNX's own domain", n)
		}
	}
}

// TestIntegersAreTheTrainedOnes: weights and input grids of a finished network
// are those of training, at the bits asked for.
func TestIntegersAreTheTrainedOnes(t *testing.T) {
	g, _, b := trained(t, "lsq", Options{WBits: 3, ABits: 4}, 3)
	q, report, err := Finish(t.Context(), g, toy(t, 96, 32).Batches(t.Context(), 0), quantize.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range report.Layers {
		if l.SQNR < 90 {
			t.Errorf("%s: weights at %.0f dB of the trained ones", l.Node, l.SQNR)
		}
		if edge := i == 0 || i == len(report.Layers)-1; !edge && (l.WBits != 3 || l.ABits != 4) || edge && l.WBits != 8 {
			t.Errorf("%s has %d and %d bits", l.Node, l.WBits, l.ABits)
		}
	}
	n := q.Node(b.Layers[2].Node.Name)
	step := g.Value(n.Name + "/weights/step").Data.At(0)
	if step <= 0 {
		t.Errorf("step %g", step)
	}
	codes := n.Inputs[1].Producer().Inputs[0].Data.Ints()
	if lo, hi := slices.Min(codes), slices.Max(codes); lo < -4 || hi > 4 {
		t.Errorf("%v has integers from %d to %d", n, lo, hi)
	}
}

// TestPowerGrid holds the grids to the catalogue.
func TestPowerGrid(t *testing.T) {
	for bits, low := range map[int]int{5: -7, 4: -3, 3: -1, 2: 0} {
		if g := NewPowerGrid(1, bits); g.High != 0 || g.Low != low {
			t.Errorf("%d bits: %+v, want %d to 0", bits, g, low)
		}
	}
	g := NewPowerGrid(0.6, 5)
	if g.High != -1 || g.Low != -8 {
		t.Errorf("s = 0.6: %+v", g)
	}
	for w, want := range map[float32]float32{.6: .5, .375: .5, .37: .25, .1875: .25, .18: .125, .0020: .00390625, .0019: 0, -.37: -.25} {
		if got := g.Quantize(w); got != want {
			t.Errorf("%g became %g, want %g", w, got, want)
		}
	}
	if g := NewPowerGrid(0.6, 3); g.Low != -2 {
		t.Errorf("3 bits: %+v", g)
	}
}

// TestIncremental: portions are nested, fixed weights never move, and at the
// end all lie on the grid.
func TestIncremental(t *testing.T) {
	for spec, most := range map[string]float64{"inq": 64, "inq:powers=8": 128, "inq:powers=2": 2} {
		g, _, b := trained(t, spec, Options{}, 12)
		for _, l := range b.Layers {
			w := g.Value(l.Node.Inputs[1].Name).Data.Float32s()
			lo, hi := math.Inf(1), 0.0
			for _, v := range w {
				a := math.Abs(float64(v))
				if m, _ := math.Frexp(a); v != 0 && m != 0.5 {
					t.Fatalf("%s, %s: weight %g is no power of two", spec, l.Node.Name, v)
				}
				if v != 0 {
					lo, hi = min(lo, a), max(hi, a)
				}
			}
			if hi/lo > most {
				t.Errorf("%s, %s: weights from %g to %g", spec, l.Node.Name, lo, hi)
			}
		}
	}
	m, err := method.New[*Method](method.Quantize, "inq:portions=50/100")
	if err != nil {
		t.Fatal(err)
	}
	loader := toy(t, 96, 32)
	start, _, hooks, err := m.Prepare(t.Context(), network(t), loader.Batches(t.Context(), 0), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{h: hooks[0].(*incremental), seen: map[string]map[int]float32{}}
	if _, err := train.Run(t.Context(), start, loader, train.Config{Epochs: 2, Threads: 1, Hooks: append(hooks, w), Optimizer: train.SGD(0.05, 0.9, 1e-4)}); err != nil {
		t.Fatal(err)
	}
	if w.moved > 0 || w.fixed == 0 {
		t.Errorf("%d of %d fixed weights moved", w.moved, w.fixed)
	}
}

// TestBadOptions: what an option cannot be is said before anything is read.
func TestBadOptions(t *testing.T) {
	for _, spec := range []string{"inq:powers=0", "inq:powers=2.5", "inq:powers=1e300", "inq:powers=x", "inq:portions=a", "inq:portions=75/50", "inq:portions=0/50", "bnn:ste=none", "reactnet:ste=none", "irnet:t-max=-1"} {
		if _, err := method.New[*Method](method.Quantize, spec); err == nil {
			t.Errorf("%s was taken", spec)
		}
	}
}

// watch remembers fixed weights and looks whether they move.
type watch struct {
	train.NoHook
	h            *incremental
	seen         map[string]map[int]float32
	moved, fixed int
}

func (w *watch) AfterStep(s *train.State) error {
	for name, p := range w.h.state {
		x := s.Param(name).Float32s()
		if w.seen[name] == nil {
			w.seen[name] = map[int]float32{}
		}
		for i, f := range p.frozen {
			if !f {
				continue
			}
			if old, ok := w.seen[name][i]; ok && old != x[i] {
				w.moved++
			}
			w.seen[name][i] = x[i]
			w.fixed++
		}
	}
	return nil
}

// TestDecay holds the temperatures of the estimator to the catalogue.
func TestDecay(t *testing.T) {
	d := &decay{first: .1, last: 10}
	for fraction, want := range map[float64]float64{0: .1, .5: 1, .75: 3.162278, 1: 10} {
		if got := d.at(fraction); math.Abs(got-want) > 1e-6 {
			t.Errorf("t at %g is %g, want %g", fraction, got, want)
		}
	}
}

// TestPositiveNorms turns channels without changing the function.
func TestPositiveNorms(t *testing.T) {
	g := network(t)
	rng := rand.New(rand.NewPCG(2, 2))
	for _, n := range g.Nodes {
		if n.Is("BatchNormalization") {
			for i := range 4 {
				d := n.Inputs[1+i].Data.Clone()
				for k, x := 0, tensor.Data[float32](d); k < len(x); k++ {
					x[k] = float32(rng.NormFloat64())
					if i == 3 {
						x[k] = abs(x[k]) + 0.5
					}
				}
				n.Inputs[1+i].SetData(d)
			}
		}
	}
	x := pictures(t, 4)
	before := outputs(t, g, x)
	positiveNorms(g)
	for i, v := range outputs(t, g, x) {
		if math.Abs(float64(v-before[i])) > 1e-4*max(1, math.Abs(float64(v))) {
			t.Fatalf("output %d is %g, before %g", i, v, before[i])
		}
	}
	for _, n := range g.Nodes {
		if n.Is("BatchNormalization") && slices.Min(n.Inputs[1].Data.Float32s()) < 0 {
			t.Errorf("%v still has a negative scale", n)
		}
	}
}

// TestLeastError: numbers on a grid find its step, and outliers are cut off.
func TestLeastError(t *testing.T) {
	var x []float32
	for i := range 400 {
		x = append(x, 0.25*float32(i%8-4))
	}
	if s := leastError(x, -4, 3); math.Abs(s-0.25) > 0.01 {
		t.Errorf("step %g, want 0.25", s)
	}
	if s := leastError(append(x, 4), -4, 3); s > 0.6 {
		t.Errorf("with an outlier of 4: step %g", s)
	}
	if s := leastError([]float32{0, 0}, 0, 15); s != 0 {
		t.Errorf("zeros: step %g", s)
	}
	if s := leastError(nil, 0, 15); s != 0 {
		t.Errorf("nothing: step %g", s)
	}
}

// TestFillUnit scales layers without changing the function.
func TestFillUnit(t *testing.T) {
	g := network(t)
	x := pictures(t, 4)
	before := outputs(t, g, x)
	scaled := 0
	for _, n := range g.Nodes {
		if n.Is("Conv") {
			first := n.Inputs[1].Data.Float32s()[0]
			fillUnit(&Layer{Node: n}, -8, 7, 0.125)
			if n.Inputs[1].Data.Float32s()[0] != first {
				scaled++
			}
			if s := leastError(n.Inputs[1].Data.Float32s(), -8, 7); math.Abs(s-0.125) > 1e-3 {
				t.Errorf("%v: weights would lose least by steps of %g, want 0.125", n, s)
			}
		}
	}
	if scaled == 0 {
		t.Error("no layer was scaled")
	}
	for i, v := range outputs(t, g, x) {
		if math.Abs(float64(v-before[i])) > 1e-2*max(1, math.Abs(float64(v))) {
			t.Fatalf("output %d is %g, before %g", i, v, before[i])
		}
	}
}

// TestCompensation ends up in the bias.
func TestCompensation(t *testing.T) {
	delta, alpha, mu := tensor.Of([]float32{1, 2}, 2, 1, 1), tensor.Of([]float32{3, 4}, 2, 1, 1), tensor.Of([]float32{5, 6}, 2, 1, 1)
	if got := fake.Compensation(delta, alpha, mu); !slices.Equal(got, []float32{16, 26}) {
		t.Errorf("α·μ + δ is %v, want 16 and 26", got)
	}
}

// TestGlorot: 128 channels of 3x3 to 128.
func TestGlorot(t *testing.T) {
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 128, 8, 8))
	y := g.Add("Conv", "c", nil, x, g.AddConst("w", tensor.New(tensor.Float32, 128, 128, 3, 3)))
	if h := glorot(&Layer{Node: y.Producer()}, true); math.Abs(float64(h)-0.0255155) > 1e-6 {
		t.Errorf("H = %g, want 0.0255155", h)
	}
}

// TestHooksByThemselves: centring, clamping and the mean of a curvature.
func TestHooksByThemselves(t *testing.T) {
	w := []float32{1, 2, 3, 6}
	centerFilters(w, []int{1, 2, 2})
	if !slices.Equal(w, []float32{-1, -2, 1, 2}) {
		t.Errorf("centred filters are %v", w)
	}
}

// shares notes the shares of the weights at each step.
type shares struct {
	train.NoHook
	names []string
	seen  []float32
}

func (h *shares) AfterBackward(s *train.State) error {
	for _, name := range h.names {
		h.seen = append(h.seen, s.Param(name).Float32s()[0])
	}
	return nil
}

// TestRealFirst: weights are binary from the share of the run on, not before, and
// change in both parts.
func TestRealFirst(t *testing.T) {
	m, err := method.New[*Method](method.Quantize, "reactnet:real=0.5")
	if err != nil {
		t.Fatal(err)
	}
	loader := toy(t, 96, 32)
	g, b, hooks, err := m.Prepare(t.Context(), network(t), loader.Batches(t.Context(), 0), Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := &shares{names: b.Shares[:1]}
	if _, err := train.Run(t.Context(), g, loader, train.Config{Epochs: 2, Threads: 1, Hooks: append(hooks, seen), Optimizer: train.SGD(0.01, 0.9, 0)}); err != nil {
		t.Fatal(err)
	}
	if want := []float32{0, 0, 0, 1, 1, 1}; !slices.Equal(seen.seen, want) {
		t.Errorf("shares of six steps: %v, want %v", seen.seen, want)
	}
}

func TestPrepareErrors(t *testing.T) {
	loader := toy(t, 32, 32)
	m, err := method.New[*Method](method.Quantize, "lsq")
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := quantize.Static(t.Context(), network(t), loader.Batches(t.Context(), 0), quantize.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := m.Prepare(t.Context(), q, loader.Batches(t.Context(), 0), Options{}); !errors.Is(err, quantize.ErrQuantized) {
		t.Errorf("quantized already: %v", err)
	}
	if _, _, _, err := m.Prepare(t.Context(), network(t), func(func(*data.Batch, error) bool) {}, Options{}); err == nil || !strings.Contains(err.Error(), "no calibration images") {
		t.Errorf("no images: %v", err)
	}
	tiny := graph.New("g")
	x := tiny.AddInput("x", tensor.Float32, graph.Dims(1, 1, 8, 8))
	tiny.AddOutput(tiny.Add("Conv", "c", nil, x, tiny.AddConst("w", tensor.New(tensor.Float32, 1, 1, 1, 1))))
	if _, _, _, err := m.Prepare(t.Context(), tiny, loader.Batches(t.Context(), 0), Options{}); err == nil || !strings.Contains(err.Error(), "no layers between") {
		t.Errorf("one layer: %v", err)
	}
	for _, spec := range []string{"lsq:offset=maybe", "qat:decay=x", "pact:l2=-1", "reactnet:real=1"} {
		if _, err := method.New[*Method](method.Quantize, spec); err == nil {
			t.Errorf("%s: no error", spec)
		}
	}
}

// TestTrainedGraphIsEvaluable: what training leaves can be run by the
// interpreter as well.
func TestTrainedGraphIsEvaluable(t *testing.T) {
	g, _, _ := trained(t, "lsq", Options{}, 3)
	x := pictures(t, 4)
	want := outputs(t, g, x)
	out, err := eval.Run(g, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, n := range g.Nodes {
		if fake.Is(n, fake.FakeQuantize) {
			count++
		}
	}
	if count == 0 {
		t.Error("there is no FakeQuantize")
	}
	for i, v := range out[g.Outputs[0].Name].Float32s() {
		if math.Abs(float64(v-want[i])) > 0.1*max(1, math.Abs(float64(v))) {
			t.Errorf("output %d is %g in the engine, %g in the interpreter", i, want[i], v)
		}
	}
}

// TestShortcuts: a shortcut around each layer takes the place of one around
// two, so that what passes by is added once.
func TestShortcuts(t *testing.T) {
	g, err := zoo.Build("resnet20", 1)
	if err != nil {
		t.Fatal(err)
	}
	var inner []*graph.Node
	edge := quantize.Edges(g)
	for _, n := range g.Nodes {
		if Trainable(n) && !edge[n] {
			inner = append(inner, n)
		}
	}
	if err := withShortcuts(func(*graph.Graph, []*graph.Node) error { return nil })(g, inner); err != nil {
		t.Fatal(err)
	}
	if err := g.Sort(); err != nil {
		t.Fatal(err)
	}
	adds, around := 0, 0
	for _, n := range g.Nodes {
		if n.Is("Add") {
			adds++
		}
	}
	for _, n := range inner {
		if add := n.Outputs[0].SoleUse().Outputs[0].SoleUse(); add.Is("Add") && slices.Contains(add.Inputs, n.Inputs[0]) {
			around++
		}
	}
	// Seven blocks keep their shape and have two layers; of the two others, the
	// second layer does.
	if around != 16 || adds != 18 {
		t.Errorf("%d layers have a shortcut around them, %d sums; want 16 and 18", around, adds)
	}
}
