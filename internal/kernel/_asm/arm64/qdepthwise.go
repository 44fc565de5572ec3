package main

import "fmt"

// emitQdepthwise writes the depthwise kernels of package qconv; its list of
// kernels is the same.
func emitQdepthwise(a *asm) {
	for _, d := range []dwtile{
		{3, 3, 1, 8}, {3, 3, 1, 4}, {3, 3, 2, 4}, {3, 3, 1, 1},
		{5, 5, 1, 4}, {5, 5, 2, 4}, {5, 5, 1, 1},
		{7, 7, 1, 4}, {7, 7, 1, 1},
	} {
		d.emit(a)
	}
}

// dwtile is a kernel of r x s taps for so many neighbouring pixels, stride
// columns apart, by eight channels. Two lines of weights are held at a time,
// as their packing, made for pairs of lines, suggests.
type dwtile struct{ r, s, stride, pixels int }

// vectors is the number of packed pairs of taps.
func (d dwtile) vectors() int { return d.r/2*d.s + d.r%2*(d.s+1)/2 }

// Registers of the depthwise kernels, besides those of the tiles.
const (
	dwtTiles, dwtDst, dwtSrc, dwtChunks, dwtChunk = x(1), x(2), x(3), x(4), x(8)
	dwtChannel, dwtPixel, dwtStep, dwtLine        = x(9), x(10), x(11), x(12) // and the next line
	dwtElem                                       = x(14)
)

func (d dwtile) emit(a *asm) {
	a.fnArgs(fmt.Sprintf("dwtileNEON%dx%ds%dp%d", d.r, d.s, d.stride, d.pixels))
	a.field(qTiles, dwtTiles)
	a.field(qDst, dwtDst)
	a.field(qDstStride, qStrideReg)
	a.field(qPixel, dwtPixel)
	a.field(qElem, dwtElem)
	a.i("MOVD ZR, %v", dwtSrc)

	a.label("tile")
	a.field(qW, qWReg)
	a.field(qChunks, dwtChunks)
	a.i("MOVD %v, %v", dwtSrc, dwtChannel)
	a.i("MOVD %v, %v", dwtDst, dwtChunk)
	a.label("chunk")
	d.sum(a)
	a.i("MOVD %v, %v", dwtChunk, qTmpReg)
	qstore(a, d.pixels, 2, qTmpReg, qWReg, 32)
	a.i("ADD $64, %v", qWReg)

	// The last chunk may overlap the one before.
	a.i("SUBS $1, %v", dwtChunks)
	a.to("row", "BEQ")
	a.i("MOVD $8, %v", dwtStep)
	a.field(qLastStep, qTmpReg)
	a.i("CMP $1, %v", dwtChunks)
	a.i("CSEL EQ, %v, %v, %v", qTmpReg, dwtStep, dwtStep)
	a.i("ADD %v, %v", dwtStep, dwtChannel)
	a.i("MADD %v, %v, %v, %v", dwtElem, dwtChunk, dwtStep, dwtChunk)
	a.to("chunk", "B")

	a.label("row")
	a.i("MOVD $%d, %v", d.pixels, dwtStep)
	a.i("MADD %v, %v, %v, %v", qStrideReg, dwtDst, dwtStep, dwtDst)
	a.field(qTileStep, dwtStep)
	a.i("ADD %v, %v", dwtStep, dwtSrc)
	a.i("SUBS $1, %v", dwtTiles)
	a.to("tile", "BNE")
	a.i("RET")
}

// sum leaves the sums of the pixels, bias included, in registers 0, 1, …, two
// for each, and moves the weights to the bias of the next chunk.
func (d dwtile) sum(a *asm) {
	for h := range 2 {
		a.load(whole, qWReg, 32*d.vectors()+16*h, v(h))
	}
	for i := 1; i < d.pixels; i++ {
		a.mov(v(2*i), 0)
		a.mov(v(2*i+1), 1)
	}
	values := v(2 * d.pixels) // two registers
	weights := values + 2
	for line := 0; line+1 < d.r; line += 2 {
		for s := range d.s {
			a.unpairNext(qWReg, weights+v(2*s))
		}
		d.lines(a, line, 2, values, func(l, s int) v { return weights + v(2*s+l) })
	}
	if d.r%2 == 1 {
		for s := 0; s < d.s; s += 2 {
			a.unpairNext(qWReg, weights+v(s))
		}
		d.lines(a, d.r-1, 1, values, func(_, s int) v { return weights + v(s) })
	}
}

// lines adds n lines of taps.
func (d dwtile) lines(a *asm, first, n int, values v, weight func(l, s int) v) {
	for l := range n {
		a.field(qLines+8*(first+l), dwtLine+x(l))
		a.i("ADD %v, %v", dwtChannel, dwtLine+x(l))
	}
	for col := range (d.pixels-1)*d.stride + d.s {
		for l := range n {
			value := values + v(l)
			a.i("FMOVD 0(%v), F%d", dwtLine+x(l), int(value))
			a.i("ADD %v, %v", dwtPixel, dwtLine+x(l))
			a.v("ushll.8h", value, value)
			for i := range d.pixels {
				if s := col - i*d.stride; s >= 0 && s < d.s {
					a.v("smlal.4s", v(2*i), value, weight(l, s))
					a.v("smlal2.4s", v(2*i+1), value, weight(l, s))
				}
			}
		}
	}
}
