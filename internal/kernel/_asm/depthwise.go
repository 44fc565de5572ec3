package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["depthwise"] = emitDepthwise }

func emitDepthwise() {
	// Eight ones and eight zeros: the mask of n lanes starts at 8-n.
	masks := GLOBL("depthwiseMasks", RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(0xffffffff))
	}
	for i := 8; i < 16; i++ {
		DATA(4*i, U32(0))
	}
	depthwise{isa: avx2, masks: masks}.emit()
	depthwise{isa: avx512, masks: masks}.emit()
}

// Byte offsets of the fields of conv.dwArgs.
const (
	dwSrc, dwW, dwBias, dwDst, dwAdd           = 0, 24, 48, 72, 96
	dwTaps, dwTapsLen, dwFirst, dwPixels       = 120, 128, 144, 152
	dwChannels, dwStep, dwDstStride            = 160, 168, 176
	dwAddStride, dwMin, dwMax                  = 184, 192, 196
	dwLeft, dwAt, dwDstAt, dwAddAt, dwChanLeft = 200, 208, 216, 224, 232
)

// depthwise emits the kernel described by conv.dwArgs: pixels in groups of
// four, channels in lanes. A tap's weights are loaded once for the four
// pixels, whose values are memory operands of the multiply-adds.
type depthwise struct {
	isa
	masks Mem
}

var dwPixel = []GPPhysical{R8, R9, R10, R11}

func (d depthwise) emit() {
	name := "depthwise" + d.name
	label := func(s string) string { return name + "_" + s }
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *dwArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	move := func(from, to int) {
		MOVQ(arg(from), RCX)
		MOVQ(RCX, arg(to))
	}
	move(dwPixels, dwLeft)
	move(dwDst, dwDstAt)
	move(dwAdd, dwAddAt)
	MOVQ(arg(dwSrc), RCX)
	ADDQ(arg(dwFirst), RCX)
	MOVQ(RCX, arg(dwAt))
	// Strides in bytes stay in registers.
	dstStride, addStride := RSI, RDI
	MOVQ(arg(dwDstStride), dstStride)
	SHLQ(Imm(2), dstStride)
	MOVQ(arg(dwAddStride), addStride)
	SHLQ(Imm(2), addStride)

	Label(label("group"))
	// Pixels that are missing at the end repeat the last.
	MOVQ(arg(dwAt), R8)
	for i := 1; i < 4; i++ {
		MOVQ(dwPixel[i-1], dwPixel[i])
		CMPQ(arg(dwLeft), Imm(uint64(i)))
		JLE(LabelRef(label(fmt.Sprintf("last%d", i))))
		ADDQ(arg(dwStep), dwPixel[i])
		Label(label(fmt.Sprintf("last%d", i)))
	}
	MOVQ(arg(dwW), RDX)
	XORQ(RBX, RBX) // channel, in bytes
	move(dwChannels, dwChanLeft)

	wide := 4 * d.lanes
	for _, vecs := range []int{2, 1} {
		Label(label(fmt.Sprintf("by%d", vecs)))
		CMPQ(arg(dwChanLeft), U32(uint32(vecs*d.lanes)))
		JLT(LabelRef(label(fmt.Sprintf("after%d", vecs))))
		dwBlock{d.isa, vecs, false}.emit(label, arg, d.reg)
		d.advance(arg, vecs*wide)
		SUBQ(U32(uint32(vecs*d.lanes)), arg(dwChanLeft))
		JMP(LabelRef(label(fmt.Sprintf("by%d", vecs))))
		Label(label(fmt.Sprintf("after%d", vecs)))
	}
	// The last channels, up to eight at a time, under a mask.
	Label(label("tail"))
	MOVQ(arg(dwChanLeft), RCX)
	TESTQ(RCX, RCX)
	JLE(LabelRef(label("next")))
	CMPQ(RCX, Imm(8))
	JLE(LabelRef(label("few")))
	MOVQ(U32(8), RCX)
	Label(label("few"))
	NEGQ(RCX)
	LEAQ(d.masks, R12)
	VMOVDQU(Mem{Base: R12, Index: RCX, Scale: 4, Disp: 32}, Y15)
	dwBlock{avx2, 1, true}.emit(label, arg, ymm)
	d.advance(arg, 32)
	SUBQ(U32(8), arg(dwChanLeft))
	JMP(LabelRef(label("tail")))

	Label(label("next"))
	SUBQ(U32(4), arg(dwLeft))
	JLE(LabelRef(label("ret")))
	MOVQ(arg(dwStep), RCX)
	SHLQ(Imm(2), RCX)
	ADDQ(RCX, arg(dwAt))
	LEAQ(Mem{Base: dstStride, Index: dstStride, Scale: 1}, RCX)
	LEAQ(Mem{Base: RCX, Index: RCX, Scale: 1}, RCX)
	ADDQ(RCX, arg(dwDstAt))
	MOVQ(arg(dwAddAt), R12)
	TESTQ(R12, R12)
	JEQ(LabelRef(label("group")))
	LEAQ(Mem{Base: addStride, Index: addStride, Scale: 1}, RCX)
	LEAQ(Mem{Base: RCX, Index: RCX, Scale: 1}, RCX)
	ADDQ(RCX, arg(dwAddAt))
	JMP(LabelRef(label("group")))
	Label(label("ret"))
	VZEROUPPER()
	RET()
}

