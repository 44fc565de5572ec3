package main

import . "github.com/mmcloughlin/avo/reg"

func init() { families["vec"] = emitVec }

// emitVec writes the kernels of package vec.
func emitVec() {
	emitUnary()
	emitGrads()
	emitBinary()
	emitReductions()
	emitColumns()
	emitTranspose()
	emitInterleave()
	emitPlanes()
	emitUpdates()
	emitWide()
}

// emitUnary writes dst = f(src), with parameters alpha and beta.
func emitUnary() {
	for _, f := range []struct {
		name   string
		unroll int
		f      func(x, a, b VecVirtual) VecVirtual
	}{
		{"relu", 4, func(x, a, b VecVirtual) VecVirtual { return maxK(x, kbits(0)) }},
		{"leakyRelu", 4, func(x, a, b VecVirtual) VecVirtual { return blend(x, mul(x, a), x) }},
		{"clip", 4, func(x, a, b VecVirtual) VecVirtual { return clip(x, a, b) }},
		{"elu", 2, func(x, a, b VecVirtual) VecVirtual { return elu(x, a) }},
		{"selu", 2, func(x, a, b VecVirtual) VecVirtual { return mul(elu(x, a), b) }},
		{"celu", 2, func(x, a, b VecVirtual) VecVirtual {
			return blend(cmp(cmpGT, x, kbits(0)), x, mul(expm1neg(div(x, a)), a))
		}},
		{"thresholdedRelu", 4, func(x, a, b VecVirtual) VecVirtual { return and(x, cmp(cmpNLE, x, a)) }},
		{"sigmoid", 2, func(x, a, b VecVirtual) VecVirtual { return sigmoid(x) }},
		{"hardSigmoid", 4, func(x, a, b VecVirtual) VecVirtual {
			return clip(add(mul(x, a), b), kbits(0), k(1))
		}},
		{"hardSwish", 4, func(x, a, b VecVirtual) VecVirtual {
			return mul(clip(add(mul(x, k(1./6)), k(0.5)), kbits(0), k(1)), x)
		}},
		{"silu", 2, func(x, a, b VecVirtual) VecVirtual { return silu(x) }},
		{"swish", 2, func(x, a, b VecVirtual) VecVirtual { return mul(sigmoid(mul(x, a)), x) }},
		{"tanh", 2, func(x, a, b VecVirtual) VecVirtual { return tanh(x) }},
		{"softplus", 2, func(x, a, b VecVirtual) VecVirtual { return softplus(x) }},
		{"softsign", 2, func(x, a, b VecVirtual) VecVirtual { return div(x, add(abs(x), k(1))) }},
		{"mish", 2, func(x, a, b VecVirtual) VecVirtual { return mul(mishGate(x), x) }},
		{"geluErf", 2, func(x, a, b VecVirtual) VecVirtual { return mul(phi2(x), mul(x, k(0.5))) }},
		{"geluTanh", 2, func(x, a, b VecVirtual) VecVirtual { return mul(sigmoid(geluArg(x)), x) }},
		{"erf", 2, func(x, a, b VecVirtual) VecVirtual { return erf(x) }},
		{"exp", 2, func(x, a, b VecVirtual) VecVirtual { return exp(x, false) }},
		{"log", 2, func(x, a, b VecVirtual) VecVirtual { return log(x) }},
		{"sqrt", 2, func(x, a, b VecVirtual) VecVirtual { return sqrt(x) }},
		{"neg", 4, func(x, a, b VecVirtual) VecVirtual { return xor(x, kbits(signBit)) }},
		{"abs", 4, func(x, a, b VecVirtual) VecVirtual { return abs(x) }},
		{"reciprocal", 2, func(x, a, b VecVirtual) VecVirtual { return div(ld(k(1)), x) }},
		{"floor", 4, func(x, a, b VecVirtual) VecVirtual { return round(x, 9) }},
		{"ceil", 4, func(x, a, b VecVirtual) VecVirtual { return round(x, 10) }},
		{"round", 4, func(x, a, b VecVirtual) VecVirtual { return round(x, 8) }},
		{"sign", 4, func(x, a, b VecVirtual) VecVirtual {
			return blend(cmp(cmpEQU, x, kbits(0)), x, withSign(ld(k(1)), x))
		}},
		{"square", 4, func(x, a, b VecVirtual) VecVirtual { return mul(x, x) }},
	} {
		elementwise{
			name: f.name, doc: "computes dst = " + f.name + "(src).",
			pointers: "dst, src", params: "alpha, beta", unroll: f.unroll,
			body: func(v *vector) { v.out("dst", f.f(v.in("src"), v.param["alpha"], v.param["beta"])) },
		}.emit()
	}
}

