package loopnest

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/zoo"
)

const tinyArch = `
name: tiny
clock_mhz: 100
array:
  axes: [{name: X, size: 3}]
  bits: {w: 8, a: 8, psum: 16}
  mac_pj: 1
levels:
  - name: DRAM
    read_words_per_cycle: 0.5
    write_words_per_cycle: 0.5
    read_pj: 100
    write_pj: 100
  - name: buffer
    bytes: 20
    read_pj: 3
    write_pj: 4
    read_words_per_cycle: 1
    fan_out: [X]
`

func tinyLayer() *hardware.Layer {
	l := hardware.Conv("tiny", 1, 1, 3, 2, 6, 3, 1, 0)
	l.Size = [hardware.NumDims]int{1, 1, 3, 2, 4, 1, 3, 1}
	return l
}

// everyMapping calls f with each mapping of tinyLayer on tinyArch: all bounds
// and all orders of the loops at the outermost level.
func everyMapping(l *hardware.Layer, f func(*Mapping)) {
	var dims []hardware.Dim
	for d := range hardware.Dim(numDims) {
		if l.Size[d] > 1 {
			dims = append(dims, d)
		}
	}
	var split func(i int, outer, inner []Loop, space []Spread)
	split = func(i int, outer, inner []Loop, space []Spread) {
		if i == len(dims) {
			permute(outer, 0, func(order []Loop) {
				f(&Mapping{Levels: []Place{{Time: order}, {Time: inner, Space: space}}})
			})
			return
		}
		d := dims[i]
		for in := 1; in <= l.Size[d]; in++ {
			for sp := 1; sp <= min(3, l.Size[d]); sp++ {
				left := (l.Size[d] + in*sp - 1) / (in * sp)
				split(i+1, append(outer[:len(outer):len(outer)], Loop{d, left}), append(inner[:len(inner):len(inner)], Loop{d, in}),
					append(space[:len(space):len(space)], Spread{Loop{d, sp}, 0}))
			}
		}
	}
	split(0, nil, nil, nil)
}

func permute(list []Loop, i int, f func([]Loop)) {
	if i == len(list) {
		f(list)
		return
	}
	for j := i; j < len(list); j++ {
		list[i], list[j] = list[j], list[i]
		permute(list, i+1, f)
		list[i], list[j] = list[j], list[i]
	}
}

// TestSearchAgainstBruteForce compares both kinds of search with all mappings
// there are.
func TestSearchAgainstBruteForce(t *testing.T) {
	a, err := Parse("tiny.yaml", []byte(tinyArch))
	if err != nil {
		t.Fatal(err)
	}
	l := tinyLayer()
	e, err := NewEvaluator(a, l)
	if err != nil {
		t.Fatal(err)
	}
	best := map[hardware.Objective]float64{hardware.Latency: math.Inf(1), hardware.Energy: math.Inf(1), hardware.EDP: math.Inf(1)}
	n := 0
	everyMapping(l, func(m *Mapping) {
		r, err := e.Evaluate(m)
		if err != nil {
			return // does not fit
		}
		n++
		for o := range best {
			best[o] = min(best[o], objectiveOf(o, r.Cycles, r.Energy).first)
		}
	})
	if n < 1000 {
		t.Fatalf("only %d mappings fit; the test shows little", n)
	}
	for o, want := range best {
		for _, exhaustive := range []int{0, -1} {
			f, err := Search(a, l, Options{Objective: o, Exhaustive: exhaustive})
			if err != nil {
				t.Fatal(err)
			}
			if f.Exhaustive != (exhaustive == 0) {
				t.Errorf("%s: exhaustive %v", o, f.Exhaustive)
			}
			got := objectiveOf(o, f.Result.Cycles, f.Result.Energy).first
			if math.Abs(got-want) > 1e-9*want {
				t.Errorf("%s (exhaustive %v): %v, of %d mappings the best has %v; %s", o, f.Exhaustive, got, n, want, f.Mapping.Format(a))
			}
		}
	}
}

