package main

func init() { families["norm"] = emitNorm }

// emitNorm writes the kernels of package norm.
func emitNorm(a *asm) {
	elementwise{
		name: "forward", doc: "computes dst = clamp(src*scale + shift).",
		pointers: "dst, src, scale, shift", params: "lo, hi", unroll: 2,
		body: func(e *element) {
			y := e.fma(e.in("src"), e.in("scale"), e.in("shift"))
			e.out("dst", e.clip(y, e.param("lo"), e.param("hi")))
		},
	}.emit(a)
	elementwise{
		name: "forwardAdd", doc: "computes dst = clamp(src*scale + shift + add).",
		pointers: "dst, src, scale, shift, add", params: "lo, hi", unroll: 2,
		body: func(e *element) {
			y := e.sum(e.fma(e.in("src"), e.in("scale"), e.in("shift")), e.in("add"))
			e.out("dst", e.clip(y, e.param("lo"), e.param("hi")))
		},
	}.emit(a)
	elementwise{
		name: "backward", doc: "computes dx = grad*a + (x*b + c).",
		pointers: "dx, grad, x, a, b, c", unroll: 2,
		body: func(e *element) {
			e.out("dx", e.fma(e.in("grad"), e.in("a"), e.fma(e.in("x"), e.in("b"), e.in("c"))))
		},
	}.emit(a)
	elementwise{
		name: "backwardClamp", doc: "is backward with g = dy where lo < x*scale + shift < hi, else 0.",
		pointers: "dx, dy, x, scale, shift, a, b, c", params: "lo, hi", unroll: 2,
		body: func(e *element) {
			y := e.fma(e.in("x"), e.in("scale"), e.in("shift"))
			g := e.and(e.open(y, e.param("lo"), e.param("hi")), e.in("dy"))
			e.out("dx", e.fma(g, e.in("a"), e.fma(e.in("x"), e.in("b"), e.in("c"))))
		},
	}.emit(a)
	// sums adds g, which is dy where y lies in the open range, and g*(x-m).
	sums := func(e *element, acc []v, y value) value {
		g := e.and(e.open(y, e.param("lo"), e.param("hi")), e.in("dy"))
		e.accumulate("fadd", acc[0], e.carried(acc[0]), g)
		e.accumulate("fmla", acc[1], g, e.sub(e.in("x"), e.in("m")))
		return g
	}
	column{
		name: "moments", doc: "sums x-m and (x-m)^2 over rows.",
		pointers: "sum, dot, x, m", outs: "sum, dot", fixed: "m", rows: "x", vectors: 4,
		step: func(e *element, acc []v) {
			d := e.sub(e.in("x"), e.in("m"))
			e.accumulate("fadd", acc[0], e.carried(acc[0]), d)
			e.accumulate("fmla", acc[1], d, d)
		},
	}.emit(a)
	column{
		name: "columns", doc: "sums g and g*(x-m) over rows, g = dy where lo < x*scale + shift < hi, else 0.",
		pointers: "sum, dot, dy, x, m, scale, shift", params: "lo, hi",
		outs: "sum, dot", fixed: "m, scale, shift", rows: "dy, x", vectors: 2,
		step: func(e *element, acc []v) { sums(e, acc, e.fma(e.in("x"), e.in("scale"), e.in("shift"))) },
	}.emit(a)
	column{
		name: "columnsAdd", doc: "is columns with g = dy where lo < y < hi, else 0, written to out.",
		pointers: "sum, dot, out, dy, x, y, m", params: "lo, hi",
		outs: "sum, dot", fixed: "m", rows: "out, dy, x, y", vectors: 2,
		step: func(e *element, acc []v) { e.out("out", sums(e, acc, e.in("y"))) },
	}.emit(a)
}
