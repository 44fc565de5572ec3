package train

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// toy is a set of n noisy 8x8 pictures of three classes: a bright quarter at
// one of three places.
func toy(t *testing.T, n int) data.Dataset {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	x, labels := make([]float32, n*64), make([]int32, n)
	for i := range n {
		labels[i] = int32(rng.IntN(3))
		for p := range 64 {
			v := float32(rng.NormFloat64()) * 0.5
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
	return ds
}

func loader(t *testing.T, n, batch int, mixup float32) *data.Loader {
	t.Helper()
	l, err := data.NewLoader(toy(t, n), data.LoaderOptions{Batch: batch, Shuffle: true, Seed: 3, Augment: data.Augment{Mixup: mixup}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func network(t *testing.T, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 7)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const (
	small   = "resnet8?classes=3&channels=1&size=8&width=0.25"
	dropped = "dscnn?classes=3&channels=1&size=8x8&width=0.125" // with Dropout
)

func run(t *testing.T, g *graph.Graph, l *data.Loader, c Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), g, l, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bytesOf is all parameters and statistics of a network.
func bytesOf(g *graph.Graph) []byte {
	var b []byte
	for _, v := range g.Constants() {
		b = append(b, v.Data.Bytes()...)
	}
	return b
}

func TestLearns(t *testing.T) {
	val := loader(t, 70, 16, 0)
	teacher := run(t, network(t, small), loader(t, 256, 32, 0), Config{Epochs: 3, Optimizer: SGD(0.1, 0.9, 1e-4)}).Graph
	for name, c := range map[string]struct {
		Config
		mixup float32
	}{
		"sgd":         {Config{Optimizer: SGD(0.1, 0.9, 1e-4), Schedule: Schedule{Kind: Cosine}}, 0},
		"nesterov":    {Config{Optimizer: Optimizer{LR: 0.05, Momentum: 0.9, Nesterov: true}, ClipNorm: 1, LabelSmoothing: 0.1}, 0},
		"plain":       {Config{Optimizer: SGD(0.2, 0, 0), Schedule: Schedule{Kind: OneCycle}}, 0},
		"adam":        {Config{Optimizer: Optimizer{Name: "adam", LR: 0.01}, EMA: 0.9}, 0},
		"adamw":       {Config{Optimizer: AdamW(0.01, 0.01), Schedule: Schedule{Kind: Step}}, 0},
		"rmsprop":     {Config{Optimizer: Optimizer{Name: "rmsprop", LR: 0.003}}, 0},
		"mse":         {Config{Loss: MSE, Optimizer: SGD(0.1, 0.9, 0)}, 0},
		"mixup":       {Config{Optimizer: SGD(0.1, 0.9, 0)}, 0.2},
		"distill":     {Config{Optimizer: SGD(0.05, 0.9, 0), Distill: &Distill{Teacher: teacher}}, 0},
		"distill-mse": {Config{Optimizer: SGD(0.05, 0.9, 0), Distill: &Distill{Teacher: teacher, MSE: true, Weight: 0.5}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.Epochs, c.Val = 4, val
			r := run(t, network(t, small), loader(t, 256, 32, c.mixup), c.Config)
			last := r.Epochs[len(r.Epochs)-1]
			if last.ValTop1 < 90 || len(r.Epochs) != 4 || r.Steps != 32 {
				t.Errorf("after %d epochs and %d steps: %+v, want more than 90 %%", len(r.Epochs), r.Steps, last)
			}
			m, err := Evaluate(context.Background(), r.Graph, val, 1)
			if err != nil {
				t.Fatal(err)
			}
			if m.N() != 70 || m.Top1() != last.ValTop1 {
				t.Errorf("the result has top-1 %v of %d, the last validation says %v", m.Top1(), m.N(), last.ValTop1)
			}
		})
	}
}

func TestSameBytesForAnyNumberOfWorkers(t *testing.T) {
	for _, spec := range []string{small, dropped} {
		var first []byte
		for _, threads := range []int{1, 2, 3} {
			r := run(t, network(t, spec), loader(t, 96, 16, 0), Config{Epochs: 2, Threads: threads, Optimizer: SGD(0.1, 0.9, 1e-4), EMA: 0.9})
			b := bytesOf(r.Graph)
			if first != nil && !slices.Equal(b, first) {
				t.Errorf("%s: %d workers give other weights", spec, threads)
			}
			first = b
		}
	}
}

// stopper ends the context after some steps.
type stopper struct {
	NoHook
	at     int
	cancel context.CancelFunc
}

func (s *stopper) AfterStep(st *State) error {
	if st.Step == s.at {
		s.cancel()
	}
	return nil
}

func TestResumeIsBitIdentical(t *testing.T) {
	for _, at := range []int{3, 5, 11} { // in the middle of an epoch, at its end, at the end
		config := func(dir string) Config {
			return Config{Epochs: 2, Seed: 5, Optimizer: AdamW(0.01, 0.01), Schedule: Schedule{Kind: Cosine, Warmup: 0.5}, EMA: 0.95,
				Val: loader(t, 40, 16, 0), KeepBest: true, Checkpoint: filepath.Join(dir, "c"), CSV: filepath.Join(dir, "log.csv"), Resume: true}
		}
		whole := run(t, network(t, dropped), loader(t, 96, 16, 0), config(t.TempDir()))
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		c := config(dir)
		c.Hooks = []Hook{&stopper{at: at, cancel: cancel}}
		r, err := Run(ctx, network(t, dropped), loader(t, 96, 16, 0), c)
		cancel()
		if at < 11 {
			if !errors.Is(err, context.Canceled) || r == nil || r.Stopped != "cancelled" || r.Steps != at+1 {
				t.Fatalf("stopped at step %d: %+v, %v", at, r, err)
			}
		}
		r = run(t, network(t, dropped), loader(t, 96, 16, 0), config(dir))
		if !slices.Equal(bytesOf(r.Graph), bytesOf(whole.Graph)) {
			t.Errorf("interrupted after step %d and resumed: other weights than in one go", at)
		}
		if r.Best != whole.Best || len(r.Epochs) != 2 || r.Epochs[1].Loss != whole.Epochs[1].Loss {
			t.Errorf("interrupted after step %d: %+v, want %+v", at, r.Epochs, whole.Epochs)
		}
		log, err := os.ReadFile(filepath.Join(dir, "log.csv"))
		if err != nil || strings.Count(string(log), "\n") != 3 {
			t.Errorf("the log has not a header and two lines: %q, %v", log, err)
		}
	}
}

func TestCheckpointOfAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	c := Config{Optimizer: SGD(0.1, 0.9, 0), Checkpoint: path, Resume: true}
	run(t, network(t, small), loader(t, 32, 16, 0), c)
	if _, err := Run(context.Background(), network(t, dropped), loader(t, 32, 16, 0), c); err == nil || !strings.Contains(err.Error(), "another network") {
		t.Errorf("resuming another network: %v", err)
	}
	c.Optimizer = AdamW(0.1, 0)
	if _, err := Run(context.Background(), network(t, small), loader(t, 32, 16, 0), c); err == nil || !strings.Contains(err.Error(), "optimizer") {
		t.Errorf("resuming with another optimizer: %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if _, _, err := decodeCheckpoint(raw); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged checkpoint: %v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(checkpointMagic))
	f.Add(append([]byte(checkpointMagic), make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, floats, err := decodeCheckpoint(raw); err == nil && h == nil && floats == nil {
			t.Error("no error and no content")
		}
	})
}

// mask keeps some weights at zero.
type mask struct {
	NoHook
	name  string
	grads int
}

func (m *mask) AfterBackward(s *State) error {
	if g := s.Grad(m.name); g != nil && g.Len() > 0 {
		m.grads++
		clear(tensor.Data[float32](g)[:4])
	}
	return nil
}

func (m *mask) AfterStep(s *State) error {
	clear(tensor.Data[float32](s.Param(m.name))[:4])
	return nil
}

func TestHooks(t *testing.T) {
	m := &mask{name: "layer1.0.conv1.weight"}
	r := run(t, network(t, small), loader(t, 64, 16, 0), Config{Epochs: 2, Optimizer: SGD(0.1, 0.9, 1e-4), Hooks: []Hook{m}})
	w := r.Graph.Value(m.name).Data.Float32s()
	if !slices.Equal(w[:4], make([]float32, 4)) || w[4] == 0 || m.grads != 8 {
		t.Errorf("masked weights %v, %d gradients seen", w[:5], m.grads)
	}
	failing := &failHook{}
	if _, err := Run(context.Background(), network(t, small), loader(t, 64, 16, 0), Config{Hooks: []Hook{failing}}); !errors.Is(err, errHook) {
		t.Errorf("a failing hook: %v", err)
	}
}

var errHook = errors.New("hook failed")

type failHook struct{ NoHook }

func (failHook) BeforeForward(*State) error { return errHook }

func TestTrainableAndDecay(t *testing.T) {
	g := network(t, small)
	c := Config{Optimizer: Optimizer{LR: 0.1, WeightDecay: 0.5}, Trainable: func(p *graph.Value) bool { return strings.HasPrefix(p.Name, "fc.") }}
	r := run(t, g, loader(t, 32, 16, 0), c)
	for _, v := range g.Constants() {
		same := v.Data.Equal(r.Graph.Value(v.Name).Data)
		trained := strings.HasPrefix(v.Name, "fc.") || strings.Contains(v.Name, "running")
		if v.Type == tensor.Float32 && same == trained {
			t.Errorf("%s: unchanged %v, trained %v", v.Name, same, trained)
		}
	}
	// With gradients of zero only decay changes the weights, and not the biases.
	c = Config{Optimizer: Optimizer{LR: 0.1, WeightDecay: 0.5}, Steps: 1, Hooks: []Hook{zeroGrads{}}}
	r = run(t, g, loader(t, 32, 16, 0), c)
	for _, p := range Parameters(g) {
		shrunk := !p.Data.Equal(r.Graph.Value(p.Name).Data)
		if want := len(p.Data.Shape) > 1; shrunk != want {
			t.Errorf("%s of shape %v: decayed %v, want %v", p.Name, p.Data.Shape, shrunk, want)
		}
	}
}

type zeroGrads struct{ NoHook }

func (zeroGrads) AfterBackward(s *State) error {
	for _, name := range s.Params() {
		clear(tensor.Data[float32](s.Grad(name)))
	}
	return nil
}

func TestEndsEarly(t *testing.T) {
	val := loader(t, 32, 16, 0)
	frozen := SGD(0, 0, 0) // never gets better
	for want, c := range map[string]Config{
		"patience": {Epochs: 50, Val: val, Patience: 2, Optimizer: frozen, FreezeNorm: true},
		"steps":    {Epochs: 50, Steps: 3, Optimizer: frozen},
		"budget":   {Epochs: 1 << 30, Budget: time.Millisecond, ScheduleByTime: true, Optimizer: SGD(0.01, 0, 0)},
	} {
		r := run(t, network(t, small), loader(t, 64, 16, 0), c)
		if r.Stopped != want {
			t.Errorf("stopped by %q after %d epochs, want %s", r.Stopped, len(r.Epochs), want)
		}
		if want == "patience" && len(r.Epochs) != 3 {
			t.Errorf("patience of 2 ended after %d epochs", len(r.Epochs))
		}
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	l := loader(t, 32, 16, 0)
	for want, c := range map[string]Config{
		"unknown optimizer":     {Optimizer: Optimizer{Name: "newton"}},
		"not a number any more": {Epochs: 20, Optimizer: SGD(1e30, 0.9, 0)},
		"unknown schedule":      {Schedule: Schedule{Kind: "zigzag"}},
		"unknown loss":          {Loss: "hinge"},
		"validation data":       {Patience: 1},
		"budget":                {ScheduleByTime: true},
		"nothing":               {Trainable: func(*graph.Value) bool { return false }},
		"learning rate":         {Optimizer: SGD(-1, 0, 0)},
		"teacher":               {Distill: &Distill{}},
	} {
		if want == "nothing" {
			want = "no parameter to train"
		}
		if _, err := Run(ctx, network(t, small), l, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	if _, err := Run(ctx, network(t, "resnet8?classes=2&channels=1&size=8&width=0.25"), l, Config{}); err == nil || !strings.Contains(err.Error(), "has label 2") {
		t.Errorf("a label without an output: %v", err)
	}
	if _, err := Run(ctx, network(t, "resnet8"), l, Config{}); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("pictures of another size: %v", err)
	}
}

func TestReestimateNorm(t *testing.T) {
	l := loader(t, 96, 32, 0)
	r := run(t, network(t, small), l, Config{Epochs: 3, Optimizer: SGD(0.1, 0.9, 0)})
	before, err := Evaluate(context.Background(), r.Graph, l, 1)
	if err != nil {
		t.Fatal(err)
	}
	broken := r.Graph.Clone()
	for _, v := range broken.Constants() {
		if strings.HasSuffix(v.Name, "running_var") {
			d := tensor.New(tensor.Float32, v.Data.Shape...)
			for i := range d.Len() {
				tensor.Data[float32](d)[i] = 50
			}
			v.SetData(d)
		}
	}
	if err := ReestimateNorm(context.Background(), broken, l, 96, 1); err != nil {
		t.Fatal(err)
	}
	after, err := Evaluate(context.Background(), broken, l, 1)
	if err != nil {
		t.Fatal(err)
	}
	if after.Top1() < before.Top1()-3 || len(broken.Log) != 1 {
		t.Errorf("top-1 %v after re-estimation, %v before the damage", after.Top1(), before.Top1())
	}
}

// fakeQuantize puts 8-bit quantization before every convolution's operands.
func fakeQuantize(g *graph.Graph) ([]*graph.Value, error) {
	zero := g.AddConst("zero", tensor.Scalar[int8](0))
	for _, n := range slices.Clone(g.Nodes) {
		if !n.Is("Conv") {
			continue
		}
		for i, scale := range []float32{0.05, 0.01} {
			s := g.AddConst(n.Name+"_scale", tensor.Scalar(scale))
			v := n.Inputs[i]
			for _, op := range []string{"QuantizeLinear", "DequantizeLinear"} {
				q := g.NewNode("", op, n.Name+"_"+op, []*graph.Value{v, s, zero}, []string{n.Name + "_" + op}, nil)
				g.InsertBefore(n, q)
				if err := q.InferShape(); err != nil {
					return nil, err
				}
				v = q.Outputs[0]
			}
			n.SetInput(i, v)
		}
	}
	return nil, nil
}

func TestTrainsThroughQuantization(t *testing.T) {
	w := "layer1.0.conv1.weight"
	g := network(t, small)
	r := run(t, g, loader(t, 256, 32, 0), Config{Epochs: 4, Optimizer: SGD(0.05, 0.9, 1e-4), Prepare: fakeQuantize, Val: loader(t, 70, 16, 0)})
	if last := r.Epochs[3]; last.Top1 < 85 || last.ValTop1 < 85 {
		t.Errorf("quantization-aware training ends at %+v", last)
	}
	if r.Graph.Value(w).Data.Equal(g.Value(w).Data) {
		t.Errorf("%s was not trained", w)
	}
}

func TestExtraLoss(t *testing.T) {
	name := "layer1.0.conv1.weight"
	decay := func(g *graph.Graph) ([]*graph.Value, error) {
		sum := g.Add("ReduceSumSquare", "penalty", graph.Attrs{"keepdims": int64(0)}, g.Value(name))
		return []*graph.Value{sum}, nil
	}
	g := network(t, small)
	r := run(t, g, loader(t, 256, 32, 0), Config{Epochs: 4, Optimizer: SGD(0.05, 0, 0), Prepare: decay})
	norm := func(g *graph.Graph) (s float32) {
		for _, v := range g.Value(name).Data.Float32s() {
			s += v * v
		}
		return s
	}
	if before, after := norm(g), norm(r.Graph); after > before/10 {
		t.Errorf("a penalty on the weights took their squares from %v to %v only", before, after)
	}
}

func TestProgress(t *testing.T) {
	var last Progress
	ends := 0
	run(t, network(t, small), loader(t, 64, 16, 0), Config{Epochs: 2, Optimizer: SGD(0.1, 0, 0), Progress: func(p Progress) {
		if last = p; p.Last != nil {
			ends++
		}
	}})
	if ends != 2 || last.Step != 8 || last.Steps != 8 || last.Epochs != 2 || last.Last == nil || last.ImagesPerS <= 0 {
		t.Errorf("%d ends of epochs, last report %+v", ends, last)
	}
}
