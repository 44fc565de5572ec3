package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of sparse.inArgs.
const (
	siSrc, siDst, siLd, siChans = 0, 128, 152, 160
)

// Byte offsets of the fields of sparse.outArgs.
const (
	soSrc, soLd, soDst, soDstStride = 0, 24, 32, 56
	soAdd, soAddStride, soPixels    = 64, 88, 96
	soChans, soMin, soMax           = 104, 112, 116
	soSrcAt, soDstAt, soAddAt       = 120, 128, 136
)

// emitPanelIn emits sparse.inArgs' copy of eight pixels into the columns of a
// panel, eight channels at a time; channels past a multiple of eight are left
// to the caller.
func emitPanelIn() {
	const name = "panelInAVX2"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *inArgs
	Load(Param("a"), RAX)
	pixels := []GPPhysical{R8, R9, R10, R11, R12, R13, R15, RSI}
	for i, r := range pixels {
		MOVQ(Mem{Base: RAX, Disp: siSrc + 8*i}, r)
	}
	dst, ld, ld3, high, at, left := RDI, RDX, RBX, RAX, R14, RCX // RAX is free once all is loaded
	MOVQ(Mem{Base: RAX, Disp: siDst}, dst)
	MOVQ(Mem{Base: RAX, Disp: siLd}, ld)
	SHLQ(Imm(2), ld)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	MOVQ(Mem{Base: RAX, Disp: siChans}, left)
	XORQ(at, at)
	SUBQ(Imm(8), left)
	JLT(LabelRef(name + "_ret"))
	Label(name + "_group")
	LEAQ(Mem{Base: dst, Index: ld, Scale: 4}, high)
	for half, base := range []GPPhysical{dst, high} {
		transpose4(func(i int) Mem { return Mem{Base: pixels[i], Index: at, Scale: 1, Disp: 16 * half} },
			func(i int, v VecPhysical) { VMOVUPS(v, rowOf(base, ld, ld3, i)) })
	}
	LEAQ(Mem{Base: dst, Index: ld, Scale: 8}, dst)
	ADDQ(Imm(32), at)
	SUBQ(Imm(8), left)
	JGE(LabelRef(name + "_group"))
	Label(name + "_ret")
	VZEROUPPER()
	RET()
}

// rowOf is row i < 4 of a matrix whose rows are ld bytes apart; ld3 is three
// times that.
func rowOf(base, ld, ld3 GPPhysical, i int) Mem {
	switch i {
	case 0:
		return Mem{Base: base}
	case 3:
		return Mem{Base: base, Index: ld3, Scale: 1}
	}
	return Mem{Base: base, Index: ld, Scale: uint8(i)}
}

// transpose4 transposes four columns of eight rows, of which row gives the
// address of the four wanted elements. It passes the columns to store, in
// Y8 to Y11, and uses Y0 to Y7.
func transpose4(row func(i int) Mem, store func(i int, v VecPhysical)) {
	for i := range 4 {
		VMOVUPS(row(i), xmm(i))
		VINSERTF128(Imm(1), row(i+4), ymm(i), ymm(i))
	}
	VUNPCKLPS(Y1, Y0, Y4)
	VUNPCKHPS(Y1, Y0, Y5)
	VUNPCKLPS(Y3, Y2, Y6)
	VUNPCKHPS(Y3, Y2, Y7)
	for i, half := range []Constant{Imm(0x44), Imm(0xee)} {
		VSHUFPS(half, Y6, Y4, ymm(8+i))
		VSHUFPS(half, Y7, Y5, ymm(10+i))
	}
	for i := range 4 {
		store(i, ymm(8+i))
	}
}

