package host

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
)

// law is a machine whose times are known: two kernels, one of which is slower
// for images of odd widths.
func law(s *Step) float64 {
	if s.MACs == 0 {
		return 2e-7 + 1e-10*float64(s.Bytes)
	}
	t := 1e-6 + 2e-11*float64(s.MACs) + 5e-11*float64(s.Weights)
	if s.Resident > 1<<23 {
		t += 1e-10 * float64(s.Weights)
	}
	return t
}

// networks draws some whose steps follow the law.
func networks(n int) []Network {
	rng := rand.New(rand.NewPCG(5, 6))
	var list []Network
	for i := range n {
		net := Network{Name: string(rune('a' + i)), Family: string(rune('a' + i/2)), Type: "float32"}
		resident := int64(1) << (16 + rng.IntN(10))
		for range 20 {
			k, c, size, taps := int64(8+rng.IntN(500)), int64(8+rng.IntN(500)), int64(1+rng.IntN(60)), int64(1+8*rng.IntN(2))
			s := Step{Kernel: "conv 6x16", Op: "Conv", Channels: k, Rows: size, Columns: size, Window: c * taps, Taps: taps, Stride: 1, Groups: 1,
				MACs: k * c * taps * size * size, Bytes: 4 * (k + c) * size * size, Weights: 4 * k * c * taps, Resident: resident}
			if rng.IntN(3) == 0 {
				s = Step{Kernel: "unary", Op: "Relu", Channels: k, Rows: size, Columns: size, Window: 1, Taps: 1, Stride: 1, Groups: 1, Bytes: 8 * k * size * size, Resident: resident}
			}
			s.Seconds = law(&s)
			net.Steps = append(net.Steps, s)
		}
		net.Seconds = 1.02 * net.Measured()
		list = append(list, net)
	}
	return list
}

func TestFindsTheLaw(t *testing.T) {
	list := networks(12)
	for _, c := range Validate(list) {
		if math.Abs(c.Error) > 0.02 {
			t.Errorf("%s: %v s predicted, %v s measured (%+.1f %%)", c.Name, c.Predicted, c.Measured, 100*c.Error)
		}
	}
	if s := Summarize(Validate(list)); s.Networks != 12 || s.Within10 != 12 || s.Mean > s.Worst || s.Median > s.Worst {
		t.Errorf("%+v", s)
	}
}

// TestLargerThanMeasured checks that a network of more weights than any measured
// is predicted as the largest of them.
func TestLargerThanMeasured(t *testing.T) {
	list := networks(12)
	p, most := Fit(list), int64(0)
	for _, n := range list {
		most = max(most, n.Steps[0].Resident)
	}
	s := list[0].Steps[0]
	s.Resident = most
	large := s
	large.Resident *= 100
	if a, b := p.Seconds(&s), p.Seconds(&large); a != b || a <= 0 {
		t.Errorf("%v s, with a hundred times the weights around it %v s", a, b)
	}
}

