package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["bcount"] = emitBcount }

// The layout of bconv.countArgs; a test there holds the two together.
const (
	cBase       = 0
	cOffs       = 8
	cStartAt    = 16
	cStart      = 24
	cSteps      = 32
	cCount      = 40
	cW          = 48
	cScale      = 56
	cBias       = 64
	cThresholds = 72
	cDst        = 80
	cDstStride  = 88
	cAdd        = 96
	cAddStride  = 104
	cTiles      = 112
	cMode       = 120
	cLanes      = 128
	cLo         = 136 // float32
	cHi         = 140 // float32
	cOffsLeft   = 144 // uintptr, the next tile's offsets
	cStartLeft  = 152 // uintptr, the next tile's places of first sums
	cDstLeft    = 160 // uintptr, the next tile's output
	cAddLeft    = 168 // uintptr, its addend
	cRowStep    = 176 // bytes of the strip from one row of taps to the next
	cRowWeights = 184 // bytes of weights of a row of taps
)

const (
	cRows  = 8    // most pixels of a tile
	cPlane = 8320 // bytes from one plane of a strip to the next; bconv.planeBytes
)

func emitBcount() {
	for _, words := range []int{9, 3, 1} {
		for rows := cRows; rows >= 1; rows-- {
			bcount{rows, words}.emit()
		}
	}
	packSigns512()
	xorPlanes()
	xorRows()
	for _, size := range []int{1, 2, 4} {
		narrowSigns(size)
	}
}

// bcount emits the product of binary matrices: rows output pixels by 16 output
// channels, for a list of tiles that share the weights. Each lane of 32 bits
// multiplies 32 input channels by an exclusive or and a population count.
//
// A step of a triple multiplies three words at once, those of three neighbouring
// taps of a row. Of their differences a, b and c, the population counts of
// a^b^c and, twice, of the majority are what the three counts come to. The
// exclusive ors of signs with signs and of weights with weights, on which both
// depend, are made beforehand:
//
//	a^b^c    = P3 ^ W3
//	majority = (P1^W1) & (P2^W2) ^ P0 ^ W0    with P1 = x^y, P2 = x^z, P3 = x^y^z
//
// That takes eight instructions, where three words take nine. A step of three
// triples, those of three rows of taps, takes one of 24 less: of their a^b^c, all
// of which together are an exclusive or made beforehand too, two suffice for
// the majority.
type bcount struct {
	rows  int
	words int // that a step multiplies: 1, 3 or 9
}

func (t bcount) name() string {
	if t.words > 1 {
		return fmt.Sprintf("bcount%dx%d", t.words, t.rows)
	}
	return fmt.Sprintf("bcountx%d", t.rows)
}

// Registers beside the sums: acc, from 0 on, and those of majorities.
const (
	cTwos  = 8
	cW0    = 16 // weights; the constants of stores later
	cSpare = 20
)

