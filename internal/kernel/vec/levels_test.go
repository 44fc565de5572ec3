package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
)

// levels are the implementations this package has.
var levels = []cpu.Level{cpu.Portable, cpu.AVX2, cpu.AVX512, cpu.NEON}

// eachLevel runs f once with each implementation the CPU can run.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := level
	defer func() { level = old }()
	for _, l := range levels {
		if cpu.Has(l) {
			level = l
			t.Run(l.String(), f)
		}
	}
}

// portably runs f with the portable implementation.
func portably(f func()) {
	old := level
	level = cpu.Portable
	f()
	level = old
}

// sizes are lengths around the widths of vectors and unrolled loops.
var sizes = []int{0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 255, 1000, 2049}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 2)
	}
	return x
}

// canary is a slice of n elements inside a larger one whose other elements
// must not change.
type canary struct{ all, x []float32 }

func newCanary(n int) canary {
	all := make([]float32, n+32)
	for i := range all {
		all[i] = 12345
	}
	return canary{all, all[16 : 16+n : 16+n]}
}

func (c canary) check(t *testing.T) {
	t.Helper()
	for i, v := range c.all {
		if (i < 16 || i >= 16+len(c.x)) && v != 12345 {
			t.Fatalf("element %d outside the %d of the destination was written", i-16, len(c.x))
		}
	}
}

// ulps is the distance of a and b in units in the last place; 0 for two NaN.
func ulps(a, b float32) float64 {
	if a != a && b != b || a == b {
		return 0
	}
	if a != a || b != b {
		return math.Inf(1)
	}
	order := func(f float32) int64 {
		i := int64(int32(math.Float32bits(f)))
		if i < 0 {
			i = math.MinInt32 - i
		}
		return i
	}
	return math.Abs(float64(order(a) - order(b)))
}

// near fails unless got and want agree to tol, relative to want or to one.
func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		if g == w || g != g && w != w {
			continue
		}
		if !(math.Abs(g-w) <= tol*math.Max(1, math.Abs(w))) {
			t.Fatalf("%s: element %d of %d is %g, want %g", what, i, len(got), g, w)
		}
	}
}
