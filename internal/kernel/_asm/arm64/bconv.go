package main

func init() { families["bconv"] = emitBconv }

func emitBconv(a *asm) {
	countDifferences(a, "countNEON", false)
	countDifferences(a, "countMaskedNEON", true)
	packSigns(a)
}

// countDifferences writes the number of bits in which a column of words differs
// from the weights of each of some channels, under a mask or not: CNT counts
// the bits of each byte of an exclusive or, and UADALP adds neighbours to sums
// of 16 bits. Four channels share what is loaded of the column.
func countDifferences(a *asm, name string, masked bool) {
	const sums, column, mask, weights, words, channels = x(1), x(2), x(3), x(4), x(5), x(6)
	const row, at, maskAt, left, size = x(8), x(10), x(11), x(12), x(13) // row: of four channels, R8, R9, R19, R20
	rows := []x{row, 9, 19, 20}
	const value, used = v(16), v(17)
	names := []string{"sums *int32, column", "weights *uint64, words, channels int)"}
	if masked {
		names[0] += ", mask"
	}
	a.declare(name, names[0]+", "+names[1], "counts the bits in which column differs from each row of weights.")
	if masked {
		a.fn(name, 48)
		params(a, "sums", "column", "mask", "weights", "words", "channels")
	} else {
		a.fn(name, 40)
		for i, p := range []string{"sums", "column", "weights", "words", "channels"} {
			a.i("MOVD %s+%d(FP), %v", p, 8*i, []x{sums, column, weights, words, channels}[i])
		}
	}
	a.i("LSL $3, %v, %v", words, size)
	for _, n := range []int{4, 1} {
		again, after := a.fresh("channels"), a.fresh("after")
		pair, single, done := a.fresh("pair"), a.fresh("single"), a.fresh("done")
		a.i("SUBS $%d, %v", n, channels)
		a.to(after, "BLT")
		a.label(again)
		for i := range n {
			a.bytes(v(i), 0)
			if i == 0 {
				a.i("MOVD %v, %v", weights, rows[0])
			} else {
				a.i("ADD %v, %v, %v", size, rows[i-1], rows[i])
			}
		}
		a.i("ADD %v, %v, %v", size, rows[n-1], weights)
		a.i("MOVD %v, %v", column, at)
		a.i("MOVD %v, %v", mask, maskAt)
		// step counts the differences in sixteen or eight bytes.
		step := func(load string, bytes int) {
			a.i("%s.P %d(%v), F%d", load, bytes, at, int(value))
			if masked {
				a.i("%s.P %d(%v), F%d", load, bytes, maskAt, int(used))
			}
			for i := range n {
				r := v(20 + i)
				a.i("%s.P %d(%v), F%d", load, bytes, rows[i], int(r))
				a.v("eor", r, r, value)
				if masked {
					a.v("and", r, r, used)
				}
				a.v("cnt", r, r)
				a.v("uadalp.8h", v(i), r)
			}
		}
		a.i("SUBS $2, %v, %v", words, left)
		a.to(single, "BLT")
		a.label(pair)
		step("FMOVQ", 16)
		a.i("SUBS $2, %v", left)
		a.to(pair, "BGE")
		a.label(single)
		a.i("ADDS $2, %v", left)
		a.to(done, "BEQ")
		step("FMOVD", 8)
		a.label(done)
		for i := range n {
			a.v("uaddlp.4s", v(i), v(i))
		}
		if n == 4 {
			a.v("addp.4s", 0, 0, 1)
			a.v("addp.4s", 2, 2, 3)
			a.v("addp.4s", 0, 0, 2)
			a.storeNext(whole, 0, sums)
		} else {
			a.v("addp.4s", 0, 0, 0)
			a.v("addp.4s", 0, 0, 0)
			a.storeNext(one, 0, sums)
		}
		a.i("SUBS $%d, %v", n, channels)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", n, channels)
	}
	a.i("RET")
}

// packSigns writes the comparison of floats with zero, eight to a byte.
func packSigns(a *asm) {
	const name = "packSignsNEON"
	a.declare(name, "dst *uint64, src *float32, pixels, octets, dstStride, srcStride int)",
		"writes a bit for each of 8*octets floats of every pixel: 1 where it is at least zero. Strides are in bytes.")
	a.fn(name, 48)
	params(a, "dst", "src", "pixels", "octets", "dstStride", "srcStride")
	const dst, src, pixels, octets, dstStride, srcStride = x(1), x(2), x(3), x(4), x(5), x(6)
	const to, from, left, byteReg = x(7), x(8), x(9), x(10)
	const zero, places = v(30), v(31)
	a.bytes(zero, 0)
	// A power of two for each of eight lanes.
	a.i("MOVD $0x0008000400020001, %v", to)
	a.i("VMOV %v, %v.D[0]", to, places)
	a.i("MOVD $0x0080004000200010, %v", to)
	a.i("VMOV %v, %v.D[1]", to, places)
	a.loop(pixels, 1, func() {
		a.i("MOVD %v, %v", dst, to)
		a.i("MOVD %v, %v", src, from)
		a.i("MOVD %v, %v", octets, left)
		a.loop(left, 1, func() {
			a.loadRun(from, 0, 2)
			a.v("fcmge", 0, 0, zero)
			a.v("fcmge", 1, 1, zero)
			a.v("sqxtn.4h", 0, 0)
			a.v("sqxtn2.8h", 0, 1)
			a.v("and", 0, 0, places)
			a.word(0x4e71b800, "addv h0, v0.8h")
			a.i("FMOVS F0, %v", byteReg)
			a.i("MOVB.P %v, 1(%v)", byteReg, to)
		})
		a.i("ADD %v, %v", dstStride, dst)
		a.i("ADD %v, %v", srcStride, src)
	})
	a.i("RET")
}