func (t bcount) emit() {
	name := t.name()
	label := func(l string) string { return name + "_" + l }
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by 16 channels; a is a *countArgs.", name, t.rows))
	a := Load(Param("a"), GP64())
	arg := func(off int) Mem { return Mem{Base: a, Disp: off} }
	rows := make([]GPVirtual, t.rows)
	for i := range rows {
		rows[i] = GP64()
	}
	steps, w, k, off := GP64(), GP64(), GP64(), GP64()
	for _, f := range [][2]int{{cOffs, cOffsLeft}, {cStartAt, cStartLeft}, {cDst, cDstLeft}, {cAdd, cAddLeft}} {
		MOVQ(arg(f[0]), off)
		MOVQ(off, arg(f[1]))
	}
	MOVQ(arg(cLanes), off)
	KMOVW(off.As32(), K1)

	Label(label("tile"))
	MOVQ(arg(cStartLeft), steps)
	MOVQ(arg(cStart), w)
	for i := range rows {
		MOVLQSX(Mem{Base: steps, Disp: 4 * i}, off)
		VMOVDQU32(Mem{Base: w, Index: off, Scale: 1}, zmm(i))
		if t.words > 1 {
			VPXORD(zmm(cTwos+i), zmm(cTwos+i), zmm(cTwos+i))
		}
	}
	MOVQ(arg(cOffsLeft), steps)
	MOVQ(arg(cBase), w)
	for i := range rows {
		MOVLQSX(Mem{Base: steps, Disp: 4 * i}, rows[i])
		ADDQ(w, rows[i])
	}
	ADDQ(Imm(uint64(4*t.rows)), arg(cStartLeft))
	ADDQ(Imm(uint64(4*t.rows)), arg(cOffsLeft))
	MOVQ(arg(cSteps), steps)
	MOVQ(arg(cW), w)
	MOVQ(arg(cCount), k)
	TESTQ(k, k)
	JE(LabelRef(label("sums")))
	var at []Register // of three rows of taps
	rowWeights := GP64()
	if t.words == 9 {
		MOVQ(arg(cRowStep), rowWeights)
		MOVLQSX(Mem{Base: steps}, off)
		at = []Register{off, GP64(), steps} // words follow each other
		LEAQ(Mem{Base: off, Index: rowWeights, Scale: 1}, at[1])
		LEAQ(Mem{Base: off, Index: rowWeights, Scale: 2}, at[2])
		MOVQ(arg(cRowWeights), rowWeights)
	}
	Label(label("step"))
	if t.words != 9 {
		MOVLQSX(Mem{Base: steps}, off)
	}
	switch t.words {
	case 9:
		t.nineStep(rows, at, w, rowWeights)
	case 3:
		t.tripleStep(rows, off, w)
	default:
		t.plainStep(rows, steps, off, w)
	}
	if t.words != 9 {
		ADDQ(Imm(8), steps)
	}
	DECQ(k)
	JNE(LabelRef(label("step")))

	Label(label("sums"))
	if t.words > 1 {
		for i := range rows {
			VPADDD(zmm(cTwos+i), zmm(cTwos+i), zmm(cTwos+i))
		}
		for i := range rows {
			VPADDD(zmm(cTwos+i), zmm(i), zmm(i))
		}
	}
	CMPQ(arg(cMode), Imm(2))
	JE(LabelRef(label("signs")))
	JA(LabelRef(label("words")))
	t.floats(arg, label, steps, w, k, off)
	JMP(LabelRef(label("next")))
	Label(label("signs"))
	t.signs(arg, steps, w, k, off, func(to Mem) { MOVW(off.As16(), to) })
	JMP(LabelRef(label("next")))
	Label(label("words"))
	t.signs(arg, steps, w, k, off, func(to Mem) { MOVQ(off, to) })
	Label(label("next"))
	DECQ(arg(cTiles))
	JNE(LabelRef(label("tile")))
	VZEROUPPER()
	RET()
}

// plainStep subtracts the differences of a word of each pixel from the sums;
// the step has a mask of the bits that count.
func (t bcount) plainStep(rows []GPVirtual, steps, off, w Register) {
	VMOVDQU32(Mem{Base: w}, zmm(cW0))
	VPBROADCASTD(Mem{Base: steps, Disp: 4}, zmm(cW0+1))
	for i, row := range rows {
		x := zmm(cSpare + i)
		VPBROADCASTD(Mem{Base: row, Index: off, Scale: 1}, x)
		VPTERNLOGD(U8(0x28), zmm(cW0+1), zmm(cW0), x) // (x ^ w) & mask
		VPOPCNTD(x, x)
		VPSUBD(x, zmm(i), zmm(i))
	}
	ADDQ(Imm(64), w)
}

// tripleStep subtracts the differences of three words of each pixel.
func (t bcount) tripleStep(rows []GPVirtual, off, w Register) {
	for i := range 4 {
		VMOVDQU32(Mem{Base: w, Disp: 64 * i}, zmm(cW0+i))
	}
	for i, row := range rows {
		word := func(n int) Mem { return Mem{Base: row, Index: off, Scale: 1, Disp: cPlane * n} }
		x, y := zmm(cSpare+2*(i%6)), zmm(cSpare+1+2*(i%6))
		VPXORD_BCST(word(1), zmm(cW0+1), x)
		VPXORD_BCST(word(3), zmm(cW0+3), y)
		VPTERNLOGD_BCST(U8(0x60), word(2), zmm(cW0+2), x) // x & (P2 ^ W2)
		VPOPCNTD(y, y)
		VPTERNLOGD_BCST(U8(0x96), word(0), zmm(cW0), x) // x ^ P0 ^ W0
		VPOPCNTD(x, x)
		VPSUBD(y, zmm(i), zmm(i))
		VPSUBD(x, zmm(cTwos+i), zmm(cTwos+i))
	}
	ADDQ(U32(256), w)
}