// TestBypassAgainstBruteForce lets every operand pass by the buffer or not, and
// compares with all mappings there are.
func TestBypassAgainstBruteForce(t *testing.T) {
	a, err := Parse("tiny.yaml", []byte(strings.Replace(tinyArch, "bytes: 20", "bytes: 12\n    bypass: WIO", 1)))
	if err != nil {
		t.Fatal(err)
	}
	a.Levels[1].ReadPJ, a.Levels[1].WritePJ = ptr(30.0), ptr(90.0) // so that keeping does not always pay
	l := tinyLayer()
	e, err := NewEvaluator(a, l)
	if err != nil {
		t.Fatal(err)
	}
	objectives := []hardware.Objective{hardware.Latency, hardware.Energy, hardware.EDP}
	best, kept := map[hardware.Objective]float64{}, map[hardware.Objective]float64{}
	for _, o := range objectives {
		best[o], kept[o] = math.Inf(1), math.Inf(1)
	}
	everyMapping(l, func(m *Mapping) {
		for _, m.Levels[1].Bypass = range []string{"", "W", "I", "O", "WI", "WO", "IO", "WIO"} {
			r, err := e.Evaluate(m)
			if err != nil {
				continue // does not fit
			}
			for _, o := range objectives {
				v := objectiveOf(o, r.Cycles, r.Energy).first
				if best[o] = min(best[o], v); m.Levels[1].Bypass == "" {
					kept[o] = min(kept[o], v)
				}
			}
		}
	})
	if best[hardware.Energy] >= kept[hardware.Energy] {
		t.Errorf("nothing is gained by passing by: %v pJ, %v pJ", best[hardware.Energy], kept[hardware.Energy])
	}
	for _, o := range objectives {
		for _, exhaustive := range []int{1 << 20, -1} {
			f, err := Search(a, l, Options{Objective: o, Exhaustive: exhaustive})
			if err != nil {
				t.Fatal(err)
			}
			got := objectiveOf(o, f.Result.Cycles, f.Result.Energy).first
			if f.Exhaustive != (exhaustive > 0) || math.Abs(got-best[o]) > 1e-9*best[o] {
				t.Errorf("%s (exhaustive %v): %v, the best has %v; %s", o, f.Exhaustive, got, best[o], f.Mapping.Format(a))
			}
			if again, err := ParseMapping(a, f.Mapping.Format(a)); err != nil || again.Format(a) != f.Mapping.Format(a) {
				t.Errorf("%s is read as %v (%v)", f.Mapping.Format(a), again, err)
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// TestConstraints checks that a search keeps to orders and bounds that are
// given, and that what is found then is the best of what is left.
func TestConstraints(t *testing.T) {
	a, err := Parse("tiny.yaml", []byte(strings.Replace(tinyArch, "read_words_per_cycle: 0.5", "read_words_per_cycle: 0.5\n    order: PKC", 1)))
	if err != nil {
		t.Fatal(err)
	}
	a.Levels[1].Bounds = map[string]int{"R": 3, "K": 1}
	l := tinyLayer()
	e, err := NewEvaluator(a, l)
	if err != nil {
		t.Fatal(err)
	}
	want := math.Inf(1)
	everyMapping(l, func(m *Mapping) {
		place, last := m.Levels[0], -1
		for _, x := range place.Time {
			at := strings.Index("RPKC", x.Dim.String())
			if x.Bound > 1 && at < last {
				return
			}
			if x.Bound > 1 {
				last = at
			}
		}
		if r, err := e.Evaluate(m); err == nil && e.t.trips[1][hardware.R] == 3 && e.t.trips[1][hardware.K] == 1 {
			want = min(want, r.Energy)
		}
	})
	for _, exhaustive := range []int{0, -1} {
		f, err := Search(a, l, Options{Objective: hardware.Energy, Exhaustive: exhaustive})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(f.Result.Energy-want) > 1e-9*want {
			t.Errorf("exhaustive %v: %v pJ, the best that is allowed has %v; %s", f.Exhaustive, f.Result.Energy, want, f.Mapping.Format(a))
		}
	}
	a.Levels[1].Bounds = map[string]int{"R": 3, "P": 4, "C": 2, "K": 3}
	a.Levels[1].Bytes = 2
	if _, err := Search(a, l, Options{}); err == nil {
		t.Error("bounds that do not fit are met")
	}
}

// TestNearExhaustive holds annealing to 5 % above the best mapping, on small
// layers of all kinds.
func TestNearExhaustive(t *testing.T) {
	var layers []*hardware.Layer
	for name, size := range map[string][hardware.NumDims]int{ // G N K C P Q R S
		"row":       {1, 1, 4, 3, 4, 1, 3, 1},
		"1x1":       {1, 1, 5, 6, 3, 1, 1, 1},
		"depthwise": {6, 1, 1, 1, 5, 1, 3, 1},
		"connected": {1, 4, 8, 6, 1, 1, 1, 1},
	} {
		l := hardware.FC(name, 1, 1, 1)
		l.Size, l.Height = size, 20
		layers = append(layers, l)
	}
	a, err := Load("edge-8x8")
	if err != nil {
		t.Fatal(err)
	}
	a.Levels[1].Bytes, a.Levels[1].Bypass = 48, "W" // so that tiles have to be chosen
	compared := 0
	for _, l := range layers {
		for _, o := range []hardware.Objective{hardware.Latency, hardware.Energy, hardware.EDP} {
			all, err := Search(a, l, Options{Objective: o, Exhaustive: 400_000})
			if err != nil {
				t.Fatal(err)
			}
			if !all.Exhaustive {
				continue
			}
			compared++
			some, err := Search(a, l, Options{Objective: o, Exhaustive: -1, Tilings: 3000})
			if err != nil {
				t.Fatal(err)
			}
			want, got := objectiveOf(o, all.Result.Cycles, all.Result.Energy).first, objectiveOf(o, some.Result.Cycles, some.Result.Energy).first
			if got > 1.05*want || got < want*(1-1e-9) {
				t.Errorf("%s, %s: %v, the best of all has %v", l.Name, o, got, want)
			}
		}
	}
	if compared < 6 {
		t.Fatalf("only %d searches are small enough", compared)
	}
}

// TestScore compares the search's sums with the evaluation of the same
// mapping, on random layers and machines.
func TestScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		a, l, mapping := randomCase(rng, i%3 == 0)
		for j := range a.Levels {
			a.Levels[j].ReadWords, a.Levels[j].WriteWords = 1+3*rng.Float64(), 1+3*rng.Float64()
			a.Levels[j].SingleBuffered = rng.IntN(4) == 0
			a.Levels[j].Network.WordPJ = rng.Float64()
			a.Levels[j].LeakMW = rng.Float64()
		}
		a.Overheads = Overheads{LayerCycles: 7, Fill: i%2 == 0, ReadFirst: i%5 == 0}
		e, err := NewEvaluator(a, l)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.t.from(e.m, &e.full, mapping); err != nil {
			t.Fatal(err)
		}
		var given, best Result
		e.evaluate(&e.t, &given)
		for _, o := range []hardware.Objective{hardware.Latency, hardware.Energy, hardware.EDP} {
			tiles := e.t
			s := scorer{e: e, objective: o}
			v := s.score(&tiles)
			e.evaluate(&tiles, &best)
			want := objectiveOf(o, best.Cycles, best.Energy)
			if math.Abs(v.first-want.first) > 1e-9*want.first || math.Abs(v.second-want.second) > 1e-9*want.second {
				t.Fatalf("case %d, %s: the search says %v, evaluation %v; %s", i, o, v, want, mapping.Format(a))
			}
			if g := objectiveOf(o, given.Cycles, given.Energy); g.first < v.first*(1-1e-9) {
				t.Fatalf("case %d, %s: the best order has %v, the given one %v; %s", i, o, v.first, g.first, mapping.Format(a))
			}
		}
	}
}

// TestSearchBeatsExample holds the search to the mapping of the worked
// example.
func TestSearchBeatsExample(t *testing.T) {
	a, err := Parse("conv3.yaml", []byte(conv3Arch))
	if err != nil {
		t.Fatal(err)
	}
	l := hardware.AlexNet(4).Layer("conv3")
	e, err := NewEvaluator(a, l)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping(a, "DRAM: K6 C64 | GLB: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16")
	if err != nil {
		t.Fatal(err)
	}
	given, err := e.Evaluate(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []hardware.Objective{hardware.Latency, hardware.Energy, hardware.EDP} {
		f, err := Search(a, l, Options{Objective: o})
		if err != nil {
			t.Fatal(err)
		}
		got, want := objectiveOf(o, f.Result.Cycles, f.Result.Energy).first, objectiveOf(o, given.Cycles, given.Energy).first
		if got > want {
			t.Errorf("%s: found %v, the example has %v; %s", o, got, want, f.Mapping.Format(a))
		}
	}
}

// TestSearchProperties checks on every architecture of the library that what
// is found does not depend on the workers, that no mapping beats the array's
// peak or moves less than each operand once, and that it can be written down
// and read back.
func TestSearchProperties(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 48, 20, 17, 3, 1, 1)
	for _, name := range Library() {
		a, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		one, err := Search(a, l, Options{Objective: hardware.EDP, Tilings: 300, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		many, err := Search(a, l, Options{Objective: hardware.EDP, Tilings: 300, Workers: 5})
		if err != nil {
			t.Fatal(err)
		}
		text := one.Mapping.Format(a)
		if other := many.Mapping.Format(a); text != other || one.Mappings != many.Mappings {
			t.Errorf("%s: one worker finds %s, five %s", name, text, other)
		}
		if least := float64(l.MACs()) / float64(a.Lanes()); one.Result.Cycles < least {
			t.Errorf("%s: %v cycles, the peak takes %v", name, one.Result.Cycles, least)
		}
		dram := one.Result.Access[0]
		if w := float64(l.Words(hardware.Weights)); dram[hardware.Weights].Reads < w {
			t.Errorf("%s: %v weights are read of %v", name, dram[hardware.Weights].Reads, w)
		}
		if w := float64(l.Words(hardware.Outputs)); dram[hardware.Outputs].Updates < w {
			t.Errorf("%s: %v outputs are written of %v", name, dram[hardware.Outputs].Updates, w)
		}
		m, err := ParseMapping(a, text)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEvaluator(a, l)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Evaluate(m)
		if err != nil {
			t.Fatal(err)
		}
		if r.Energy != one.Result.Energy || r.Cycles != one.Result.Cycles {
			t.Errorf("%s: read back, %s costs %v pJ and %v cycles; found were %v and %v", name, text, r.Energy, r.Cycles, one.Result.Energy, one.Result.Cycles)
		}
	}
}

// TestCache checks that an outcome is found again, that nothing else is taken
// for it, and that what was damaged is searched anew.
func TestCache(t *testing.T) {
	a, err := Parse("tiny.yaml", []byte(tinyArch))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Objective: hardware.Energy, Cache: t.TempDir()}
	search := func(a *Arch, o Options, cached bool) *Found {
		t.Helper()
		f, err := Search(a, tinyLayer(), o)
		if err != nil {
			t.Fatal(err)
		}
		if f.Cached != cached {
			t.Errorf("cached: %v", f.Cached)
		}
		return f
	}
	first := search(a, o, false)
	again := search(a, o, true)
	if first.Result != again.Result || first.Mapping.Format(a) != again.Mapping.Format(a) || first.Mappings != again.Mappings || first.Exhaustive != again.Exhaustive {
		t.Errorf("found %+v, then %+v", first, again)
	}
	other := o
	other.Objective = hardware.Latency
	search(a, other, false)
	wider := *a
	wider.Levels = slices.Clone(a.Levels)
	wider.Levels[1].Bytes++
	search(&wider, o, false)
	files, err := filepath.Glob(filepath.Join(o.Cache, "*", "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, damage := range []string{"", "{", `{"mapping":"buffer: K9"}`, `{"mapping":"nowhere: K3"}`} {
		for _, f := range files {
			if err := os.WriteFile(f, []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if f := search(a, o, false); f.Result != first.Result {
			t.Errorf("after %q: %+v", damage, f.Result)
		}
	}
}

// TestSearchMonotone checks that more memory and more bandwidth are never
// worse.
func TestSearchMonotone(t *testing.T) {
	best := func(bytes int64, words float64, o hardware.Objective) float64 {
		a, err := Parse("tiny.yaml", []byte(tinyArch))
		if err != nil {
			t.Fatal(err)
		}
		a.Levels[1].Bytes, a.Levels[0].ReadWords = bytes, words
		f, err := Search(a, tinyLayer(), Options{Objective: o})
		if err != nil {
			t.Fatal(err)
		}
		if !f.Exhaustive {
			t.Fatal("the space is too large to be sure")
		}
		return objectiveOf(o, f.Result.Cycles, f.Result.Energy).first
	}
	for _, o := range []hardware.Objective{hardware.Latency, hardware.Energy, hardware.EDP} {
		last := math.Inf(1)
		for _, bytes := range []int64{8, 12, 20, 40, 80, 1000} {
			v := best(bytes, 0.5, o)
			if v > last*(1+1e-12) {
				t.Errorf("%s: %v with %d bytes, %v with fewer", o, v, bytes, last)
			}
			last = v
		}
		last = math.Inf(1)
		for _, words := range []float64{0.1, 0.5, 1, 8} {
			v := best(20, words, o)
			if v > last*(1+1e-12) {
				t.Errorf("%s: %v at %v words a cycle, %v with fewer", o, v, words, last)
			}
			last = v
		}
	}
}

// TestSearchOfOne maps a layer without any loop both ways.
func TestSearchOfOne(t *testing.T) {
	a, err := Load("edge-8x8")
	if err != nil {
		t.Fatal(err)
	}
	for _, exhaustive := range []int{0, -1} {
		f, err := Search(a, hardware.FC("one", 1, 1, 1), Options{Exhaustive: exhaustive})
		if err != nil {
			t.Fatal(err)
		}
		if f.Result.Compute != 1 {
			t.Errorf("%v cycles of work", f.Result.Compute)
		}
	}
}

func TestSearchImpossible(t *testing.T) {
	a, err := Parse("tiny.yaml", []byte(tinyArch))
	if err != nil {
		t.Fatal(err)
	}
	a.Levels[1].Bytes = 2
	if _, err := Search(a, tinyLayer(), Options{}); err == nil {
		t.Error("a buffer of two bytes takes a weight, an input and an output")
	}
}

// BenchmarkSearch reports the mappings compared per second on one core, for a
// machine of three levels.
func BenchmarkSearch(b *testing.B) {
	a, err := Load("eyeriss-v1")
	if err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for b.Loop() {
		f, err := Search(a, hardware.AlexNet(4).Layer("conv3"), Options{Objective: hardware.Energy, Workers: 1})
		if err != nil {
			b.Fatal(err)
		}
		n += f.Mappings
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "mappings/s")
}

// BenchmarkResNet50 maps the whole network.
func BenchmarkResNet50(b *testing.B) {
	a, err := Load("eyeriss-v1")
	if err != nil {
		b.Fatal(err)
	}
	g, err := zoo.Build("resnet50", 1)
	if err != nil {
		b.Fatal(err)
	}
	w, err := hardware.FromGraph(g, hardware.Options{Batch: 1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Run(a, w, Options{Objective: hardware.EDP}); err != nil {
			b.Fatal(err)
		}
	}
}
