package main

import "fmt"

func init() { families["tile"] = emitTiles }

func emitTiles(a *asm) {
	for _, t := range []tile{{12, 1}, {8, 2}, {6, 3}} {
		t.emit(a)
	}
	transpose4(a)
}

// Byte offsets of the fields of tile.Args.
const (
	argSrc, argW, argBias, argDst, argAdd, argZero = 0, 24, 48, 72, 96, 120
	argBase, argMask, argTaps, argTapsLen          = 144, 168, 192, 200
	argRun, argRows, argDstStride, argAddStride    = 216, 224, 232, 240
	argMin, argMax                                 = 248, 252
)

// tile emits the indirect GEMM tile described by tile.Args: rows pixels by
// vecs vectors of output channels, for as many tiles as the call has rows.
//
// Four steps at a time, a row's four values lie in one register, whose lanes
// multiply the vectors of weights: for each step vecs loads of weights and a
// quarter load a row serve rows*vecs multiply-adds.
type tile struct{ rows, vecs int }

var tileRows = []x{8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22}

// The other registers of a tile.
const (
	tileW, tileSteps, tileLeft, tileBase, tileMask = x(1), x(2), x(3), x(4), x(5)
	tileTap, tileBit, tileZero, tileAt             = x(6), x(7), x(16), x(17)
	tileDst, tileAdd, tileTapEnd, tileTmp          = x(23), x(24), x(25), x(26)
)

func (t tile) acc(i, j int) v { return v(i*t.vecs + j) }
func (t tile) value(i int) v  { return v(t.rows*t.vecs + i) }
func (t tile) weight(j int) v { return v(t.rows*t.vecs + t.rows + j) }

func (t tile) emit(a *asm) {
	a.fnArgs(fmt.Sprintf("tileNEON%dx%d", t.rows, 4*t.vecs))
	a.field(argRows, tileLeft)
	a.field(argBase, tileBase)
	a.field(argMask, tileMask)
	a.field(argDst, tileDst)
	a.field(argAdd, tileAdd)
	a.field(argZero, tileZero)

	// Full tiles while there are rows for two; what is left after them is
	// halved, since tiles of few rows wait for their sums.
	a.label("next")
	a.i("MOVD %v, %v", tileLeft, tileTmp)
	a.i("CMP $%d, %v", 2*t.rows, tileLeft)
	a.to(t.at("rows"), "BGE")
	a.i("CMP $%d, %v", t.rows, tileLeft)
	a.to("choose", "BLE")
	a.i("ADD $1, %v", tileTmp)
	a.i("LSR $1, %v", tileTmp)
	a.label("choose")
	for r := t.rows - 1; r > 0; r-- {
		a.i("CMP $%d, %v", r, tileTmp)
		a.to(tile{r, t.vecs}.at("rows"), "BEQ")
	}
	for r := t.rows; r > 0; r-- {
		tile{r, t.vecs}.body(a)
	}
	a.label("ret")
	a.i("RET")
}

// at is a label of the code for so many rows.
func (t tile) at(l string) string { return fmt.Sprintf("%s%d", l, t.rows) }

// body computes and stores one tile.
func (t tile) body(a *asm) {
	a.label(t.at("rows"))
	a.field(argBias, tileTmp)
	for j := range t.vecs {
		a.load(whole, tileTmp, 16*j, t.acc(0, j))
	}
	for i := 1; i < t.rows; i++ {
		for j := range t.vecs {
			a.mov(t.acc(i, j), t.acc(0, j))
		}
	}
	a.field(argW, tileW)
	a.field(argTaps, tileTap)
	a.field(argTapsLen, tileTapEnd)
	a.i("ADD %v<<3, %v, %v", tileTapEnd, tileTap, tileTapEnd)
	a.i("MOVD $1, %v", tileBit)

	a.label(t.at("tap"))
	t.pointRows(a)
	t.channels(a)
	a.i("LSL $1, %v", tileBit)
	a.i("CMP %v, %v", tileTapEnd, tileTap)
	a.to(t.at("tap"), "BNE")
	t.store(a)
	a.i("SUBS $%d, %v", t.rows, tileLeft)
	a.to("ret", "BLE")
	a.i("ADD $%d, %v", 8*t.rows, tileBase)
	a.i("ADD $%d, %v", 8*t.rows, tileMask)
	a.to("next", "B")
}

// pointRows points the row registers at their runs of the current tap, or at
// the zeros where there is a mask that lacks it.
func (t tile) pointRows(a *asm) {
	a.i("MOVD.P 8(%v), %v", tileTap, tileAt)
	a.field(argSrc, tileTmp)
	a.i("ADD %v, %v", tileTmp, tileAt)
	for i, r := range tileRows[:t.rows] {
		a.i("MOVD %d(%v), %v", 8*i, tileBase, r)
		a.i("ADD %v, %v", tileAt, r)
	}
	inside := a.fresh("inside")
	a.field(argMask, tileTmp)
	a.to(inside, "CBZ %v", tileTmp)
	for i, r := range tileRows[:t.rows] {
		a.i("MOVD %d(%v), %v", 8*i, tileMask, tileTmp)
		a.i("TST %v, %v", tileBit, tileTmp)
		a.i("CSEL EQ, %v, %v, %v", tileZero, r, r)
	}
	a.label(inside)
}

