package main

import "fmt"

func init() { families["gradient"] = emitGradient }

func emitGradient(a *asm) {
	for _, rows := range []int{8, 4, 2, 1} {
		outer{rows, 2, whole}.emit(a)
		outer{rows, 1, whole}.emit(a)
		outer{rows, 1, one}.emit(a)
	}
	channelwise{"depthwiseGrad", true}.emit(a)
	channelwise{"addRows", false}.emit(a)
}

// Byte offsets of the fields of conv.gradArgs.
const (
	gradX, gradDY, gradPairs, gradPairsLen = 0, 24, 48, 56
	gradDst, gradDstStride, gradChannels   = 72, 96, 104
)

// Registers of the gradients.
const (
	grX, grDY, grDst, grStride, grLeft  = x(1), x(2), x(3), x(4), x(5)
	grPair, grEnd, grXAt, grDYAt, grRow = x(6), x(7), x(8), x(9), x(10)
)

// gradPointers loads what all kernels need.
func gradPointers(a *asm) {
	a.field(gradX, grX)
	a.field(gradDY, grDY)
	a.field(gradDst, grDst)
}

// pairs repeats body for every pair of pixels, whose channels are at grXAt and
// grDYAt.
func pairs(a *asm, body func()) {
	again, done := a.fresh("pixel"), a.fresh("done")
	a.field(gradPairs, grPair)
	a.field(gradPairsLen, grEnd)
	a.to(done, "CBZ %v", grEnd)
	a.i("ADD %v<<2, %v, %v", grEnd, grPair, grEnd)
	a.label(again)
	a.i("MOVW.P 4(%v), %v", grPair, grXAt)
	a.i("MOVW.P 4(%v), %v", grPair, grDYAt)
	a.i("ADD %v, %v", grX, grXAt)
	a.i("ADD %v, %v", grDY, grDYAt)
	body()
	a.i("CMP %v, %v", grEnd, grPair)
	a.to(again, "BNE")
	a.label(done)
}

// outer emits a sum of outer products: rows of the output's channels by vecs
// vectors of the input's, over a list of pairs of pixels. With the width of
// one float it takes Channels channels one after the other.
type outer struct {
	rows, vecs int
	width
}

func (o outer) emit(a *asm) {
	name := fmt.Sprintf("outerNEON%dx%d", o.rows, 4*o.vecs)
	if o.width == one {
		name += "m"
	}
	acc := func(i, j int) v { return v(i*o.vecs + j) }
	value, dy := v(o.rows*o.vecs), v(o.rows*o.vecs+o.vecs)
	sums := func(each func(r v, offset int)) {
		a.i("MOVD %v, %v", grDst, grRow)
		for i := range o.rows {
			for j := range o.vecs {
				each(acc(i, j), 16*j)
			}
			a.i("ADD %v, %v", grStride, grRow)
		}
	}
	a.fnArgs(name)
	gradPointers(a)
	a.field(gradDstStride, grStride)
	a.i("LSL $2, %v", grStride)
	if o.width == one {
		a.field(gradChannels, grLeft)
		a.label("channel")
	}
	sums(func(r v, offset int) { a.load(o.width, grRow, offset, r) })
	pairs(a, func() {
		for j := range o.vecs {
			a.load(o.width, grXAt, 16*j, value+v(j))
		}
		switch o.rows {
		case 1:
			a.load(one, grDYAt, 0, dy)
		case 2:
			a.i("FMOVD (%v), F%d", grDYAt, int(dy))
		default:
			for i := 0; i < o.rows; i += 4 {
				a.load(whole, grDYAt, 4*i, dy+v(i/4))
			}
		}
		for i := range o.rows {
			for j := range o.vecs {
				a.lane("fmla", acc(i, j), value+v(j), dy+v(i/4), i%4)
			}
		}
	})
	sums(func(r v, offset int) { a.store(o.width, r, grRow, offset) })
	if o.width == one {
		a.i("ADD $4, %v", grDst)
		a.i("ADD $4, %v", grX)
		a.i("SUBS $1, %v", grLeft)
		a.to("channel", "BNE")
	}
	a.i("RET")
}

// channelwise emits sums over a list of pixels with channels in lanes: of
// products of the two tensors, or of the second alone.
type channelwise struct {
	what    string
	product bool
}

func (c channelwise) emit(a *asm) {
	a.fnArgs(c.what + "NEON")
	gradPointers(a)
	a.field(gradChannels, grLeft)
	for _, l := range []struct {
		width
		vecs int
	}{{whole, 4}, {whole, 1}, {one, 1}} {
		again, after := a.fresh("channels"), a.fresh("after")
		channels := l.vecs * l.lanes()
		a.i("SUBS $%d, %v", channels, grLeft)
		a.to(after, "BLT")
		a.label(again)
		for j := range l.vecs {
			a.load(l.width, grDst, 16*j, v(j))
		}
		pairs(a, func() {
			for j := range l.vecs {
				dy, value := v(l.vecs+j), v(2*l.vecs+j)
				a.load(l.width, grDYAt, 16*j, dy)
				if !c.product {
					a.v("fadd", v(j), v(j), dy)
					continue
				}
				a.load(l.width, grXAt, 16*j, value)
				a.v("fmla", v(j), value, dy)
			}
		})
		for j := range l.vecs {
			a.store(l.width, v(j), grDst, 16*j)
		}
		for _, p := range []x{grX, grDY, grDst} {
			a.i("ADD $%d, %v", 4*channels, p)
		}
		a.i("SUBS $%d, %v", channels, grLeft)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", channels, grLeft)
	}
	a.i("RET")
}
