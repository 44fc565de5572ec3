package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["depthwise"] = emitDepthwise }

func emitDepthwise() {
	masks := laneMasks("depthwiseMasks")
	for _, isa := range []isa{avx2, avx512} {
		depthwise{isa: isa, masks: masks}.emit()
		emitCopyPixels(isa)
		for _, width := range []int{3, 5, 7} {
			for _, stride := range []int{1, 2} {
				depthwise{isa: isa, slide: &dwSlide{width, stride}}.emit()
			}
		}
	}
}

// emitCopyPixels emits the copy of some channels of neighbouring pixels: whole
// vectors, bytes in all; steps in bytes, too.
func emitCopyPixels(t isa) {
	name := "copyPixels" + t.name
	TEXT(name, NOSPLIT, "func(dst, src *float32, pixels, bytes, dstStep, srcStep int)")
	dst, src, pixels, bytes := RDI, RSI, RCX, RDX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("pixels"), pixels)
	Load(Param("bytes"), bytes)
	Load(Param("dstStep"), R8)
	Load(Param("srcStep"), R9)
	Label(name + "_pixel")
	XORQ(RAX, RAX)
	Label(name + "_vector")
	VMOVUPS(Mem{Base: src, Index: RAX, Scale: 1}, t.reg(0))
	VMOVUPS(t.reg(0), Mem{Base: dst, Index: RAX, Scale: 1})
	ADDQ(Imm(uint64(4*t.lanes)), RAX)
	CMPQ(RAX, bytes)
	JLT(LabelRef(name + "_vector"))
	ADDQ(R8, dst)
	ADDQ(R9, src)
	DECQ(pixels)
	JNE(LabelRef(name + "_pixel"))
	VZEROUPPER()
	RET()
}

// Byte offsets of the fields of conv.dwArgs.
const (
	dwSrc, dwW, dwBias, dwDst, dwAdd        = 0, 24, 48, 72, 96
	dwTaps, dwTapsLen, dwFirst, dwPixels    = 120, 128, 144, 152
	dwLines, dwChannels, dwStep, dwLineStep = 160, 168, 176, 184
	dwDstStride, dwDstLine                  = 192, 200
	dwAddStride, dwAddLine, dwMin, dwMax    = 208, 216, 224, 228
	dwLeft, dwAt, dwDstAt, dwAddAt          = 232, 240, 248, 256
	dwLinesLeft, dwLineAt, dwDstLineAt      = 264, 272, 280
	dwAddLineAt, dwChanLeft                 = 288, 296
	dwRows, dwRowStep, dwColStep, dwPitch   = 304, 312, 320, 328
)

// depthwise emits the kernel described by conv.dwArgs: channels in lanes,
// pixels in groups of four. A tap's weights are loaded once for the four
// pixels, whose values are memory operands of the multiply-adds. A block of
// channels runs over all lines before the next, so that what the lines share
// of the input stays in the first-level cache.
//
// With slide it emits the kernel for a rectangle of taps as wide as the
// convolution's kernel: each value is loaded once for all the pixels of the
// group that it meets.
type depthwise struct {
	isa
	masks Mem
	slide *dwSlide
}

// dwSlide is the width of a kernel without dilation, and its stride.
type dwSlide struct{ width, stride int }

var dwPixel = []GPPhysical{R8, R9, R10, R11}

