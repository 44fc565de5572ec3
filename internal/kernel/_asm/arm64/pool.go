package main

func init() { families["pool"] = emitPool }

// emitPool writes the kernels of package pool.
func emitPool(a *asm) {
	for _, w := range []window{
		{name: "maxWindow", doc: "takes the greatest element over kh by kw pixels, a NaN if there is one.", start: 0xff800000,
			step: func(a *asm, acc []v, x, _ v) { a.v("fmax", acc[0], acc[0], x) }},
		{name: "sumWindow", doc: "sums kh by kw pixels and multiplies by scale.", scaled: true,
			step: func(a *asm, acc []v, x, _ v) { a.v("fadd", acc[0], acc[0], x) }},
		{name: "maxIndexWindow", start: 0xff800000, indexed: true,
			doc: "takes the greatest element over kh by kw pixels and the number of its pixel: at, dw more for each column, dh more for each row.",
			step: func(a *asm, acc []v, x, place v) {
				const worse, number = v(30), v(31)
				a.v("fcmge", worse, acc[0], x) // false for a NaN x, which is then the greatest
				a.v("fcmeq", number, acc[0], acc[0])
				a.v("bic", number, number, worse) // better, and what there is is not a NaN
				a.v("bit", acc[0], x, number)
				a.v("bit", acc[1], place, number)
			}},
	} {
		w.emit(a)
	}
	elementwise{
		name: "addWhere", doc: "adds dy to dx where index is at.",
		pointers: "dx, dy", ints: "index", intParams: "at", unroll: 2,
		body: func(e *element) {
			m := e.op("cmeq.4s", e.in("index"), e.param("at"))
			e.out("dx", e.sum(e.in("dx"), e.and(m, e.in("dy"))))
		},
	}.emit(a)
}

// window reduces kh by kw pixels of c channels, sh and sw bytes apart, channel
// by channel. The state of a vector of channels is the result and, if indexed,
// its place.
type window struct {
	name, doc string
	start     uint32 // the result of no pixels
	scaled    bool
	indexed   bool
	step      func(a *asm, acc []v, x, place v)
}

// Registers of the windows.
const (
	winDst, winSrc, winLeft, winSH, winSW, winIndex = x(1), x(2), x(3), x(4), x(5), x(6)
	winLine, winPixel, winRows, winTaps, winTmp     = x(7), x(8), x(9), x(10), x(11)

	winStart, winScale, winAt, winDH, winDW, winRow, winPlace, winX = v(16), v(17), v(18), v(19), v(20), v(21), v(22), v(23)
)

func (w window) emit(a *asm) {
	name, signature, size := w.name+"NEON", "dst, src *float32, c, kh, kw, sh, sw int, more bool", 57
	switch {
	case w.scaled:
		signature, size = signature+", scale float32", 64
	case w.indexed:
		signature, size = signature+", index *int32, at, dh, dw int32", 84
	}
	a.declare(name, signature+")", w.doc+" With more, what dst holds takes part.")
	a.fn(name, size)
	for _, p := range []struct {
		name string
		at   int
		r    x
	}{{"dst", 0, winDst}, {"src", 8, winSrc}, {"c", 16, winLeft}, {"sh", 40, winSH}, {"sw", 48, winSW}} {
		a.i("MOVD %s+%d(FP), %v", p.name, p.at, p.r)
	}
	a.i("MOVD $0x%08x, R9", w.start)
	a.dupWord(winStart, 9)
	if w.scaled {
		word(a, "scale", 60, winScale)
	}
	if w.indexed {
		a.i("MOVD index+64(FP), %v", winIndex)
		word(a, "at", 72, winAt)
		word(a, "dh", 76, winDH)
		word(a, "dw", 80, winDW)
	}
	for _, l := range []struct {
		width
		vectors int
	}{{whole, 4}, {whole, 1}, {one, 1}} {
		again, after := a.fresh("channels"), a.fresh("after")
		elements := l.vectors * l.lanes()
		a.i("SUBS $%d, %v", elements, winLeft)
		a.to(after, "BLT")
		a.label(again)
		w.block(a, l.width, l.vectors)
		for _, r := range []x{winDst, winSrc, winIndex} {
			a.i("ADD $%d, %v", 4*elements, r)
		}
		a.i("SUBS $%d, %v", elements, winLeft)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", elements, winLeft)
	}
	a.i("RET")
}

// block reduces some vectors of channels.
func (w window) block(a *asm, wd width, vectors int) {
	acc := make([][]v, vectors)
	for i := range acc {
		acc[i] = []v{v(2 * i), v(2*i + 1)}
	}
	start, row, tap := a.fresh("start"), a.fresh("row"), a.fresh("tap")
	for i := range acc {
		a.mov(acc[i][0], winStart)
		if w.indexed {
			a.mov(acc[i][1], winAt)
		}
	}
	a.i("MOVBU more+56(FP), %v", winTmp)
	a.to(start, "CBZ %v", winTmp)
	for i := range acc {
		a.load(wd, winDst, 16*i, acc[i][0])
		if w.indexed {
			a.load(wd, winIndex, 16*i, acc[i][1])
		}
	}
	a.label(start)
	a.i("MOVD %v, %v", winSrc, winLine)
	a.i("MOVD kh+24(FP), %v", winRows)
	if w.indexed {
		a.mov(winRow, winAt)
	}
	a.label(row)
	a.i("MOVD %v, %v", winLine, winPixel)
	a.i("MOVD kw+32(FP), %v", winTaps)
	if w.indexed {
		a.mov(winPlace, winRow)
	}
	a.label(tap)
	for i := range acc {
		a.load(wd, winPixel, 16*i, winX)
		w.step(a, acc[i], winX, winPlace)
	}
	if w.indexed {
		a.v("add.4s", winPlace, winPlace, winDW)
	}
	a.i("ADD %v, %v", winSW, winPixel)
	a.i("SUBS $1, %v", winTaps)
	a.to(tap, "BNE")
	if w.indexed {
		a.v("add.4s", winRow, winRow, winDH)
	}
	a.i("ADD %v, %v", winSH, winLine)
	a.i("SUBS $1, %v", winRows)
	a.to(row, "BNE")
	for i := range acc {
		if w.scaled {
			a.v("fmul", acc[i][0], acc[i][0], winScale)
		}
		a.store(wd, acc[i][0], winDst, 16*i)
		if w.indexed {
			a.store(wd, acc[i][1], winIndex, 16*i)
		}
	}
}
