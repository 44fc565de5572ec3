package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sweep holds special values and a fine sweep of the usual range, with the
// neighbourhood of the points where approximations change.
func sweep() []float32 {
	inf := float32(math.Inf(1))
	x := []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), 1, -1, 1e-45, -1e-45,
		1e-40, -1e-40, 1.1754944e-38, math.MaxFloat32, -math.MaxFloat32, 1e-20, -1e-20, 1e20, -1e20,
		88.72283, 88.72284, -87.33, -103.9, -103.97, -104, -104.1, 2.5, 3.5, -2.5, 0.5, -0.5, 8388609, -8388609}
	for _, c := range []float32{0.625, 1, 1.4142135, 5, 7.0710678, 3, 6, 20, 0.70710678, 0.41421357, 30} {
		lo, hi := c, c
		for range 4 {
			lo, hi = math.Nextafter32(lo, 0), math.Nextafter32(hi, 100)
			x = append(x, lo, hi, -lo, -hi, c, -c)
		}
	}
	for v := float32(-110); v < 110; v += 0.0137 {
		x = append(x, v)
	}
	for v := float32(1e-30); v < 1e30; v *= 1.37 {
		x = append(x, v, -v)
	}
	return x
}

type exactFunc struct {
	f           Func
	alpha, beta float32
	want        func(x, a, b float64) float64
	ulp         float64 // greatest error in units in the last place ...
	abs         float64 // ... or greatest absolute error
}

func one(f func(float64) float64) func(x, a, b float64) float64 {
	return func(x, _, _ float64) float64 { return f(x) }
}

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus64(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func clip64(x, lo, hi float64) float64 {
	if x != x {
		return x
	}
	return math.Min(math.Max(x, lo), hi)
}

func elu64(x, a float64) float64 {
	if x > 0 {
		return x
	}
	return a * math.Expm1(x)
}

var exactFuncs = []exactFunc{
	{Identity, 0, 0, one(func(x float64) float64 { return x }), 0, 0},
	{Relu, 0, 0, func(x, a, b float64) float64 { return clip64(x, 0, math.Inf(1)) }, 0, 0},
	{LeakyRelu, 0.1, 0, func(x, a, b float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	}, 0.5, 0},
	{Clip, -1, 6, clip64, 0, 0},
	{Elu, 1.5, 0, func(x, a, b float64) float64 { return elu64(x, a) }, 4, 1e-44},
	{Selu, 1.6732632, 1.050701, func(x, a, b float64) float64 { return b * elu64(x, a) }, 5, 1e-44},
	{Celu, 2, 0, func(x, a, b float64) float64 {
		if x > 0 {
			return x
		}
		return a * math.Expm1(x/a)
	}, 4, 1e-44},
	{ThresholdedRelu, 1.5, 0, func(x, a, b float64) float64 {
		if x <= a {
			return 0
		}
		return x
	}, 0, 0},
	{Sigmoid, 0, 0, one(sigmoid64), 3, 1e-44},
	{HardSigmoid, 0.2, 0.5, func(x, a, b float64) float64 { return clip64(a*x+b, 0, 1) }, 1, 1e-7},
	{HardSwish, 0, 0, one(func(x float64) float64 { return x * clip64(x/6+0.5, 0, 1) }), 2, 2e-7},
	{Silu, 0, 0, one(func(x float64) float64 { return max(x, -1e3) * sigmoid64(x) }), 4, 2e-36},
	{Swish, 1.7, 0, func(x, a, b float64) float64 { return x * sigmoid64(a*x) }, 16, 1e-9},
	{Tanh, 0, 0, one(math.Tanh), 3, 0},
	{Softplus, 0, 0, one(softplus64), 4, 1e-44},
	{Softsign, 0, 0, one(func(x float64) float64 { return x / (1 + math.Abs(x)) }), 2, 0},
	{Mish, 0, 0, one(func(x float64) float64 { return x * math.Tanh(softplus64(x)) }), 6, 1e-43},
	{GeluErf, 0, 0, one(func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }), 6, 2e-7},
	{GeluTanh, 0, 0, one(func(x float64) float64 {
		return x * sigmoid64(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
	}), 5, 1e-7},
	{Shrink, 1, 0.5, func(x, a, b float64) float64 {
		switch {
		case x < -a:
			return x + b
		case x > a:
			return x - b
		case x != x:
			return x
		}
		return 0
	}, 0.5, 0},
	{Erf, 0, 0, one(math.Erf), 3, 0},
	{Exp, 0, 0, one(math.Exp), 2, 0},
	{Log, 0, 0, one(math.Log), 2, 0},
	{Sqrt, 0, 0, one(math.Sqrt), 0.5, 0},
	{Neg, 0, 0, one(func(x float64) float64 { return -x }), 0, 0},
	{Abs, 0, 0, one(math.Abs), 0, 0},
	{Reciprocal, 0, 0, one(func(x float64) float64 { return 1 / x }), 0.5, 0},
	{Floor, 0, 0, one(math.Floor), 0, 0},
	{Ceil, 0, 0, one(math.Ceil), 0, 0},
	{Round, 0, 0, one(math.RoundToEven), 0, 0},
	{Sign, 0, 0, one(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	}), 0, 0},
	{Square, 0, 0, one(func(x float64) float64 { return x * x }), 0.5, 0},
	{Sin, 0, 0, one(math.Sin), 0.5, 0},
	{Cos, 0, 0, one(math.Cos), 0.5, 0},
	{Tan, 0, 0, one(math.Tan), 0.5, 0},
	{Asin, 0, 0, one(math.Asin), 0.5, 0},
	{Acos, 0, 0, one(math.Acos), 0.5, 0},
	{Atan, 0, 0, one(math.Atan), 0.5, 0},
	{Sinh, 0, 0, one(math.Sinh), 0.5, 0},
	{Cosh, 0, 0, one(math.Cosh), 0.5, 0},
	{Asinh, 0, 0, one(math.Asinh), 0.5, 0},
	{Acosh, 0, 0, one(math.Acosh), 0.5, 0},
	{Atanh, 0, 0, one(math.Atanh), 0.5, 0},
}

