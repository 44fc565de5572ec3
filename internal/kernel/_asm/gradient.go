package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["gradient"] = emitGradient }

func emitGradient() {
	masks := laneMasks("gradientMasks")
	for _, rows := range []int{6, 4, 2, 1} {
		outer{isa: avx2, rows: rows, vecs: 2}.emit()
		outer{isa: avx2, rows: rows, vecs: 1}.emit()
		outer{isa: avx2, rows: rows, vecs: 1, masks: &masks}.emit()
	}
	for i, rows := range gradientRows {
		for _, n := range rows {
			outer{isa: avx512, rows: n, vecs: i + 1}.emit()
		}
	}
	patches(masks)
	streamCopy()
	for _, isa := range []isa{avx2, avx512} {
		channelwise{isa, masks, "depthwiseGrad", true}.emit()
		channelwise{isa, masks, "addRows", false}.emit()
		depthwiseLines(isa)
	}
}

// gradientRows are the heights of AVX-512's tiles of one, two and three vectors.
var gradientRows = [][]int{{16, 12, 8, 4, 2, 1}, {12, 8, 6, 4, 2, 1}, {8, 4, 2, 1}}

// laneMasks defines eight ones and eight zeros: the mask of n lanes starts at
// word 8-n.
func laneMasks(name string) Mem {
	masks := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		word := uint32(0xffffffff)
		if i >= 8 {
			word = 0
		}
		DATA(4*i, U32(word))
	}
	return masks
}

// loadMask sets Y15 to the mask of n lanes; it destroys n.
func loadMask(masks Mem, n, tmp Register) {
	NEGQ(n)
	LEAQ(masks, tmp)
	VMOVDQU(Mem{Base: tmp, Index: n, Scale: 4, Disp: 32}, Y15)
}

// Byte offsets of the fields of conv.gradArgs.
const (
	gradX, gradDY, gradPairs, gradPairsLen = 0, 24, 48, 56
	gradDst, gradDstStride, gradChannels   = 72, 96, 104
)

// outer emits a sum of outer products: rows of the output's channels by vecs
// vectors of the input's, over a list of pairs of pixels. With masks the last
// vector is partial.
type outer struct {
	isa
	rows, vecs int
	masks      *Mem
}

func (o outer) emit() {
	name := fmt.Sprintf("outer%sx%dx%d", o.name, o.rows, o.vecs*o.lanes)
	if o.masks != nil {
		name += "m"
	}
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *gradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	if o.masks != nil {
		MOVQ(arg(gradChannels), RCX)
		loadMask(*o.masks, RCX, RDX)
	}
	acc := func(i, j int) VecPhysical { return o.reg(i*o.vecs + j) }
	xv := func(j int) VecPhysical { return o.reg(o.rows*o.vecs + j) }
	dyv := func(i int) VecPhysical { // not Y15, the mask
		used := o.rows*o.vecs + o.vecs
		return o.reg(used + i%min(2, o.regs-used))
	}
	load := func(m Mem, to VecPhysical) {
		if o.masks != nil {
			VMASKMOVPS(m, Y15, to)
		} else {
			VMOVUPS(m, to)
		}
	}
	x, dy, pair, end, dst, stride := RSI, RDI, R8, R9, R10, R11
	sums := func(each func(Mem, VecPhysical)) {
		MOVQ(arg(gradDst), dst)
		for i := range o.rows {
			if i > 0 {
				ADDQ(stride, dst)
			}
			for j := range o.vecs {
				each(Mem{Base: dst, Disp: 4 * o.lanes * j}, acc(i, j))
			}
		}
	}
	MOVQ(arg(gradDstStride), stride)
	SHLQ(Imm(2), stride)
	sums(load)
	MOVQ(arg(gradX), x)
	MOVQ(arg(gradDY), dy)
	MOVQ(arg(gradPairs), pair)
	MOVQ(arg(gradPairsLen), end)
	LEAQ(Mem{Base: pair, Index: end, Scale: 4}, end)
	CMPQ(pair, end)
	JEQ(LabelRef(name + "_done"))
	Label(name + "_pixel")
	MOVLQSX(Mem{Base: pair}, RCX)
	MOVLQSX(Mem{Base: pair, Disp: 4}, RDX)
	for j := range o.vecs {
		load(Mem{Base: x, Index: RCX, Scale: 1, Disp: 4 * o.lanes * j}, xv(j))
	}
	for i := range o.rows {
		m := Mem{Base: dy, Index: RDX, Scale: 1, Disp: 4 * i}
		if o.vecs == 1 && o.lanes == 16 {
			VFMADD231PS_BCST(m, xv(0), acc(i, 0))
			continue
		}
		VBROADCASTSS(m, dyv(i))
		for j := range o.vecs {
			VFMADD231PS(xv(j), dyv(i), acc(i, j))
		}
	}
	ADDQ(Imm(8), pair)
	CMPQ(pair, end)
	JNE(LabelRef(name + "_pixel"))
	Label(name + "_done")
	sums(func(m Mem, v VecPhysical) {
		if o.masks != nil {
			VMASKMOVPS(v, Y15, m)
		} else {
			VMOVUPS(v, m)
		}
	})
	VZEROUPPER()
	RET()
}