// TestNeighbours checks that a kernel that breaks the law in one corner is
// predicted by what was measured there.
func TestNeighbours(t *testing.T) {
	list := networks(12)
	odd := func(s *Step) bool { return s.MACs > 0 && s.Columns > 40 }
	for i := range list {
		for j := range list[i].Steps {
			if s := &list[i].Steps[j]; odd(s) {
				s.Seconds *= 1.5
			}
		}
		list[i].Seconds = list[i].Measured()
	}
	p, seen := Fit(list), 0
	for i := range list {
		for j := range list[i].Steps {
			s := list[i].Steps[j]
			if !odd(&s) {
				continue
			}
			seen++
			if got := p.Seconds(&s); math.Abs(got/s.Seconds-1) > 0.15 {
				t.Errorf("%+v: %v predicted", s, got)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d steps are odd", seen)
	}
}

// TestUnknownKernel checks that what was never measured is taken for its like.
func TestUnknownKernel(t *testing.T) {
	p := Fit(networks(6))
	s := networks(1)[0].Steps[0]
	want := law(&s)
	s.Kernel = "conv 99x1"
	if got := p.Seconds(&s); math.Abs(got/want-1) > 0.25 {
		t.Errorf("%v s, its like takes %v", got, want)
	}
	if got := Fit(nil).Seconds(&s); got != 0 {
		t.Errorf("%v s predicted from nothing", got)
	}
}

func TestNonNegative(t *testing.T) {
	// The least squares solution of x0 = 1, x1 = -2, x0 + x1 = 0 has x1 < 0;
	// without it x0 = 1/2.
	var gram [features][features]float64
	var right [features]float64
	for _, row := range []struct{ a, b, y float64 }{{1, 0, 1}, {0, 1, -2}, {1, 1, 0}} {
		gram[0][0] += row.a * row.a
		gram[0][1] += row.a * row.b
		gram[1][0] += row.a * row.b
		gram[1][1] += row.b * row.b
		right[0] += row.a * row.y
		right[1] += row.b * row.y
	}
	x := nonNegative(&gram, &right)
	if math.Abs(x[0]-0.5) > 1e-6 || x[1] != 0 {
		t.Errorf("%v, want 1/2 and 0", x[:2])
	}
}

// TestRandom checks that networks drawn at random are sound, that they compile
// and that a seed gives the same one again.
func TestRandom(t *testing.T) {
	ops := map[string]bool{}
	for seed := range uint64(30) {
		g := Random(seed)
		if err := g.InferShapes(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := g.Verify(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if c := g.Cost(); c.MACs < 1e4 || c.MACs > 2e9 || c.Params > 40e6 {
			t.Errorf("seed %d: %d MACs, %d parameters", seed, c.MACs, c.Params)
		}
		for _, n := range g.Nodes {
			ops[n.Op] = true
		}
	}
	for _, op := range []string{"Conv", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool", "LRN", "BatchNormalization", "Concat", "Add", "Mul", "Transpose", "HardSwish", "Softmax"} {
		if !ops[op] {
			t.Errorf("no network has %s", op)
		}
	}
	if a, b := Random(3), Random(3); len(a.Nodes) != len(b.Nodes) || a.Cost().MACs != b.Cost().MACs {
		t.Error("a seed gives two networks")
	}
}

// small is a network of a fraction of a millisecond.
func small(t *testing.T) *graph.Graph {
	t.Helper()
	best := Random(0)
	for seed := range uint64(13) {
		g := Random(seed)
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		if c := g.Cost().MACs; c < best.Cost().MACs || best.Cost().MACs == 0 {
			best = g
		}
	}
	return best
}

func TestSteps(t *testing.T) {
	g := small(t)
	p, err := engine.Compile(g, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	macs := int64(0)
	for _, s := range Steps(g, p, 1) {
		if err := s.check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		if macs += s.MACs; s.MACs > 0 && (s.Weights == 0 || s.Resident < s.Weights) {
			t.Errorf("%s: %d bytes of weights, the network has %d", s.Node, s.Weights, s.Resident)
		}
	}
	if want := g.Cost().MACs; macs != want {
		t.Errorf("the steps do %d MACs, the graph %d", macs, want)
	}
}

func TestCalibration(t *testing.T) {
	g := small(t)
	done := 0
	list, err := Measure(context.Background(), []Subject{{Name: "a", Family: "a", Type: "float32", Graph: g}, {Name: "b", Family: "b", Type: "float32", Graph: g}},
		1, 0, func(n int) { done = n })
	if err != nil {
		t.Fatal(err)
	}
	if done == 0 || done >= 1000 {
		t.Errorf("progress ends at %d thousandths", done)
	}
	for _, n := range list {
		if n.Seconds <= 0 || n.Measured() <= 0 {
			t.Errorf("%s: %v s, its steps %v s", n.Name, n.Seconds, n.Measured())
		}
	}
	c := NewCalibration(This(1), list)
	path := filepath.Join(t.TempDir(), "deep", "c.json")
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path, This(1))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, back) {
		t.Error("what is read is not what was written")
	}
	if _, err := Read(path, This(7)); err == nil || !strings.Contains(err.Error(), "calibrate again") {
		t.Errorf("a calibration for another number of threads: %v", err)
	}
	r, err := back.Report(g, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Seconds <= 0 || r.MACs != g.Cost().MACs || len(r.Layers) != len(list[0].Steps) || r.PeakMACs <= 0 {
		t.Errorf("%v s, %d MACs, %d layers, peak %v", r.Seconds, r.MACs, len(r.Layers), r.PeakMACs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, []Subject{{Name: "a", Graph: g}}, 1, 0, func(int) {}); err == nil {
		t.Error("an interrupted calibration gives a result")
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "not a calibration",
		"{}":                          "no networks",
		`{"networks":[{"name":"a"}]}`: `"a" has no time`,
		`{"networks":[{"seconds":1,"steps":[{"channels":-1}]}]}`: "out of range",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := json.Marshal(NewCalibration(This(1), networks(2)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			return
		}
		for _, x := range Validate(c.Networks) {
			if math.IsNaN(x.Predicted) || x.Predicted < 0 {
				t.Fatalf("%s takes %v s", x.Name, x.Predicted)
			}
		}
	})
}

// TestDeepSteps: tiles of AMX take steps of 64 values of a line of taps and 16
// channels, whole.
func TestDeepSteps(t *testing.T) {
	products := func(channels, depth, taps int64) float64 {
		s := Step{Kernel: "amx 32x32", Op: "Conv", MACs: 1, Channels: channels, Rows: 14, Columns: 14, Window: depth * taps, Taps: taps, Stride: 1, Groups: 1, Weights: 1}
		f := s.features()
		return f[common+5]
	}
	for _, c := range []struct {
		channels, depth, taps int64
		want                  float64
	}{
		{16, 64, 1, 13}, // 196 pixels in a line
		{10, 40, 1, 13}, {17, 64, 1, 26}, {16, 65, 1, 26},
		{16, 16, 9, 14 * 3}, // three lines of 48 values
		{32, 32, 9, 14 * 2 * 3 * 2},
	} {
		if got := products(c.channels, c.depth, c.taps); got != c.want {
			t.Errorf("%d channels of %d by %d taps: %g products of tiles, want %g", c.channels, c.depth, c.taps, got, c.want)
		}
	}
}