func (d depthwise) emit() {
	name := "depthwise" + d.name
	if d.slide != nil {
		name += fmt.Sprintf("w%ds%d", d.slide.width, d.slide.stride)
	}
	label := func(s string) string { return name + "_" + s }
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *dwArgs
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	// Strides in bytes stay in registers.
	MOVQ(arg(dwDstStride), RSI)
	SHLQ(Imm(2), RSI)
	MOVQ(arg(dwAddStride), RDI)
	SHLQ(Imm(2), RDI)
	MOVQ(arg(dwW), RDX)
	XORQ(RBX, RBX) // channel, in bytes
	MOVQ(arg(dwChannels), RCX)
	MOVQ(RCX, arg(dwChanLeft))

	blocks := []int{2, 1}
	if d.slide != nil && d.slide.width > 3 {
		blocks = []int{1} // the weights of a kernel row stay in registers
	}
	for _, vecs := range blocks {
		Label(label(fmt.Sprintf("by%d", vecs)))
		CMPQ(arg(dwChanLeft), U32(uint32(vecs*d.lanes)))
		JLT(LabelRef(label(fmt.Sprintf("after%d", vecs))))
		dwBlock{d.isa, vecs, false, d.slide, dwGroup}.emit(label, arg)
		d.advance(arg, vecs*d.lanes)
		JMP(LabelRef(label(fmt.Sprintf("by%d", vecs))))
		Label(label(fmt.Sprintf("after%d", vecs)))
	}
	if d.slide != nil { // whole vectors only
		VZEROUPPER()
		RET()
		return
	}
	// The last channels, up to eight at a time, under a mask.
	Label(label("tail"))
	MOVQ(arg(dwChanLeft), RCX)
	TESTQ(RCX, RCX)
	JLE(LabelRef(label("ret")))
	CMPQ(RCX, Imm(8))
	JLE(LabelRef(label("few")))
	MOVQ(U32(8), RCX)
	Label(label("few"))
	loadMask(d.masks, RCX, R12)
	dwBlock{avx2, 1, true, nil, dwGroup}.emit(label, arg)
	d.advance(arg, 8)
	JMP(LabelRef(label("tail")))
	Label(label("ret"))
	VZEROUPPER()
	RET()
}

// advance moves to the next block of channels.
func (d depthwise) advance(arg func(int) Mem, channels int) {
	ADDQ(U32(uint32(4*channels)), RDX)
	ADDQ(U32(uint32(4*channels)), RBX)
	SUBQ(U32(uint32(channels)), arg(dwChanLeft))
}

// dwBlock is a few pixels by vecs vectors of channels.
type dwBlock struct {
	isa
	vecs   int
	masked bool
	slide  *dwSlide
	pixels int
}

// dwGroup is the usual number of pixels.
const dwGroup = 4

// most is the most pixels of a group. Sums of one vector of four pixels would
// wait for each other, and a group begins and ends with as many instructions as a
// third of its products; groups of more take place where more than four pixels are
// left, so that no columns are read beyond those of the next multiple of four.
func (b dwBlock) most() int {
	if b.slide == nil || b.slide.width > 5 || b.vecs > 1 && (b.regs < 32 || b.slide.width > 3) {
		return dwGroup
	}
	return 2 * dwGroup
}

func (b dwBlock) acc(i, j int) VecPhysical { return b.reg(i*b.vecs + j) }

// emit runs the block over all lines.
func (b dwBlock) emit(outer func(string) string, arg func(int) Mem) {
	label := func(s string) string {
		if b.masked {
			return outer("masked_" + s)
		}
		return outer(fmt.Sprintf("vecs%d_%s", b.vecs, s))
	}
	set := func(from, to int) {
		MOVQ(arg(from), RCX)
		MOVQ(RCX, arg(to))
	}
	set(dwLines, dwLinesLeft)
	set(dwDst, dwDstLineAt)
	set(dwAdd, dwAddLineAt)
	MOVQ(arg(dwSrc), RCX)
	ADDQ(arg(dwFirst), RCX)
	MOVQ(RCX, arg(dwLineAt))
	if !b.masked {
		b.fetch(label, arg)
	}

	Label(label("line"))
	set(dwPixels, dwLeft)
	set(dwLineAt, dwAt)
	set(dwDstLineAt, dwDstAt)
	set(dwAddLineAt, dwAddAt)

	Label(label("group"))
	if most := b.most(); most > dwGroup {
		CMPQ(arg(dwLeft), Imm(dwGroup))
		JLE(LabelRef(label("lastgroup")))
		wide := b
		wide.pixels = most
		wide.group(func(s string) string { return label("wide_" + s) }, arg)
		b.next(label, arg, most)
		Label(label("lastgroup"))
		b.group(label, arg)
	} else {
		b.group(label, arg)
		b.next(label, arg, dwGroup)
	}

	Label(label("nextline"))
	DECQ(arg(dwLinesLeft))
	JEQ(LabelRef(label("end")))
	MOVQ(arg(dwLineStep), RCX)
	ADDQ(RCX, arg(dwLineAt))
	MOVQ(arg(dwDstLine), RCX)
	SHLQ(Imm(2), RCX)
	ADDQ(RCX, arg(dwDstLineAt))
	CMPQ(arg(dwAddLineAt), Imm(0))
	JEQ(LabelRef(label("line")))
	MOVQ(arg(dwAddLine), RCX)
	SHLQ(Imm(2), RCX)
	ADDQ(RCX, arg(dwAddLineAt))
	JMP(LabelRef(label("line")))
	Label(label("end"))
}