func elu(x, a VecVirtual) VecVirtual {
	return blend(cmp(cmpGT, x, kbits(0)), x, mul(expm1neg(x), a))
}

// emitGrads writes dx = dy * f'(x), y = f(x).
func emitGrads() {
	type in = func() VecVirtual
	positive := func(x VecVirtual) VecVirtual { return cmp(cmpGT, x, kbits(0)) }
	for _, f := range []struct {
		name  string
		slope func(x, y in, a, b VecVirtual) VecVirtual
	}{
		{"relu", func(x, y in, a, b VecVirtual) VecVirtual { return gate(positive(x())) }},
		{"leakyRelu", func(x, y in, a, b VecVirtual) VecVirtual { return blend(positive(x()), k(1), a) }},
		{"clip", func(x, y in, a, b VecVirtual) VecVirtual {
			return gate(and(cmp(cmpGT, x(), a), cmp(cmpLT, x(), b)))
		}},
		{"elu", func(x, y in, a, b VecVirtual) VecVirtual { return blend(positive(x()), k(1), add(y(), a)) }},
		{"selu", func(x, y in, a, b VecVirtual) VecVirtual {
			return blend(positive(x()), b, fma(a, b, y()))
		}},
		{"sigmoid", func(x, y in, a, b VecVirtual) VecVirtual { return mul(sub(ld(k(1)), y()), y()) }},
		{"hardSigmoid", func(x, y in, a, b VecVirtual) VecVirtual {
			return and(and(positive(y()), cmp(cmpLT, y(), k(1))), a)
		}},
		{"hardSwish", func(x, y in, a, b VecVirtual) VecVirtual {
			inner := blend(cmp(cmpLT, x(), k(3)), fma(x(), k(1./3), k(0.5)), ld(k(1)))
			return and(cmp(cmpGT, x(), k(-3)), inner)
		}},
		{"silu", func(x, y in, a, b VecVirtual) VecVirtual {
			s := sigmoid(x())
			return fma(sub(ld(k(1)), s), y(), s)
		}},
		{"swish", func(x, y in, a, b VecVirtual) VecVirtual {
			s := sigmoid(mul(x(), a))
			return fma(sub(ld(k(1)), s), mul(y(), a), s)
		}},
		{"tanh", func(x, y in, a, b VecVirtual) VecVirtual { return fnma(y(), y(), k(1)) }},
		{"softplus", func(x, y in, a, b VecVirtual) VecVirtual { return sigmoid(x()) }},
		{"mish", func(x, y in, a, b VecVirtual) VecVirtual {
			t := mishGate(x())
			return fma(mul(sigmoid(x()), x()), fnma(t, t, k(1)), t)
		}},
		{"geluErf", func(x, y in, a, b VecVirtual) VecVirtual {
			e := exp(mul(mul(x(), k(-0.5)), x()), true)
			return fma(mul(x(), k(geluK/2)), e, mul(phi2(x()), k(0.5)))
		}},
		{"geluTanh", func(x, y in, a, b VecVirtual) VecVirtual {
			s := sigmoid(geluArg(x()))
			d := mul(fma(mul(x(), x()), k(3*geluC), k(1)), k(2*geluK))
			return fma(mul(sub(ld(k(1)), s), y()), d, s)
		}},
		{"exp", func(x, y in, a, b VecVirtual) VecVirtual { return y() }},
		{"square", func(x, y in, a, b VecVirtual) VecVirtual { return add(x(), x()) }},
	} {
		elementwise{
			name: f.name + "Grad", doc: "computes dx = dy * " + f.name + "'(x), given y = " + f.name + "(x).",
			pointers: "dx, dy, x, y", params: "alpha, beta", unroll: 2,
			body: func(v *vector) {
				arg := func(p string) in { return func() VecVirtual { return v.in(p) } }
				s := f.slope(arg("x"), arg("y"), v.param["alpha"], v.param["beta"])
				v.out("dx", mul(s, v.in("dy")))
			},
		}.emit()
	}
}

// maxNaN is the greater of a and b, a NaN if either is one; minNaN the lesser.
func maxNaN(a, b VecVirtual) VecVirtual {
	return blend(cmp(cmpUNORD, a, a), a, maxK(b, a))
}

func minNaN(a, b VecVirtual) VecVirtual {
	return blend(cmp(cmpUNORD, a, a), a, minK(b, a))
}

