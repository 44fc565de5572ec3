package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["fakequant"] = emitFakequant }

// emitFakequant writes the kernels of package fakequant.
func emitFakequant() {
	const grid = "step, offset, low, high"
	elementwise{
		name: "quantize", doc: "computes y = step*clamp(round((x-offset)/step), low, high) + offset.",
		pointers: "y, x", params: grid, unroll: 4,
		body: func(v *vector) {
			q := div(sub(v.in("x"), v.param["offset"]), v.param["step"])
			q = round(minK(maxK(q, v.param["low"]), v.param["high"]), 0)
			v.out("y", add(mul(q, v.param["step"]), v.param["offset"]))
		},
	}.emit()
	elementwise{
		name: "grad", doc: "computes dx, dy inside the grid, and adds to sums, of three times four vectors, what the gradients of the grid's parameters are made of.",
		pointers: "dx, dy, x, sums", params: grid, unroll: 4,
		body: func(v *vector) {
			q, d := div(sub(v.in("x"), v.param["offset"]), v.param["step"]), v.in("dy")
			c := minK(maxK(q, v.param["low"]), v.param["high"])
			inside := cmp(cmpEQ, c, q)
			v.out("dx", and(d, inside))
			for i, term := range []VecVirtual{
				mul(d, sub(round(c, 0), and(q, inside))),
				and(d, cmp(cmpGE, q, v.param["high"])),
				and(d, cmp(cmpLT, q, v.param["low"])),
			} {
				if v.mask != nil {
					term = and(term, v.mask)
				}
				at := Mem{Base: v.base["sums"], Disp: 128*i + v.disp}
				VADDPS(at, term, term)
				VMOVUPS(term, at)
			}
		},
	}.emit()
	elementwise{
		name: "signs", doc: "computes y = 1 with the sign of x, zeros counting as positive.",
		pointers: "y, x", unroll: 4,
		body: func(v *vector) { v.out("y", or(and(add(v.in("x"), zero()), kbits(signBit)), k(1))) },
	}.emit()
	slope := func(name, doc, params string, f func(v *vector, dy, x VecVirtual) VecVirtual) {
		elementwise{name: name, doc: doc, pointers: "dx, dy, x", params: params, unroll: 2,
			body: func(v *vector) { v.out("dx", f(v, v.in("dy"), v.in("x"))) }}.emit()
	}
	slope("hardTanh", "computes dx = dy where |x| <= 1, 0 elsewhere.", "", func(v *vector, dy, x VecVirtual) VecVirtual {
		return andNot(cmp(cmpGT, abs(x), k(1)), dy)
	})
	slope("polynomial", "computes dx = dy*max(0, 2-2|x|).", "", func(v *vector, dy, x VecVirtual) VecVirtual {
		a := abs(x)
		return mul(dy, maxK(sub(ld(k(2)), add(a, a)), zero()))
	})
	slope("ede", "computes dx = dy*scale*u/(1+u)^2 with u = exp(rate*|x|) and a rate below zero.", "scale, rate", func(v *vector, dy, x VecVirtual) VecVirtual {
		u := exp(mul(abs(x), v.param["rate"]), true)
		w := add(u, k(1))
		return div(mul(mul(dy, v.param["scale"]), u), mul(w, w))
	})
}