// advance moves to the next block of channels.
func (d depthwise) advance(arg func(int) Mem, bytes int) {
	for _, p := range dwPixel {
		ADDQ(U32(uint32(bytes)), p)
	}
	ADDQ(U32(uint32(bytes)), RDX)
	ADDQ(U32(uint32(bytes)), RBX)
}

// dwBlock is four pixels by vecs vectors of channels.
type dwBlock struct {
	isa
	vecs   int
	masked bool
}

func (b dwBlock) emit(outer func(string) string, arg func(int) Mem, reg func(int) VecPhysical) {
	label := func(s string) string {
		if b.masked {
			return outer("masked_" + s)
		}
		return outer(fmt.Sprintf("vecs%d_%s", b.vecs, s))
	}
	acc := func(i, j int) VecPhysical { return reg(i*b.vecs + j) }
	weight := func(j int) VecPhysical { return reg(4*b.vecs + j) }
	value, lo, hi, mask := reg(4*b.vecs+b.vecs), reg(13), reg(14), Y15
	load := func(m Mem, to VecPhysical) {
		if b.masked {
			VMASKMOVPS(m, mask, to)
		} else {
			VMOVUPS(m, to)
		}
	}
	bytes := 4 * b.lanes
	MOVQ(arg(dwBias), RCX)
	for j := range b.vecs {
		VMOVUPS(Mem{Base: RCX, Index: RBX, Scale: 1, Disp: bytes * j}, acc(0, j))
	}
	for i := 1; i < 4; i++ {
		for j := range b.vecs {
			VMOVAPS(acc(0, j), acc(i, j))
		}
	}
	tap, end, off, woff := R12, R13, R14, R15
	MOVQ(arg(dwTaps), tap)
	MOVQ(arg(dwTapsLen), end)
	LEAQ(Mem{Base: tap, Index: end, Scale: 8}, end)
	CMPQ(tap, end)
	JEQ(LabelRef(label("sum")))
	Label(label("tap"))
	MOVQ(Mem{Base: tap}, off)
	MOVQ(Mem{Base: tap, Disp: 8}, woff)
	for j := range b.vecs {
		VMOVUPS(Mem{Base: RDX, Index: woff, Scale: 1, Disp: bytes * j}, weight(j))
	}
	for i, p := range dwPixel {
		for j := range b.vecs {
			m := Mem{Base: p, Index: off, Scale: 1, Disp: bytes * j}
			if b.masked {
				VMASKMOVPS(m, mask, value)
				VFMADD231PS(value, weight(j), acc(i, j))
			} else {
				VFMADD231PS(m, weight(j), acc(i, j))
			}
		}
	}
	ADDQ(Imm(16), tap)
	CMPQ(tap, end)
	JNE(LabelRef(label("tap")))
	Label(label("sum"))

	MOVQ(arg(dwAddAt), RCX)
	TESTQ(RCX, RCX)
	JEQ(LabelRef(label("clamp")))
	for i := range 4 {
		if i > 0 {
			CMPQ(arg(dwLeft), Imm(uint64(i)))
			JLE(LabelRef(label("clamp")))
			ADDQ(RDI, RCX)
		}
		for j := range b.vecs {
			load(Mem{Base: RCX, Index: RBX, Scale: 1, Disp: bytes * j}, value)
			VADDPS(value, acc(i, j), acc(i, j))
		}
	}
	Label(label("clamp"))
	VBROADCASTSS(arg(dwMin), lo)
	VBROADCASTSS(arg(dwMax), hi)
	for i := range 4 {
		for j := range b.vecs {
			VMAXPS(acc(i, j), lo, acc(i, j)) // NaN stays: see (tile).store
			VMINPS(acc(i, j), hi, acc(i, j))
		}
	}
	MOVQ(arg(dwDstAt), RCX)
	for i := range 4 {
		if i > 0 {
			CMPQ(arg(dwLeft), Imm(uint64(i)))
			JLE(LabelRef(label("stored")))
			ADDQ(RSI, RCX)
		}
		for j := range b.vecs {
			m := Mem{Base: RCX, Index: RBX, Scale: 1, Disp: bytes * j}
			if b.masked {
				VMASKMOVPS(acc(i, j), mask, m)
			} else {
				VMOVUPS(acc(i, j), m)
			}
		}
	}
	Label(label("stored"))
}
