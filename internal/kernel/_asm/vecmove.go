package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// emitTranspose writes the transposition of a matrix of whole 8x8 blocks.
func emitTranspose() {
	TEXT("transposeAVX2", NOSPLIT, "func(dst, src *float32, rows, cols, dstStride, srcStride int)")
	Pragma("noescape")
	Doc("transposeAVX2 transposes rows by cols elements, both multiples of 8; strides are in bytes.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	cols := Load(Param("cols"), GP64())
	ds := Load(Param("dstStride"), GP64())
	ss := Load(Param("srcStride"), GP64())
	ds3, ss3 := GP64(), GP64()
	LEAQ(Mem{Base: ds, Index: ds, Scale: 2}, ds3)
	LEAQ(Mem{Base: ss, Index: ss, Scale: 2}, ss3)

	Label("column")
	rows := Load(Param("rows"), GP64())
	s, d := GP64(), GP64()
	MOVQ(src, s)
	MOVQ(dst, d)
	Label("block")
	transpose8(d, ds, ds3, s, ss, ss3)
	ADDQ(Imm(32), d)
	SUBQ(Imm(8), rows)
	JNE(LabelRef("block"))
	ADDQ(Imm(32), src)
	LEAQ(Mem{Base: dst, Index: ds, Scale: 8}, dst)
	SUBQ(Imm(8), cols)
	JNE(LabelRef("column"))
	VZEROUPPER()
	RET()
}

// emitInterleave writes the function that takes elements from two rows in
// turn.
func emitInterleave() {
	TEXT("interleaveAVX2", NOSPLIT, "func(dst, a, b *float32, n int)")
	Pragma("noescape")
	Doc("interleaveAVX2 writes the elements of a and b in turn, n of each, a multiple of 8.")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	Label("loop")
	x, y, lo, hi := YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: a}, x)
	VMOVUPS(Mem{Base: b}, y)
	VUNPCKLPS(y, x, lo)
	VUNPCKHPS(y, x, hi)
	VPERM2F128(Imm(0x20), hi, lo, x)
	VPERM2F128(Imm(0x31), hi, lo, y)
	VMOVUPS(x, Mem{Base: dst})
	VMOVUPS(y, Mem{Base: dst, Disp: 32})
	ADDQ(Imm(32), a)
	ADDQ(Imm(32), b)
	ADDQ(Imm(64), dst)
	SUBQ(Imm(8), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// emitPlanes writes the functions that take elements from three rows in turn.
func emitPlanes() {
	const planes = 3
	load := func() (dst GPVirtual, rows [planes]Register, n GPVirtual) {
		dst = Load(Param("dst"), GP64()).(GPVirtual)
		rows[0] = Load(Param("src"), GP64())
		stride := Load(Param("stride"), GP64())
		for i := 1; i < planes; i++ {
			rows[i] = GP64()
			LEAQ(Mem{Base: rows[i-1], Index: stride, Scale: 1}, rows[i])
		}
		return dst, rows, Load(Param("n"), GP64()).(GPVirtual)
	}
	advance := func(dst Register, rows [planes]Register, n Register, bytes, count int) {
		for _, r := range rows {
			ADDQ(Imm(uint64(bytes)), r)
		}
		ADDQ(Imm(uint64(planes*bytes)), dst)
		SUBQ(Imm(uint64(count)), n)
		JNE(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}

	TEXT("planesAVX2", NOSPLIT, "func(dst, src *float32, n, stride int)")
	Pragma("noescape")
	Doc("planesAVX2 writes the elements of three rows in turn, n of each, a multiple of 8; stride is in bytes.")
	dst, rows, n := load()
	// Vector v of the output holds pixels (8v+j)/3.
	var index [planes]VecVirtual
	for v := range planes {
		m := GLOBL(fmt.Sprintf("planes%d", v), RODATA|NOPTR)
		for j := range 8 {
			DATA(4*j, U32(uint32(8*v+j)/planes))
		}
		index[v] = YMM()
		VMOVDQU(m, index[v])
	}
	Label("loop")
	var x [planes]VecVirtual
	for i := range planes {
		x[i] = YMM()
		VMOVUPS(Mem{Base: rows[i]}, x[i])
	}
	for v := range planes {
		var part [planes]VecVirtual
		for i := range planes {
			part[i] = YMM()
			VPERMPS(x[i], index[v], part[i])
		}
		for i := 1; i < planes; i++ {
			mask := 0
			for j := range 8 {
				if (8*v+j)%planes == i {
					mask |= 1 << j
				}
			}
			VBLENDPS(Imm(uint64(mask)), part[i], part[0], part[0])
		}
		VMOVUPS(part[0], Mem{Base: dst, Disp: 32 * v})
	}
	advance(dst, rows, n, 32, 8)

	TEXT("planesBytesAVX2", NOSPLIT, "func(dst, src *uint8, n, stride int)")
	Pragma("noescape")
	Doc("planesBytesAVX2 writes the bytes of three rows in turn, n of each, a multiple of 16.")
	dst, rows, n = load()
	var shuffle [planes][planes]VecVirtual
	for v := range planes {
		for i := range planes {
			m := GLOBL(fmt.Sprintf("planesBytes%d%d", v, i), RODATA|NOPTR)
			for j := range 16 {
				at := uint8(0x80) // gives zero
				if (16*v+j)%planes == i {
					at = uint8((16*v + j) / planes)
				}
				DATA(j, U8(at))
			}
			shuffle[v][i] = XMM()
			VMOVDQU(m, shuffle[v][i])
		}
	}
	Label("loop")
	for i := range planes {
		x[i] = XMM()
		VMOVDQU(Mem{Base: rows[i]}, x[i])
	}
	for v := range planes {
		sum, other := XMM(), XMM()
		VPSHUFB(shuffle[v][0], x[0], sum)
		for i := 1; i < planes; i++ {
			VPSHUFB(shuffle[v][i], x[i], other)
			VPOR(other, sum, sum)
		}
		VMOVDQU(sum, Mem{Base: dst, Disp: 16 * v})
	}
	advance(dst, rows, n, 16, 16)
}

// transpose8 transposes an 8x8 block and advances s by eight rows.
func transpose8(d, ds, ds3, s, ss, ss3 Register) {
	// row addresses the i-th of four rows from base.
	row := func(base, stride, stride3 Register, i, disp int) Mem {
		switch i {
		case 0:
			return Mem{Base: base, Disp: disp}
		case 3:
			return Mem{Base: base, Index: stride3, Scale: 1, Disp: disp}
		}
		return Mem{Base: base, Index: stride, Scale: uint8(i), Disp: disp}
	}
	low := GP64() // rows 4 to 7
	LEAQ(Mem{Base: s, Index: ss, Scale: 4}, low)
	d4 := GP64()
	LEAQ(Mem{Base: d, Index: ds, Scale: 4}, d4)
	for half := range 2 {
		var r [4]VecVirtual
		for i := range r {
			r[i] = YMM()
			VMOVUPS(row(s, ss, ss3, i, 16*half), r[i].AsX())
			VINSERTF128(Imm(1), row(low, ss, ss3, i, 16*half), r[i], r[i])
		}
		t := [4]VecVirtual{YMM(), YMM(), YMM(), YMM()}
		VUNPCKLPS(r[1], r[0], t[0])
		VUNPCKHPS(r[1], r[0], t[1])
		VUNPCKLPS(r[3], r[2], t[2])
		VUNPCKHPS(r[3], r[2], t[3])
		to := d
		if half == 1 {
			to = d4
		}
		for i := range 4 {
			o := YMM()
			VSHUFPS(Imm([]uint64{0x44, 0xee}[i%2]), t[2+i/2], t[i/2], o)
			VMOVUPS(o, row(to, ds, ds3, i, 0))
		}
	}
	LEAQ(Mem{Base: s, Index: ss, Scale: 8}, s)
}

// emitUpdates writes the parameter updates of training.
func emitUpdates() {
	elementwise{
		name: "sgd", doc: "computes w -= lr*(g+decay*w).",
		pointers: "w, grad", params: "lr, decay", unroll: 2,
		body: func(v *vector) {
			w := v.in("w")
			d := v.in("grad")
			fma231(d, w, v.param["decay"])
			fnma231(w, d, v.param["lr"])
			v.out("w", w)
		},
	}.emit()
	elementwise{
		name: "sgdMomentum", doc: "computes d = g+decay*w, m = momentum*m+damp*d, w -= lr*(gw*d+mw*m).",
		pointers: "w, grad, m", params: "lr, momentum, damp, decay, gw, mw", unroll: 2,
		body: func(v *vector) {
			w := v.in("w")
			d := v.in("grad")
			fma231(d, w, v.param["decay"])
			m := mul(d, v.param["damp"])
			fma231(m, v.in("m"), v.param["momentum"])
			v.out("m", m)
			s := mul(m, v.param["mw"])
			fma231(s, d, v.param["gw"])
			fnma231(w, s, v.param["lr"])
			v.out("w", w)
		},
	}.emit()
	elementwise{
		name: "adam", doc: "does a step of Adam; see adamGo.",
		pointers: "w, grad, m, v", params: "b1, c1, b2, c2, eps, decay, keep, rate, root", unroll: 1,
		body: func(v *vector) {
			w := v.in("w")
			d := v.in("grad")
			fma231(d, w, v.param["decay"])
			m := mul(d, v.param["c1"])
			fma231(m, v.in("m"), v.param["b1"])
			v.out("m", m)
			sq := mul(mul(d, v.param["c2"]), d)
			fma231(sq, v.in("v"), v.param["b2"])
			v.out("v", sq)
			den := sqrt(sq)
			fma213(den, v.param["root"], v.param["eps"])
			w = mul(w, v.param["keep"])
			fnma231(w, div(m, den), v.param["rate"])
			v.out("w", w)
		},
	}.emit()
	for _, momentum := range []bool{false, true} {
		e := elementwise{
			name: "rms", doc: "does a step of RMSprop; see rmsGo.",
			pointers: "w, grad, v", params: "lr, alpha, rest, eps, decay", unroll: 1,
		}
		if momentum {
			e.name += "Momentum"
			e.pointers += ", m"
			e.params += ", momentum"
		}
		e.body = func(v *vector) {
			w := v.in("w")
			d := v.in("grad")
			fma231(d, w, v.param["decay"])
			sq := mul(mul(d, v.param["rest"]), d)
			fma231(sq, v.in("v"), v.param["alpha"])
			v.out("v", sq)
			d = div(d, add(sqrt(sq), v.param["eps"]))
			if momentum {
				fma231(d, v.in("m"), v.param["momentum"])
				v.out("m", d)
			}
			fnma231(w, d, v.param["lr"])
			v.out("w", w)
		}
		e.emit()
	}
}