// fetch asks for the weights of the next block, which lie in as many places as
// there are taps: too many for the processor to follow.
func (b dwBlock) fetch(label func(string) string, arg func(int) Mem) {
	at, left, step := R8, R9, R10
	next := 4 * b.lanes * b.vecs
	line := func(m Mem) {
		for j := 0; j < next; j += 64 {
			m.Disp = next + j
			PREFETCHT0(m)
		}
	}
	if b.slide == nil {
		MOVQ(arg(dwTaps), at)
		MOVQ(arg(dwTapsLen), left)
		SHRQ(Imm(1), left)
		JEQ(LabelRef(label("line")))
		Label(label("fetch"))
		MOVQ(Mem{Base: at, Disp: 8}, step)
		line(Mem{Base: RDX, Index: step, Scale: 1})
		ADDQ(Imm(16), at)
	} else {
		MOVQ(arg(dwPitch), step)
		MOVQ(arg(dwRows), left)
		IMUL3Q(U32(uint32(b.slide.width)), left, left)
		MOVQ(RDX, at)
		Label(label("fetch"))
		line(Mem{Base: at})
		ADDQ(step, at)
	}
	DECQ(left)
	JNE(LabelRef(label("fetch")))
}

// next goes on to the next group after one of so many pixels.
func (b dwBlock) next(label func(string) string, arg func(int) Mem, pixels int) {
	move := func(step Op, at int) {
		MOVQ(step, RCX)
		SHLQ(Imm(uint64(bits.TrailingZeros(uint(pixels)))), RCX)
		ADDQ(RCX, arg(at))
	}
	SUBQ(U32(uint32(pixels)), arg(dwLeft))
	JLE(LabelRef(label("nextline")))
	move(arg(dwStep), dwAt)
	move(RSI, dwDstAt)
	CMPQ(arg(dwAddAt), Imm(0))
	JEQ(LabelRef(label("group")))
	move(RDI, dwAddAt)
	JMP(LabelRef(label("group")))
}

// group computes b.pixels pixels, or those that are left of the line.
func (b dwBlock) group(label func(string) string, arg func(int) Mem) {
	MOVQ(arg(dwBias), RCX)
	for j := range b.vecs {
		VMOVUPS(Mem{Base: RCX, Index: RBX, Scale: 1, Disp: 4 * b.lanes * j}, b.acc(0, j))
	}
	for i := 1; i < b.pixels; i++ {
		for j := range b.vecs {
			VMOVAPS(b.acc(0, j), b.acc(i, j))
		}
	}
	if b.slide != nil {
		b.rows(label, arg)
	} else {
		b.taps(label, arg)
	}
	b.store(label, arg)
}

// taps adds the taps of the list.
func (b dwBlock) taps(label func(string) string, arg func(int) Mem) {
	// Pixels that are missing repeat the last.
	MOVQ(arg(dwAt), R8)
	ADDQ(RBX, R8)
	for i := 1; i < 4; i++ {
		MOVQ(dwPixel[i-1], dwPixel[i])
	}
	MOVQ(arg(dwStep), RCX)
	for i := 1; i < 4; i++ {
		CMPQ(arg(dwLeft), Imm(uint64(i)))
		JLE(LabelRef(label("pointed")))
		for j := i; j < 4; j++ {
			ADDQ(RCX, dwPixel[j])
		}
	}
	Label(label("pointed"))

	weight := func(j int) VecPhysical { return b.reg(4*b.vecs + j) }
	value := b.reg(4*b.vecs + b.vecs)
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
		VMOVUPS(Mem{Base: RDX, Index: woff, Scale: 1, Disp: 4 * b.lanes * j}, weight(j))
	}
	for i, p := range dwPixel {
		for j := range b.vecs {
			m := Mem{Base: p, Index: off, Scale: 1, Disp: 4 * b.lanes * j}
			if b.masked {
				VMASKMOVPS(m, Y15, value)
				VFMADD231PS(value, weight(j), b.acc(i, j))
			} else {
				VFMADD231PS(m, weight(j), b.acc(i, j))
			}
		}
	}
	ADDQ(Imm(16), tap)
	CMPQ(tap, end)
	JNE(LabelRef(label("tap")))
	Label(label("sum"))
}