// emitBinary writes dst = a op b for vectors, and with one of them a scalar.
func emitBinary() {
	for _, f := range []struct {
		name    string
		f       func(a, b VecVirtual) VecVirtual
		swapped bool // the operation does not commute
	}{
		{"add", func(a, b VecVirtual) VecVirtual { return add(a, b) }, false},
		{"sub", func(a, b VecVirtual) VecVirtual { return sub(a, b) }, true},
		{"mul", func(a, b VecVirtual) VecVirtual { return mul(a, b) }, false},
		{"div", func(a, b VecVirtual) VecVirtual { return div(a, b) }, true},
		{"min", minNaN, false},
		{"max", maxNaN, false},
		{"prelu", func(a, b VecVirtual) VecVirtual {
			return blend(cmp(cmpLT, a, kbits(0)), mul(a, b), a)
		}, true},
		{"squDiff", func(a, b VecVirtual) VecVirtual { d := sub(a, b); return mul(d, d) }, false},
	} {
		elementwise{
			name: f.name, doc: "computes dst = a " + f.name + " b.", pointers: "dst, a, b", unroll: 4,
			body: func(v *vector) { v.out("dst", f.f(v.in("a"), v.in("b"))) },
		}.emit()
		elementwise{
			name: f.name + "Scalar", doc: "computes dst = a " + f.name + " s.", pointers: "dst, a", params: "s", unroll: 4,
			body: func(v *vector) { v.out("dst", f.f(v.in("a"), v.param["s"])) },
		}.emit()
		if f.swapped {
			elementwise{
				name: "scalar" + title(f.name), doc: "computes dst = s " + f.name + " a.", pointers: "dst, a", params: "s", unroll: 4,
				body: func(v *vector) { v.out("dst", f.f(v.param["s"], v.in("a"))) },
			}.emit()
		}
	}
	elementwise{
		name: "addClamp", doc: "computes dst = min(max(a+b, lo), hi).", pointers: "dst, a, b", params: "lo, hi", unroll: 4,
		body: func(v *vector) {
			v.out("dst", clip(add(v.in("a"), v.in("b")), v.param["lo"], v.param["hi"]))
		},
	}.emit()
	elementwise{
		name: "mulAddClamp", doc: "computes dst = min(max(x*s+b, lo), hi).", pointers: "dst, x, s, b", params: "lo, hi", unroll: 2,
		body: func(v *vector) {
			y := v.in("b")
			fma231(y, v.in("x"), v.in("s"))
			v.out("dst", clip(y, v.param["lo"], v.param["hi"]))
		},
	}.emit()
	elementwise{
		name: "affine2", doc: "computes dst = x*a + (y*b+c).", pointers: "dst, x, y, a, b, c", unroll: 2,
		body: func(v *vector) {
			s := v.in("c")
			fma231(s, v.in("y"), v.in("b"))
			fma231(s, v.in("x"), v.in("a"))
			v.out("dst", s)
		},
	}.emit()
	elementwise{
		name: "rprelu", doc: "computes dst = y+a, or y*s+a where y = x-b is negative.", pointers: "dst, x, b, s, a", unroll: 2,
		body: func(v *vector) {
			y := sub(v.in("x"), v.in("b"))
			v.out("dst", add(blend(cmp(cmpLT, y, kbits(0)), mul(y, v.in("s")), y), v.in("a")))
		},
	}.emit()
	elementwise{
		name: "preluGrad", doc: "computes dx = dy and ds = 0, or dy*s and dy*x where x is not positive.", pointers: "dx, ds, dy, x, s", unroll: 2,
		body: func(v *vector) {
			x, dy := v.in("x"), v.in("dy")
			positive := cmp(cmpGT, x, kbits(0))
			v.out("ds", andNot(positive, mul(dy, x)))
			v.out("dx", blend(positive, dy, mul(dy, v.in("s"))))
		},
	}.emit()
	elementwise{
		name: "axpy", doc: "computes y += alpha*x.", pointers: "x, y", params: "alpha", unroll: 4,
		body: func(v *vector) {
			y := v.in("y")
			fma231(y, v.in("x"), v.param["alpha"])
			v.out("y", y)
		},
	}.emit()
	elementwise{
		name: "lerp", doc: "computes y = y*beta + alpha*x.", pointers: "x, y", params: "beta, alpha", unroll: 4,
		body: func(v *vector) {
			y := mul(v.in("y"), v.param["beta"])
			fma231(y, v.in("x"), v.param["alpha"])
			v.out("y", y)
		},
	}.emit()
}
