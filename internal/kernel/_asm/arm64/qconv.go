package main

import "fmt"

func init() { families["qconv"] = emitQconv }

// emitQconv writes the tiles of package qconv, with and without dot products.
// There is a function for each number of vectors of channels; it chooses the
// code for its number of pixels.
func emitQconv(a *asm) {
	for _, vecs := range []int{1, 2} {
		qtiles(a, fmt.Sprintf("qtileDot%d", 4*vecs), 8, func(rows int) { qdot{rows, vecs}.emit(a) })
		qtiles(a, fmt.Sprintf("qtileNEON%d", 4*vecs), 4, func(rows int) { qmul{rows, vecs}.emit(a) })
	}
	emitQdepthwise(a)
}

// Byte offsets of the fields of qconv.tileArgs.
const (
	qBase      = 0
	qOffs      = 8
	qSteps     = 16
	qCount     = 24
	qW         = 32
	qBias      = 40
	qScale     = 48
	qDst       = 56
	qDstStride = 64
	qTiles     = 72
	qMode      = 80
	qElem      = 88
	qChunks    = 96
	qZero      = 104
	qLo        = 136
	qHi        = 168
	qFLo       = 200
	qFHi       = 264
	qLines     = 392
	qPixel     = 448
	qTileStep  = 456
	qLastStep  = 464
	qBlocks    = 488
)

// Registers of the tiles. Those of pixels come before what is free.
const (
	qOffsReg, qTilesReg, qDstReg, qStepsReg = x(1), x(2), x(3), x(4)
	qWReg, qLoopReg, qTmpReg, qIndexReg     = x(5), x(6), x(7), x(16)
	qStrideReg                              = x(17)
)

var qPixels = []x{8, 9, 10, 11, 12, 13, 14, 15}

// qtiles writes a function of tileArgs and a number of pixels up to most.
func qtiles(a *asm, name string, most int, emit func(rows int)) {
	a.fn(name, 16)
	a.i("MOVD a+0(FP), %v", args)
	a.i("MOVD rows+8(FP), %v", qTmpReg)
	a.field(qOffs, qOffsReg)
	a.field(qTiles, qTilesReg)
	a.field(qDst, qDstReg)
	a.field(qDstStride, qStrideReg)
	a.bytes(flips, 0x80)
	for rows := 1; rows < most; rows++ {
		a.i("CMP $%d, %v", rows, qTmpReg)
		a.to(fmt.Sprintf("rows%d", rows), "BEQ")
	}
	for rows := most; rows >= 1; rows-- {
		a.label(fmt.Sprintf("rows%d", rows))
		emit(rows)
		a.i("RET")
	}
}

// flips holds the top bit of every byte, which makes a uint8 the int8 that is
// 128 less. The bias makes up for that.
const flips = v(31)

// qtile writes the loop over tiles: sums leaves them in registers 0, 1, ….
func qtile(a *asm, rows, vecs int, sums func()) {
	again := a.fresh("tile")
	a.label(again)
	a.field(qBase, qTmpReg)
	for i, r := range qPixels[:rows] {
		a.i("MOVW %d(%v), %v", 4*i, qOffsReg, r)
		a.i("ADD %v, %v", qTmpReg, r)
	}
	a.field(qSteps, qStepsReg)
	a.field(qW, qWReg)
	sums()
	a.field(qScale, qTmpReg)
	qstore(a, rows, vecs, qDstReg, qTmpReg, 0)
	a.i("ADD $%d, %v", 4*rows, qOffsReg)
	a.i("SUBS $1, %v", qTilesReg)
	a.to(again, "BNE")
}

// qloops writes the loops over the steps of sixteen values and of four. body
// multiplies the quads of one step, after load has filled the registers of the
// pixels.
func qloops(a *asm, rows int, value func(i int) v, body func(quads int)) {
	for _, l := range []struct {
		count, quads int
		w            width
	}{{qBlocks, 4, whole}, {qCount, 1, one}} {
		again, after := a.fresh("step"), a.fresh("after")
		a.field(l.count, qLoopReg)
		a.to(after, "CBZ %v", qLoopReg)
		a.label(again)
		a.i("MOVW.P 4(%v), %v", qStepsReg, qIndexReg)
		for i, r := range qPixels[:rows] {
			a.loadIndexed(l.w, r, qIndexReg, value(i))
			a.v("eor", value(i), value(i), flips)
		}
		body(l.quads)
		a.i("SUBS $1, %v", qLoopReg)
		a.to(again, "BNE")
		a.label(after)
	}
}

// qdot is a tile by SDOT: rows pixels by vecs vectors of channels. A register
// of sixteen values of a pixel serves four steps, lane by lane.
type qdot struct{ rows, vecs int }

