package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// wide emits functions sixteen elements at a time. Constants stay in registers,
// of which AVX-512 has enough. A division would take as long as all the rest
// together, so quotients are made of the approximate reciprocal.
type wide struct {
	consts map[uint32]VecVirtual
}

// emitWide writes the functions that arithmetic bounds, not memory, and what
// networks compute most often.
func emitWide() {
	for _, f := range []struct {
		name string
		f    func(w wide, x, a VecVirtual) VecVirtual
	}{
		{"silu", func(w wide, x, _ VecVirtual) VecVirtual { return w.silu(x) }},
		{"sigmoid", func(w wide, x, _ VecVirtual) VecVirtual { return w.sigmoid(x) }},
		{"swish", func(w wide, x, a VecVirtual) VecVirtual {
			y := w.sigmoid(w.mul(x, a))
			VMULPS(x, y, y)
			return y
		}},
		{"hardSwish", func(w wide, x, _ VecVirtual) VecVirtual {
			y := w.mul(x, w.k(1./6))
			VADDPS(w.k(0.5), y, y)
			return w.mul(w.min(w.max(y, w.k(0)), w.k(1)), x)
		}},
	} {
		emitWideUnary(f.name, f.f)
	}
}

func emitWideUnary(name string, f func(w wide, x, a VecVirtual) VecVirtual) {
	TEXT(name+"AVX512", NOSPLIT, "func(dst, src *float32, n int, alpha, beta float32)")
	Pragma("noescape")
	Doc(name + "AVX512 computes dst = " + name + "(src).")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	a := ZMM()
	VBROADCASTSS(paramMem("alpha"), a)
	w := wide{map[uint32]VecVirtual{}}
	for _, v := range wideConstants {
		w.load(v)
	}
	i := GP64()
	XORQ(i, i)
	at := func(base Register, disp int) Mem { return Mem{Base: base, Index: i, Scale: 4, Disp: disp} }
	SUBQ(Imm(32), n)
	JLT(LabelRef("rest"))
	Label("loop")
	for u := range 2 {
		x := ZMM()
		VMOVUPS(at(src, 64*u), x)
		VMOVUPS(f(w, x, a), at(dst, 64*u))
	}
	ADDQ(Imm(32), i)
	SUBQ(Imm(32), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(32), n)
	JEQ(LabelRef("done"))
	Label("tail")
	// The lanes in use: all sixteen, or the n that are left.
	CMPQ(n, Imm(16))
	m, ones := GP64(), GP64()
	MOVQ(I32(-1), m)
	MOVQ(I32(-1), ones)
	MOVQ(n, RCX)
	SHLQ(CL, m)
	NOTQ(m)
	CMPQ(n, Imm(16))
	CMOVQGE(ones, m)
	KMOVW(m.(GPVirtual).As32(), K1)
	x := ZMM()
	VMOVUPS_Z(at(src, 0), K1, x)
	VMOVUPS(f(w, x, a), K1, at(dst, 0))
	ADDQ(Imm(16), i)
	SUBQ(Imm(16), n)
	JGT(LabelRef("tail"))
	Label("done")
	VZEROUPPER()
	RET()
}

// wideConstants are the constants of exp and of what uses it.
var wideConstants = append([]uint32{
	f32(-log2e), f32(ln2hi), f32(ln2lo), f32(1), f32(-87), f32(104), f32(magic), signBit, f32(0), f32(0.5), f32(1. / 6),
}, func() (p []uint32) {
	for _, c := range expP {
		p = append(p, f32(c))
	}
	return p
}()...)

// magic added to a small number and subtracted again rounds it to an integer.
const magic = 3 << 22

func f32(v float64) uint32 { return math.Float32bits(float32(v)) }

func (w wide) load(v uint32) {
	r := ZMM()
	VBROADCASTSS(kbits(v), r)
	w.consts[v] = r
}

func (w wide) k(v float64) VecVirtual { return w.bits(f32(v)) }

func (w wide) bits(v uint32) VecVirtual {
	r, ok := w.consts[v]
	if !ok {
		panic("a constant that was not loaded")
	}
	return r
}

func (w wide) mul(a, b VecVirtual) VecVirtual { d := ZMM(); VMULPS(b, a, d); return d }

// max is max(lo, x), and x if x is a NaN.
func (w wide) max(x, lo VecVirtual) VecVirtual { d := ZMM(); VMAXPS(x, lo, d); return d }

// min is min(hi, x), and x if x is a NaN.
func (w wide) min(x, hi VecVirtual) VecVirtual { d := ZMM(); VMINPS(x, hi, d); return d }

func (w wide) copy(x VecVirtual) VecVirtual { d := ZMM(); VMOVAPS(x, d); return d }

// expNeg is exp(-x) for x > -88.
func (w wide) expNeg(x VecVirtual) VecVirtual {
	x = w.min(x, w.k(104)) // from where on it is 0
	n := w.copy(x)
	VFMADD213PS(w.k(magic), w.k(-log2e), n)
	VSUBPS(w.k(magic), n, n)
	r := w.copy(x)
	VFNMSUB231PS(w.k(ln2hi), n, r) // -n·hi - x
	VFNMADD231PS(w.k(ln2lo), n, r)
	y := w.copy(w.k(expP[len(expP)-1]))
	for i := len(expP) - 2; i >= 0; i-- {
		VFMADD213PS(w.k(expP[i]), r, y)
	}
	VFMADD213PS(w.k(1), r, y)
	VFMADD213PS(w.k(1), r, y)
	VSCALEFPS(n, y, y)
	return y
}

// div is n/d for normal d: a quotient of 14 bits, corrected by what it leaves of n.
func (w wide) div(n, d VecVirtual) VecVirtual {
	r, left := ZMM(), w.copy(n)
	VRCP14PS(d, r)
	q := w.mul(n, r)
	VFNMADD231PS(q, d, left)
	VFMADD231PS(r, left, q)
	return q
}

// reciprocal is div(1, d).
func (w wide) reciprocal(d VecVirtual) VecVirtual {
	r, left := ZMM(), w.copy(w.k(1))
	VRCP14PS(d, r)
	VFNMADD231PS(r, d, left)
	VFMADD231PS(left, r, r)
	return r
}

func (w wide) silu(x VecVirtual) VecVirtual {
	x = w.max(x, w.k(-87))
	d := w.expNeg(x)
	VADDPS(w.k(1), d, d)
	return w.mul(x, w.reciprocal(d)) // x may be infinite
}

func (w wide) sigmoid(x VecVirtual) VecVirtual {
	pos := ZMM()
	VPANDND(x, w.bits(signBit), pos)
	z := w.expNeg(pos)
	den := ZMM()
	VADDPS(w.k(1), z, den)
	// Negative x: z/(1+z), else 1/(1+z).
	VPMOVD2M(x, K2)
	num := w.copy(w.k(1))
	VMOVAPS(z, K2, num)
	return w.div(num, den)
}
