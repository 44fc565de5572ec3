package main

func init() { families["winograd"] = emitWinograd }

func emitWinograd(a *asm) {
	winogradInput(a)
	winogradOutput(a)
}

// Byte offsets of the fields of conv.winogradArgs.
const (
	wgPixels, wgTmp, wgSrc, wgDst   = 0, 288, 1440, 1464
	wgBias, wgAdd, wgPlane, wgChans = 1488, 1512, 1536, 1544
	wgRows, wgCols, wgLine, wgPixel = 1552, 1560, 1568, 1576
	wgAddLine, wgAddPixel           = 1584, 1592
	wgMin, wgMax                    = 1600, 1604
)

// wgTmpAt is the place of a vector in the buffer of the arguments.
func wgTmpAt(i, j int) int { return wgTmp + 16*(6*i+j) }

// wgConstants puts 2, 4, 5 and 8 into V28 to V31: immediates of FMOV.
func wgConstants(a *asm) {
	for i, c := range []struct {
		imm   uint32
		value string
	}{{0x00, "2.0"}, {0x10, "4.0"}, {0x14, "5.0"}, {0x20, "8.0"}} {
		r := 28 + i
		a.word(0x4f00f400|c.imm>>5<<16|c.imm&31<<5|uint32(r), "fmov v%d.4s, #%s0000000", r, c.value)
	}
}

const wgTwo, wgFour, wgFive, wgEight = v(28), v(29), v(30), v(31)

// winogradInput emits B'dB of 6 x 6 pixels, four channels at a time: columns
// first, by way of the buffer in the arguments, then rows.
func winogradInput(a *asm) {
	channel, dst, plane, left, at := x(1), x(2), x(3), x(4), x(5)
	a.fnArgs("winogradInputNEON")
	wgConstants(a)
	a.field(wgDst, dst)
	a.field(wgPlane, plane)
	a.i("LSL $2, %v", plane)
	a.field(wgChans, left)
	a.i("MOVD ZR, %v", channel)
	a.label("block")
	for j := range 6 {
		for i := range 6 {
			a.field(wgPixels+8*(6*i+j), at)
			a.i("ADD %v, %v", channel, at)
			a.load(whole, at, 0, v(i))
		}
		winogradInput1D(a)
		for i := range 6 {
			a.store(whole, v(6+i), args, wgTmpAt(i, j))
		}
	}
	a.i("MOVD %v, %v", dst, at)
	for i := range 6 {
		for j := range 6 {
			a.load(whole, args, wgTmpAt(i, j), v(j))
		}
		winogradInput1D(a)
		for j := range 6 {
			a.store(whole, v(6+j), at, 0)
			a.i("ADD %v, %v", plane, at)
		}
	}
	a.i("ADD $16, %v", channel)
	a.i("ADD $16, %v", dst)
	a.i("SUBS $4, %v", left)
	a.to("block", "BGT")
	a.i("RET")
}

// winogradInput1D computes the six sums of V0-V5 into V6-V11.
func winogradInput1D(a *asm) {
	// 4 d0 - 5 d2 + d4
	a.mov(6, 4)
	a.v("fmls", 6, 2, wgFive)
	a.v("fmla", 6, 0, wgFour)
	// (d4 - 4 d2) +- (d3 - 4 d1)
	a.mov(12, 4)
	a.v("fmls", 12, 2, wgFour)
	a.mov(13, 3)
	a.v("fmls", 13, 1, wgFour)
	a.v("fadd", 7, 12, 13)
	a.v("fsub", 8, 12, 13)
	// (d4 - d2) +- 2 (d3 - d1)
	a.v("fsub", 9, 4, 2)
	a.v("fsub", 14, 3, 1)
	a.mov(10, 9)
	a.v("fmla", 9, 14, wgTwo)
	a.v("fmls", 10, 14, wgTwo)
	// 4 d1 - 5 d3 + d5
	a.mov(11, 5)
	a.v("fmls", 11, 3, wgFive)
	a.v("fmla", 11, 1, wgFour)
}

