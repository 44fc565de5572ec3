package quantize

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/method"
)

// TestKnapsack compares with trying everything.
func TestKnapsack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 60 {
		items := 1 + rng.IntN(8)
		errors, costs := make([][]float64, items), make([][]int64, items)
		total := int64(0)
		for i := range items {
			for range 3 {
				errors[i] = append(errors[i], rng.Float64())
				costs[i] = append(costs[i], int64(rng.IntN(100)))
			}
			total += costs[i][0]
		}
		budget := total * int64(rng.IntN(12)) / 10
		best := math.Inf(1)
		for code := range int(math.Pow(3, float64(items))) {
			e, c := 0.0, int64(0)
			for i, rest := 0, code; i < items; i, rest = i+1, rest/3 {
				e, c = e+errors[i][rest%3], c+costs[i][rest%3]
			}
			if c <= budget {
				best = min(best, e)
			}
		}
		pick, ok := Knapsack(errors, costs, budget)
		if ok != !math.IsInf(best, 1) {
			t.Fatalf("round %d: found %v, the best is %g", round, ok, best)
		}
		if !ok {
			continue
		}
		e, c := 0.0, int64(0)
		for i, k := range pick {
			e, c = e+errors[i][k], c+costs[i][k]
		}
		if math.Abs(e-best) > 1e-12 || c > budget {
			t.Fatalf("round %d: error %g at cost %d, the best is %g within %d", round, e, c, best, budget)
		}
	}
}

// TestHessianTraces: exact for a diagonal Hessian, near for another.
func TestHessianTraces(t *testing.T) {
	a, b := []float32{1, -2, 3}, []float32{0.5, 0.5}
	h := [][]float64{{2, 0.3}, {0.3, 1}}
	weights := [][]float32{a, b}
	grads := [][]float32{make([]float32, 3), make([]float32, 2)}
	traces, err := HessianTraces(weights, func() ([][]float32, error) {
		for i, d := range []float32{1, 4, 9} {
			grads[0][i] = d * a[i]
		}
		for i := range b {
			grads[1][i] = float32(h[i][0])*b[0] + float32(h[i][1])*b[1]
		}
		return grads, nil
	}, 200, 1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(traces[0]-14) > 0.05 || math.Abs(traces[1]-3) > 0.15 {
		t.Errorf("traces %v, want 14 and 3", traces)
	}
	if a[1] != -2 || b[0] != 0.5 {
		t.Error("the weights were not restored")
	}
}

// TestMixed holds both sensitivities to the budget, and to be no worse than the
// same bits everywhere.
func TestMixed(t *testing.T) {
	g := net(t, nets["residual"])
	uniform := outputError(t, g, func(o *Options) { o.WBits = 4 })
	for _, spec := range []string{"mixed:share=0.5,bits=2/4/8", "mixed:share=0.5,bits=2/4/8,by=hessian", "mixed:share=0.5,bits=2/4/8,budget=bops,rounding=gptq"} {
		p, err := method.New[Preset](method.Quantize, spec)
		if err != nil {
			t.Fatal(err)
		}
		o := Defaults()
		p(&o)
		_, r, err := Static(t.Context(), g, noise(g, 4, 16, 3), o)
		if err != nil {
			t.Fatal(err)
		}
		bits, count := 0.0, 0.0
		for _, l := range r.Layers[1 : len(r.Layers)-1] {
			n := 0.0
			for _, v := range g.Nodes {
				if v.Name == l.Node {
					n = float64(v.Inputs[1].Data.Len())
				}
			}
			bits, count = bits+float64(l.WBits)*n, count+n
		}
		if mean := bits / count; !strings.Contains(spec, "bops") && mean > 4.0001 {
			t.Errorf("%s: %.2f bits on average, want 4 at most", spec, mean)
		}
		e := outputError(t, g, func(o *Options) { wbits := 8; p(o); o.WBits = wbits })
		t.Logf("%s: error %.4g, 4 bits everywhere %.4g", spec, e, uniform)
		if strings.Contains(spec, "gptq") || strings.Contains(spec, "hessian") {
			continue
		}
		if !(e < 1.05*uniform) {
			t.Errorf("%s: error %g, 4 bits everywhere %g", spec, e, uniform)
		}
	}
	for _, spec := range []string{"mixed:by=luck", "mixed:budget=money", "mixed:bits=1/8", "mixed:share=2", "mixed:rounding=up"} {
		if _, err := method.New[Preset](method.Quantize, spec); err == nil {
			t.Errorf("%s: no error", spec)
		}
	}
	p, err := method.New[Preset](method.Quantize, "mixed:budget=latency,share=1,bits=4/8")
	if err != nil {
		t.Fatal(err)
	}
	timed := Defaults()
	p(&timed)
	if _, r, err := Static(t.Context(), g, noise(g, 2, 4, 3), timed); err != nil {
		t.Errorf("a budget of latency: %v", err)
	} else if len(r.Layers) == 0 {
		t.Error("a budget of latency: no layers")
	}
	o := Defaults()
	o.Mixed = &Mixed{By: "output", Budget: "size", Share: 0.1, Bits: []int{4, 8}}
	if _, _, err := Static(t.Context(), g, noise(g, 1, 4, 3), o); err == nil || !strings.Contains(err.Error(), "fewest bits") {
		t.Errorf("a budget that nothing fits: %v", err)
	}
}
