package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["winograd"] = emitWinograd }

func emitWinograd() {
	four := GLOBL("winogradFour", RODATA|NOPTR)
	DATA(0, F32(4))
	five := GLOBL("winogradFive", RODATA|NOPTR)
	DATA(0, F32(5))
	two := GLOBL("winogradTwo", RODATA|NOPTR)
	DATA(0, F32(2))
	eight := GLOBL("winogradEight", RODATA|NOPTR)
	DATA(0, F32(8))
	for _, w := range []winogradVectors{{"AVX2", 8, ymm}, {"AVX512", 16, zmm}} {
		w.input(four, five, two)
		w.output(four, two, eight)
	}
}

// winogradVectors are the vectors that hold some channels.
type winogradVectors struct {
	name  string
	lanes int
	v     func(int) VecPhysical
}

// buffer leaves in R14 the start of the buffer in the arguments, which are in RAX, and
// returns the places of its vectors.
func (w winogradVectors) buffer() func(i, j int) Mem {
	at := wgTmp
	if w.lanes == 16 {
		at = wgWide + 63
	}
	LEAQ(Mem{Base: RAX, Disp: at}, R14)
	if w.lanes == 16 {
		ANDQ(I32(-64), R14)
	}
	return func(i, j int) Mem { return Mem{Base: R14, Disp: 4 * w.lanes * (6*i + j)} }
}

// Byte offsets of the fields of conv.winogradArgs.
const (
	wgPixels, wgTmp, wgSrc, wgDst   = 0, 288, 1440, 1464
	wgBias, wgAdd, wgPlane, wgChans = 1488, 1512, 1536, 1544
	wgRows, wgCols, wgLine, wgPixel = 1552, 1560, 1568, 1576
	wgAddLine, wgAddPixel           = 1584, 1592
	wgMin, wgMax, wgWide            = 1600, 1604, 1608
)

// input emits B'dB of 6 x 6 pixels, some channels at a time: columns first, by way
// of the buffer in the arguments, then rows.
func (w winogradVectors) input(four, five, two Mem) {
	name, v := "winogradInput"+w.name, w.v
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *winogradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	tmp := w.buffer()
	VBROADCASTSS(four, w.v(13))
	VBROADCASTSS(five, w.v(14))
	VBROADCASTSS(two, w.v(15))
	MOVQ(arg(wgDst), RDI)
	MOVQ(arg(wgPlane), RDX)
	SHLQ(Imm(2), RDX)
	MOVQ(arg(wgChans), R9)
	XORQ(RBX, RBX)
	Label(name + "_block")
	for j := range 6 {
		for i := range 6 {
			MOVQ(arg(wgPixels+8*(6*i+j)), RCX)
			VMOVUPS(Mem{Base: RCX, Index: RBX, Scale: 1}, v(i))
		}
		w.input1D()
		for i := range 6 {
			VMOVUPS(v(6+i), tmp(i, j))
		}
	}
	MOVQ(RDI, R8)
	for i := range 6 {
		for j := range 6 {
			VMOVUPS(tmp(i, j), v(j))
		}
		w.input1D()
		for j := range 6 {
			VMOVUPS(v(6+j), Mem{Base: R8})
			ADDQ(RDX, R8)
		}
	}
	ADDQ(U32(uint32(4*w.lanes)), RBX)
	ADDQ(U32(uint32(4*w.lanes)), RDI)
	SUBQ(Imm(uint64(w.lanes)), R9)
	JG(LabelRef(name + "_block"))
	VZEROUPPER()
	RET()
}

// input1D computes the six sums of registers 0-5 into 6-11. Registers 13-15 hold 4,
// 5 and 2.
func (w winogradVectors) input1D() {
	v := w.v
	// 4 d0 - 5 d2 + d4
	VMOVAPS(v(4), v(6))
	VFNMADD231PS(v(14), v(2), v(6))
	VFMADD231PS(v(13), v(0), v(6))
	// (d4 - 4 d2) +- (d3 - 4 d1)
	VMOVAPS(v(4), v(12))
	VFNMADD231PS(v(13), v(2), v(12))
	VMOVAPS(v(3), v(0))
	VFNMADD231PS(v(13), v(1), v(0))
	VADDPS(v(0), v(12), v(7))
	VSUBPS(v(0), v(12), v(8))
	// (d4 - d2) +- 2 (d3 - d1)
	VSUBPS(v(2), v(4), v(12))
	VSUBPS(v(1), v(3), v(0))
	VMOVAPS(v(12), v(9))
	VFMADD231PS(v(15), v(0), v(9))
	VMOVAPS(v(12), v(10))
	VFNMADD231PS(v(15), v(0), v(10))
	// 4 d1 - 5 d3 + d5
	VMOVAPS(v(5), v(11))
	VFNMADD231PS(v(14), v(3), v(11))
	VFMADD231PS(v(13), v(1), v(11))
}