// Byte offsets of the fields of conv.dwGradArgs, and of a conv.dwGradLine.
const (
	dwgLines, dwgLinesLen, dwgDst, dwgChannels, dwgPitch = 0, 8, 24, 48, 56
	dwgPixels, dwgRight, dwgStep, dwgColumn, dwgDYStep   = 64, 72, 80, 88, 96
	dwgAt                                                = 104
	dwgLineDY, dwgLineSize                               = 24, 32
)

// depthwiseLines emits the sums of products of depthwise 3x3 kernels over
// lines of pixels: the nine sums of one or two vectors of channels stay in
// registers. The first pixel of a line lacks the left column of the input, the
// last one perhaps the right one.
func depthwiseLines(v isa) {
	name := "depthwiseLines" + v.name
	label := func(s string) string { return name + "_" + s }
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *dwGradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	MOVQ(arg(dwgStep), R12)
	MOVQ(arg(dwgColumn), R13)
	MOVQ(arg(dwgDYStep), R14)
	XORQ(RBX, RBX)
	MOVQ(RBX, arg(dwgAt))
	block := func(at string, v isa, vecs int) {
		sums := func(each func(Mem, VecPhysical)) {
			MOVQ(arg(dwgDst), RDX)
			ADDQ(arg(dwgAt), RDX)
			for t := range 9 {
				for j := range vecs {
					each(Mem{Base: RDX, Disp: 4 * v.lanes * j}, v.reg(t*vecs+j))
				}
				ADDQ(arg(dwgPitch), RDX)
			}
		}
		pixel := func(first, last int) {
			for j := range vecs {
				VMOVUPS(Mem{Base: RDI, Disp: 4 * v.lanes * j}, v.reg(9*vecs+j))
			}
			for r, row := range []Register{RSI, R8, R9} {
				for s := first; s <= last; s++ {
					for j := range vecs {
						m := Mem{Base: row, Disp: 4 * v.lanes * j}
						switch s {
						case 0:
							m = Mem{Base: row, Index: R11, Scale: 1, Disp: 4 * v.lanes * j}
						case 2:
							m = Mem{Base: row, Index: R13, Scale: 1, Disp: 4 * v.lanes * j}
						}
						VFMADD231PS(m, v.reg(9*vecs+j), v.reg((3*r+s)*vecs+j))
					}
				}
			}
			for _, row := range []Register{RSI, R8, R9} {
				ADDQ(R12, row)
			}
			ADDQ(R14, RDI)
		}
		sums(func(m Mem, r VecPhysical) { VMOVUPS(m, r) })
		MOVQ(R13, R11)
		NEGQ(R11)
		MOVQ(arg(dwgLines), R10)
		MOVQ(arg(dwgLinesLen), RBX)
		Label(label(at + "line"))
		for i, row := range []Register{RSI, R8, R9, RDI} {
			MOVQ(Mem{Base: R10, Disp: 8 * i}, row)
			ADDQ(arg(dwgAt), row)
		}
		pixel(1, 2)
		MOVQ(arg(dwgPixels), RCX)
		DECQ(RCX)
		SUBQ(arg(dwgRight), RCX)
		JLE(LabelRef(label(at + "right")))
		Label(label(at + "pixel"))
		pixel(0, 2)
		DECQ(RCX)
		JNE(LabelRef(label(at + "pixel")))
		Label(label(at + "right"))
		CMPQ(arg(dwgRight), Imm(0))
		JEQ(LabelRef(label(at + "next")))
		pixel(0, 1)
		Label(label(at + "next"))
		ADDQ(Imm(dwgLineSize), R10)
		DECQ(RBX)
		JNE(LabelRef(label(at + "line")))
		sums(func(m Mem, r VecPhysical) { VMOVUPS(r, m) })
		ADDQ(U32(uint32(4*v.lanes*vecs)), arg(dwgAt))
		SUBQ(U32(uint32(v.lanes*vecs)), arg(dwgChannels))
	}
	size := func(at string, v isa, vecs int, again bool) {
		Label(label(at))
		CMPQ(arg(dwgChannels), U32(uint32(v.lanes*vecs)))
		JLT(LabelRef(label(at + "after")))
		block(at, v, vecs)
		if again {
			JMP(LabelRef(label(at)))
		}
		Label(label(at + "after"))
	}
	if v.lanes == 16 {
		size("two", v, 2, true)
		size("one", v, 1, false)
		size("half", avx2, 1, false)
	} else {
		size("one", v, 1, true)
	}
	VZEROUPPER()
	RET()
}

