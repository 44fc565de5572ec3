package vec

import "math"

// The functions of this file are the scalar twins of the vector code: the
// same range reductions, polynomials and fused multiply-adds, so that both
// give the same result but for rare double roundings in fma. The polynomials
// are minimax fits (Lawson iteration on Chebyshev nodes) made for this file.

const (
	log2e  = 1.44269504088896
	ln2hi  = 0.693147182464599609375 // ln 2 rounded to float32
	ln2lo  = -1.90465429995776e-09   // ln 2 - ln2hi
	expTop = 89                      // exp overflows
	expBot = -104                    // exp underflows to zero
	em1Bot = -30                     // expm1 is -1
	tanhLo = 0.625                   // tanh is a polynomial below
	erfCut = 1                       // erf is a polynomial below
	erfTop = 5                       // erf is 1 above
	sqrt2h = 0.707106781186547       // sqrt(2)/2
)

var (
	// exp(r) = 1 + r + r*r*P(r) for |r| <= ln(2)/2; relative error 3e-9.
	expP = [...]float32{0.5, 0.166665182, 0.041666206, 0.00836895406, 0.00139505998}
	// tanh(x) = x + x*z*P(z), z = x*x, for |x| <= 0.625; 4e-9.
	tanhP = [...]float32{-0.333332837, 0.133314908, -0.0537434965, 0.0206505787, -0.00571703678}
	// log(1+f) = f - f*f/2 + f*f*f*P(f) for 1+f in [sqrt(2)/2, sqrt(2)]; 1e-9.
	logP = [...]float32{0.333333135, -0.250000089, 0.200021237, -0.166680053, 0.14219451, -0.124053426, 0.118887089, -0.116775051, 0.0674769208}
	// erf(x) = x*P(x*x) for |x| <= 1; 1e-9.
	erfP = [...]float32{1.12837911, -0.37612626, 0.112836003, -0.0268544443, 0.00518953521, -0.000802084105, 7.8891193e-05}
	// erfc(t) = exp(P(t)) for t in [0.95, 5]; 1e-10 of erfc.
	erfcP = [...]float32{0.000183444063, -1.12955678, -0.633262634, -0.10837248, 0.025178967, -0.00419361098, 0.000439106312, -2.14961074e-05}
)

