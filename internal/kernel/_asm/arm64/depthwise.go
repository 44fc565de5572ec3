package main

import "fmt"

func init() { families["depthwise"] = emitDepthwise }

func emitDepthwise(a *asm) {
	depthwise{}.emit(a)
	for _, width := range []int{3, 5, 7} {
		for _, stride := range []int{1, 2} {
			depthwise{&dwSlide{width, stride}}.emit(a)
		}
	}
}

// Byte offsets of the fields of conv.dwArgs.
const (
	dwSrc, dwW, dwBias, dwDst, dwAdd        = 0, 24, 48, 72, 96
	dwTaps, dwTapsLen, dwFirst, dwPixels    = 120, 128, 144, 152
	dwLines, dwChannels, dwStep, dwLineStep = 160, 168, 176, 184
	dwDstStride, dwDstLine                  = 192, 200
	dwAddStride, dwAddLine, dwMin, dwMax    = 208, 216, 224, 228
	dwRows, dwRowStep, dwColStep, dwPitch   = 304, 312, 320, 328
)

// depthwise emits the kernel described by conv.dwArgs: channels in lanes,
// pixels in groups of four. A tap's weights are loaded once for the four
// pixels. A block of channels runs over all lines before the next, so that
// what the lines share of the input stays in the first-level cache.
//
// With slide it emits the kernel for a rectangle of taps as wide as the
// convolution's kernel: each value is loaded once for all the pixels of the
// group that it meets.
type depthwise struct{ slide *dwSlide }

// dwSlide is the width of a kernel without dilation, and its stride.
type dwSlide struct{ width, stride int }

// Registers of the depthwise kernels.
const (
	dwChan, dwChanLeft, dwWeights        = x(1), x(2), x(3) // offset in bytes, count
	dwDstStep, dwAddStep                 = x(4), x(5)
	dwLinesLeft, dwLineAt                = x(6), x(7)
	dwDstLineAt, dwAddLineAt             = x(8), x(9)
	dwLeft, dwAt, dwDstAt, dwAddAt       = x(10), x(11), x(12), x(13)
	dwTmp, dwTap, dwTapEnd, dwOff, dwPix = x(14), x(15), x(16), x(17), x(19) // four pixels from here on
	dwRow, dwColumn, dwLoops, dwSteps    = x(19), x(20), x(21), x(22)
	dwPitchReg                           = x(23)
)

func (d depthwise) emit(a *asm) {
	name := "depthwiseNEON"
	blocks := []dwBlock{{4, whole, nil}, {1, whole, nil}, {1, one, nil}}
	if d.slide != nil {
		name += fmt.Sprintf("w%ds%d", d.slide.width, d.slide.stride)
		blocks = []dwBlock{{2, whole, d.slide}, {1, whole, d.slide}} // whole vectors only
	}
	a.fnArgs(name)
	a.field(dwDstStride, dwDstStep)
	a.i("LSL $2, %v", dwDstStep)
	a.field(dwAddStride, dwAddStep)
	a.i("LSL $2, %v", dwAddStep)
	a.field(dwW, dwWeights)
	a.field(dwChannels, dwChanLeft)
	a.i("MOVD ZR, %v", dwChan)
	for _, b := range blocks {
		channels := b.vecs * b.lanes()
		again, after := a.fresh("block"), a.fresh("after")
		a.label(again)
		a.i("CMP $%d, %v", channels, dwChanLeft)
		a.to(after, "BLT")
		b.emit(a)
		a.i("ADD $%d, %v", 4*channels, dwWeights)
		a.i("ADD $%d, %v", 4*channels, dwChan)
		a.i("SUB $%d, %v", channels, dwChanLeft)
		a.to(again, "B")
		a.label(after)
	}
	a.i("RET")
}

// dwBlock is four pixels by vecs vectors of channels.
type dwBlock struct {
	vecs int
	width
	slide *dwSlide
}

func (b dwBlock) acc(i, j int) v { return v(i*b.vecs + j) }

// emit runs the block over all lines.
func (b dwBlock) emit(a *asm) {
	line, group, next, end := a.fresh("line"), a.fresh("group"), a.fresh("next"), a.fresh("end")
	a.field(dwLines, dwLinesLeft)
	a.field(dwSrc, dwLineAt)
	a.field(dwFirst, dwTmp)
	a.i("ADD %v, %v", dwTmp, dwLineAt)
	a.i("ADD %v, %v", dwChan, dwLineAt)
	a.field(dwDst, dwDstLineAt)
	a.i("ADD %v, %v", dwChan, dwDstLineAt)
	a.field(dwAdd, dwAddLineAt)
	a.to(line, "CBZ %v", dwAddLineAt)
	a.i("ADD %v, %v", dwChan, dwAddLineAt)

	a.label(line)
	a.field(dwPixels, dwLeft)
	a.i("MOVD %v, %v", dwLineAt, dwAt)
	a.i("MOVD %v, %v", dwDstLineAt, dwDstAt)
	a.i("MOVD %v, %v", dwAddLineAt, dwAddAt)
	a.label(group)
	b.group(a)
	a.i("SUBS $4, %v", dwLeft)
	a.to(next, "BLE")
	a.field(dwStep, dwTmp)
	a.i("ADD %v<<2, %v", dwTmp, dwAt)
	a.i("ADD %v<<2, %v", dwDstStep, dwDstAt)
	a.to(group, "CBZ %v", dwAddAt)
	a.i("ADD %v<<2, %v", dwAddStep, dwAddAt)
	a.to(group, "B")

	a.label(next)
	a.i("SUBS $1, %v", dwLinesLeft)
	a.to(end, "BEQ")
	a.field(dwLineStep, dwTmp)
	a.i("ADD %v, %v", dwTmp, dwLineAt)
	a.field(dwDstLine, dwTmp)
	a.i("ADD %v<<2, %v", dwTmp, dwDstLineAt)
	a.to(line, "CBZ %v", dwAddLineAt)
	a.field(dwAddLine, dwTmp)
	a.i("ADD %v<<2, %v", dwTmp, dwAddLineAt)
	a.to(line, "B")
	a.label(end)
}