// Byte offsets of the fields of conv.patchArgs.
const (
	patchSrc, patchDst, patchPixels, patchRows, patchWidth = 0, 24, 48, 56, 64
	patchSrcPixel, patchSrcRow, patchDstPixel, patchDstRow = 72, 80, 88, 96
)

// patches emits the kernel that copies runs of floats, eight at a time, the
// last of them with up to seven zeros behind.
func patches(masks Mem) {
	const name = "copyPatchesAVX2"
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *patchArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	MOVQ(arg(patchWidth), RBX)
	MOVQ(RBX, RCX)
	DECQ(RCX)
	ANDQ(I8(7), RCX)
	INCQ(RCX) // floats of the last vector, 1 to 8
	SUBQ(RCX, RBX)
	SHLQ(Imm(2), RBX) // bytes before it
	loadMask(masks, RCX, RDX)
	MOVQ(arg(patchSrc), RSI)
	MOVQ(arg(patchDst), RDI)
	MOVQ(arg(patchPixels), R8)
	Label(name + "_pixel")
	MOVQ(RSI, R10)
	MOVQ(RDI, R11)
	MOVQ(arg(patchRows), R9)
	Label(name + "_row")
	XORQ(RCX, RCX)
	CMPQ(RCX, RBX)
	JEQ(LabelRef(name + "_last"))
	Label(name + "_whole")
	VMOVUPS(Mem{Base: R10, Index: RCX, Scale: 1}, Y0)
	VMOVUPS(Y0, Mem{Base: R11, Index: RCX, Scale: 1})
	ADDQ(Imm(32), RCX)
	CMPQ(RCX, RBX)
	JLT(LabelRef(name + "_whole"))
	Label(name + "_last")
	VMASKMOVPS(Mem{Base: R10, Index: RCX, Scale: 1}, Y15, Y0)
	VMOVUPS(Y0, Mem{Base: R11, Index: RCX, Scale: 1})
	ADDQ(arg(patchSrcRow), R10)
	ADDQ(arg(patchDstRow), R11)
	DECQ(R9)
	JNE(LabelRef(name + "_row"))
	ADDQ(arg(patchSrcPixel), RSI)
	ADDQ(arg(patchDstPixel), RDI)
	DECQ(R8)
	JNE(LabelRef(name + "_pixel"))
	VZEROUPPER()
	RET()
}

// streamCopy emits the copy that writes around the caches, a multiple of eight
// floats to a multiple of 32 bytes.
func streamCopy() {
	TEXT("streamAVX2", NOSPLIT, "func(dst, src *float32, n int)")
	Load(Param("dst"), RDI)
	Load(Param("src"), RSI)
	Load(Param("n"), RCX)
	XORQ(RAX, RAX)
	Label("streamAVX2_loop")
	VMOVUPS(Mem{Base: RSI, Index: RAX, Scale: 4}, Y0)
	VMOVNTPS(Y0, Mem{Base: RDI, Index: RAX, Scale: 4})
	ADDQ(Imm(8), RAX)
	CMPQ(RAX, RCX)
	JLT(LabelRef("streamAVX2_loop"))
	SFENCE()
	VZEROUPPER()
	RET()
}

