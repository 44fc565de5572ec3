package main

func init() { families["qvec"] = emitQvec }

// emitQvec writes the kernels of package qvec. Counts are multiples of eight,
// or where they say so of 32, and not 0.
func emitQvec(a *asm) {
	qbinary(a, "add", "fadd")
	qbinary(a, "mul", "fmul")
	quantize(a)
	dequantize(a)
	average(a)
	lut(a)
	maxTaps(a)
	sumTaps(a)
	minMax(a)
	scaleShift(a)
}

// The layout of qvec.AddParams.
const (
	vScaleA, vScaleB, vScaleY = 0, 4, 8
	vZeroA, vZeroB, vZeroY    = 12, 13, 14
	vMin, vMax                = 15, 16
	least                     = -1e6 // below any clamp
)

// params loads 64-bit parameters of a function in order, to R1, R2, ….
func params(a *asm, names ...string) {
	for i, n := range names {
		a.i("MOVD %s+%d(FP), %v", n, 8*i, x(1+i))
	}
}

// word loads a 32-bit parameter and copies it to all lanes.
func word(a *asm, name string, offset int, r v) {
	a.i("MOVWU %s+%d(FP), R9", name, offset)
	a.dupWord(r, 9)
}

// byteParam copies the low byte of a parameter to all bytes.
func byteParam(a *asm, name string, offset int, r v) {
	a.i("MOVWU %s+%d(FP), R9", name, offset)
	a.dupByte(r, 9)
}

// half copies the low 16 bits of a parameter to all 16-bit lanes.
func half(a *asm, name string, offset int, r v) {
	a.i("MOVWU %s+%d(FP), R9", name, offset)
	a.dupHalf(r, 9)
}

// leastOf sets all lanes of r to least, so that fmaxnm turns a NaN into what
// rounds to the lower clamp.
func leastOf(a *asm, r v) {
	a.i("MOVD $0x%08x, R9", float(least))
	a.dupWord(r, 9)
}

// widen turns eight bytes in r into int32 in r and r+1.
func widen(a *asm, r v) {
	a.v("ushll.8h", r, r)
	a.v("ushll2.4s", r+1, r)
	a.v("ushll.4s", r, r)
}

// loop repeats body until the count, less step each time, is used up.
func (a *asm) loop(count x, step int, body func()) {
	again := a.fresh("loop")
	a.label(again)
	body()
	a.i("SUBS $%d, %v", step, count)
	a.to(again, "BGT")
}

// qbinary emits an element-wise quantized operation.
func qbinary(a *asm, name, op string) {
	a.fn(name+"NEON", 40)
	params(a, "dst", "a", "b", "n", "p")
	const dst, p, q, n, par, tmp = x(1), x(2), x(3), x(4), x(5), x(9)
	const sa, sb, sy, za, zb, zy, lo, hi, low = v(16), v(17), v(18), v(19), v(20), v(21), v(22), v(23), v(24)
	for _, f := range []struct {
		at int
		r  v
	}{{vScaleA, sa}, {vScaleB, sb}, {vScaleY, sy}} {
		a.spread(par, f.at, f.r)
	}
	for _, f := range []struct {
		at int
		r  v
	}{{vZeroA, za}, {vZeroB, zb}} {
		a.i("MOVBU %d(%v), %v", f.at, par, tmp)
		a.dupWord(f.r, tmp)
	}
	a.i("MOVBU %d(%v), %v", vZeroY, par, tmp)
	a.dupHalf(zy, tmp)
	for _, f := range []struct {
		at int
		r  v
	}{{vMin, lo}, {vMax, hi}} {
		a.i("MOVBU %d(%v), %v", f.at, par, tmp)
		a.dupByte(f.r, tmp)
	}
	leastOf(a, low)
	a.loop(n, 8, func() {
		for _, side := range []struct {
			from        x
			r           v
			zero, scale v
		}{{p, 0, za, sa}, {q, 2, zb, sb}} {
			a.i("FMOVD.P 8(%v), F%d", side.from, int(side.r))
			widen(a, side.r)
			for h := range v(2) {
				a.v("sub.4s", side.r+h, side.r+h, side.zero)
				a.v("scvtf", side.r+h, side.r+h)
				a.v("fmul", side.r+h, side.r+h, side.scale)
			}
		}
		for h := range v(2) {
			a.v(op, h, h, 2+h)
			a.v("fdiv", h, h, sy)
			a.v("fmaxnm", h, h, low)
			a.v("fcvtns", h, h)
		}
		qpack(a, 0, 2, zy)
		a.v("umax.16b", 0, 0, lo)
		a.v("umin.16b", 0, 0, hi)
		a.i("FMOVD.P F0, 8(%v)", dst)
	})
	a.i("RET")
}