// emitPanelOut emits sparse.outArgs' copy of rows of a panel to pixels, eight
// channels of eight pixels at a time. Channels past a multiple of eight are
// left to the caller.
func emitPanelOut() {
	const name = "panelOutAVX2"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *outArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	src, high, ld, ld3 := RSI, R8, RDX, RBX
	dst, step, add, addStep := RDI, R9, R10, R11
	pixels, chans, to, from := RCX, R12, R13, R15
	MOVQ(arg(soLd), ld)
	SHLQ(Imm(2), ld)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	MOVQ(arg(soDstStride), step)
	SHLQ(Imm(2), step)
	MOVQ(arg(soAddStride), addStep)
	SHLQ(Imm(2), addStep)
	for _, m := range [][2]int{{soSrc, soSrcAt}, {soDst, soDstAt}, {soAdd, soAddAt}} {
		MOVQ(arg(m[0]), R14)
		MOVQ(R14, arg(m[1]))
	}
	VBROADCASTSS(arg(soMin), Y14)
	VBROADCASTSS(arg(soMax), Y15)
	MOVQ(arg(soPixels), pixels)

	Label(name + "_pixels")
	MOVQ(arg(soSrcAt), src)
	MOVQ(arg(soDstAt), dst)
	MOVQ(arg(soAddAt), add)
	MOVQ(arg(soChans), chans)
	SUBQ(Imm(8), chans)
	JLT(LabelRef(name + "_ret"))
	Label(name + "_chans")
	LEAQ(Mem{Base: src, Index: ld, Scale: 4}, high)
	MOVQ(dst, to)
	MOVQ(add, from)
	TESTQ(add, add)
	JNE(LabelRef(name + "_add"))
	panelOutSquare(name, "plain", src, high, ld, ld3, func(i int, v VecPhysical) {
		VMOVUPS(v, Mem{Base: to})
		ADDQ(step, to)
	})
	JMP(LabelRef(name + "_next"))
	Label(name + "_add")
	panelOutSquare(name, "sum", src, high, ld, ld3, func(i int, v VecPhysical) {
		VADDPS(Mem{Base: from}, v, v)
		// The sum is the operand that a comparison with NaN returns.
		VMAXPS(v, Y14, v)
		VMINPS(v, Y15, v)
		VMOVUPS(v, Mem{Base: to})
		ADDQ(step, to)
		ADDQ(addStep, from)
	})
	Label(name + "_next")
	LEAQ(Mem{Base: src, Index: ld, Scale: 8}, src)
	ADDQ(Imm(32), dst)
	TESTQ(add, add)
	JEQ(LabelRef(name + "_none"))
	ADDQ(Imm(32), add)
	Label(name + "_none")
	SUBQ(Imm(8), chans)
	JGE(LabelRef(name + "_chans"))

	SUBQ(Imm(8), pixels)
	JLE(LabelRef(name + "_ret"))
	ADDQ(Imm(32), arg(soSrcAt))
	MOVQ(step, to)
	SHLQ(Imm(3), to)
	ADDQ(to, arg(soDstAt))
	TESTQ(add, add)
	JEQ(LabelRef(name + "_pixels"))
	MOVQ(addStep, to)
	SHLQ(Imm(3), to)
	ADDQ(to, arg(soAddAt))
	JMP(LabelRef(name + "_pixels"))
	Label(name + "_ret")
	VZEROUPPER()
	RET()
}

// panelOutSquare emits one square of panelOut: store gets each pixel there is.
func panelOutSquare(name, kind string, src, high, ld, ld3 GPPhysical, store func(i int, v VecPhysical)) {
	done := LabelRef(name + "_" + kind + "done")
	for half := range 2 {
		row := func(i int) Mem {
			m := rowOf(src, ld, ld3, i%4)
			if i >= 4 {
				m = rowOf(high, ld, ld3, i%4)
			}
			m.Disp = 16 * half
			return m
		}
		transpose4(row, func(i int, v VecPhysical) {
			if n := 4*half + i; n > 0 {
				CMPQ(RCX, Imm(uint64(n)))
				JLE(done)
			}
			store(i, v)
		})
	}
	Label(name + "_" + kind + "done")
}

// transpose16 transposes four columns of 16 rows, of which row gives the address
// of the four wanted elements. It passes the columns to store, in Z8 to Z11, and
// uses Z0 to Z7. Rows come into place by insertions from memory, which two ports
// of the processor do, where shuffles have one.
func transpose16(row func(i int) Mem, store func(i int, v VecPhysical)) {
	for i := range 4 {
		VMOVUPS(row(i), xmm(i))
	}
	for quarter := 1; quarter < 4; quarter++ {
		for i := range 4 {
			VINSERTF32X4(Imm(uint64(quarter)), row(4*quarter+i), zmm(i), zmm(i))
		}
	}
	VUNPCKLPS(Z1, Z0, Z4)
	VUNPCKHPS(Z1, Z0, Z5)
	VUNPCKLPS(Z3, Z2, Z6)
	VUNPCKHPS(Z3, Z2, Z7)
	for i, half := range []Constant{Imm(0x44), Imm(0xee)} {
		VSHUFPS(half, Z6, Z4, zmm(8+i))
		VSHUFPS(half, Z7, Z5, zmm(10+i))
	}
	for i := range 4 {
		store(i, zmm(8+i))
	}
}

