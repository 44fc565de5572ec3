package main

import "strings"

func init() { families["vec"] = emitVec }

// emitVec writes the kernels of package vec.
func emitVec(a *asm) {
	emitUnary(a)
	emitGrads(a)
	emitBinary(a)
	emitFused(a)
	emitReductions(a)
	emitColumns(a)
	emitTranspose(a)
	emitUpdates(a)
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// emitUnary writes dst = f(src), with parameters alpha and beta.
func emitUnary(a *asm) {
	for _, u := range []struct {
		name   string
		unroll int
		f      func(f *formula, x, a, b value) value
	}{
		{"relu", 4, func(f *formula, x, a, b value) value { return f.max(x, f.zero()) }},
		{"leakyRelu", 4, func(f *formula, x, a, b value) value { return f.pick(f.negative(x), f.mul(x, a), x) }},
		{"clip", 4, func(f *formula, x, a, b value) value { return f.clip(x, a, b) }},
		{"elu", 2, func(f *formula, x, a, b value) value { return f.elu(x, a) }},
		{"selu", 2, func(f *formula, x, a, b value) value { return f.mul(f.elu(x, a), b) }},
		{"celu", 2, func(f *formula, x, a, b value) value {
			return f.pick(f.gt(x, f.zero()), x, f.mul(f.expm1neg(f.div(x, a)), a))
		}},
		{"thresholdedRelu", 4, func(f *formula, x, a, b value) value { return f.and(x, f.not(f.ge(a, x))) }},
		{"sigmoid", 2, func(f *formula, x, a, b value) value { return f.sigmoid(x) }},
		{"hardSigmoid", 4, func(f *formula, x, a, b value) value {
			return f.clip(f.sum(f.mul(x, a), b), f.zero(), f.k(1))
		}},
		{"hardSwish", 4, func(f *formula, x, a, b value) value {
			return f.mul(f.clip(f.sum(f.mul(x, f.k(1./6)), f.k(0.5)), f.zero(), f.k(1)), x)
		}},
		{"silu", 2, func(f *formula, x, a, b value) value { return f.silu(x) }},
		{"swish", 2, func(f *formula, x, a, b value) value { return f.mul(f.sigmoid(f.mul(x, a)), x) }},
		{"tanh", 2, func(f *formula, x, a, b value) value { return f.tanh(x) }},
		{"softplus", 2, func(f *formula, x, a, b value) value { return f.softplus(x) }},
		{"softsign", 2, func(f *formula, x, a, b value) value { return f.div(x, f.sum(f.abs(x), f.k(1))) }},
		{"mish", 2, func(f *formula, x, a, b value) value { return f.mul(f.mishGate(x), x) }},
		{"geluErf", 2, func(f *formula, x, a, b value) value { return f.mul(f.phi2(x), f.mul(x, f.k(0.5))) }},
		{"geluTanh", 2, func(f *formula, x, a, b value) value { return f.mul(f.sigmoid(f.geluArg(x)), x) }},
		{"erf", 2, func(f *formula, x, a, b value) value { return f.erf(x) }},
		{"exp", 2, func(f *formula, x, a, b value) value { return f.exp(x, false) }},
		{"log", 2, func(f *formula, x, a, b value) value { return f.log(x) }},
		{"sqrt", 2, func(f *formula, x, a, b value) value { return f.op("fsqrt", x) }},
		{"neg", 4, func(f *formula, x, a, b value) value { return f.op("fneg", x) }},
		{"abs", 4, func(f *formula, x, a, b value) value { return f.abs(x) }},
		{"reciprocal", 2, func(f *formula, x, a, b value) value { return f.div(f.k(1), x) }},
		{"floor", 4, func(f *formula, x, a, b value) value { return f.op("frintm", x) }},
		{"ceil", 4, func(f *formula, x, a, b value) value { return f.op("frintp", x) }},
		{"round", 4, func(f *formula, x, a, b value) value { return f.op("frintn", x) }},
		{"sign", 4, func(f *formula, x, a, b value) value {
			other := f.or(f.gt(x, f.zero()), f.gt(f.zero(), x)) // neither 0 nor a NaN
			return f.pick(other, f.withSign(f.k(1), x), x)
		}},
		{"square", 4, func(f *formula, x, a, b value) value { return f.mul(x, x) }},
	} {
		elementwise{
			name: u.name, doc: "computes dst = " + u.name + "(src).", pointers: "dst, src", params: "alpha, beta", unroll: u.unroll,
			body: func(e *element) { e.out("dst", u.f(e.formula, e.in("src"), e.param("alpha"), e.param("beta"))) },
		}.emit(a)
	}
}

func (f *formula) elu(x, a value) value {
	return f.pick(f.gt(x, f.zero()), x, f.mul(f.expm1neg(x), a))
}

// emitGrads writes dx = dy * f'(x), y = f(x).
func emitGrads(a *asm) {
	for _, g := range []struct {
		name  string
		slope func(e *element, a, b value) value
	}{
		{"relu", func(e *element, a, b value) value { return e.gate(e.positive("x")) }},
		{"leakyRelu", func(e *element, a, b value) value { return e.pick(e.positive("x"), e.k(1), a) }},
		{"clip", func(e *element, a, b value) value { return e.gate(e.open(e.in("x"), a, b)) }},
		{"elu", func(e *element, a, b value) value { return e.pick(e.positive("x"), e.k(1), e.sum(e.in("y"), a)) }},
		{"selu", func(e *element, a, b value) value { return e.pick(e.positive("x"), b, e.fma(a, b, e.in("y"))) }},
		{"sigmoid", func(e *element, a, b value) value { return e.mul(e.sub(e.k(1), e.in("y")), e.in("y")) }},
		{"hardSigmoid", func(e *element, a, b value) value {
			return e.and(e.open(e.in("y"), e.zero(), e.k(1)), a)
		}},
		{"hardSwish", func(e *element, a, b value) value {
			x := e.in("x")
			inner := e.pick(e.gt(e.k(3), x), e.fma(x, e.k(1./3), e.k(0.5)), e.k(1))
			return e.and(e.gt(x, e.k(-3)), inner)
		}},
		{"silu", func(e *element, a, b value) value {
			s := e.sigmoid(e.in("x"))
			return e.fma(e.sub(e.k(1), s), e.in("y"), s)
		}},
		{"swish", func(e *element, a, b value) value {
			s := e.sigmoid(e.mul(e.in("x"), a))
			return e.fma(e.sub(e.k(1), s), e.mul(e.in("y"), a), s)
		}},
		{"tanh", func(e *element, a, b value) value { return e.fnma(e.in("y"), e.in("y"), e.k(1)) }},
		{"softplus", func(e *element, a, b value) value { return e.sigmoid(e.in("x")) }},
		{"mish", func(e *element, a, b value) value {
			x := e.in("x")
			t := e.mishGate(x)
			return e.fma(e.mul(e.sigmoid(x), x), e.fnma(t, t, e.k(1)), t)
		}},
		{"geluErf", func(e *element, a, b value) value {
			x := e.in("x")
			p := e.exp(e.mul(e.mul(x, e.k(-0.5)), x), true)
			return e.fma(e.mul(x, e.k(geluK/2)), p, e.mul(e.phi2(x), e.k(0.5)))
		}},
		{"geluTanh", func(e *element, a, b value) value {
			x := e.in("x")
			s := e.sigmoid(e.geluArg(x))
			d := e.mul(e.fma(e.mul(x, x), e.k(3*geluC), e.k(1)), e.k(2*geluK))
			return e.fma(e.mul(e.sub(e.k(1), s), e.in("y")), d, s)
		}},
		{"exp", func(e *element, a, b value) value { return e.in("y") }},
		{"square", func(e *element, a, b value) value { return e.sum(e.in("x"), e.in("x")) }},
	} {
		elementwise{
			name: g.name + "Grad", doc: "computes dx = dy * " + g.name + "'(x), given y = " + g.name + "(x).",
			pointers: "dx, dy, x, y", params: "alpha, beta", unroll: 2,
			body: func(e *element) {
				e.out("dx", e.mul(g.slope(e, e.param("alpha"), e.param("beta")), e.in("dy")))
			},
		}.emit(a)
	}
}

// positive is the mask of the lanes of a pointer that are above zero.
func (e *element) positive(p string) value { return e.gt(e.in(p), e.zero()) }

// open is the mask of the lanes where lo < x < hi.
func (f *formula) open(x, lo, hi value) value { return f.and(f.gt(x, lo), f.gt(hi, x)) }

// emitBinary writes dst = a op b for vectors, and with one of them a scalar.
func emitBinary(a *asm) {
	for _, o := range []struct {
		name    string
		f       func(f *formula, a, b value) value
		swapped bool // the operation does not commute
	}{
		{"add", (*formula).sum, false},
		{"sub", (*formula).sub, true},
		{"mul", (*formula).mul, false},
		{"div", (*formula).div, true},
		{"min", (*formula).min, false},
		{"max", (*formula).max, false},
		{"prelu", func(f *formula, a, b value) value { return f.pick(f.gt(f.zero(), a), f.mul(a, b), a) }, true},
		{"squDiff", func(f *formula, a, b value) value { d := f.sub(a, b); return f.mul(d, d) }, false},
	} {
		elementwise{
			name: o.name, doc: "computes dst = a " + o.name + " b.", pointers: "dst, a, b", unroll: 4,
			body: func(e *element) { e.out("dst", o.f(e.formula, e.in("a"), e.in("b"))) },
		}.emit(a)
		elementwise{
			name: o.name + "Scalar", doc: "computes dst = a " + o.name + " s.", pointers: "dst, a", params: "s", unroll: 4,
			body: func(e *element) { e.out("dst", o.f(e.formula, e.in("a"), e.param("s"))) },
		}.emit(a)
		if o.swapped {
			elementwise{
				name: "scalar" + title(o.name), doc: "computes dst = s " + o.name + " a.", pointers: "dst, a", params: "s", unroll: 4,
				body: func(e *element) { e.out("dst", o.f(e.formula, e.param("s"), e.in("a"))) },
			}.emit(a)
		}
	}
}

// emitFused writes what several operations are fused to.
func emitFused(a *asm) {
	elementwise{
		name: "addClamp", doc: "computes dst = min(max(a+b, lo), hi).", pointers: "dst, a, b", params: "lo, hi", unroll: 4,
		body: func(e *element) {
			e.out("dst", e.clip(e.sum(e.in("a"), e.in("b")), e.param("lo"), e.param("hi")))
		},
	}.emit(a)
	elementwise{
		name: "mulAddClamp", doc: "computes dst = min(max(x*s+b, lo), hi).", pointers: "dst, x, s, b", params: "lo, hi", unroll: 2,
		body: func(e *element) {
			e.out("dst", e.clip(e.fma(e.in("x"), e.in("s"), e.in("b")), e.param("lo"), e.param("hi")))
		},
	}.emit(a)
	elementwise{
		name: "affine2", doc: "computes dst = x*a + (y*b+c).", pointers: "dst, x, y, a, b, c", unroll: 2,
		body: func(e *element) {
			e.out("dst", e.fma(e.in("x"), e.in("a"), e.fma(e.in("y"), e.in("b"), e.in("c"))))
		},
	}.emit(a)
	elementwise{
		name: "rprelu", doc: "computes dst = y+a, or y*s+a where y = x-b is negative.", pointers: "dst, x, b, s, a", unroll: 2,
		body: func(e *element) {
			y := e.sub(e.in("x"), e.in("b"))
			e.out("dst", e.sum(e.pick(e.gt(e.zero(), y), e.mul(y, e.in("s")), y), e.in("a")))
		},
	}.emit(a)
	elementwise{
		name: "preluGrad", doc: "computes dx = dy and ds = 0, or dy*s and dy*x where x is not positive.", pointers: "dx, ds, dy, x, s", unroll: 2,
		body: func(e *element) {
			x, dy := e.in("x"), e.in("dy")
			e.out("ds", e.andNot(e.gt(x, e.zero()), e.mul(dy, x)))
			e.out("dx", e.pick(e.gt(x, e.zero()), dy, e.mul(dy, e.in("s"))))
		},
	}.emit(a)
	elementwise{
		name: "axpy", doc: "computes y += alpha*x.", pointers: "x, y", params: "alpha", unroll: 4,
		body: func(e *element) { e.out("y", e.fma(e.in("x"), e.param("alpha"), e.in("y"))) },
	}.emit(a)
	elementwise{
		name: "lerp", doc: "computes y = y*beta + alpha*x.", pointers: "x, y", params: "beta, alpha", unroll: 4,
		body: func(e *element) {
			e.out("y", e.fma(e.in("x"), e.param("alpha"), e.mul(e.in("y"), e.param("beta"))))
		},
	}.emit(a)
}

// emitTranspose writes the transposition of a matrix of whole 4x4 blocks.
func emitTranspose(a *asm) {
	a.declare("transposeNEON", "dst, src *float32, rows, cols, dstStride, srcStride int)",
		"transposes rows by cols elements, both multiples of 4; strides are in bytes.")
	a.fn("transposeNEON", 48)
	params(a, "dst", "src", "rows", "cols", "dstStride", "srcStride")
	dst, src, rows, cols, ds, ss := x(1), x(2), x(3), x(4), x(5), x(6)
	to, from, left, at := x(7), x(8), x(9), x(10)
	a.loop(cols, 4, func() {
		a.i("MOVD %v, %v", dst, to)
		a.i("MOVD %v, %v", src, from)
		a.i("MOVD %v, %v", rows, left)
		a.loop(left, 4, func() {
			for i := range v(4) {
				a.load(whole, from, 0, i)
				a.i("ADD %v, %v", ss, from)
			}
			square(a, 0)
			a.i("MOVD %v, %v", to, at)
			for i := range v(4) {
				a.store(whole, i, at, 0)
				a.i("ADD %v, %v", ds, at)
			}
			a.i("ADD $16, %v", to)
		})
		a.i("ADD $16, %v", src)
		a.i("ADD %v<<2, %v", ds, dst)
	})
	a.i("RET")
}

// emitUpdates writes the parameter updates of training.
func emitUpdates(a *asm) {
	// grad is the gradient with the decay added.
	grad := func(e *element) value { return e.fma(e.in("w"), e.param("decay"), e.in("grad")) }
	elementwise{
		name: "sgd", doc: "computes w -= lr*(g+decay*w).",
		pointers: "w, grad", params: "lr, decay", unroll: 2,
		body: func(e *element) { e.out("w", e.fnma(grad(e), e.param("lr"), e.in("w"))) },
	}.emit(a)
	elementwise{
		name: "sgdMomentum", doc: "computes d = g+decay*w, m = momentum*m+damp*d, w -= lr*(gw*d+mw*m).",
		pointers: "w, grad, m", params: "lr, momentum, damp, decay, gw, mw", unroll: 2,
		body: func(e *element) {
			d := grad(e)
			m := e.fma(e.in("m"), e.param("momentum"), e.mul(d, e.param("damp")))
			e.out("m", m)
			s := e.fma(d, e.param("gw"), e.mul(m, e.param("mw")))
			e.out("w", e.fnma(s, e.param("lr"), e.in("w")))
		},
	}.emit(a)
	elementwise{
		name: "adam", doc: "does a step of Adam; see adamGo.",
		pointers: "w, grad, m, v", params: "b1, c1, b2, c2, eps, decay, keep, rate, root", unroll: 1,
		body: func(e *element) {
			d := grad(e)
			m := e.fma(e.in("m"), e.param("b1"), e.mul(d, e.param("c1")))
			e.out("m", m)
			sq := e.fma(e.in("v"), e.param("b2"), e.mul(e.mul(d, e.param("c2")), d))
			e.out("v", sq)
			den := e.fma(e.op("fsqrt", sq), e.param("root"), e.param("eps"))
			e.out("w", e.fnma(e.div(m, den), e.param("rate"), e.mul(e.in("w"), e.param("keep"))))
		},
	}.emit(a)
	for _, momentum := range []bool{false, true} {
		k := elementwise{
			name: "rms", doc: "does a step of RMSprop; see rmsGo.",
			pointers: "w, grad, v", params: "lr, alpha, rest, eps, decay", unroll: 1,
		}
		if momentum {
			k.name += "Momentum"
			k.pointers += ", m"
			k.params += ", momentum"
		}
		k.body = func(e *element) {
			d := grad(e)
			sq := e.fma(e.in("v"), e.param("alpha"), e.mul(e.mul(d, e.param("rest")), d))
			e.out("v", sq)
			d = e.div(d, e.sum(e.op("fsqrt", sq), e.param("eps")))
			if momentum {
				d = e.fma(e.in("m"), e.param("momentum"), d)
				e.out("m", d)
			}
			e.out("w", e.fnma(d, e.param("lr"), e.in("w")))
		}
		k.emit(a)
	}
}
