package main

// The vector twins of ../../vec/math.go: the same constants, the same order of
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
func (f *formula) horner(p []float64, x value) value {
	y := f.k(p[len(p)-1])
	for i := len(p) - 2; i >= 0; i-- {
		y = f.fma(y, x, f.k(p[i]))
	}
	return y
}

// reduceExp returns n = round(x/ln 2) as int32 lanes, and exp(x-n*ln 2)-1.
func (f *formula) reduceExp(x value) (n, q value) {
	m := f.op("frintn", f.mul(x, f.k(log2e)))
	r := f.fnma(m, f.k(ln2hi), x)
	r = f.fnma(m, f.k(ln2lo), r)
	q = f.mul(f.horner(expP, r), r)
	return f.op("fcvtns", m), f.fma(q, r, r)
}

// pow2 is 2^n of int32 lanes n.
func (f *formula) pow2(n value) value { return f.shift("shl", f.op("add.4s", n, f.bits(127)), 23) }

// exp is exp(x); with neg, x is known not to be positive.
func (f *formula) exp(x value, neg bool) value {
	if !neg {
		x = f.min(x, f.k(89))
	}
	n, q := f.reduceExp(f.max(x, f.k(-104)))
	h := f.shift("sshr", n, 1)
	rest := f.op("sub.4s", n, h)
	return f.mul(f.mul(f.sum(q, f.k(1)), f.pow2(h)), f.pow2(rest))
}

// expm1neg is exp(x)-1 for x <= 0.
func (f *formula) expm1neg(x value) value {
	n, q := f.reduceExp(f.max(x, f.k(-30)))
	s := f.pow2(n)
	return f.fma(s, q, f.sum(s, f.k(-1)))
}

// logCore is log(1+m) + e*ln 2.
func (f *formula) logCore(m, e value) value {
	z := f.mul(m, m)
	y := f.mul(f.mul(m, z), f.horner(logP, m))
	y = f.fma(e, f.k(ln2lo), y)
	y = f.fnma(z, f.k(0.5), y)
	return f.fma(e, f.k(ln2hi), f.sum(m, y))
}

func (f *formula) log(x value) value {
	small := f.gt(f.k(0x1p-126), x)
	m := f.pick(small, f.mul(x, f.k(0x1p23)), x)
	e := f.and(small, f.k(-23))
	n := f.shift("sshr", f.op("sub.4s", m, f.k(sqrt2h)), 23)
	m = f.op("sub.4s", m, f.shift("shl", n, 23))
	y := f.logCore(f.sub(m, f.k(1)), f.sum(e, f.op("scvtf", n)))
	const inf, minusInf = 0x7f800000, 0xff800000
	y = f.pick(f.eq(x, f.bits(inf)), x, y)
	y = f.pick(f.eq(x, f.zero()), f.bits(minusInf), y)
	return f.or(f.not(f.ge(x, f.zero())), y)
}

// log1p01 is log(1+z) for z in [0, 1].
func (f *formula) log1p01(z value) value {
	low := f.gt(f.k(sqrt2m1), z)
	m := f.pick(low, z, f.fma(z, f.k(0.5), f.k(-0.5)))
	return f.logCore(m, f.andNot(low, f.k(1)))
}

// withSign is x >= 0 with the sign of s.
func (f *formula) withSign(x, s value) value { return f.or(f.and(s, f.bits(signBit)), x) }

// negative is the mask of the lanes whose sign bit is set.
func (f *formula) negative(x value) value { return f.shift("sshr", x, 31) }

func (f *formula) sigmoid(x value) value {
	z := f.exp(f.or(x, f.bits(signBit)), true)
	num := f.pick(f.negative(x), z, f.k(1))
	return f.div(num, f.sum(z, f.k(1)))
}

func (f *formula) silu(x value) value {
	x = f.max(x, f.k(-87))
	n, q := f.reduceExp(f.max(f.sub(f.k(0), x), f.k(-87)))
	s := f.pow2(n)
	return f.div(x, f.sum(f.fma(s, q, s), f.k(1)))
}

func (f *formula) tanh(x value) value {
	t := f.abs(x)
	z := f.mul(t, t)
	small := f.fma(f.horner(tanhP, z), f.mul(t, z), t)
	e := f.sum(f.exp(f.sum(t, t), false), f.k(1))
	big := f.sub(f.k(1), f.div(f.k(2), e))
	return f.withSign(f.pick(f.gt(f.k(0.625), t), small, big), x)
}

// erfcBig is erfc(t) for t >= 1.
func (f *formula) erfcBig(t value) value {
	return f.andNot(f.ge(t, f.k(5)), f.exp(f.horner(erfcP, t), true))
}

func (f *formula) erf(x value) value {
	t := f.abs(x)
	small := f.mul(f.horner(erfP, f.mul(t, t)), x)
	big := f.withSign(f.sub(f.k(1), f.erfcBig(t)), x)
	return f.pick(f.gt(f.k(1), t), small, big)
}

// phi2 is 1 + erf(x/sqrt 2).
func (f *formula) phi2(x value) value {
	z := f.mul(x, f.k(sqrt2h))
	t := f.abs(z)
	small := f.fma(f.horner(erfP, f.mul(t, t)), z, f.k(1))
	e := f.erfcBig(t)
	big := f.pick(f.negative(z), e, f.sub(f.k(2), e))
	return f.pick(f.gt(f.k(1), t), small, big)
}

func (f *formula) softplus(x value) value {
	l := f.log1p01(f.exp(f.or(x, f.bits(signBit)), true))
	return f.sum(f.max(x, f.zero()), l)
}

// mishGate is tanh(softplus(x)).
func (f *formula) mishGate(x value) value {
	e := f.exp(f.min(x, f.k(20)), false)
	n := f.mul(f.sum(e, f.k(2)), e)
	return f.div(n, f.sum(n, f.k(2)))
}

// geluArg is twice the argument of the tanh of GELU.
func (f *formula) geluArg(x value) value {
	z := f.fma(f.mul(x, x), f.k(geluC), f.k(1))
	return f.mul(f.mul(x, f.k(2*geluK)), z)
}

// gate is one in the lanes of mask, zero elsewhere.
func (f *formula) gate(mask value) value { return f.and(mask, f.k(1)) }

func (f *formula) clip(x, lo, hi value) value { return f.min(f.max(x, lo), hi) }