// nineStep subtracts the differences of nine words of each pixel, three of each
// row of taps, and moves on to the next words.
func (t bcount) nineStep(rows []GPVirtual, at []Register, w, rowWeights Register) {
	weights := func(row, n int) Mem {
		m := Mem{Base: w, Disp: 64 * n}
		if row > 0 {
			m.Index, m.Scale = rowWeights, uint8(row)
		}
		return m
	}
	single, all := func(row, n int) VecPhysical { return zmm(cW0 + 3*row + n) }, zmm(cW0+11)
	parity := func(row int) VecPhysical { return zmm(cW0 + 9 + row) }
	for row := range 3 {
		for n := range 3 {
			VMOVDQU32(weights(row, n), single(row, n))
		}
	}
	VMOVDQU32(weights(0, 3), parity(0))
	VMOVDQU32(weights(1, 3), parity(1))
	VMOVDQA32(parity(0), all)
	VPTERNLOGD(U8(0x96), weights(2, 3), parity(1), all)
	p, q, s, x := zmm(28), zmm(29), zmm(30), zmm(31)
	for i, row := range rows {
		word := func(line, n int) Mem {
			return Mem{Base: row, Index: at[line], Scale: 1, Disp: cPlane * n}
		}
		VPXORD_BCST(word(0, 3), parity(0), p)
		VPXORD_BCST(word(1, 3), parity(1), q)
		VPXORD_BCST(word(0, 4), all, s)
		VPTERNLOGD(U8(0xd4), s, q, p) // the majority of p, q and p^q^s
		VPOPCNTD(s, s)
		VPSUBD(s, zmm(i), zmm(i))
		VPOPCNTD(p, p)
		VPSUBD(p, zmm(cTwos+i), zmm(cTwos+i))
		for line := range 3 {
			VPXORD_BCST(word(line, 1), single(line, 1), x)
			VPTERNLOGD_BCST(U8(0x60), word(line, 2), single(line, 2), x) // x & (P2 ^ W2)
			VPTERNLOGD_BCST(U8(0x96), word(line, 0), single(line, 0), x) // x ^ P0 ^ W0
			VPOPCNTD(x, x)
			VPSUBD(x, zmm(cTwos+i), zmm(cTwos+i))
		}
	}
	for _, line := range at {
		ADDQ(Imm(4), line)
	}
	ADDQ(U32(256), w)
}

// floats stores the tile as floats: sums times scale plus bias, plus an addend
// if there is one, between the limits if there are any.
func (t bcount) floats(arg func(int) Mem, label func(string) string, dst, p, stride, bias Register) {
	const scale, lo, hi = cW0, cW0 + 2, cW0 + 3
	MOVQ(arg(cScale), p)
	VMOVUPS(Mem{Base: p}, zmm(scale))
	MOVQ(arg(cBias), bias)
	each := func(do func(r VecPhysical)) {
		for i := range t.rows {
			do(zmm(i))
		}
	}
	each(func(r VecPhysical) { VCVTDQ2PS(r, r) })
	each(func(r VecPhysical) { VMULPS(zmm(scale), r, r) })
	each(func(r VecPhysical) { VADDPS(Mem{Base: bias}, r, r) })
	MOVQ(arg(cAddLeft), p)
	TESTQ(p, p)
	JE(LabelRef(label("alone")))
	MOVQ(arg(cAddStride), stride)
	each(func(r VecPhysical) {
		VADDPS(Mem{Base: p}, r, K1, r)
		ADDQ(stride, p)
	})
	MOVQ(p, arg(cAddLeft))
	Label(label("alone"))
	VBROADCASTSS(arg(cLo), zmm(lo))
	VBROADCASTSS(arg(cHi), zmm(hi))
	MOVQ(arg(cDstLeft), dst)
	MOVQ(arg(cDstStride), stride)
	each(func(r VecPhysical) {
		VMAXPS(r, zmm(lo), r) // a NaN stays
		VMINPS(r, zmm(hi), r)
		VMOVUPS(r, K1, Mem{Base: dst})
		ADDQ(stride, dst)
	})
	MOVQ(dst, arg(cDstLeft))
}

// signs stores the tile as bits, of sums that reach their threshold.
func (t bcount) signs(arg func(int) Mem, dst, p, stride Register, bits GPVirtual, store func(to Mem)) {
	MOVQ(arg(cThresholds), p)
	VMOVDQU32(Mem{Base: p}, zmm(cW0))
	MOVQ(arg(cDstLeft), dst)
	MOVQ(arg(cDstStride), stride)
	for i := range t.rows {
		const notLess = 5
		mask := []OpmaskPhysical{K2, K3, K4, K5}[i%4]
		VPCMPD(U8(notLess), zmm(cW0), zmm(i), mask)
		KMOVW(mask, bits.As32())
		store(Mem{Base: dst})
		ADDQ(stride, dst)
	}
	MOVQ(dst, arg(cDstLeft))
}

// xorPlanes emits the exclusive ors of neighbours that triples read.
func xorPlanes() {
	const name = "xorPlanes"
	TEXT(name, NOSPLIT, "func(plane *byte, lines, step int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s writes, %d bytes apart, three planes after one of so many lines of 64 bytes: each byte exclusive or that step bytes later, that 2*step later, and both.", name, cPlane))
	p, n, step := Load(Param("plane"), GP64()), Load(Param("lines"), GP64()), Load(Param("step"), GP64())
	Label(name + "_line")
	VMOVDQU32(Mem{Base: p}, zmm(0))
	VMOVDQU32(Mem{Base: p, Index: step, Scale: 1}, zmm(1))
	VMOVDQU32(Mem{Base: p, Index: step, Scale: 2}, zmm(2))
	VPXORD(zmm(0), zmm(1), zmm(1))
	VPXORD(zmm(2), zmm(1), zmm(3))
	VPXORD(zmm(0), zmm(2), zmm(2))
	for i := 1; i <= 3; i++ {
		VMOVDQU32(zmm(i), Mem{Base: p, Disp: cPlane * i})
	}
	ADDQ(Imm(64), p)
	DECQ(n)
	JNE(LabelRef(name + "_line"))
	VZEROUPPER()
	RET()
}

