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
	winogradInput(four, five, two)
	winogradOutput(four, two, eight)
}

// Byte offsets of the fields of conv.winogradArgs.
const (
	wgPixels, wgTmp, wgSrc, wgDst   = 0, 288, 1440, 1464
	wgBias, wgAdd, wgPlane, wgChans = 1488, 1512, 1536, 1544
	wgRows, wgCols, wgLine, wgPixel = 1552, 1560, 1568, 1576
	wgAddLine, wgAddPixel           = 1584, 1592
	wgMin, wgMax                    = 1600, 1604
)

// winogradInput emits B'dB of 6 x 6 pixels, eight channels at a time: columns
// first, by way of the buffer in the arguments, then rows.
func winogradInput(four, five, two Mem) {
	TEXT("winogradInputAVX2", NOSPLIT, "func(a *byte)") // the stub says *winogradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	tmp := func(i, j int) Mem { return arg(wgTmp + 32*(6*i+j)) }
	VBROADCASTSS(four, Y13)
	VBROADCASTSS(five, Y14)
	VBROADCASTSS(two, Y15)
	MOVQ(arg(wgDst), RDI)
	MOVQ(arg(wgPlane), RDX)
	SHLQ(Imm(2), RDX)
	MOVQ(arg(wgChans), R9)
	XORQ(RBX, RBX)
	Label("winogradInputAVX2_block")
	for j := range 6 {
		for i := range 6 {
			MOVQ(arg(wgPixels+8*(6*i+j)), RCX)
			VMOVUPS(Mem{Base: RCX, Index: RBX, Scale: 1}, ymm(i))
		}
		winogradInput1D()
		for i := range 6 {
			VMOVUPS(ymm(6+i), tmp(i, j))
		}
	}
	MOVQ(RDI, R8)
	for i := range 6 {
		for j := range 6 {
			VMOVUPS(tmp(i, j), ymm(j))
		}
		winogradInput1D()
		for j := range 6 {
			VMOVUPS(ymm(6+j), Mem{Base: R8})
			ADDQ(RDX, R8)
		}
	}
	ADDQ(Imm(32), RBX)
	ADDQ(Imm(32), RDI)
	SUBQ(Imm(8), R9)
	JG(LabelRef("winogradInputAVX2_block"))
	VZEROUPPER()
	RET()
}

// winogradInput1D computes the six sums of Y0-Y5 into Y6-Y11. Y13-Y15 hold 4,
// 5 and 2.
func winogradInput1D() {
	// 4 d0 - 5 d2 + d4
	VMOVAPS(Y4, Y6)
	VFNMADD231PS(Y14, Y2, Y6)
	VFMADD231PS(Y13, Y0, Y6)
	// (d4 - 4 d2) +- (d3 - 4 d1)
	VMOVAPS(Y4, Y12)
	VFNMADD231PS(Y13, Y2, Y12)
	VMOVAPS(Y3, Y0)
	VFNMADD231PS(Y13, Y1, Y0)
	VADDPS(Y0, Y12, Y7)
	VSUBPS(Y0, Y12, Y8)
	// (d4 - d2) +- 2 (d3 - d1)
	VSUBPS(Y2, Y4, Y12)
	VSUBPS(Y1, Y3, Y0)
	VMOVAPS(Y12, Y9)
	VFMADD231PS(Y15, Y0, Y9)
	VMOVAPS(Y12, Y10)
	VFNMADD231PS(Y15, Y0, Y10)
	// 4 d1 - 5 d3 + d5
	VMOVAPS(Y5, Y11)
	VFNMADD231PS(Y14, Y3, Y11)
	VFMADD231PS(Y13, Y1, Y11)
}

// winogradOutput emits A'mA, bias, residual and clamp for 4 x 4 pixels, of
// which the first Rows x Cols exist, eight channels at a time.
func winogradOutput(four, two, eight Mem) {
	const name = "winogradOutputAVX2"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *winogradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	tmp := func(i, j int) Mem { return arg(wgTmp + 32*(6*i+j)) }
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
			VMOVUPS(Mem{Base: R8}, ymm(i))
			if i < 5 {
				LEAQ(Mem{Base: R8, Index: RDX, Scale: 4}, R8)
				LEAQ(Mem{Base: R8, Index: RDX, Scale: 2}, R8)
			}
		}
		winogradOutput1D(four, two, eight)
		for i := range 4 {
			VMOVUPS(ymm(6+i), tmp(i, j))
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
			VMOVUPS(tmp(i, j), ymm(j))
		}
		winogradOutput1D(four, two, eight)
		winogradStore(name+"_"+string(rune('0'+i)), arg)
	}
	Label(name + "_next")
	ADDQ(Imm(32), RBX)
	SUBQ(Imm(8), R9)
	JG(LabelRef(name + "_block"))
	VZEROUPPER()
	RET()
}

// winogradStore finishes and stores the row of pixels in Y6-Y9. RDI points at
// it, RCX plus RBX at that of the residual.
func winogradStore(label string, arg func(int) Mem) {
	MOVQ(arg(wgBias), R8)
	VMOVUPS(Mem{Base: R8, Index: RBX, Scale: 1}, Y0)
	for j := range 4 {
		VADDPS(Y0, ymm(6+j), ymm(6+j))
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
		VADDPS(Mem{Base: R8}, ymm(6+j), ymm(6+j))
	}
	Label(label + "_clamp")
	VBROADCASTSS(arg(wgMin), Y0)
	VBROADCASTSS(arg(wgMax), Y1)
	for j := range 4 {
		VMAXPS(ymm(6+j), Y0, ymm(6+j)) // NaN stays: see (tile).store
		VMINPS(ymm(6+j), Y1, ymm(6+j))
	}
	MOVQ(RDI, R8)
	for j := range 4 {
		if j > 0 {
			CMPQ(arg(wgCols), Imm(uint64(j)))
			JLE(LabelRef(label + "_stored"))
			ADDQ(R11, R8)
		}
		VMOVUPS(ymm(6+j), Mem{Base: R8})
	}
	Label(label + "_stored")
}

// winogradOutput1D computes the four sums of Y0-Y5 into Y6-Y9.
func winogradOutput1D(four, two, eight Mem) {
	VADDPS(Y1, Y2, Y10) // s  = m1 + m2
	VSUBPS(Y2, Y1, Y11) // d  = m1 - m2
	VADDPS(Y3, Y4, Y12) // s' = m3 + m4
	VSUBPS(Y4, Y3, Y13) // d' = m3 - m4
	VADDPS(Y0, Y10, Y6)
	VADDPS(Y12, Y6, Y6) // m0 + s + s'
	VBROADCASTSS(two, Y14)
	VMOVAPS(Y11, Y7)
	VFMADD231PS(Y14, Y13, Y7) // d + 2 d'
	VBROADCASTSS(four, Y14)
	VMOVAPS(Y10, Y8)
	VFMADD231PS(Y14, Y12, Y8) // s + 4 s'
	VBROADCASTSS(eight, Y14)
	VADDPS(Y5, Y11, Y9)
	VFMADD231PS(Y14, Y13, Y9) // d + 8 d' + m5
}
