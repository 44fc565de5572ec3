package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		spec   string
		rounds int
		t      []float64
		want   []float64
	}{
		{"one-shot", 1, []float64{0, 1}, []float64{0, 0.9}},
		{"iterative:rounds=10", 10, []float64{0.1, 0.5, 1}, []float64{1 - math.Pow(0.1, 0.1), 1 - math.Sqrt(0.1), 0.9}},
		{"gradual:begin=0,end=1", 0, []float64{0, .25, .5, .75, 1}, []float64{0, 0.5203125, 0.7875, 0.8859375, 0.9}},
		{"gradual:begin=0.2,end=0.6", 0, []float64{0.1, 0.4, 0.7}, []float64{0, 0.7875, 0.9}},
		{"lottery:rounds=3", 3, []float64{1}, []float64{0.9}},
	} {
		s, err := method.New[Schedule](method.Schedule, c.spec)
		if err != nil {
			t.Fatal(err)
		}
		if s.Rounds() != c.rounds {
			t.Errorf("%s: %d rounds, want %d", c.spec, s.Rounds(), c.rounds)
		}
		for i, at := range c.t {
			if got := s.At(at, 0.9); math.Abs(got-c.want[i]) > 1e-9 {
				t.Errorf("%s: %g gone at %g, want %g", c.spec, got, at, c.want[i])
			}
		}
	}
	for _, bad := range []string{"iterative:rounds=0", "iterative:rounds=x", "gradual:begin=0.8", "gradual:end=2", "lottery:rewind=1", "lottery:control=luck"} {
		if _, err := method.New[Schedule](method.Schedule, bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	// A fifth of what is left, ten times.
	s, err := method.New[Schedule](method.Schedule, "lottery:rounds=10")
	if err != nil {
		t.Fatal(err)
	}
	if left := 1 - s.At(1, 1-math.Pow(0.8, 10)); math.Abs(left-0.10737) > 1e-5 {
		t.Errorf("%g is left after ten rounds, want 0.10737", left)
	}
}

func TestStdAndMixture(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	x := make([]float64, 100000)
	for i := range x {
		x[i] = math.Abs(rng.NormFloat64() * 0.03)
	}
	for q, want := range map[float64]float64{1: 0.6827, 0.5: 0.3829} {
		if got := Below(x, q); math.Abs(got-want) > 0.005 {
			t.Errorf("%g of normal weights lie under %g·σ, want %g", got, q, want)
		}
	}
	mixed := make([]float64, 100000)
	for i := range mixed {
		s := 0.01
		if rng.Float64() >= 0.7 {
			s = 0.1
		}
		mixed[i] = rng.NormFloat64() * s
	}
	last := math.Inf(-1)
	for rounds := 1; rounds <= 12; rounds++ {
		m := fitMixture(mixed, rounds)
		if m.logLikelihood < last-1e-6 {
			t.Errorf("round %d: the likelihood fell from %g to %g", rounds, last, m.logLikelihood)
		}
		last = m.logLikelihood
	}
	m := fitMixture(mixed, 50)
	if math.Abs(m.pi-0.7) > 0.02 || math.Abs(m.narrow-0.01) > 0.0005 || math.Abs(m.wide-0.1) > 0.005 {
		t.Errorf("the mixture 0.7·N(0, 0.01²) + 0.3·N(0, 0.1²) was fitted as %+v", m)
	}
	cs := []Candidate{{Score: magnitude(mixed[:4000])}, {Score: x[:4000]}}
	keep := gmmAllocator{0.1}.Keep(cs, 0.5)
	if keep[0]+keep[1] != 4000 || keep[0] >= keep[1] {
		t.Errorf("kept %v of 4000 each; want half, and less of the layer that is mostly near zero", keep)
	}
}

func magnitude(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = math.Abs(v)
	}
	return out
}

func TestReinit(t *testing.T) {
	g := build(t, small)
	randomNorm(g)
	a, b, c := Reinit(g, 1), Reinit(g, 1), Reinit(g, 2)
	weight := func(v *tensor.Tensor) []float32 { return v.Float32s() }
	wa, wb, wc := weight(a.Node("conv1").Inputs[1].Data), weight(b.Node("conv1").Inputs[1].Data), weight(c.Node("conv1").Inputs[1].Data)
	if !slices.Equal(wa, wb) || slices.Equal(wa, wc) || slices.Equal(wc, weight(g.Node("conv1").Inputs[1].Data)) {
		t.Error("new weights are not those of their seed")
	}
	for i, want := range []float32{1, 0, 0, 1} {
		for _, v := range weight(a.Node("bn1").Inputs[1+i].Data) {
			if v != want {
				t.Fatalf("batch normalization's input %d holds %g, want %g", 1+i, v, want)
			}
		}
	}
	if e := ScratchB.Epochs(10, 40, 20); e != 20 {
		t.Errorf("half the network gets %d epochs for 10, want 20", e)
	}
	if e := ScratchE.Epochs(10, 40, 20); e != 10 {
		t.Errorf("scratch-e gives %d epochs for 10", e)
	}
}
