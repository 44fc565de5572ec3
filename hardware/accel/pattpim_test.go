package accel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/tensor"
)

func TestPattPIMCount(t *testing.T) {
	x := pattPIM{rows: 2, cols: 2, units: 1, weightBits: 3} // magnitudes of 2 bits
	l := hardware.FC("fc", 1, 3, 3)
	for _, c := range []struct {
		name    string
		weights []int
		change  func(*pattPIM)
		want    patternCount
	}{
		{"zeros", make([]int, 9), nil, patternCount{columns: 24, zero: 24}},
		// Rows 0 and 1 of each kernel, low bit then high bit, positive: 3,0 gives
		// 01 01; 1,3 gives 11 10; 0,-2 gives, negative, 00 10. Row 2: 1, 0, 0.
		{"mixed", []int{3, 0, 1, 1, 3, 0, 0, -2, 0}, nil, patternCount{columns: 24, zero: 24 - 5 - 1, distinct: 3 + 1, units: 2 + 1}},
		{"low bits within one row", []int{3, 0, 1, 1, 3, 0, 0, -2, 0}, func(x *pattPIM) { x.lowBits, x.distance = 1, 1 },
			// The low 01 and 1 become zero; the high 01 is stored, 11 becomes it, 10 is stored.
			patternCount{columns: 24, zero: 24 - 4, distinct: 2, units: 1}},
	} {
		x := x
		if c.change != nil {
			c.change(&x)
		}
		if got := x.count(l, c.weights); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestPattPIMWeights checks that sparser weights and the approximate transform
// leave fewer patterns, and that nothing exceeds the plain mapping.
func TestPattPIMWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	last := math.Inf(1)
	for _, density := range []float64{1, 0.6, 0.3, 0.1, 0} {
		l := hardware.Conv("c", 1, 2, 32, 16, 8, 3, 1, 1)
		values := make([]float32, l.Words(hardware.Weights))
		for i := range values {
			if r.Float64() < density {
				values[i] = float32(r.NormFloat64())
			}
		}
		l.Weight = tensor.Of(values, 32, 8, 3, 3)
		exact := pattpim
		exact.distance = 0
		near, same := pattpim.patterns(l), exact.patterns(l)
		if near.distinct > same.distinct || same.units > exact.all(l) || same.distinct > last || near.columns != 2*16*8*14 {
			t.Errorf("density %v: %+v, exactly %+v, all %v units, sparser than %v", density, near, same, exact.all(l), last)
		}
		last = same.distinct
		if c, err := pattpim.cost(l); err != nil || c.Cycles < 1 {
			t.Errorf("density %v: %v cycles, %v", density, c.Cycles, err)
		}
	}
	if last != 0 {
		t.Errorf("zeros have %v patterns", last)
	}
}

func TestPattPIMExpected(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 64, 32, 8, 3, 1, 1)
	last := 0.0
	for _, density := range []float64{0, 0.1, 0.5, 1} {
		l.Density.W = density
		n := pattpim.expected(l)
		if n.distinct < last || n.distinct+n.zero > n.columns*(1+1e-9) || n.units > pattpim.all(l) {
			t.Errorf("density %v: %+v after %v", density, n, last)
		}
		last = n.distinct
	}
}
