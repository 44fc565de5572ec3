package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The vector twins of ../vec/math.go: the same constants, the same order of
// operations. See there for ranges and errors.

const (
	log2e   = 1.44269504088896
	ln2hi   = 0.693147182464599609375
	ln2lo   = -1.90465429995776e-09
	sqrt2h  = 0.707106781186547
	sqrt2m1 = 0.414213562373095
	geluK   = 0.797884560802865
	geluC   = 0.044715
	signBit = 0x80000000
)

var (
	expP  = []float64{0.5, 0.166665182, 0.041666206, 0.00836895406, 0.00139505998}
	tanhP = []float64{-0.333332837, 0.133314908, -0.0537434965, 0.0206505787, -0.00571703678}
	logP  = []float64{0.333333135, -0.250000089, 0.200021237, -0.166680053, 0.14219451, -0.124053426, 0.118887089, -0.116775051, 0.0674769208}
	erfP  = []float64{1.12837911, -0.37612626, 0.112836003, -0.0268544443, 0.00518953521, -0.000802084105, 7.8891193e-05}
	erfcP = []float64{0.000183444063, -1.12955678, -0.633262634, -0.10837248, 0.025178967, -0.00419361098, 0.000439106312, -2.14961074e-05}
)

// horner evaluates a polynomial, lowest coefficient first.
func horner(p []float64, x VecVirtual) VecVirtual {
	y := ld(k(p[len(p)-1]))
	for i := len(p) - 2; i >= 0; i-- {
		fma213(y, x, k(p[i]))
	}
	return y
}

// reduceExp returns n = round(x/ln 2) as int32 lanes, and exp(x-n*ln 2)-1.
func reduceExp(x VecVirtual) (n, q VecVirtual) {
	n = mul(x, k(log2e))
	VROUNDPS(Imm(8), n, n)
	r := fnma(n, k(ln2hi), x)
	fnma231(r, n, k(ln2lo))
	q = mul(horner(expP, r), r)
	fma213(q, r, r)
	VCVTPS2DQ(n, n)
	return n, q
}

// pow2 turns int32 lanes n into 2^n, in place.
func pow2(n VecVirtual) {
	VPADDD(kbits(127), n, n)
	VPSLLD(Imm(23), n, n)
}

// exp is exp(x); with neg, x is known not to be positive.
func exp(x VecVirtual, neg bool) VecVirtual {
	if !neg {
		x = minK(x, k(89))
	}
	n, q := reduceExp(maxK(x, k(-104)))
	h := YMM()
	VPSRAD(Imm(1), n, h)
	VPSUBD(h, n, n)
	pow2(h)
	pow2(n)
	return mul(mul(add(q, k(1)), h), n)
}

// expm1neg is exp(x)-1 for x <= 0.
func expm1neg(x VecVirtual) VecVirtual {
	s, q := reduceExp(maxK(x, k(-30)))
	pow2(s)
	return fma(s, q, add(s, k(-1)))
}

// logCore is log(1+f) + e*ln 2.
func logCore(f, e VecVirtual) VecVirtual {
	z := mul(f, f)
	y := mul(mul(f, z), horner(logP, f))
	fma231(y, e, k(ln2lo))
	fnma231(y, z, k(0.5))
	r := add(f, y)
	fma231(r, e, k(ln2hi))
	return r
}

func log(x VecVirtual) VecVirtual {
	small := cmp(cmpLT, x, k(0x1p-126))
	m := blend(small, mul(x, k(0x1p23)), x)
	e := and(small, k(-23))
	n := YMM()
	VPSUBD(k(sqrt2h), m, n)
	VPSRAD(Imm(23), n, n)
	s := YMM()
	VPSLLD(Imm(23), n, s)
	VPSUBD(s, m, m)
	VCVTDQ2PS(n, n)
	y := logCore(sub(m, k(1)), add(e, n))
	const inf, minusInf = 0x7f800000, 0xff800000
	y = blend(cmp(cmpEQ, x, kbits(inf)), x, y)
	y = blend(cmp(cmpEQ, x, kbits(0)), kbits(minusInf), y)
	return or(cmp(cmpNGE, x, kbits(0)), y)
}

// log1p01 is log(1+z) for z in [0, 1].
func log1p01(z VecVirtual) VecVirtual {
	low := cmp(cmpLT, z, k(sqrt2m1))
	f := blend(low, z, fma(z, k(0.5), k(-0.5)))
	return logCore(f, andNot(low, k(1)))
}

func abs(x VecVirtual) VecVirtual { return and(x, kbits(0x7fffffff)) }

// withSign is x >= 0 with the sign of s.
func withSign(x, s VecVirtual) VecVirtual { return or(and(s, kbits(signBit)), x) }

func sigmoid(x VecVirtual) VecVirtual {
	z := exp(or(x, kbits(signBit)), true)
	num := blend(x, z, ld(k(1)))
	return div(num, add(z, k(1)))
}

// silu is x/(1+exp(-x)); see its twin.
func silu(x VecVirtual) VecVirtual {
	x = maxK(x, k(-87))
	n, q := reduceExp(maxK(xor(x, kbits(signBit)), k(-87)))
	pow2(n)
	return div(x, add(fma(n, q, n), k(1)))
}

func tanh(x VecVirtual) VecVirtual {
	t := abs(x)
	z := mul(t, t)
	small := horner(tanhP, z)
	fma213(small, mul(t, z), t)
	e := add(exp(add(t, t), false), k(1))
	big := sub(ld(k(1)), div(ld(k(2)), e))
	return withSign(blend(cmp(cmpLT, t, k(0.625)), small, big), x)
}

// erfcBig is erfc(t) for t >= 1.
func erfcBig(t VecVirtual) VecVirtual {
	return andNot(cmp(cmpGE, t, k(5)), exp(horner(erfcP, t), true))
}

func erf(x VecVirtual) VecVirtual {
	t := abs(x)
	small := mul(horner(erfP, mul(t, t)), x)
	big := withSign(sub(ld(k(1)), erfcBig(t)), x)
	return blend(cmp(cmpLT, t, k(1)), small, big)
}

// phi2 is 1 + erf(x/sqrt 2).
func phi2(x VecVirtual) VecVirtual {
	z := mul(x, k(sqrt2h))
	t := abs(z)
	small := horner(erfP, mul(t, t))
	fma213(small, z, k(1))
	e := erfcBig(t)
	big := blend(z, e, sub(ld(k(2)), e))
	return blend(cmp(cmpLT, t, k(1)), small, big)
}

func softplus(x VecVirtual) VecVirtual {
	l := log1p01(exp(or(x, kbits(signBit)), true))
	return add(maxK(x, kbits(0)), l)
}

// mishGate is tanh(softplus(x)).
func mishGate(x VecVirtual) VecVirtual {
	e := exp(minK(x, k(20)), false)
	n := mul(add(e, k(2)), e)
	return div(n, add(n, k(2)))
}

// geluArg is twice the argument of the tanh of GELU.
func geluArg(x VecVirtual) VecVirtual {
	z := mul(x, x)
	fma213(z, ld(k(geluC)), k(1))
	return mul(mul(x, k(2*geluK)), z)
}

// gate is one in the lanes of mask, zero elsewhere.
func gate(mask VecVirtual) VecVirtual { return and(mask, k(1)) }

func clip(x VecVirtual, lo, hi Op) VecVirtual { return minK(maxK(x, lo), hi) }
