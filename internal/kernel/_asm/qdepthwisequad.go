package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// quad reports whether d computes 32 or 64 channels at a time, with VPDPBUSD: of
// up to four lines, the values of a column become the four bytes of a dword.
// Unpacking leaves channels 16l+4q to 16l+4q+3 in lane l of vector q, and
// packing the sums undoes that.
func (d dwtile) quad() bool { return d.channels >= 32 }

// vec is register i of the width that a quarter of the channels' sums fill.
func (d dwtile) vec(i int) VecPhysical {
	switch {
	case d.vex:
		return ymm(i)
	case d.channels == 64:
		return zmm(i)
	}
	return zmm(i).AsY().(VecPhysical)
}

// move copies from memory or to it.
func (d dwtile) move(from, to Op) {
	if d.vex {
		VMOVDQU(from, to)
	} else {
		VMOVDQU64(from, to)
	}
}

// quads is the first of four registers for the dwords of a column, others the
// first of those for what is in between.
func (d dwtile) quads() (quads, others int) {
	if d.vex {
		return 8, 12
	}
	return 16, 20
}

// quarter is the sums of quarter q of a pixel's channels.
func (d dwtile) quarter(pixel, q int) VecPhysical { return d.vec(4*pixel + q) }

// quarterAt is quarter q of vector v of a chunk's weights, biases and scales.
func (d dwtile) quarterAt(w Register, v, q int) Mem {
	return Mem{Base: w, Disp: 4*d.channels*v + d.channels*q}
}

// sumQuad leaves the sums of the pixels, bias included.
func (d dwtile) sumQuad(lines []GPVirtual, at func(GPVirtual, int) Mem, w GPVirtual) {
	if !d.vex {
		zero := d.vec(31)
		VPXORD(zero, zero, zero)
	}
	for q := range 4 {
		d.move(d.quarterAt(w, d.vectors(), q), d.quarter(0, q))
		for p := 1; p < d.pixels; p++ {
			if d.vex {
				VMOVDQA(d.quarter(0, q), d.quarter(p, q))
			} else {
				VMOVDQA64(d.quarter(0, q), d.quarter(p, q))
			}
		}
	}
	x, other := d.quads()
	for col := 0; col < (d.pixels-1)*d.stride+d.s; col++ {
		met := false
		for p := range d.pixels {
			s := col - p*d.stride
			met = met || s >= 0 && s < d.s
		}
		for first := 0; met && first < d.r; first += 4 {
			d.interleaveQuad(lines[first:min(first+4, d.r)], col, at)
			for p := range d.pixels {
				s := col - p*d.stride
				if s < 0 || s >= d.s {
					continue
				}
				for q := range 4 {
					from := d.quarterAt(w, first/4*d.s+s, q)
					if d.vex {
						VMOVDQU(from, ymm(other+q))
						vexDot(other+q, x+q, 4*p+q)
					} else {
						VPDPBUSD(from, d.vec(x+q), d.quarter(p, q))
					}
				}
			}
		}
	}
}

// interleaveQuad makes dwords of one column of up to four lines.
func (d dwtile) interleaveQuad(lines []GPVirtual, col int, at func(GPVirtual, int) Mem) {
	x, other := d.quads()
	// pair interleaves lines i and i+1: the lower and the upper half of the
	// lanes. With vex there is no register to hold zero, nor one to spare.
	pair := func(i, to int) (lo, hi VecPhysical) {
		v, zero := d.vec(x), d.vec(other+2*to+1)
		lo, hi = d.vec(other+2*to), zero
		if !d.vex {
			v, zero = d.vec(other+3*to), d.vec(31)
			lo, hi = d.vec(other+3*to+1), d.vec(other+3*to+2)
		}
		if d.vex && i+1 >= len(lines) {
			VPXOR(zero, zero, zero)
		}
		if i >= len(lines) {
			return zero, zero
		}
		d.move(at(lines[i], col), v)
		second := Op(zero)
		if i+1 < len(lines) {
			second = at(lines[i+1], col)
		}
		VPUNPCKLBW(second, v, lo)
		VPUNPCKHBW(second, v, hi)
		return lo, hi
	}
	lo, hi := pair(0, 0)
	lo2, hi2 := pair(2, 1)
	VPUNPCKLWD(lo2, lo, d.vec(x))
	VPUNPCKHWD(lo2, lo, d.vec(x+1))
	VPUNPCKLWD(hi2, hi, d.vec(x+2))
	VPUNPCKHWD(hi2, hi, d.vec(x+3))
}

// storeQuad writes the pixels in the form that the mode says.
func (d dwtile) storeQuad(name string, a Register, dst, stride, w GPVirtual) {
	each := func(do func(q int, r VecPhysical)) {
		for p := range d.pixels {
			for q := range 4 {
				do(q, d.quarter(p, q))
			}
		}
	}
	CMPQ(Mem{Base: a, Disp: qMode}, Imm(1))
	JEQ(LabelRef(name + "_int32"))
	_, scale := d.quads()
	for q := range 4 {
		VMOVUPS(d.quarterAt(w, d.vectors()+1, q), d.vec(scale+q))
	}
	each(func(q int, r VecPhysical) {
		VCVTDQ2PS(r, r)
		VMULPS(d.vec(scale+q), r, r)
	})
	JA(LabelRef(name + "_float")) // flags are those of the comparison
	d.storeQuadBytes(a, dst, stride)
	JMP(LabelRef(name + "_stored"))
	Label(name + "_float")
	each(func(_ int, r VecPhysical) {
		VMAXPS(Mem{Base: a, Disp: qFLo}, r, r)
		VMINPS(Mem{Base: a, Disp: qFHi}, r, r)
	})
	Label(name + "_int32")
	for p := range d.pixels {
		for q := range 4 {
			for l := range d.channels / 16 {
				to := Mem{Base: dst, Disp: 4 * (16*l + 4*q)}
				if d.vex {
					VEXTRACTI128(Imm(uint64(l)), d.quarter(p, q), to)
				} else {
					VEXTRACTI32X4(Imm(uint64(l)), d.quarter(p, q), to)
				}
			}
		}
		ADDQ(stride, dst)
	}
	Label(name + "_stored")
}

// storeQuadBytes rounds and packs the scaled sums to uint8.
func (d dwtile) storeQuadBytes(a Register, dst, stride GPVirtual) {
	_, first := d.quads()
	zero, lo, hi := d.vec(first), d.vec(first+1), d.vec(first+2)
	for _, c := range []struct {
		at int
		r  VecPhysical
	}{{qZero, zero}, {qLo, lo}, {qHi, hi}} {
		m := Mem{Base: a, Disp: c.at}
		if d.channels == 64 {
			VBROADCASTI64X4(m, c.r)
		} else {
			d.move(m, c.r)
		}
	}
	for p := range d.pixels {
		for q := range 4 {
			VCVTPS2DQ(d.quarter(p, q), d.quarter(p, q))
		}
		for q := 0; q < 4; q += 2 {
			v := d.quarter(p, q)
			VPACKSSDW(d.quarter(p, q+1), v, v)
			VPADDSW(zero, v, v)
		}
		v := d.quarter(p, 0)
		VPACKUSWB(d.quarter(p, 2), v, v)
		VPMAXUB(lo, v, v)
		VPMINUB(hi, v, v)
		d.move(v, Mem{Base: dst})
		ADDQ(stride, dst)
	}
}
