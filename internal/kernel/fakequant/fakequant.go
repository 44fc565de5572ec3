// Package fakequant holds the arithmetic of quantization during training: real
// numbers rounded to a grid, or to their sign, and the gradients that training
// uses instead of the true ones, which are zero almost everywhere. Portable Go
// defines the results. AVX2 rounds to the same bits; its gradients of grids and
// of the error decay estimator agree within the tolerances of the tests, as sums
// are taken in another order and exponentials by another polynomial. Sums go over
// blocks of fixed size, so that they do not depend on the number of workers.
package fakequant

import (
	"math"

	"github.com/drawknife/drawknife/internal/cpu"
)

// level selects the implementation; tests set it to run every one.
var level = cpu.Best()

// Grid is the uniform grid Step·clamp(round((x−Offset)/Step), Min, Max) + Offset.
// Min and Max are integers of at most 21 bits. A Step that is not positive
// leaves numbers as they are.
type Grid struct{ Step, Offset, Min, Max float32 }

// magic rounds a float32 of magnitude below 2²² half to even when it is added
// and subtracted.
const magic = 12582912

func round(v float32) float32 { return float32(v+magic) - magic }

// Quantize writes x rounded to the grid to y.
func (g Grid) Quantize(y, x []float32) {
	if !(g.Step > 0) {
		copy(y, x)
		return
	}
	if g.quantizeSIMD(y, x) {
		return
	}
	for i, v := range x {
		q := (v - g.Offset) / g.Step
		q = round(min(max(q, g.Min), g.Max))
		y[i] = float32(q*g.Step) + g.Offset
	}
}

// Sums are what the gradients of a grid's own parameters are made of.
type Sums struct {
	// Step is Σ dy·∂y/∂Step of learned step size quantization: round(v) − v
	// inside the range, the bound outside.
	Step float64
	// Above and Below sum dy over what lies at or above and below the range.
	Above, Below float64
}

// Add adds the sums of another block.
func (s *Sums) Add(t Sums) {
	s.Step += t.Step
	s.Above += t.Above
	s.Below += t.Below
}

// Grad writes the straight-through gradient, dy where x lies inside the range
// and 0 outside, to dx and returns the sums.
func (g Grid) Grad(dx, dy, x []float32) (s Sums) {
	if !(g.Step > 0) {
		copy(dx, dy)
		return s
	}
	if s, ok := g.gradSIMD(dx, dy, x); ok {
		return s
	}
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		// No branches: what is outside is hard to predict. The upper bound
		// itself passes the gradient on (it is a point of the grid), and counts
		// as above it, too.
		q, d := (v-g.Offset)/g.Step, dy[i]
		c := min(max(q, g.Min), g.Max)
		var inside, above, below uint32
		if c == q {
			inside = ^inside
		}
		if q >= g.Max {
			above = ^above
		}
		if q < g.Min {
			below = ^below
		}
		dx[i] = masked(d, inside)
		s.Step += float64(d * (round(c) - masked(q, inside)))
		s.Above += float64(masked(d, above))
		s.Below += float64(masked(d, below))
	}
	return s
}

// masked is v where mask is all ones, and 0 where it is none.
func masked(v float32, mask uint32) float32 { return math.Float32frombits(math.Float32bits(v) & mask) }

// Range is the smallest and the largest element of x, which is not empty.
func Range(x []float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// Sign writes +1 where x ≥ threshold[i mod len] and −1 elsewhere. threshold may
// be empty, which is 0.
func Sign(y, x, threshold []float32) {
	y = y[:len(x)]
	if len(threshold) == 0 {
		if signsSIMD(y, x) {
			return
		}
		for i, v := range x {
			y[i] = sign(v)
		}
		return
	}
	for len(x) > 0 {
		n := min(len(x), len(threshold))
		for i, v := range x[:n] {
			y[i] = sign(v - threshold[i])
		}
		x, y = x[n:], y[n:]
	}
}

// sign is 1 with the sign of v, zeros counting as positive.
func sign(v float32) float32 {
	const one, top = 0x3f800000, 1 << 31
	return math.Float32frombits(math.Float32bits(v+0)&top | one)
}

// Estimator is a stand-in for the derivative of the sign.
type Estimator int

// The estimators. Each is a function of x and, for the last two, of a
// parameter t.
const (
	Identity   Estimator = iota // 1
	HardTanh                    // 1 for |x| ≤ 1 (Hubara et al., 2016)
	Polynomial                  // 2 − 2|x| for |x| ≤ 1 (Bi-Real Net)
	EDE                         // max(1/t, 1)·t·(1 − tanh²(t·x)) (IR-Net)
	SwishSign                   // t·(2 − t·x·tanh(t·x/2))/(1 + cosh(t·x)) (BNN+)
)

// Estimators lists the names of the estimators, by value.
var Estimators = []string{"identity", "hardtanh", "polynomial", "ede", "swish"}

// Slope is the derivative that e takes the sign to have at x.
func (e Estimator) Slope(x, t float32) float32 {
	switch e {
	case HardTanh:
		if x < -1 || x > 1 {
			return 0
		}
	case Polynomial:
		return max(0, 2-2*max(x, -x))
	case EDE:
		h := float32(math.Tanh(float64(t * x)))
		return max(1/t, 1) * t * (1 - h*h)
	case SwishSign:
		v := float64(t * x)
		if math.Abs(v) > 40 {
			return 0
		}
		return t * float32((2-v*math.Tanh(v/2))/(1+math.Cosh(v)))
	}
	return 1
}

// SignGrad writes dy times the slope at x − threshold to dx.
func SignGrad(dx, dy, x, threshold []float32, e Estimator, t float32) {
	if len(threshold) == 0 && slopeSIMD(dx, dy, x, e, t) {
		return
	}
	if e == EDE {
		edeGrad(dx, dy, x, threshold, t)
		return
	}
	dx, dy = dx[:len(x)], dy[:len(x)]
	if e == Polynomial && len(threshold) == 0 {
		for i, v := range x {
			dx[i] = dy[i] * max(0, 2-2*max(v, -v))
		}
		return
	}
	for i, v := range x {
		if len(threshold) > 0 {
			v -= threshold[i%len(threshold)]
		}
		dx[i] = dy[i] * e.Slope(v, t)
	}
}

// edeScale is what u/(1+u)² is multiplied by.
func edeScale(t float32) float32 { return max(1/t, 1) * t * 4 }

// edeGrad computes 1 − tanh² as 4u/(1+u)² with u = e^(−2t|x|), in single
// precision.
func edeGrad(dx, dy, x, threshold []float32, t float32) {
	k := edeScale(t)
	for i, v := range x {
		if len(threshold) > 0 {
			v -= threshold[i%len(threshold)]
		}
		u := exp32(-2 * t * max(v, -v))
		dx[i] = dy[i] * k * u / ((1 + u) * (1 + u))
	}
}

// exp32 is e^x for x ≤ 0 with a relative error below 1e-6.
func exp32(x float32) float32 {
	if x < -80 {
		return 0
	}
	v := x * math.Log2E
	n := round(v)
	f := (v - n) * math.Ln2
	p := 1 + f*(1+f*(0.5+f*(1.0/6+f*(1.0/24+f*(1.0/120+f/720)))))
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}
