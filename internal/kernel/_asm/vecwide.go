package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// wide emits functions sixteen elements at a time. Constants stay in registers,
// of which AVX-512 has enough. The operations are those of the kernels of eight,
// in their order, so that the results have the same bits.
type wide struct {
	consts map[uint32]VecVirtual
}

// emitWide writes the functions that arithmetic bounds, not memory.
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

// wideConstants are the constants of reduceExp and of what uses it.
var wideConstants = append([]uint32{
	f32(log2e), f32(ln2hi), f32(ln2lo), f32(1), f32(-87), f32(-104), signBit, 127,
}, func() (p []uint32) {
	for _, c := range expP {
		p = append(p, f32(c))
	}
	return p
}()...)

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

func (w wide) xorSign(x VecVirtual) VecVirtual {
	d := ZMM()
	VPXORD(x, w.bits(signBit), d)
	return d
}

func (w wide) copy(x VecVirtual) VecVirtual { d := ZMM(); VMOVAPS(x, d); return d }

// reduceExp is that of the kernels of eight.
func (w wide) reduceExp(x VecVirtual) (n, q VecVirtual) {
	n = w.mul(x, w.k(log2e))
	VRNDSCALEPS(Imm(8), n, n)
	r := w.copy(x)
	VFNMADD231PS(w.k(ln2hi), n, r)
	VFNMADD231PS(w.k(ln2lo), n, r)
	y := w.copy(w.k(expP[len(expP)-1]))
	for i := len(expP) - 2; i >= 0; i-- {
		VFMADD213PS(w.k(expP[i]), r, y)
	}
	q = w.mul(y, r)
	VFMADD213PS(r, r, q)
	VCVTPS2DQ(n, n)
	return n, q
}

func (w wide) pow2(n VecVirtual) {
	VPADDD(w.bits(127), n, n)
	VPSLLD(Imm(23), n, n)
}

func (w wide) silu(x VecVirtual) VecVirtual {
	x = w.max(x, w.k(-87))
	n, q := w.reduceExp(w.max(w.xorSign(x), w.k(-87)))
	w.pow2(n)
	d := w.copy(n)
	VFMADD231PS(n, q, d)
	VADDPS(w.k(1), d, d)
	VDIVPS(d, x, d)
	return d
}

func (w wide) sigmoid(x VecVirtual) VecVirtual {
	neg := ZMM()
	VPORD(x, w.bits(signBit), neg)
	n, q := w.reduceExp(w.max(neg, w.k(-104)))
	h := ZMM()
	VPSRAD(Imm(1), n, h)
	VPSUBD(h, n, n)
	w.pow2(h)
	w.pow2(n)
	z := ZMM()
	VADDPS(w.k(1), q, z)
	VMULPS(h, z, z)
	VMULPS(n, z, z)
	den := ZMM()
	VADDPS(w.k(1), z, den)
	// Negative x: z/(1+z), else 1/(1+z).
	VPMOVD2M(x, K2)
	num := w.copy(w.k(1))
	VMOVAPS(z, K2, num)
	VDIVPS(den, num, den)
	return den
}