// rows adds the kernel's rows, whose weights follow each other.
func (b dwBlock) rows(label func(string) string, arg func(int) Mem) {
	row, x, step, w, pitch, left := R8, R9, R10, R11, R12, R13
	weight := func(s, j int) VecPhysical { return b.reg((b.pixels+s)*b.vecs + j) }
	value := func(j int) VecPhysical { return b.reg((b.pixels+b.slide.width)*b.vecs + j) }
	MOVQ(arg(dwAt), row)
	ADDQ(RBX, row)
	MOVQ(arg(dwColStep), step)
	MOVQ(arg(dwPitch), pitch)
	MOVQ(arg(dwRows), left)
	MOVQ(RDX, w)
	Label(label("row"))
	for s := range b.slide.width {
		for j := range b.vecs {
			VMOVUPS(Mem{Base: w, Disp: 4 * b.lanes * j}, weight(s, j))
		}
		ADDQ(pitch, w)
	}
	MOVQ(row, x)
	last := (b.pixels-1)*b.slide.stride + b.slide.width - 1
	for col := range last + 1 {
		m := Mem{Base: x}
		if col%3 > 0 {
			m.Index, m.Scale = step, uint8(col%3)
		}
		for j := range b.vecs {
			m := m
			m.Disp = 4 * b.lanes * j
			VMOVUPS(m, value(j%2))
			for i := range b.pixels {
				if s := col - i*b.slide.stride; s >= 0 && s < b.slide.width {
					VFMADD231PS(value(j%2), weight(s, j), b.acc(i, j))
				}
			}
		}
		if col%3 == 2 && col < last {
			LEAQ(Mem{Base: x, Index: step, Scale: 2}, x)
			ADDQ(step, x)
		}
	}
	ADDQ(arg(dwRowStep), row)
	DECQ(left)
	JNE(LabelRef(label("row")))
}

// store adds the residual, clamps and stores the pixels there are.
func (b dwBlock) store(label func(string) string, arg func(int) Mem) {
	lo, hi, value, mask := b.reg(13), b.reg(14), b.reg(12), Y15
	if b.pixels*b.vecs > 12 {
		lo, hi, value = b.reg(30), b.reg(31), b.reg(29)
	}
	MOVQ(arg(dwAddAt), RCX)
	TESTQ(RCX, RCX)
	JEQ(LabelRef(label("clamp")))
	for i := range b.pixels {
		if i > 0 {
			CMPQ(arg(dwLeft), Imm(uint64(i)))
			JLE(LabelRef(label("clamp")))
			ADDQ(RDI, RCX)
		}
		for j := range b.vecs {
			m := Mem{Base: RCX, Index: RBX, Scale: 1, Disp: 4 * b.lanes * j}
			if b.masked {
				VMASKMOVPS(m, mask, value)
				VADDPS(value, b.acc(i, j), b.acc(i, j))
			} else {
				VADDPS(m, b.acc(i, j), b.acc(i, j))
			}
		}
	}
	Label(label("clamp"))
	const inf, minusInf = 0x7f800000, 0xff800000
	limit := func(at, infinite int, bound VecPhysical, op func(...Op), done string) {
		CMPL(arg(at), U32(uint32(infinite)))
		JEQ(LabelRef(label(done)))
		VBROADCASTSS(arg(at), bound)
		for i := range b.pixels {
			for j := range b.vecs {
				op(b.acc(i, j), bound, b.acc(i, j)) // NaN stays: see (tile).store
			}
		}
		Label(label(done))
	}
	limit(dwMin, minusInf, lo, VMAXPS, "above")
	limit(dwMax, inf, hi, VMINPS, "below")
	MOVQ(arg(dwDstAt), RCX)
	for i := range b.pixels {
		if i > 0 {
			CMPQ(arg(dwLeft), Imm(uint64(i)))
			JLE(LabelRef(label("stored")))
			ADDQ(RSI, RCX)
		}
		for j := range b.vecs {
			m := Mem{Base: RCX, Index: RBX, Scale: 1, Disp: 4 * b.lanes * j}
			if b.masked {
				VMASKMOVPS(b.acc(i, j), mask, m)
			} else {
				VMOVUPS(b.acc(i, j), m)
			}
		}
	}
	Label(label("stored"))
}
