package compress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

// blobs are pictures of 16x16 pixels with a bright square in one of four
// corners, which is the class, on noise.
func blobs(n int, seed uint64) data.Dataset {
	rng := rand.New(rand.NewPCG(seed, 1))
	pix, labels := make([]uint8, n*256), make([]int32, n)
	for i := range n {
		k := i % 4
		labels[i] = int32(k)
		for p := range 256 {
			v := rng.IntN(110)
			if r, c := p/16, p%16; r/8 == k/2 && c/8 == k%2 && r%8 > 1 && c%8 > 1 {
				v += 90
			}
			pix[i*256+p] = uint8(v)
		}
	}
	ds, err := data.FromPixels(pix, 16, 16, 1, labels, []string{"a", "b", "c", "d"})
	if err != nil {
		panic(err)
	}
	return ds
}

var pre = func() data.Preprocess {
	p, err := data.ParsePreprocess("size=16x16 color=gray mean=70 std=50")
	if err != nil {
		panic(err)
	}
	return p
}()

var trained = sync.OnceValues(func() (*graph.Graph, error) {
	g, err := zoo.Build("resnet8?channels=1&size=16&classes=4&width=0.5", 3)
	if err != nil {
		return nil, err
	}
	l, err := data.NewLoader(blobs(640, 1), data.LoaderOptions{Batch: 32, Preprocess: pre, Shuffle: true, DropLast: true, Seed: 1})
	if err != nil {
		return nil, err
	}
	r, err := train.Run(context.Background(), g, l, train.Config{Epochs: 2, Optimizer: train.SGD(0.05, 0.9, 1e-4)})
	if err != nil {
		return nil, err
	}
	return r.Graph, nil
})

// job is a small real one: a trained network and the pictures it knows.
func job(t testing.TB) *Job {
	t.Helper()
	g, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	return &Job{Graph: g.Clone(), Model: "tiny", Test: blobs(200, 2), Train: blobs(640, 1), Data: "blobs", Pre: pre,
		Budget: Budget{MaxDrop: 5}, Time: 1500 * time.Millisecond, Threads: 2, Seed: 7, Dir: t.TempDir(), Version: "test", Command: "test"}
}

func model(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onnx.Decode(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRun looks at everything a job leaves, replays its recipe to the same
// bytes, and runs the job again, which must reach the same from what it kept.
func TestRun(t *testing.T) {
	j := job(t)
	said := ""
	j.Say = func(f string, args ...any) { said += fmt.Sprintf(f, args...) + "\n" }
	r, err := j.Run(context.Background())
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if !r.Met || r.After.Top1 < r.Before.Top1-5 || r.Before.Top1 < 90 {
		t.Errorf("top-1 from %.1f to %.1f, met: %v", r.Before.Top1, r.After.Top1, r.Met)
	}
	if 2*r.After.FileBytes > r.Before.FileBytes || r.After.MedianMs <= 0 || r.After.PeakActivationBytes <= 0 {
		t.Errorf("before %+v\nafter %+v", r.Before, r.After)
	}
	chosen := 0
	for _, tr := range r.Trials {
		if tr.Chosen {
			chosen++
		}
	}
	if chosen != 1 || len(r.Trials) < 4 || len(r.Layers) == 0 || len(r.Sensitivity) == 0 || r.Confusion == nil {
		t.Errorf("%d chosen of %d trials, %d layers, %d curves\n%s", chosen, len(r.Trials), len(r.Layers), len(r.Sensitivity), said)
	}
	want := model(t, j.Dir)
	var stored Result
	if b, err := os.ReadFile(filepath.Join(j.Dir, JSONFile)); err != nil || json.Unmarshal(b, &stored) != nil || stored.After != r.After {
		t.Errorf("report.json does not hold the result: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(j.Dir, RecipeFile))
	if err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if g.Metadata[recipeKey] != string(text) || g.Metadata[data.MetadataKey] == "" {
		t.Errorf("the model's metadata: %v", g.Metadata)
	}

	recipe, err := ParseRecipe(text)
	if err != nil {
		t.Fatal(err)
	}
	again := job(t)
	again.Model, again.Threads = "another name", 1
	path := filepath.Join(again.Dir, "replayed.onnx")
	if _, err := again.Replay(context.Background(), recipe, path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the recipe replays to other bytes (%d, %d)", len(b), len(want))
	}
	again.Train = blobs(640, 99)
	if _, err := again.Replay(context.Background(), recipe, path); err == nil || !strings.Contains(err.Error(), "other data") {
		t.Errorf("replay with other data: %v", err)
	}
	again = job(t)
	again.Graph.Doc = "changed"
	if _, err := again.Replay(context.Background(), recipe, path); err == nil || !strings.Contains(err.Error(), "another model") {
		t.Errorf("replay on another model: %v", err)
	}

	said = ""
	if _, err := j.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "from the last run") || !bytes.Equal(model(t, j.Dir), want) {
		t.Errorf("run again, the job makes another model:\n%s", said)
	}
}

// TestCancel interrupts a job when it takes its quick looks and when it begins
// to prune: the best until then is written whole, and the next run goes on.
func TestCancel(t *testing.T) {
	for _, at := range []string{"a quick look", "pruning to"} {
		j := job(t)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		j.Say = func(f string, _ ...any) {
			if strings.HasPrefix(f, at) {
				cancel()
			}
		}
		r, err := j.Run(ctx)
		if !errors.Is(err, context.Canceled) || r == nil {
			t.Fatalf("%s: result %v, error %v", at, r, err)
		}
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "interrupted") }) {
			t.Errorf("%s: no warning says so: %q", at, r.Warnings)
		}
		if after := model(t, j.Dir); len(after) >= int(r.Before.FileBytes) {
			t.Errorf("%s: the model written has %d bytes, the original %d", at, len(after), r.Before.FileBytes)
		}
		j.Say = nil
		if r, err = j.Run(context.Background()); err != nil || !r.Met {
			t.Errorf("%s: the next run: %v", at, err)
		}
	}
	// Interrupted before there is anything to keep.
	early, stop := context.WithCancel(context.Background())
	stop()
	if r, err := job(t).Run(early); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled at once: result %v, error %v", r, err)
	}
}