// fma is a*b+c with (but for a rare double rounding) one rounding: the
// product of two float32 is exact in float64.
func fma(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

// poly evaluates the polynomial with coefficients p, lowest first.
func poly(p []float32, x float32) float32 {
	y := p[len(p)-1]
	for i := len(p) - 2; i >= 0; i-- {
		y = fma(y, x, p[i])
	}
	return y
}

// reduceExp returns the integer k and r = x - k*ln(2), with |r| <= ln(2)/2,
// and q = exp(r) - 1.
func reduceExp(x float32) (k int32, q float32) {
	n := float32(math.RoundToEven(float64(float32(x * log2e))))
	r := fma(n, -ln2hi, x)
	r = fma(n, -ln2lo, r)
	return int32(n), fma(float32(poly(expP[:], r)*r), r, r)
}

// pow2 is 2^k for k in [-126, 127].
func pow2(k int32) float32 { return math.Float32frombits(uint32(k+127) << 23) }

// exp32 is exp(x) with an error below 1.5 ulp, gradual underflow included.
func exp32(x float32) float32 {
	if x != x {
		return x
	}
	k, q := reduceExp(max(min(x, expTop), expBot))
	h := k >> 1
	return float32(float32((q+1)*pow2(h)) * pow2(k-h))
}

// expm1neg32 is exp(x)-1 for x <= 0, with an error below 3 ulp.
func expm1neg32(x float32) float32 {
	if x != x {
		return x
	}
	k, q := reduceExp(max(x, em1Bot))
	s := pow2(k)
	return fma(s, q, s-1)
}

// logCore is log(1+f) + e*ln(2) for 1+f in [sqrt(2)/2, sqrt(2)].
func logCore(f, e float32) float32 {
	z := float32(f * f)
	y := float32(float32(f*z) * poly(logP[:], f))
	y = fma(e, ln2lo, y)
	y = fma(-0.5, z, y)
	return fma(e, ln2hi, f+y)
}

// log32 is the natural logarithm with an error below 2 ulp.
func log32(x float32) float32 {
	switch {
	case x != x || x < 0:
		return float32(math.NaN())
	case x == 0:
		return float32(math.Inf(-1))
	case x > math.MaxFloat32:
		return x
	}
	e := float32(0)
	if x < 0x1p-126 {
		x *= 0x1p23
		e = -23
	}
	bits := int32(math.Float32bits(x))
	k := (bits - int32(math.Float32bits(sqrt2h))) >> 23
	m := math.Float32frombits(uint32(bits - k<<23))
	return logCore(m-1, e+float32(k))
}

// log1p01 is log(1+z) for z in [0, 1].
func log1p01(z float32) float32 {
	if z < math.Sqrt2-1 {
		return logCore(z, 0)
	}
	return logCore(fma(0.5, z, -0.5), 1)
}

// sigmoid32 is 1/(1+exp(-x)).
func sigmoid32(x float32) float32 {
	z := exp32(-abs32(x))
	if x < 0 {
		return z / (1 + z)
	}
	return 1 / (1 + z)
}

// silu32 is x/(1+exp(-x)) with an error below 4 ulp down to -87, from where on
// it stays -1.4e-36.
func silu32(x float32) float32 {
	x = max(x, -87)
	n, q := reduceExp(max(-x, -87))
	s := pow2(n)
	return x / (fma(s, q, s) + 1)
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// withSign returns x >= 0 with the sign of s.
func withSign(x, s float32) float32 {
	return math.Float32frombits(math.Float32bits(x) | math.Float32bits(s)&(1<<31))
}

// tanh32 is the hyperbolic tangent.
func tanh32(x float32) float32 {
	t := abs32(x)
	if t < tanhLo {
		z := float32(t * t)
		return withSign(fma(float32(t*z), poly(tanhP[:], z), t), x)
	}
	return withSign(1-2/(exp32(t+t)+1), x)
}

// erfcBig is erfc(t) for t >= erfCut, and zero from erfTop on.
func erfcBig(t float32) float32 {
	if t >= erfTop {
		return 0
	}
	return exp32(poly(erfcP[:], t))
}

// erf32 is the error function.
func erf32(x float32) float32 {
	t := abs32(x)
	if t < erfCut {
		return float32(x * poly(erfP[:], float32(t*t)))
	}
	return withSign(1-erfcBig(t), x)
}

// phi2 is 1 + erf(x/sqrt(2)), twice the normal distribution function.
func phi2(x float32) float32 {
	z := float32(x * sqrt2h)
	t := abs32(z)
	switch {
	case t < erfCut:
		return fma(z, poly(erfP[:], float32(t*t)), 1)
	case z < 0:
		return erfcBig(t)
	}
	return 2 - erfcBig(t)
}

// softplus32 is log(1+exp(x)).
func softplus32(x float32) float32 {
	if x != x {
		return x
	}
	return max(x, 0) + log1p01(exp32(-abs32(x)))
}

// mishGate is tanh(softplus(x)) = n/(n+2) with n = e*(e+2), e = exp(x).
func mishGate(x float32) float32 {
	if x != x {
		return x
	}
	e := exp32(min(x, 20))
	n := float32(e * (e + 2))
	return n / (n + 2)
}

const (
	geluK = 0.797884560802865 // sqrt(2/pi)
	geluC = 0.044715
)

// geluArg is twice the argument of the tanh in the tanh form of GELU.
func geluArg(x float32) float32 {
	z := float32(x * x)
	return float32(float32(2*geluK*x) * fma(geluC, z, 1))
}