// emitPanelIn512 emits sparse.inArgs' copy of 16 pixels into the columns of a
// panel, four channels at a time; channels past a multiple of four are left to
// the caller.
func emitPanelIn512() {
	const name = "panelInAVX512"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *inArgs
	Load(Param("a"), RAX)
	dst, ld, ld3, at, left := RDI, RDX, RBX, R14, RCX
	pixels := []GPPhysical{R8, R9, R10, R11, R12, R13, R15, RSI}
	MOVQ(Mem{Base: RAX, Disp: siDst}, dst)
	MOVQ(Mem{Base: RAX, Disp: siLd}, ld)
	SHLQ(Imm(2), ld)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	MOVQ(Mem{Base: RAX, Disp: siChans}, left)
	XORQ(at, at)
	SUBQ(Imm(4), left)
	JLT(LabelRef(name + "_ret"))
	Label(name + "_group")
	transpose16(func(i int) Mem {
		p := pixels[i%8]
		MOVQ(Mem{Base: RAX, Disp: siSrc + 8*i}, p)
		return Mem{Base: p, Index: at, Scale: 1}
	}, func(i int, v VecPhysical) { VMOVUPS(v, rowOf(dst, ld, ld3, i)) })
	LEAQ(Mem{Base: dst, Index: ld, Scale: 4}, dst)
	ADDQ(Imm(16), at)
	SUBQ(Imm(4), left)
	JGE(LabelRef(name + "_group"))
	Label(name + "_ret")
	VZEROUPPER()
	RET()
}

// emitPanelOut512 emits sparse.outArgs' copy of rows of a panel to pixels, 16
// channels of 16 pixels at a time; channels past a multiple of 16 are left to
// the caller.
func emitPanelOut512() {
	const name = "panelOutAVX512"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *outArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	rows := []GPPhysical{RSI, R8, R13, R15} // of each fourth channel
	ld, ld3, dst, step := RDX, RBX, RDI, R9
	add, addStep, pixels, chans, at := R10, R11, RCX, R12, R14
	MOVQ(arg(soLd), ld)
	SHLQ(Imm(2), ld)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	MOVQ(arg(soDstStride), step)
	SHLQ(Imm(2), step)
	MOVQ(arg(soAddStride), addStep)
	SHLQ(Imm(2), addStep)
	for _, m := range [][2]int{{soSrc, soSrcAt}, {soDst, soDstAt}, {soAdd, soAddAt}} {
		MOVQ(arg(m[0]), at)
		MOVQ(at, arg(m[1]))
	}
	VBROADCASTSS(arg(soMin), Z14)
	VBROADCASTSS(arg(soMax), Z15)
	MOVQ(arg(soPixels), pixels)
	MOVQ(arg(soChans), chans)
	ANDQ(I32(-16), chans)
	SHLQ(Imm(2), chans)
	JE(LabelRef(name + "_ret"))
	Label(name + "_pixels")
	MOVQ(arg(soSrcAt), rows[0])
	for i := 1; i < 4; i++ {
		LEAQ(Mem{Base: rows[i-1], Index: ld, Scale: 4}, rows[i])
	}
	XORQ(at, at)
	Label(name + "_chans")
	MOVQ(arg(soDstAt), dst)
	ADDQ(at, dst)
	MOVQ(arg(soAddAt), add)
	TESTQ(add, add)
	JNE(LabelRef(name + "_add"))
	for _, kind := range []string{"plain", "sum"} {
		if kind == "sum" {
			JMP(LabelRef(name + "_next"))
			Label(name + "_add")
			ADDQ(at, add)
		}
		for quarter := range 4 {
			transpose16(func(i int) Mem {
				m := rowOf(rows[i/4], ld, ld3, i%4)
				m.Disp = 16 * quarter
				return m
			}, func(i int, v VecPhysical) {
				if n := 4*quarter + i; n > 0 {
					CMPQ(pixels, Imm(uint64(n)))
					JLE(LabelRef(name + "_next"))
				}
				if kind == "sum" {
					VADDPS(Mem{Base: add}, v, v)
					// The sum is the operand that a comparison with NaN returns.
					VMAXPS(v, Z14, v)
					VMINPS(v, Z15, v)
					ADDQ(addStep, add)
				}
				VMOVUPS(v, Mem{Base: dst})
				ADDQ(step, dst)
			})
		}
	}
	Label(name + "_next")
	for _, r := range rows {
		LEAQ(Mem{Base: r, Index: ld, Scale: 8}, r)
		LEAQ(Mem{Base: r, Index: ld, Scale: 8}, r)
	}
	ADDQ(Imm(64), at)
	CMPQ(at, chans)
	JL(LabelRef(name + "_chans"))
	ADDQ(Imm(64), arg(soSrcAt))
	MOVQ(step, at)
	SHLQ(Imm(4), at)
	ADDQ(at, arg(soDstAt))
	CMPQ(arg(soAddAt), Imm(0))
	JEQ(LabelRef(name + "_more"))
	MOVQ(addStep, at)
	SHLQ(Imm(4), at)
	ADDQ(at, arg(soAddAt))
	Label(name + "_more")
	SUBQ(Imm(16), pixels)
	JG(LabelRef(name + "_pixels"))
	Label(name + "_ret")
	VZEROUPPER()
	RET()
}