// TestFinetuneGoesOn interrupts fine-tuning and goes on from its checkpoint:
// the weights must be those of a run in one go.
func TestFinetuneGoesOn(t *testing.T) {
	steps := []Step{&PruneStep{Method: "l1", Keep: map[string]int{"conv1": 4}, NoNorm: true}, &NormStep{Images: 64},
		&FinetuneStep{Training: Training{Epochs: 2.5, Batch: 64, LR: 0.02, DistillWeight: 0.7, Temperature: 4, Augment: "crop2"}}}
	result := func(interrupt int) []byte { return made(t, steps, interrupt) }
	whole := result(0)
	for _, at := range []int{3, 12} {
		if !bytes.Equal(result(at), whole) {
			t.Errorf("interrupted at step %d, fine-tuning ends with other weights", at)
		}
	}
}

// TestBudgetOutOfReach wants the best candidate and the reason.
func TestBudgetOutOfReach(t *testing.T) {
	j := job(t)
	j.Budget.Bytes, j.Time = 50, time.Second
	r, err := j.Run(context.Background())
	if !errors.Is(err, ErrBudget) || r == nil || r.Met {
		t.Fatalf("result %v, error %v", r, err)
	}
	if !strings.Contains(err.Error(), "asked for 50") {
		t.Errorf("the error does not name the limit: %v", err)
	}
	if !slices.ContainsFunc(r.Feasibility, func(f Feasible) bool { return f.Limit == "size" && !f.Possible }) {
		t.Errorf("feasibility: %+v", r.Feasibility)
	}
	model(t, j.Dir)
}

func TestCheck(t *testing.T) {
	quantized := graph.New("q")
	x := quantized.AddInput("x", tensor.Float32, graph.Dims(1, 1, 16, 16))
	quantized.AddOutput(quantized.Add("QuantizeLinear", "q", nil, x, quantized.AddConst("s", tensor.Scalar(float32(1)))))
	for name, c := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"no test":   {func(j *Job) { j.Test = nil }, "measure accuracy on"},
		"no train":  {func(j *Job) { j.Train = nil }, "calibrate on"},
		"no time":   {func(j *Job) { j.Time = time.Millisecond }, "at least a second"},
		"drop":      {func(j *Job) { j.Budget.MaxDrop = -1 }, "negative"},
		"quantized": {func(j *Job) { j.Graph = quantized }, "quantized already"},
		"folder":    {func(j *Job) { j.Dir = filepath.Join(os.Args[0], "x") }, "not a directory"},
	} {
		j := job(t)
		c.change(j)
		if _, err := j.Run(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestPareto(t *testing.T) {
	trials := []Trial{{Name: "slow and right", Ms: 3, Top1: 90}, {Name: "quick and wrong", Ms: 1, Top1: 70},
		{Name: "beaten", Ms: 3.5, Top1: 89}, {Name: "between", Ms: 2, Top1: 85}, {Name: "twin of the first", Ms: 3, Top1: 90}}
	pareto(trials)
	for i, want := range []bool{true, true, false, true, false} {
		if trials[i].Pareto != want {
			t.Errorf("%s is on the front: %v", trials[i].Name, trials[i].Pareto)
		}
	}
}

func TestCurve(t *testing.T) {
	c := Curve{Points: []Point{{Keep: 16, Top1: 90}, {Keep: 12, Top1: 88}, {Keep: 4, Top1: 92}}}
	for keep, want := range map[int]float64{16: 0, 14: 1, 12: 2, 10: 1, 8: 0, 4: 0} {
		if got := c.drop(keep); got != want {
			t.Errorf("keeping %d costs %g points, want %g", keep, got, want)
		}
	}
	for size, want := range map[int][]int{64: {56, 48, 40, 32, 24, 16}, 32: {24, 16, 8}, 16: {8}, 12: {8, 4}, 2: nil} {
		got := levels(size)
		if !slices.Equal(got, want) {
			t.Errorf("levels of %d channels: %v, want %v", size, got, want)
		}
	}
}

func TestNextShare(t *testing.T) {
	for name, c := range map[string]struct{ share, drop, allowed, low, high, want float64 }{
		// Half a point lost at 0.8 is two points for each unit of 1/share.
		"met with room":        {0.8, 0.5, 1, floor, 0.744, 1 / (1 + 0.875/2)},
		"met, nothing lost":    {0.7, 0, 1, floor, 0.651, 0.65 * 0.7},
		"met, hardly":          {0.7, 0.99, 1, floor, 0.651, 0.651},
		"missed":               {0.6, 2, 1, 0.6, 1, 1 / (1 + 0.875/3)},
		"missed by far":        {0.6, 50, 1, 0.6, 1, 0.92},
		"nothing may be lost":  {0.7, 0.3, 0, floor, 0.651, 0.651},
		"a failed one is near": {0.7, 0.1, 1, 0.6, 0.651, 0.6 + 0.3*0.051},
	} {
		if got := nextShare(c.share, c.drop, c.allowed, c.low, c.high); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
