package compress

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
)

func TestParseMethods(t *testing.T) {
	usual, err := ParseMethods(nil, Budget{})
	if err != nil || len(usual) != len(Usual) {
		t.Fatalf("the usual methods: %v, %v", usual, err)
	}
	small, err := ParseMethods(nil, Budget{Bytes: 1000})
	if err != nil || len(small) != len(Usual)+len(UsualForSize) {
		t.Errorf("for a size: %v, %v", small, err)
	}
	for spec, want := range map[string]string{
		"prune/l1":                          "prune/l1",
		"quantize/int8,prune/l?":            "prune/l1 prune/l2 quantize/int8",
		"-layers/*,-prune/[ft]*,-weights/*": "prune/l1 quantize/int8 quantize/gptq",
		"prune/[ln]*,-prune/nisp":           "prune/l1 prune/l2",
	} {
		got, err := ParseMethods(strings.Split(spec, ","), Budget{})
		wanted := strings.Fields(want)
		if err != nil || len(got) != len(wanted) || slices.ContainsFunc(wanted, func(m string) bool { return !slices.Contains(got, m) }) {
			t.Errorf("%s: %v, %v, want %s", spec, got, err, want)
		}
	}
	all, err := ParseMethods([]string{"*/*"}, Budget{})
	n := 0
	for _, m := range method.All() {
		if m.Family != method.Train {
			n++
		}
	}
	if err != nil || len(all) != n {
		t.Errorf("%d of %d methods can be candidates: %v", len(all), n, err)
	}
	for _, bad := range []string{"prune/l7", "l1", "[", "+", "train/sgd"} {
		if _, err := ParseMethods([]string{bad}, Budget{}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// bits lists the node types of the result of a job.
func operators(t *testing.T, j *Job) map[string]int {
	t.Helper()
	g, err := onnx.Decode(model(t, j.Dir))
	if err != nil {
		t.Fatal(err)
	}
	ops := map[string]int{}
	for _, n := range g.Nodes {
		ops[n.Op]++
	}
	return ops
}

// TestMethodsAreKeptTo runs jobs that may use some methods alone.
func TestMethodsAreKeptTo(t *testing.T) {
	j := job(t)
	j.Methods = []string{"prune/l1"}
	r, err := j.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if ops := operators(t, j); ops["DequantizeLinear"] > 0 || r.After.MACs >= r.Before.MACs {
		t.Errorf("pruning alone gave %v, %d MACs of %d", ops, r.After.MACs, r.Before.MACs)
	}
	j = job(t)
	j.Methods = []string{"quantize/int8", "quantize/log"}
	if r, err = j.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if ops := operators(t, j); ops["DequantizeLinear"] == 0 || r.After.MACs != r.Before.MACs || len(r.Screened) != 1 {
		t.Errorf("quantization alone gave %v, %d MACs of %d, looks %+v", ops, r.After.MACs, r.Before.MACs, r.Screened)
	}
}

// TestEveryFamilyIsLookedAt takes a look at a method of every family, and walks
// with those that train.
func TestEveryFamilyIsLookedAt(t *testing.T) {
	ctx := context.Background()
	j := job(t)
	j.Methods = []string{"prune/l1", "quantize/int8", "quantize/lsq", "sparsify/sfp", "schedule/gradual", "allocate/lamp",
		"calibrate/kl", "layers/norm", "weights/magnitude"}
	s, err := newSearch(ctx, j, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(context.Context) error{s.measureOriginal, s.integers, s.channels} {
		if err := f(ctx); err != nil {
			t.Fatal(err)
		}
	}
	base, err := s.reference(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := screening{Score: "l1"}
	for _, i := range s.ideas(families...) {
		r, err := s.glance(ctx, i, base, 100*time.Millisecond)
		if err != nil {
			t.Errorf("%s: %v", i, err)
		}
		out.List = append(out.List, r)
	}
	s.judge(&out, base)
	for _, r := range out.List {
		if r.Use == "" || !(r.Ms > 0) || r.File == 0 {
			t.Errorf("%+v", r)
		}
	}
	if n := len(out.List); n != 9 {
		t.Errorf("%d methods were looked at, want 9", n)
	}
	more := func() { j.Time = time.Since(s.start) + 2*time.Second }
	s.screened = screening{Score: out.Score, Starts: []string{"sparsify/sfp"}}
	more()
	if err := s.walk(ctx); err != nil {
		t.Fatal(err)
	}
	for _, last := range []screening{{Trained: []string{"quantize/lsq"}}, {Endings: []string{"schedule/gradual"}}} {
		s.screened = last
		more()
		if err := s.endings(ctx, rung{share: 1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"sparsify/sfp, float32", "lsq", "schedule/gradual"} {
		if !slices.ContainsFunc(s.trials, func(c *candidate) bool { return strings.Contains(c.Name, want) }) {
			t.Errorf("no trial is called %q", want)
		}
	}
}

func TestEnergyBudget(t *testing.T) {
	j := job(t)
	g := j.Graph.Clone()
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	before, err := Energy(g, DefaultMachine)
	if err != nil || !(before > 0) {
		t.Fatalf("energy %v, %v", before, err)
	}
	if _, err := Energy(g, "abacus"); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("an unknown machine: %v", err)
	}
	if _, err := Energy(g, "stripes"); err == nil || !strings.Contains(err.Error(), "no model of energy") {
		t.Errorf("a machine without energy: %v", err)
	}
	j.Budget.EnergyMJ = before / 2
	r, err := j.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Energy == nil || r.Energy.Machine != DefaultMachine || !(r.Energy.After <= before/2) || r.Energy.Before != before {
		t.Errorf("energy %+v, before %v", r.Energy, before)
	}
	j = job(t)
	j.Budget.EnergyMJ = before / 1e6
	if _, err := j.Run(context.Background()); !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "mJ on bitfusion") {
		t.Errorf("energy out of reach: %v", err)
	}
}

// TestSelection looks at which images choose.
func TestSelection(t *testing.T) {
	for n, want := range map[int]int{0: 0, 100: 25, 3000: 750, 5000: 1000, 50000: 5000, 1000000: 5000} {
		if got := holdout(n); got != want {
			t.Errorf("of %d images %d are held out, want %d", n, got, want)
		}
	}
	rest, taken := split(blobs(100, 1), 30)
	if rest.Len() != 70 || taken.Len() != 30 {
		t.Errorf("%d and %d images", rest.Len(), taken.Len())
	}
	seen := map[string]bool{}
	count := map[int]int{}
	var x data.Sample
	for _, ds := range []data.Dataset{rest, taken} {
		for i := range ds.Len() {
			if err := ds.Read(i, &x); err != nil {
				t.Fatal(err)
			}
			seen[string(x.Pix)] = true
		}
	}
	for i := range taken.Len() {
		count[taken.Label(i)]++
	}
	if len(seen) != 100 || len(count) != 4 {
		t.Errorf("%d different images; classes held out %v", len(seen), count)
	}

	j := job(t)
	s, err := newSearch(context.Background(), j, nil)
	if err != nil || s.test.Len() != 200 || s.trainset.Len() != 480 || s.held.Len() != 160 || s.recipe.Holdout != 160 {
		t.Errorf("labelled training images: %d test, %d train, %d choose, %v", s.test.Len(), s.trainset.Len(), s.held.Len(), err)
	}
	j.Val = blobs(50, 5)
	if s, err = newSearch(context.Background(), j, nil); err != nil || s.trainset.Len() != 640 || s.held.Len() != 50 || s.recipe.Holdout != 0 {
		t.Errorf("with a validation set: %d train, %d choose, %v", s.trainset.Len(), s.held.Len(), err)
	}
	j = job(t)
	j.Train = unlabelled{j.Train}
	if s, err = newSearch(context.Background(), j, nil); err != nil || s.test.Len() != 100 || s.trainset.Len() != 640 || s.held.Len() != 100 || s.canTrain {
		t.Errorf("unlabelled training images: %d test, %d train, %d choose, %v", s.test.Len(), s.trainset.Len(), s.held.Len(), err)
	}
}

// unlabelled hides the labels.
type unlabelled struct{ data.Dataset }

func (unlabelled) Label(int) int { return -1 }

func (u unlabelled) Read(i int, s *data.Sample) error {
	err := u.Dataset.Read(i, s)
	s.Label = -1
	return err
}

// TestDoubt wants images that the original knows to choose nothing.
func TestDoubt(t *testing.T) {
	ctx := context.Background()
	j := job(t)
	s, err := newSearch(ctx, j, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.choose(ctx, time.Millisecond); err != nil || s.recipe.Holdout != 160 || s.trainset.Len() != 480 || s.test.Len() != 200 {
		t.Errorf("images like the test images: %d held out, %d train, %d test, %v", s.recipe.Holdout, s.trainset.Len(), s.test.Len(), err)
	}
	j = job(t)
	j.Test = hard{j.Test} // every fifth label is wrong
	if s, err = newSearch(ctx, j, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.choose(ctx, time.Millisecond); err != nil || s.recipe.Holdout != 0 || s.trainset.Len() != 640 || s.test.Len() != 100 || s.selection.images.Len() != 100 {
		t.Errorf("images that the original knows better: %d held out, %d train, %d test, %v", s.recipe.Holdout, s.trainset.Len(), s.test.Len(), err)
	}
	if q := s.selection.part(10); q.images.Len() != 10 {
		t.Errorf("a part has %d images", q.images.Len())
	}
}

// hard has wrong labels.
type hard struct{ data.Dataset }

func (h hard) Label(i int) int {
	l := h.Dataset.Label(i)
	if i%5 == 0 {
		return (l + 1) % 4
	}
	return l
}

func (h hard) Read(i int, s *data.Sample) error {
	err := h.Dataset.Read(i, s)
	s.Label = h.Label(i)
	return err
}

func TestJudge(t *testing.T) {
	j := job(t)
	j.Budget.MaxDrop = 1
	s, err := newSearch(context.Background(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	base := &reference{float: score{Top1: 92, Loss: 0.3}, intMs: 0.4, intFile: 200_000}
	out := screening{Score: "l1", List: []Screened{
		{Method: "prune/l1", Loss: 0.5, Ms: 0.3},
		{Method: "prune/fpgm", Loss: 0.4, Ms: 0.31},
		{Method: "allocate/lamp", Loss: 0.45, Ms: 0.39},
		{Method: "layers/norm", Loss: 0.32, Ms: 0.3},
		{Method: "layers/output", Loss: 0.30, Ms: 0.4},
		{Method: "weights/magnitude", Use: "slow"},
		{Method: "quantize/gptq", Loss: 0.31, Top1: 91.5, Ms: 0.4, File: 100_000},
		{Method: "quantize/log", Loss: 0.9, Top1: 80, Ms: 0.4, File: 100_000},
		{Method: "quantize/dfq", Loss: 0.3, Top1: 92, Ms: 0.4, File: 200_000},
		{Method: "quantize/lsq", Loss: 0.5, Top1: 85, Ms: 0.4, File: 100_000},
		{Method: "calibrate/kl", Loss: 0.31}, {Method: "calibrate/ema", Loss: 0.32},
	}}
	s.judge(&out, base)
	if out.Score != "fpgm" || out.Allocation != "" || !slices.Equal(out.Starts, []string{"layers/norm"}) || !slices.Equal(out.Finishes, []string{"quantize/gptq"}) ||
		!slices.Equal(out.Trained, []string{"quantize/lsq"}) || out.Calibrator != "kl" || out.Endings != nil {
		t.Errorf("%+v", out)
	}
	for _, r := range out.List {
		if r.Use == "" {
			t.Errorf("nothing is said of %s", r.Method)
		}
	}
	if got := price(0.1, math.E, 1); math.Abs(got-0.1) > 1e-12 {
		t.Errorf("a tenth of loss for an e-fold is %v", got)
	}
	if !math.IsInf(price(0, 1, 1), 1) {
		t.Error("what saves no time has a price")
	}
}