// winogradOutput emits A'mA, bias, residual and clamp for 4 x 4 pixels, of
// which the first Rows x Cols exist, four channels at a time.
func winogradOutput(a *asm) {
	channel, src, plane, left, at := x(1), x(2), x(3), x(4), x(5)
	dst, add, tmp, row := x(6), x(7), x(8), x(9)
	a.fnArgs("winogradOutputNEON")
	wgConstants(a)
	a.field(wgSrc, src)
	a.field(wgPlane, plane)
	a.i("LSL $2, %v", plane)
	a.i("ADD %v<<1, %v, %v", plane, plane, row)
	a.i("LSL $1, %v", row) // six planes
	a.field(wgChans, left)
	a.i("MOVD ZR, %v", channel)
	a.label("block")
	for j := range 6 {
		a.i("ADD %v, %v, %v", channel, src, at)
		a.i("MOVD $%d, %v", j, tmp)
		a.i("MADD %v, %v, %v, %v", plane, at, tmp, at)
		for i := range 6 {
			a.load(whole, at, 0, v(i))
			a.i("ADD %v, %v", row, at)
		}
		winogradOutput1D(a)
		for i := range 4 {
			a.store(whole, v(6+i), args, wgTmpAt(i, j))
		}
	}
	a.field(wgDst, dst)
	a.i("ADD %v, %v", channel, dst)
	a.field(wgAdd, add)
	a.to("rows", "CBZ %v", add)
	a.i("ADD %v, %v", channel, add)
	a.label("rows")
	for i := range 4 {
		if i > 0 {
			a.field(wgRows, tmp)
			a.i("CMP $%d, %v", i, tmp)
			a.to("next", "BLE")
		}
		for j := range 6 {
			a.load(whole, args, wgTmpAt(i, j), v(j))
		}
		winogradOutput1D(a)
		winogradStore(a, channel, dst, add)
	}
	a.label("next")
	a.i("ADD $16, %v", channel)
	a.i("SUBS $4, %v", left)
	a.to("block", "BGT")
	a.i("RET")
}

// winogradStore finishes and stores the row of pixels in V6-V9, and moves on
// to the next row.
func winogradStore(a *asm, channel, dst, add x) {
	tmp, cols, at := x(10), x(11), x(12)
	clamp, stored, after := a.fresh("clamp"), a.fresh("stored"), a.fresh("after")
	a.field(wgCols, cols)
	ifPixel := func(j int, otherwise string) {
		if j > 0 {
			a.i("CMP $%d, %v", j, cols)
			a.to(otherwise, "BLE")
		}
	}
	a.field(wgBias, tmp)
	a.i("ADD %v, %v", channel, tmp)
	a.load(whole, tmp, 0, 0)
	for j := range v(4) {
		a.v("fadd", 6+j, 6+j, 0)
	}
	a.to(clamp, "CBZ %v", add)
	a.i("MOVD %v, %v", add, at)
	a.field(wgAddPixel, tmp)
	for j := range 4 {
		ifPixel(j, clamp)
		a.load(whole, at, 0, 1)
		a.v("fadd", v(6+j), v(6+j), 1)
		a.i("ADD %v<<2, %v", tmp, at)
	}
	a.label(clamp)
	a.i("ADD $%d, %v, %v", wgMin, args, tmp)
	a.spreadAt(tmp, 0)
	a.i("ADD $4, %v", tmp)
	a.spreadAt(tmp, 1)
	a.i("MOVD %v, %v", dst, at)
	a.field(wgPixel, tmp)
	for j := range 4 {
		ifPixel(j, stored)
		a.v("fmax", v(6+j), v(6+j), 0)
		a.v("fmin", v(6+j), v(6+j), 1)
		a.store(whole, v(6+j), at, 0)
		a.i("ADD %v<<2, %v", tmp, at)
	}
	a.label(stored)
	a.field(wgLine, tmp)
	a.i("ADD %v<<2, %v", tmp, dst)
	a.to(after, "CBZ %v", add)
	a.field(wgAddLine, tmp)
	a.i("ADD %v<<2, %v", tmp, add)
	a.label(after)
}

// winogradOutput1D computes the four sums of V0-V5 into V6-V9.
func winogradOutput1D(a *asm) {
	const s, d, s2, d2 = v(10), v(11), v(12), v(13)
	a.v("fadd", s, 1, 2)
	a.v("fsub", d, 1, 2)
	a.v("fadd", s2, 3, 4)
	a.v("fsub", d2, 3, 4)
	a.v("fadd", 6, 0, s)
	a.v("fadd", 6, 6, s2) // m0 + s + s2
	a.mov(7, d)
	a.v("fmla", 7, d2, wgTwo) // d + 2 d2
	a.mov(8, s)
	a.v("fmla", 8, s2, wgFour) // s + 4 s2
	a.v("fadd", 9, d, 5)
	a.v("fmla", 9, d2, wgEight) // d + 8 d2 + m5
}