// channelwise emits sums over a list of pixels with channels in lanes: of
// products of the two tensors, or of the second alone.
type channelwise struct {
	isa
	masks   Mem
	what    string
	product bool
}

func (c channelwise) emit() {
	name := c.what + c.name
	label := func(s string) string { return name + "_" + s }
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *gradArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	MOVQ(arg(gradX), RSI)
	MOVQ(arg(gradDY), RDI)
	MOVQ(arg(gradDst), R10)
	MOVQ(arg(gradChannels), R11)
	MOVQ(arg(gradPairsLen), R9)
	TESTQ(R9, R9)
	JEQ(LabelRef(label("ret")))
	for _, vecs := range []int{4, 1} {
		Label(label(fmt.Sprintf("by%d", vecs)))
		CMPQ(R11, U32(uint32(vecs*c.lanes)))
		JLT(LabelRef(label(fmt.Sprintf("after%d", vecs))))
		c.block(label(fmt.Sprintf("pixel%d", vecs)), arg, c.isa, vecs, false)
		SUBQ(U32(uint32(vecs*c.lanes)), R11)
		JMP(LabelRef(label(fmt.Sprintf("by%d", vecs))))
		Label(label(fmt.Sprintf("after%d", vecs)))
	}
	Label(label("tail"))
	TESTQ(R11, R11)
	JLE(LabelRef(label("ret")))
	MOVQ(R11, RCX)
	CMPQ(RCX, Imm(8))
	JLE(LabelRef(label("few")))
	MOVQ(U32(8), RCX)
	Label(label("few"))
	loadMask(c.masks, RCX, RDX)
	c.block(label("pixel"), arg, avx2, 1, true)
	SUBQ(U32(8), R11)
	JMP(LabelRef(label("tail")))
	Label(label("ret"))
	VZEROUPPER()
	RET()
}

// block sums one block of channels and moves on to the next.
func (c channelwise) block(label string, arg func(int) Mem, v isa, vecs int, masked bool) {
	load := func(m Mem, to VecPhysical) {
		if masked {
			VMASKMOVPS(m, Y15, to)
		} else {
			VMOVUPS(m, to)
		}
	}
	at := func(base, index Register, j int) Mem {
		return Mem{Base: base, Index: index, Scale: 1, Disp: 4 * v.lanes * j}
	}
	for j := range vecs {
		load(Mem{Base: R10, Disp: 4 * v.lanes * j}, v.reg(j))
	}
	MOVQ(arg(gradPairs), R8)
	MOVQ(arg(gradPairsLen), R9)
	LEAQ(Mem{Base: R8, Index: R9, Scale: 4}, R9)
	Label(label)
	MOVLQSX(Mem{Base: R8}, RCX)
	MOVLQSX(Mem{Base: R8, Disp: 4}, RDX)
	for j := range vecs {
		load(at(RDI, RDX, j), v.reg(vecs+j))
		switch {
		case !c.product:
			VADDPS(v.reg(vecs+j), v.reg(j), v.reg(j))
		case masked:
			load(at(RSI, RCX, j), v.reg(2*vecs+j))
			VFMADD231PS(v.reg(2*vecs+j), v.reg(vecs+j), v.reg(j))
		default:
			VFMADD231PS(at(RSI, RCX, j), v.reg(vecs+j), v.reg(j))
		}
	}
	ADDQ(Imm(8), R8)
	CMPQ(R8, R9)
	JNE(LabelRef(label))
	for j := range vecs {
		m := Mem{Base: R10, Disp: 4 * v.lanes * j}
		if masked {
			VMASKMOVPS(v.reg(j), Y15, m)
		} else {
			VMOVUPS(v.reg(j), m)
		}
	}
	for _, p := range []Register{RSI, RDI, R10} {
		ADDQ(U32(uint32(4*v.lanes*vecs)), p)
	}
}