// quantize turns floats into bytes. A NaN converts to 0.
func quantize(a *asm) {
	a.fn("quantizeNEON", 36)
	params(a, "dst", "src", "n")
	const dst, src, n = x(1), x(2), x(3)
	const scale, zero, flip = v(16), v(17), v(18)
	word(a, "scale", 24, scale)
	half(a, "zero", 28, zero)
	byteParam(a, "flip", 32, flip)
	a.loop(n, 8, func() {
		a.loadRun(src, 0, 2)
		for h := range v(2) {
			a.v("fdiv", h, h, scale)
			a.v("fcvtns", h, h)
		}
		qpack(a, 0, 2, zero)
		a.v("eor", 0, 0, flip)
		a.i("FMOVD.P F0, 8(%v)", dst)
	})
	a.i("RET")
}

func dequantize(a *asm) {
	a.fn("dequantizeNEON", 36)
	params(a, "dst", "src", "n")
	const dst, src, n = x(1), x(2), x(3)
	const scale, zero, flip = v(16), v(17), v(18)
	word(a, "scale", 24, scale)
	word(a, "zero", 28, zero)
	byteParam(a, "flip", 32, flip)
	a.loop(n, 8, func() {
		a.i("FMOVD.P 8(%v), F0", src)
		a.v("eor", 0, 0, flip)
		widen(a, 0)
		for h := range v(2) {
			a.v("sub.4s", h, h, zero)
			a.v("scvtf", h, h)
			a.v("fmul", h, h, scale)
		}
		a.i("FSTPQ.P (F0, F1), 32(%v)", dst)
	})
	a.i("RET")
}

// average turns sums into bytes.
func average(a *asm) {
	a.fn("averageNEON", 44)
	params(a, "dst", "sums", "n")
	const dst, sums, n = x(1), x(2), x(3)
	const off, m, zero, lo, hi, low = v(16), v(17), v(18), v(19), v(20), v(21)
	word(a, "off", 24, off)
	word(a, "m", 28, m)
	half(a, "zero", 32, zero)
	byteParam(a, "lo", 36, lo)
	byteParam(a, "hi", 40, hi)
	leastOf(a, low)
	a.loop(n, 8, func() {
		a.loadRun(sums, 0, 2)
		for h := range v(2) {
			a.v("sub.4s", h, h, off)
			a.v("scvtf", h, h)
			a.v("fmul", h, h, m)
			a.v("fmaxnm", h, h, low)
			a.v("fcvtns", h, h)
		}
		qpack(a, 0, 2, zero)
		a.v("umax.16b", 0, 0, lo)
		a.v("umin.16b", 0, 0, hi)
		a.i("FMOVD.P F0, 8(%v)", dst)
	})
	a.i("RET")
}

// lut looks 32 bytes at a time up in a table of 256, a quarter after the
// other: an index beyond a quarter leaves what the others found.
func lut(a *asm) {
	a.fn("lutNEON", 32)
	params(a, "dst", "src", "n", "table")
	const dst, src, n, table = x(1), x(2), x(3), x(4)
	const quarter = v(8)
	a.loadRun(table, 16, 16)
	a.bytes(quarter, 64)
	a.loop(n, 32, func() {
		a.loadRun(src, 0, 2)
		for i := range 4 {
			for h := range v(2) {
				if i == 0 {
					a.lookup("tbl", 2+h, 16, h)
					continue
				}
				a.v("sub.16b", h, h, quarter)
				a.lookup("tbx", 2+h, v(16+4*i), h)
			}
		}
		a.i("FSTPQ.P (F2, F3), 32(%v)", dst)
	})
	a.i("RET")
}