func (q qdot) emit(a *asm) {
	acc := func(i, j int) v { return v(i*q.vecs + j) }
	value := func(i int) v { return v(16 + i) }
	qtile(a, q.rows, q.vecs, func() {
		a.field(qBias, qTmpReg)
		for j := range q.vecs {
			a.load(whole, qTmpReg, 16*j, acc(0, j))
		}
		for i := 1; i < q.rows; i++ {
			for j := range q.vecs {
				a.mov(acc(i, j), acc(0, j))
			}
		}
		qloops(a, q.rows, value, func(quads int) {
			for u := range quads {
				w := v(24 + u%2*q.vecs)
				a.loadRun(qWReg, w, q.vecs)
				for i := range q.rows {
					for j := range q.vecs {
						a.lane("sdot", acc(i, j), w+v(j), value(i), u)
					}
				}
			}
		})
	})
}

// qmul is a tile without SDOT. The products of two steps, of magnitudes up to
// 128 by 127, add up to an int16; then neighbours are added to sums of int32,
// two for each channel, which are added in the end.
type qmul struct{ rows, vecs int }

func (q qmul) emit(a *asm) {
	acc := func(i, j, half int) v { return v(2*(i*q.vecs+j) + half) }
	value := func(i int) v { return v(16 + i) }
	const spread, weights, products = v(20), v(22), v(26)
	qtile(a, q.rows, q.vecs, func() {
		for r := range v(2 * q.rows * q.vecs) {
			a.bytes(r, 0)
		}
		qloops(a, q.rows, value, func(quads int) {
			for u := 0; u < quads; u += 2 {
				pair := min(2, quads-u)
				a.loadRun(qWReg, weights, pair*q.vecs)
				for i := range q.rows {
					for k := range pair {
						a.dup(spread+v(k), value(i), u+k)
					}
					for j := range q.vecs {
						for half, two := range []string{"", "2"} {
							p := products + v(half)
							for k, op := range []string{"smull", "smlal"}[:pair] {
								a.v(op+two+".8h", p, weights+v(k*q.vecs+j), spread+v(k))
							}
							a.v("sadalp.4s", acc(i, j, half), p)
						}
					}
				}
			}
		})
		a.field(qBias, qTmpReg)
		for j := range q.vecs {
			a.load(whole, qTmpReg, 16*j, weights+v(j))
		}
		for i := range q.rows {
			for j := range q.vecs {
				r := v(i*q.vecs + j)
				a.v("addp.4s", r, acc(i, j, 0), acc(i, j, 1))
				a.v("add.4s", r, r, weights+v(j))
			}
		}
	})
}

// qstore turns the sums of rows pixels by vecs vectors of channels, in
// registers 0, 1, …, into the form of output that the arguments ask for, and
// moves dst past the pixels. The scales are at an offset from a register.
func qstore(a *asm, rows, vecs int, dst, scales x, offset int) {
	const scale, lo, hi, zero = v(24), v(26), v(27), v(30)
	sum := func(i, j int) v { return v(i*vecs + j) }
	each := func(f func(r v, j int)) {
		for i := range rows {
			for j := range vecs {
				f(sum(i, j), j)
			}
		}
	}
	asIs, bytes, done := a.fresh("asIs"), a.fresh("bytes"), a.fresh("done")
	a.field(qMode, qLoopReg)
	a.i("CMP $1, %v", qLoopReg)
	a.to(asIs, "BEQ")
	for j := range vecs {
		a.load(whole, scales, offset+16*j, scale+v(j))
	}
	each(func(r v, j int) {
		a.v("scvtf", r, r)
		a.v("fmul", r, r, scale+v(j))
	})
	a.to(bytes, "CBZ %v", qLoopReg)
	a.i("ADD $%d, %v, %v", qFLo, args, qLoopReg)
	a.spreadAt(qLoopReg, lo)
	a.i("ADD $%d, %v, %v", qFHi, args, qLoopReg)
	a.spreadAt(qLoopReg, hi)
	each(func(r v, j int) {
		a.v("fmax", r, r, lo)
		a.v("fmin", r, r, hi)
	})
	a.label(asIs)
	for i := range rows {
		for j := range vecs {
			a.store(whole, sum(i, j), dst, 16*j)
		}
		a.i("ADD %v, %v", qStrideReg, dst)
	}
	a.to(done, "B")

	a.label(bytes)
	a.load(whole, args, qZero, zero)
	a.i("FMOVD %d(%v), F%d", qLo, args, int(lo))
	a.i("FMOVD %d(%v), F%d", qHi, args, int(hi))
	each(func(r v, j int) { a.v("fcvtns", r, r) })
	for i := range rows {
		r := sum(i, 0)
		qpack(a, r, vecs, zero)
		a.v("umax.16b", r, r, lo)
		a.v("umin.16b", r, r, hi)
		if vecs == 2 {
			a.i("FMOVD F%d, 0(%v)", int(r), dst)
		} else {
			a.store(one, r, dst, 0)
		}
		a.i("ADD %v, %v", qStrideReg, dst)
	}
	a.label(done)
}

// qpack turns one or two vectors of int32 from r on into bytes in r, adding
// the zero point, which is int16. Every step saturates.
func qpack(a *asm, r v, vecs int, zero v) {
	a.v("sqxtn.4h", r, r)
	if vecs == 2 {
		a.v("sqxtn2.8h", r, r+1)
	}
	a.v("sqadd.8h", r, r, zero)
	a.v("sqxtun.8b", r, r)
}