func TestUnaryIsExact(t *testing.T) {
	if len(exactFuncs) != int(numFuncs) {
		t.Fatalf("%d functions tested of %d", len(exactFuncs), numFuncs)
	}
	x := sweep()
	y := make([]float32, len(x))
	eachLevel(t, func(t *testing.T) {
		for _, c := range exactFuncs {
			Unary(c.f, c.alpha, c.beta, y, x)
			worst, at := 0.0, 0
			for i := range x {
				want := c.want(float64(x[i]), float64(c.alpha), float64(c.beta))
				if math.Abs(float64(y[i])-want) <= c.abs {
					continue
				}
				if e := errorUlps(y[i], want); e > worst {
					worst, at = e, i
				}
			}
			if worst > c.ulp+1e-6 {
				t.Errorf("%v(%g) = %g, want %g: %.2f ulp", c.f, x[at], y[at],
					c.want(float64(x[at]), float64(c.alpha), float64(c.beta)), worst)
			}
			t.Logf("%v: %.2f ulp at %g", c.f, worst, x[at])
		}
	})
}

// errorUlps is the error of got in units in the last place of want.
func errorUlps(got float32, want float64) float64 {
	w := float32(want)
	if got == w || got != got && w != w {
		if d := math.Abs(float64(got) - want); d < math.Inf(1) {
			return d / unit(w)
		}
		return 0
	}
	if math.IsInf(float64(got), 0) || math.IsInf(float64(w), 0) || got != got || w != w {
		return math.Inf(1)
	}
	return math.Abs(float64(got)-want) / unit(w)
}

// unit is the distance from |w| to the next float32.
func unit(w float32) float64 {
	w = abs32(w)
	if w == math.MaxFloat32 {
		return float64(w) - float64(math.Nextafter32(w, 0))
	}
	return float64(math.Nextafter32(w, float32(math.Inf(1)))) - float64(w)
}

func TestUnaryAgreesWithPortable(t *testing.T) {
	x := sweep()
	want, got := make([]float32, len(x)), make([]float32, len(x))
	eachLevel(t, func(t *testing.T) {
		for _, c := range exactFuncs {
			most := 2.0
			if c.f == Silu || c.f == Swish { // a product more
				most = 4
			}
			portably(func() { Unary(c.f, c.alpha, c.beta, want, x) })
			Unary(c.f, c.alpha, c.beta, got, x)
			for i := range x {
				if ulps(got[i], want[i]) > most {
					t.Errorf("%v(%g) = %g, portable %g", c.f, x[i], got[i], want[i])
					break
				}
			}
		}
	})
}

