package sparse

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/conv"
)

// TestModel checks that the model prefers what fits the zeros, and that more
// zeros never make a layer slower.
func TestModel(t *testing.T) {
	for name, k := range modelled {
		t.Run(name, func(t *testing.T) { testModel(t, k) })
	}
}

// modelled are kernels as the model sees them, on whatever machine.
var modelled = map[string]*kernels{
	"avx2":   {lanes: 8, vecs: [methods]int{7, 3, 0}, depthBytes: 24 << 10, depthSteps: 8, together: 1, steps: 1, rates: &avx2Rates},
	"avx512": {lanes: 16, vecs: [methods]int{4, 6, 0}, depthBytes: 32 << 10, depthSteps: 4, together: 4, steps: 2, rates: &avx512Rates},
}

func testModel(t *testing.T, k *kernels) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := normal(pointwise(28, 128, 128))
	gain := func(density float64, how pattern) (float64, method) {
		w := random(rng, s.K*s.C)
		prune(rng, w, s, density, how)
		m, least := k.choose(s, census(k.rates, s, w))
		return k.rates.denseTime(s, false) / least, m
	}
	last := 0.0
	for _, density := range []float64{1, 0.5, 0.2, 0.1, 0.05} {
		g, m := gain(density, anywhere)
		if g <= last {
			t.Errorf("density %g: gain %g after %g with more weights", density, g, last)
		}
		if density < 1 && m != byRows {
			t.Errorf("density %g: %v, want rows", density, m)
		}
		if density == 1 && g > 1 || density == 0.1 && g < 2 {
			t.Errorf("density %g: gain %g", density, g)
		}
		last = g
	}
	if g, m := gain(0.2, blocks4); m != byBlocks {
		t.Errorf("blocks of four: %v with gain %g", m, g)
	}
}

// TestModelKnowsLanes checks that narrow layers go by lanes and wide ones by
// rows.
func TestModelKnowsLanes(t *testing.T) {
	k := *modelled["avx512"]
	k.lanesRun = portable.lanesRun
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		conv.Shape
		density float64
		how     pattern
		want    method
	}{
		{pointwise(56, 24, 144), 0.1, anywhere, byLanes}, {pointwise(56, 64, 128), 0.05, anywhere, byLanes},
		{square3(32, 16, 16, 1), 0.2, anywhere, byLanes}, {pointwise(1, 1024, 1000), 0.2, anywhere, byLanes},
		{pointwise(14, 512, 512), 0.2, anywhere, byRows}, {pointwise(28, 256, 256), 0.1, anywhere, byRows},
		{pointwise(14, 512, 512), 0.1, blocks4, byBlocks},
	} {
		s := normal(c.Shape)
		w := random(rng, s.K*s.C*s.R*s.S)
		prune(rng, w, s, c.density, c.how)
		if m, _ := k.choose(s, census(k.rates, s, w)); m != c.want {
			t.Errorf("%+v, density %g: %v, want %v", s, c.density, m, c.want)
		}
	}
}

func TestGainOfWhatIsNotSupported(t *testing.T) {
	grouped := conv.Shape{N: 1, H: 9, W: 9, C: 8, K: 8, P: 9, Q: 9, Groups: 2}
	deep := conv.Shape{N: 1, D: 4, H: 9, W: 9, C: 8, K: 8, OD: 4, P: 9, Q: 9}
	for name, s := range map[string]conv.Shape{"groups": grouped, "3-d": deep} {
		if g := Gain(s, conv.Params{Weights: make([]float32, s.K*s.C/max(s.Groups, 1))}); g != 0 {
			t.Errorf("%s: gain %g, want 0", name, g)
		}
	}
	few := conv.Params{Weights: make([]float32, 3)}
	if g := Gain(conv.Shape{C: 2, K: 2}, few); g != 0 {
		t.Errorf("too few weights: gain %g, want 0", g)
	}
}

func TestWorthwhile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := normal(conv.Shape{C: 64, K: 64})
	for _, c := range []struct {
		density float64
		how     pattern
		want    bool
	}{{1, anywhere, false}, {0.9, anywhere, false}, {0.5, anywhere, true}, {0, anywhere, true}, {0, twoOfFour, true}, {0.3, blocks4, true}} {
		w := random(rng, s.K*s.C)
		prune(rng, w, s, c.density, c.how)
		if got := Worthwhile(w); got != c.want {
			t.Errorf("density %g, pattern %d: %v", c.density, c.how, got)
		}
	}
	if Worthwhile(nil) {
		t.Error("no weights are worthwhile")
	}
}

// TestModelIsFinite runs the model over random shapes.
func TestModelIsFinite(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		s := normal(randomShape(rng))
		w := random(rng, s.K*s.C*s.R*s.S)
		prune(rng, w, s, 0.3, anywhere)
		for _, k := range []*kernels{&portable, modelled["avx2"], modelled["avx512"]} {
			if _, least := k.choose(s, census(k.rates, s, w)); !(least > 0) || math.IsInf(least, 1) {
				t.Fatalf("%+v: %g ns", s, least)
			}
		}
	}
}
