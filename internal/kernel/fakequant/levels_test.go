package fakequant

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
)

// TestLevels compares every instruction set with portable Go.
func TestLevels(t *testing.T) {
	best := level
	defer func() { level = best }()
	for _, l := range []cpu.Level{cpu.AVX2, cpu.AVX512, cpu.VNNI} {
		if !cpu.Has(l) {
			t.Logf("no %v here", l)
			continue
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for n := range 200 {
			if n > 100 {
				n *= 97
			}
			g := Grid{Step: rng.Float32()*0.3 + 1e-3, Min: float32(-rng.IntN(9)), Max: float32(rng.IntN(120) + 1)}
			if rng.IntN(2) == 0 {
				g.Offset = rng.Float32() - 0.5
			}
			x, dy := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], dy[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
				switch rng.IntN(20) {
				case 0: // ties and bounds
					x[i] = g.Step * (float32(rng.IntN(40)-20) / 2)
				case 1:
					x[i] = float32(math.Inf(rng.IntN(2)*2 - 1))
				case 2:
					x[i] = float32(math.Copysign(0, -1))
				}
			}
			both := func(what string, tolerance float64, f func(y []float32)) {
				t.Helper()
				want, got := make([]float32, n), make([]float32, n)
				level = cpu.Portable
				f(want)
				level = l
				f(got)
				for i := range want {
					if d := math.Abs(float64(want[i] - got[i])); d > tolerance*(math.Abs(float64(want[i]))+1e-25) {
						t.Fatalf("%v, %s of %d elements: element %d (%g) is %g, want %g", l, what, n, i, x[i], got[i], want[i])
					}
				}
			}
			both("quantize", 0, func(y []float32) { g.Quantize(y, x) })
			both("sign", 0, func(y []float32) { Sign(y, x, nil) })
			var s [2]Sums
			at := 0
			finite := make([]float32, n)
			for i, v := range x {
				finite[i] = min(max(v, -1e3), 1e3)
			}
			both("gradient", 0, func(y []float32) { s[at] = g.Grad(y, dy, finite); at++ })
			most := 0.0
			for i, v := range finite {
				most += math.Abs(float64(dy[i])) * (1 + min(math.Abs(float64(v/g.Step)), float64(g.Max-g.Min)))
			}
			for _, d := range []float64{s[0].Step - s[1].Step, s[0].Above - s[1].Above, s[0].Below - s[1].Below} {
				if math.Abs(d) > 1e-6*most {
					t.Fatalf("%v, %d elements: sums %+v, want %+v", l, n, s[1], s[0])
				}
			}
			temperature := rng.Float32()*10 + 0.1
			for e := range Estimators {
				tolerance := 0.0
				if Estimator(e) == EDE {
					tolerance = 1e-5
				}
				both(Estimators[e], tolerance, func(y []float32) { SignGrad(y, dy, finite, nil, Estimator(e), temperature) })
			}
		}
	}
}

func BenchmarkGrad(b *testing.B) {
	x, y := make([]float32, 1<<14), make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(i%97) / 50
	}
	g := Grid{Step: 0.1, Min: 0, Max: 15}
	best := level
	defer func() { level = best }()
	for _, l := range []cpu.Level{cpu.Portable, best} {
		b.Run(l.String(), func(b *testing.B) {
			level = l
			b.SetBytes(4 * int64(len(x)))
			for b.Loop() {
				g.Grad(y, x, x)
			}
		})
	}
}