// group computes four pixels, or those that are left of the line.
func (b dwBlock) group(a *asm) {
	a.field(dwBias, dwTmp)
	a.i("ADD %v, %v", dwChan, dwTmp)
	for j := range b.vecs {
		a.load(b.width, dwTmp, 16*j, b.acc(0, j))
	}
	for i := 1; i < 4; i++ {
		for j := range b.vecs {
			a.mov(b.acc(i, j), b.acc(0, j))
		}
	}
	if b.slide != nil {
		b.rows(a)
	} else {
		b.taps(a)
	}
	b.finish(a)
}

// taps adds the taps of the list.
func (b dwBlock) taps(a *asm) {
	again, sum := a.fresh("tap"), a.fresh("sum")
	a.field(dwStep, dwTmp)
	a.i("MOVD %v, %v", dwAt, dwPix)
	for i := x(1); i < 4; i++ { // pixels that are missing repeat the last
		a.i("ADD %v, %v, %v", dwTmp, dwPix+i-1, dwPix+i)
		a.i("CMP $%d, %v", i, dwLeft)
		a.i("CSEL GT, %v, %v, %v", dwPix+i, dwPix+i-1, dwPix+i)
	}
	weight := func(j int) v { return v(4*b.vecs + j) }
	value := func(j int) v { return v(5*b.vecs + j) }
	a.field(dwTaps, dwTap)
	a.field(dwTapsLen, dwTapEnd)
	a.i("ADD %v<<3, %v, %v", dwTapEnd, dwTap, dwTapEnd)
	a.label(again)
	a.i("CMP %v, %v", dwTapEnd, dwTap)
	a.to(sum, "BEQ")
	a.i("LDP.P 16(%v), (%v, %v)", dwTap, dwOff, dwTmp)
	a.i("ADD %v, %v", dwWeights, dwTmp)
	for j := range b.vecs {
		a.load(b.width, dwTmp, 16*j, weight(j))
	}
	for i := range 4 {
		a.i("ADD %v, %v, %v", dwOff, dwPix+x(i), dwTmp)
		for j := range b.vecs {
			a.load(b.width, dwTmp, 16*j, value(j))
			a.v("fmla", b.acc(i, j), value(j), weight(j))
		}
	}
	a.to(again, "B")
	a.label(sum)
}

// rows adds the kernel's rows, whose weights follow each other.
func (b dwBlock) rows(a *asm) {
	weight := func(s, j int) v { return v((4+s)*b.vecs + j) }
	value := func(j int) v { return v((4+b.slide.width)*b.vecs + j) }
	again := a.fresh("row")
	a.i("MOVD %v, %v", dwAt, dwRow)
	a.field(dwColStep, dwSteps)
	a.field(dwPitch, dwPitchReg)
	a.field(dwRows, dwLoops)
	a.i("MOVD %v, %v", dwWeights, dwOff)
	a.label(again)
	for s := range b.slide.width {
		for j := range b.vecs {
			a.load(whole, dwOff, 16*j, weight(s, j))
		}
		a.i("ADD %v, %v", dwPitchReg, dwOff)
	}
	a.i("MOVD %v, %v", dwRow, dwColumn)
	for col := range 3*b.slide.stride + b.slide.width {
		for j := range b.vecs {
			a.load(whole, dwColumn, 16*j, value(j))
		}
		a.i("ADD %v, %v", dwSteps, dwColumn)
		for i := range 4 {
			if s := col - i*b.slide.stride; s >= 0 && s < b.slide.width {
				for j := range b.vecs {
					a.v("fmla", b.acc(i, j), value(j), weight(s, j))
				}
			}
		}
	}
	a.field(dwRowStep, dwTmp)
	a.i("ADD %v, %v", dwTmp, dwRow)
	a.i("SUBS $1, %v", dwLoops)
	a.to(again, "BNE")
}

// finish adds the residual, clamps and stores the pixels there are.
func (b dwBlock) finish(a *asm) {
	lo, hi, value := v(31), v(30), v(29)
	clamp, stored := a.fresh("clamp"), a.fresh("stored")
	ifPixel := func(i int, otherwise string) {
		if i > 0 {
			a.i("CMP $%d, %v", i, dwLeft)
			a.to(otherwise, "BLE")
		}
	}
	a.to(clamp, "CBZ %v", dwAddAt)
	a.i("MOVD %v, %v", dwAddAt, dwTmp)
	for i := range 4 {
		ifPixel(i, clamp)
		for j := range b.vecs {
			a.load(b.width, dwTmp, 16*j, value)
			a.v("fadd", b.acc(i, j), b.acc(i, j), value)
		}
		a.i("ADD %v, %v", dwAddStep, dwTmp)
	}
	a.label(clamp)
	a.spread(args, dwMin, lo)
	a.spread(args, dwMax, hi)
	a.i("MOVD %v, %v", dwDstAt, dwTmp)
	for i := range 4 {
		ifPixel(i, stored)
		for j := range b.vecs {
			a.v("fmax", b.acc(i, j), b.acc(i, j), lo)
			a.v("fmin", b.acc(i, j), b.acc(i, j), hi)
			a.store(b.width, b.acc(i, j), dwTmp, 16*j)
		}
		a.i("ADD %v, %v", dwDstStep, dwTmp)
	}
	a.label(stored)
}
