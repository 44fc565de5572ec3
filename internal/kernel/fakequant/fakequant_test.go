package fakequant

import (
	"math"
	"testing"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// TestLearnedStep is the example of the catalogue: step 0.2, integers −4 to 3.
func TestLearnedStep(t *testing.T) {
	g := Grid{Step: 0.2, Min: -4, Max: 3}
	for _, c := range []struct{ x, y, step, dx float64 }{
		{-2, -.8, -4, 0}, {.04, 0, -.2, 1}, {.26, .2, -.3, 1}, {.34, .4, .3, 1}, {2, .6, 3, 0},
	} {
		x, y, dx := []float32{float32(c.x)}, make([]float32, 1), make([]float32, 1)
		g.Quantize(y, x)
		s := g.Grad(dx, []float32{1}, x)
		if !near(float64(y[0]), c.y, 1e-6) || !near(s.Step, c.step, 1e-5) || float64(dx[0]) != c.dx {
			t.Errorf("%g: y %g, step %g, dx %g; want %g, %g, %g", c.x, y[0], s.Step, dx[0], c.y, c.step, c.dx)
		}
	}
}

// TestClipping is PACT's example: α = 6 and 4 bits.
func TestClipping(t *testing.T) {
	g := Grid{Step: 6.0 / 15, Min: 0, Max: 15}
	x := []float32{-1, .1, .3, 1, 5.9, 7}
	y, dx := make([]float32, len(x)), make([]float32, len(x))
	g.Quantize(y, x)
	s := g.Grad(dx, []float32{1, 1, 1, 1, 1, 1}, x)
	for i, want := range []float32{0, 0, .4, .8, 6, 6} {
		if !near(float64(y[i]), float64(want), 1e-6) {
			t.Errorf("%g became %g, want %g", x[i], y[i], want)
		}
	}
	if s.Above != 1 || s.Below != 1 || dx[0] != 0 || dx[1] != 1 || dx[5] != 0 {
		t.Errorf("sums %+v, dx %v", s, dx)
	}
}

// TestStepGradient compares the gradient of the step with finite differences
// of the straight-through surrogate: rounding counts as a constant offset.
func TestStepGradient(t *testing.T) {
	x := []float32{-0.93, -0.31, 0.07, 0.55, 1.7}
	f := func(step float64, anchor float32) (sum float64) {
		for _, v := range x {
			q := float64(v) / step
			q0 := float64(v / anchor)
			switch {
			case q0 < -4:
				q = -4
			case q0 > 3:
				q = 3
			default:
				q += math.RoundToEven(q0) - q0
			}
			sum += q * step
		}
		return sum
	}
	const step = 0.25
	g := Grid{Step: step, Min: -4, Max: 3}
	dx := make([]float32, len(x))
	s := g.Grad(dx, []float32{1, 1, 1, 1, 1}, x)
	if numeric := (f(step+1e-5, step) - f(step-1e-5, step)) / 2e-5; !near(numeric, s.Step, 1e-3) {
		t.Errorf("gradient %g, numerically %g", s.Step, numeric)
	}
}

func TestOffsetAndOff(t *testing.T) {
	g := Grid{Step: 0.5, Offset: -1, Min: 0, Max: 7}
	y := make([]float32, 3)
	g.Quantize(y, []float32{-3, 0.2, 9})
	if y[0] != -1 || y[1] != 0 || y[2] != 2.5 {
		t.Errorf("with an offset: %v", y)
	}
	Grid{Min: 0, Max: 7}.Quantize(y, []float32{-3, 0.2, 9})
	if y[0] != -3 || y[1] != 0.2 || y[2] != 9 {
		t.Errorf("without a step: %v", y)
	}
}

// TestSlopes holds the estimators to their published values.
func TestSlopes(t *testing.T) {
	for _, c := range []struct {
		e       Estimator
		x, t, y float64
	}{
		{Identity, 7, 0, 1}, {HardTanh, 1, 0, 1}, {HardTanh, 1.01, 0, 0}, {Polynomial, -0.25, 0, 1.5}, {Polynomial, 0.75, 0, 0.5}, {Polynomial, 2, 0, 0},
		{EDE, 0, .1, 1}, {EDE, 1, .1, .990066}, {EDE, 1, 1, .419974}, {EDE, 0, 3.162278, 3.162278}, {EDE, 1, 3.162278, .022583}, {EDE, 0, 10, 10}, {EDE, .5, 10, .001816},
		{SwishSign, 0, 5, 5}, {SwishSign, 100, 5, 0},
	} {
		if got := c.e.Slope(float32(c.x), float32(c.t)); !near(float64(got), c.y, 1e-5) {
			t.Errorf("%s at %g (t=%g): %g, want %g", Estimators[c.e], c.x, c.t, got, c.y)
		}
		var dx [1]float32
		SignGrad(dx[:], []float32{2}, []float32{float32(c.x + 3)}, []float32{3}, c.e, float32(c.t))
		if !near(float64(dx[0]), 2*c.y, 1e-4) {
			t.Errorf("%s at %g: gradient %g, want %g", Estimators[c.e], c.x, dx[0], 2*c.y)
		}
	}
	sum := 0.0
	for i := range 4000 {
		sum += float64(Polynomial.Slope(float32(i)/2000-1, 0)) / 2000
	}
	if !near(sum, 2, 1e-3) {
		t.Errorf("the polynomial slope integrates to %g, want 2", sum)
	}
}

func TestSign(t *testing.T) {
	y := make([]float32, 4)
	Sign(y, []float32{0, -0.1, 2, 5}, []float32{0, 6})
	if y[0] != 1 || y[1] != -1 || y[2] != 1 || y[3] != -1 {
		t.Errorf("signs %v", y)
	}
	Sign(y, []float32{0, -0.1, float32(math.Copysign(0, -1)), 5}, nil)
	if y[0] != 1 || y[1] != -1 || y[2] != 1 || y[3] != 1 {
		t.Errorf("signs %v; zero counts as positive", y)
	}
}

func BenchmarkQuantize(b *testing.B) {
	x, y := make([]float32, 1<<14), make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(i%97) / 50
	}
	g := Grid{Step: 0.1, Min: 0, Max: 15}
	b.SetBytes(4 * int64(len(x)))
	for b.Loop() {
		g.Quantize(y, x)
	}
}