func TestUnarySizes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for _, n := range sizes {
			x := random(r, n)
			for _, c := range exactFuncs {
				want := make([]float32, n)
				for i := range x { // one by one: slicing must not matter
					Unary(c.f, c.alpha, c.beta, want[i:i+1], x[i:i+1])
				}
				d := newCanary(n)
				Unary(c.f, c.alpha, c.beta, d.x, x)
				d.check(t)
				near(t, fmt.Sprint(c.f), d.x, want, 0)
				copy(d.x, x)
				Unary(c.f, c.alpha, c.beta, d.x, d.x)
				near(t, fmt.Sprint(c.f, " in place"), d.x, want, 0)
			}
		}
	})
}

func TestUnaryGrad(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, c := range exactFuncs {
			for x := -7.93; x < 8; x += 0.0717 {
				if s := c.f; (s == Floor || s == Ceil || s == Round) && math.Abs(x*2-math.Round(x*2)) < 1e-3 {
					continue
				}
				const h = 1e-4
				want := (c.want(x+h, float64(c.alpha), float64(c.beta)) - c.want(x-h, float64(c.alpha), float64(c.beta))) / (2 * h)
				if want != want || math.Abs(want) > 100 {
					continue
				}
				var dx, y [1]float32
				Unary(c.f, c.alpha, c.beta, y[:], []float32{float32(x)})
				UnaryGrad(c.f, c.alpha, c.beta, dx[:], []float32{2}, []float32{float32(x)}, y[:])
				if math.Abs(float64(dx[0])-2*want) > 2e-4*math.Max(1, math.Abs(want)) {
					t.Errorf("%v'(%g) = %g, want %g", c.f, x, dx[0]/2, want)
					break
				}
			}
		}
	})
}

func TestUnaryGradAgreesWithPortable(t *testing.T) {
	x := sweep()
	dy := random(rand.New(rand.NewPCG(3, 4)), len(x))
	y, want := make([]float32, len(x)), make([]float32, len(x))
	eachLevel(t, func(t *testing.T) {
		for _, c := range exactFuncs {
			Unary(c.f, c.alpha, c.beta, y, x)
			portably(func() { UnaryGrad(c.f, c.alpha, c.beta, want, dy, x, y) })
			d := newCanary(len(x))
			UnaryGrad(c.f, c.alpha, c.beta, d.x, dy, x, y)
			d.check(t)
			for i := range x {
				if ulps(d.x[i], want[i]) > 4 && math.Abs(float64(d.x[i]-want[i])) > 1e-6 {
					t.Errorf("%v'(%g) = %g, portable %g", c.f, x[i], d.x[i], want[i])
					break
				}
			}
		}
	})
}

func TestUnaryGradAtCorners(t *testing.T) {
	for _, c := range []struct {
		f           Func
		alpha, beta float32
		x, want     float32
	}{
		{Relu, 0, 0, 0, 0},
		{LeakyRelu, 0.1, 0, 0, 0.1},
		{Clip, 0, 6, 0, 0},
		{Clip, 0, 6, 6, 0},
		{Clip, 0, 6, 3, 1},
		{HardSigmoid, 0.25, 0.5, 2, 0},
		{HardSwish, 0, 0, -3, 0},
		{HardSwish, 0, 0, 3, 1},
		{Abs, 0, 0, 0, 0},
	} {
		eachLevel(t, func(t *testing.T) {
			var y, dx [1]float32
			Unary(c.f, c.alpha, c.beta, y[:], []float32{c.x})
			UnaryGrad(c.f, c.alpha, c.beta, dx[:], []float32{1}, []float32{c.x}, y[:])
			if dx[0] != c.want {
				t.Errorf("%v'(%g) = %g, want %g", c.f, c.x, dx[0], c.want)
			}
		})
	}
}

func BenchmarkUnary(b *testing.B) {
	x := random(rand.New(rand.NewPCG(1, 1)), 16384)
	y := make([]float32, len(x))
	for _, f := range []Func{Relu, Clip, HardSwish, Sigmoid, Silu, Tanh, GeluErf, Exp, Log, Mish} {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				Unary(f, 0, 6, y, x)
			}
			b.ReportMetric(float64(len(x))*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
		})
	}
}