// output emits A'mA, bias, residual and clamp for 4 x 4 pixels, of which the first
// Rows x Cols exist, some channels at a time.
func (w winogradVectors) output(four, two, eight Mem) {
	name, v := "winogradOutput"+w.name, w.v
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *winogradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	tmp := w.buffer()
	MOVQ(arg(wgSrc), RSI)
	MOVQ(arg(wgPlane), RDX)
	SHLQ(Imm(2), RDX)
	MOVQ(arg(wgChans), R9)
	bytes := func(off int, to Register) {
		MOVQ(arg(off), to)
		SHLQ(Imm(2), to)
	}
	bytes(wgLine, R10)
	bytes(wgPixel, R11)
	bytes(wgAddLine, R12)
	bytes(wgAddPixel, R13)
	XORQ(RBX, RBX)
	Label(name + "_block")
	for j := range 6 {
		LEAQ(Mem{Base: RSI, Index: RBX, Scale: 1}, R8)
		for range j {
			ADDQ(RDX, R8)
		}
		for i := range 6 {
			VMOVUPS(Mem{Base: R8}, v(i))
			if i < 5 {
				LEAQ(Mem{Base: R8, Index: RDX, Scale: 4}, R8)
				LEAQ(Mem{Base: R8, Index: RDX, Scale: 2}, R8)
			}
		}
		w.output1D(four, two, eight)
		for i := range 4 {
			VMOVUPS(v(6+i), tmp(i, j))
		}
	}
	MOVQ(arg(wgDst), RDI)
	ADDQ(RBX, RDI)
	MOVQ(arg(wgAdd), RCX)
	for i := range 4 {
		if i > 0 {
			CMPQ(arg(wgRows), Imm(uint64(i)))
			JLE(LabelRef(name + "_next"))
			ADDQ(R10, RDI)
			ADDQ(R12, RCX)
		}
		for j := range 6 {
			VMOVUPS(tmp(i, j), v(j))
		}
		w.output1D(four, two, eight)
		w.store(name+"_"+string(rune('0'+i)), arg)
	}
	Label(name + "_next")
	ADDQ(U32(uint32(4*w.lanes)), RBX)
	SUBQ(Imm(uint64(w.lanes)), R9)
	JG(LabelRef(name + "_block"))
	VZEROUPPER()
	RET()
}

// store finishes and stores the row of pixels in registers 6-9. RDI points at
// it, RCX plus RBX at that of the residual.
func (w winogradVectors) store(label string, arg func(int) Mem) {
	v := w.v
	MOVQ(arg(wgBias), R8)
	VMOVUPS(Mem{Base: R8, Index: RBX, Scale: 1}, v(0))
	for j := range 4 {
		VADDPS(v(0), v(6+j), v(6+j))
	}
	CMPQ(arg(wgAdd), Imm(0))
	JEQ(LabelRef(label + "_clamp"))
	LEAQ(Mem{Base: RCX, Index: RBX, Scale: 1}, R8)
	for j := range 4 {
		if j > 0 {
			CMPQ(arg(wgCols), Imm(uint64(j)))
			JLE(LabelRef(label + "_clamp"))
			ADDQ(R13, R8)
		}
		VADDPS(Mem{Base: R8}, v(6+j), v(6+j))
	}
	Label(label + "_clamp")
	VBROADCASTSS(arg(wgMin), v(0))
	VBROADCASTSS(arg(wgMax), v(1))
	for j := range 4 {
		VMAXPS(v(6+j), v(0), v(6+j)) // NaN stays: see (tile).store
		VMINPS(v(6+j), v(1), v(6+j))
	}
	MOVQ(RDI, R8)
	for j := range 4 {
		if j > 0 {
			CMPQ(arg(wgCols), Imm(uint64(j)))
			JLE(LabelRef(label + "_stored"))
			ADDQ(R11, R8)
		}
		VMOVUPS(v(6+j), Mem{Base: R8})
	}
	Label(label + "_stored")
}

// output1D computes the four sums of registers 0-5 into 6-9.
func (w winogradVectors) output1D(four, two, eight Mem) {
	v := w.v
	VADDPS(v(1), v(2), v(10)) // s  = m1 + m2
	VSUBPS(v(2), v(1), v(11)) // d  = m1 - m2
	VADDPS(v(3), v(4), v(12)) // s' = m3 + m4
	VSUBPS(v(4), v(3), v(13)) // d' = m3 - m4
	VADDPS(v(0), v(10), v(6))
	VADDPS(v(12), v(6), v(6)) // m0 + s + s'
	VBROADCASTSS(two, v(14))
	VMOVAPS(v(11), v(7))
	VFMADD231PS(v(14), v(13), v(7)) // d + 2 d'
	VBROADCASTSS(four, v(14))
	VMOVAPS(v(10), v(8))
	VFMADD231PS(v(14), v(12), v(8)) // s + 4 s'
	VBROADCASTSS(eight, v(14))
	VADDPS(v(5), v(11), v(9))
	VFMADD231PS(v(14), v(13), v(9)) // d + 8 d' + m5
}