// channels adds one run of channels to the sums, four at a time and the rest
// one by one.
func (t tile) channels(a *asm) {
	step := func(w v, lane int) {
		for i := range t.rows {
			for j := range t.vecs {
				a.lane("fmla", t.acc(i, j), w+v(j), t.value(i), lane)
			}
		}
	}
	values := func(w width) {
		for i, r := range tileRows[:t.rows] {
			a.loadNext(w, r, t.value(i))
		}
	}
	const unroll = 4
	held := (32 - int(t.weight(0))) / t.vecs // steps whose weights fit the registers
	if held > unroll {
		held = unroll
	}
	a.field(argRun, tileSteps)
	a.i("SUBS $%d, %v", unroll, tileSteps)
	a.to(t.at("few"), "BLT")
	a.label(t.at("channels"))
	values(whole)
	for u := range unroll {
		w := t.weight(u % held * t.vecs)
		a.loadRun(tileW, w, t.vecs)
		step(w, u)
	}
	a.i("SUBS $%d, %v", unroll, tileSteps)
	a.to(t.at("channels"), "BGE")
	a.label(t.at("few"))
	a.i("ADDS $%d, %v", unroll, tileSteps)
	a.to(t.at("done"), "BEQ")
	a.label(t.at("channel"))
	values(one)
	a.loadRun(tileW, t.weight(0), t.vecs)
	step(t.weight(0), 0)
	a.i("SUBS $1, %v", tileSteps)
	a.to(t.at("channel"), "BNE")
	a.label(t.at("done"))
}

// store adds the residual, clamps and stores the rows there are.
func (t tile) store(a *asm) {
	stride := tileTap // free until the next tile
	ifRow := func(i int, otherwise string) {
		if i > 0 {
			a.i("CMP $%d, %v", i, tileLeft)
			a.to(otherwise, "BLE")
		}
	}
	a.to(t.at("clamp"), "CBZ %v", tileAdd)
	a.field(argAddStride, stride)
	for i := range t.rows {
		ifRow(i, t.at("clamp"))
		for j := range t.vecs {
			a.load(whole, tileAdd, 16*j, t.value(j))
			a.v("fadd", t.acc(i, j), t.acc(i, j), t.value(j))
		}
		a.i("ADD %v<<2, %v", stride, tileAdd)
	}
	a.label(t.at("clamp"))
	lo, hi := t.weight(0), t.weight(1)
	a.spread(args, argMin, lo)
	a.spread(args, argMax, hi)
	a.field(argDstStride, stride)
	for i := range t.rows {
		ifRow(i, "ret")
		for j := range t.vecs {
			a.v("fmax", t.acc(i, j), t.acc(i, j), lo)
			a.v("fmin", t.acc(i, j), t.acc(i, j), hi)
			a.store(whole, t.acc(i, j), tileDst, 16*j)
		}
		a.i("ADD %v<<2, %v", stride, tileDst)
	}
}

// transpose4 emits the transposition of an 8 x 8 square, by squares of four.
func transpose4(a *asm) {
	a.fn("transpose8NEON", 32)
	dst, ldd, src, lds, from, to := x(1), x(2), x(3), x(4), x(5), x(6)
	for i, p := range []struct {
		name string
		r    x
	}{{"dst", dst}, {"ldd", ldd}, {"src", src}, {"lds", lds}} {
		a.i("MOVD %s+%d(FP), %v", p.name, 8*i, p.r)
	}
	a.i("LSL $2, %v", ldd)
	a.i("LSL $2, %v", lds)
	for half := range 2 {
		a.i("ADD $%d, %v, %v", 16*half, src, from)
		for i := range 8 { // V0-V7: four columns of each row
			a.load(whole, from, 0, v(i))
			a.i("ADD %v, %v", lds, from)
		}
		for i := 0; i < 8; i += 4 {
			square(a, v(i))
		}
		a.i("MOVD %v, %v", dst, to)
		for i := range 4 {
			a.store(whole, v(i), to, 0)
			a.store(whole, v(4+i), to, 16)
			a.i("ADD %v, %v", ldd, to)
		}
		a.i("MOVD %v, %v", to, dst)
	}
	a.i("RET")
}

// square transposes the four vectors from r on, by way of V16-V19.
func square(a *asm, r v) {
	a.v("zip1.4s", 16, r, r+2)
	a.v("zip2.4s", 17, r, r+2)
	a.v("zip1.4s", 18, r+1, r+3)
	a.v("zip2.4s", 19, r+1, r+3)
	a.v("zip1.4s", r, 16, 18)
	a.v("zip2.4s", r+1, 16, 18)
	a.v("zip1.4s", r+2, 17, 19)
	a.v("zip2.4s", r+3, 17, 19)
}