// overTaps emits the loop over the pixels at a list of offsets, step channels
// at a time: clear, then add for each pixel, whose channels are at R8, then end.
func overTaps(a *asm, step int, clear, add, end func()) {
	params(a, "dst", "src", "offs", "taps", "n")
	const src, offs, taps, n, off, left, at = x(2), x(3), x(4), x(5), x(6), x(7), x(8)
	a.loop(n, step, func() {
		clear()
		a.i("MOVD %v, %v", offs, off)
		a.i("MOVD %v, %v", taps, left)
		a.loop(left, 1, func() {
			a.i("MOVD.P 8(%v), %v", off, at)
			a.i("ADD %v, %v", src, at)
			add()
		})
		end()
		a.i("ADD $%d, %v", step, src)
	})
	a.i("RET")
}

// maxTaps takes the greatest of n channels, a multiple of 32.
func maxTaps(a *asm) {
	a.fn("maxTapsNEON", 40)
	overTaps(a, 32, func() {
		a.bytes(0, 0)
		a.bytes(1, 0)
	}, func() {
		a.i("FLDPQ (R8), (F2, F3)")
		a.v("umax.16b", 0, 0, 2)
		a.v("umax.16b", 1, 1, 3)
	}, func() { a.i("FSTPQ.P (F0, F1), 32(R1)") })
}

// sumTaps sums n channels.
func sumTaps(a *asm) {
	a.fn("sumTapsNEON", 40)
	overTaps(a, 8, func() {
		a.bytes(0, 0)
		a.bytes(1, 0)
	}, func() {
		a.i("FMOVD (R8), F2")
		a.v("ushll.8h", 2, 2)
		a.v("uaddw.4s", 0, 0, 2)
		a.v("uaddw2.4s", 1, 1, 2)
	}, func() { a.i("FSTPQ.P (F0, F1), 32(R1)") })
}

// minMax leaves the least and greatest of n values, lane by lane, in out,
// which holds the start. A comparison with a NaN keeps what there is.
func minMax(a *asm) {
	a.fn("minMaxNEON", 24)
	params(a, "x", "n", "out")
	const p, n, out = x(1), x(2), x(3)
	a.i("FLDPQ (%v), (F0, F1)", out)
	a.i("FLDPQ 32(%v), (F2, F3)", out)
	a.loop(n, 8, func() {
		a.loadRun(p, 4, 2)
		for h := range v(2) {
			a.v("fcmgt", 6+h, h, 4+h)
			a.v("bit", h, 4+h, 6+h)
			a.v("fcmgt", 6+h, 4+h, 2+h)
			a.v("bit", 2+h, 4+h, 6+h)
		}
	})
	a.i("FSTPQ (F0, F1), (%v)", out)
	a.i("FSTPQ (F2, F3), 32(%v)", out)
	a.i("RET")
}

// scaleShift moves the bytes of rows to another grid by a factor and a summand
// of each channel.
func scaleShift(a *asm) {
	a.fn("scaleShiftNEON", 72)
	params(a, "dst", "src", "rows", "n", "dstStep", "srcStep", "scale", "shift")
	const dst, src, rows, n, dstStep, srcStep, scale, shift = x(1), x(2), x(3), x(4), x(5), x(6), x(7), x(8)
	const to, from, left, factors, summands = x(10), x(11), x(12), x(13), x(14)
	const lo, hi, zero = v(16), v(17), v(18)
	word(a, "lo", 64, lo)
	word(a, "hi", 68, hi)
	a.bytes(zero, 0)
	a.loop(rows, 1, func() {
		for _, m := range [][2]x{{dst, to}, {src, from}, {n, left}, {scale, factors}, {shift, summands}} {
			a.i("MOVD %v, %v", m[0], m[1])
		}
		a.loop(left, 8, func() {
			a.i("FMOVD.P 8(%v), F0", from)
			widen(a, 0)
			a.loadRun(factors, 2, 2)
			a.loadRun(summands, 4, 2)
			for h := range v(2) {
				a.v("scvtf", h, h)
				a.v("fmul", h, h, 2+h)
				a.v("fadd", h, h, 4+h)
				a.v("fmaxnm", h, h, lo) // a NaN becomes lo
				a.v("fminnm", h, h, hi)
				a.v("fcvtns", h, h)
			}
			qpack(a, 0, 2, zero)
			a.i("FMOVD.P F0, 8(%v)", to)
		})
		a.i("ADD %v, %v", dstStep, dst)
		a.i("ADD %v, %v", srcStep, src)
	})
	a.i("RET")
}