// xorRows emits the exclusive ors of three rows that nines read.
func xorRows() {
	const name = "xorRows"
	TEXT(name, NOSPLIT, "func(plane *byte, lines, step int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s writes, %d bytes after one of so many lines of 64 bytes, each byte exclusive or those step and 2*step bytes later.", name, cPlane))
	p, n, step := Load(Param("plane"), GP64()), Load(Param("lines"), GP64()), Load(Param("step"), GP64())
	Label(name + "_line")
	VMOVDQU32(Mem{Base: p}, zmm(0))
	VMOVDQU32(Mem{Base: p, Index: step, Scale: 1}, zmm(1))
	VPTERNLOGD(U8(0x96), Mem{Base: p, Index: step, Scale: 2}, zmm(1), zmm(0))
	VMOVDQU32(zmm(0), Mem{Base: p, Disp: cPlane})
	ADDQ(Imm(64), p)
	DECQ(n)
	JNE(LabelRef(name + "_line"))
	VZEROUPPER()
	RET()
}

// narrowSigns emits the step from words of a pixel to their first size bytes.
func narrowSigns(size int) {
	name := fmt.Sprintf("narrowSigns%d", size)
	TEXT(name, NOSPLIT, "func(dst *byte, src *uint64, eights int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s writes the first %d bytes of each of 8*eights words.", name, size))
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("eights"), GP64())
	Label(name + "_loop")
	VMOVDQU64(Mem{Base: src}, zmm(0))
	switch size {
	case 1:
		VPMOVQB(zmm(0), xmm(1))
		VMOVQ(xmm(1), Mem{Base: dst})
	case 2:
		VPMOVQW(zmm(0), xmm(1))
		VMOVDQU(xmm(1), Mem{Base: dst})
	case 4:
		VPMOVQD(zmm(0), ymm(1))
		VMOVDQU(ymm(1), Mem{Base: dst})
	}
	ADDQ(Imm(64), src)
	ADDQ(Imm(uint64(8*size)), dst)
	DECQ(n)
	JNE(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// packSigns512 emits the comparison of floats with thresholds, 16 at a time.
func packSigns512() {
	const name, atLeast = "packSignsAVX512", 0x1d
	TEXT(name, NOSPLIT, "func(dst *uint64, src, above *float32, pixels, octets, dstStride, srcStride, aboveStep int)")
	Pragma("noescape")
	Doc(name + " writes a bit for each of 8*octets floats of every pixel: 1 where it is at least the float above, which moves aboveStep bytes from one 16 to the next. Strides are in bytes.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	pixels, octets := Load(Param("pixels"), GP64()), Load(Param("octets"), GP64())
	dstStride, srcStride := Load(Param("dstStride"), GP64()), Load(Param("srcStride"), GP64())
	above, step := Load(Param("above"), GP64()), Load(Param("aboveStep"), GP64())
	p, q, k, bits, least := GP64(), GP64(), GP64(), GP32(), GP64()
	Label(name + "_pixel")
	MOVQ(src, p)
	MOVQ(dst, q)
	MOVQ(above, least)
	MOVQ(octets, k)
	SUBQ(Imm(2), k)
	JLT(LabelRef(name + "_rest"))
	Label(name + "_two")
	VMOVUPS(Mem{Base: p}, zmm(0))
	VCMPPS(U8(atLeast), Mem{Base: least}, zmm(0), K1)
	KMOVW(K1, bits)
	MOVW(bits.As16(), Mem{Base: q})
	ADDQ(step, least)
	ADDQ(Imm(64), p)
	ADDQ(Imm(2), q)
	SUBQ(Imm(2), k)
	JGE(LabelRef(name + "_two"))
	Label(name + "_rest")
	ADDQ(Imm(2), k)
	JE(LabelRef(name + "_next"))
	VMOVUPS(Mem{Base: p}, ymm(0))
	VCMPPS(U8(atLeast), Mem{Base: least}, ymm(0), K1)
	KMOVW(K1, bits)
	MOVB(bits.As8(), Mem{Base: q})
	Label(name + "_next")
	ADDQ(srcStride, src)
	ADDQ(dstStride, dst)
	DECQ(pixels)
	JNE(LabelRef(name + "_pixel"))
	VZEROUPPER()
	RET()
}
