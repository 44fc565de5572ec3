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
	if d.channels == 64 {
		return zmm(i)
	}
	return zmm(i).AsY().(VecPhysical)
}

// quarter is the sums of quarter q of a pixel's channels.
func (d dwtile) quarter(pixel, q int) VecPhysical { return d.vec(4*pixel + q) }

// quarterAt is quarter q of vector v of a chunk's weights, biases and scales.
func (d dwtile) quarterAt(w Register, v, q int) Mem {
	return Mem{Base: w, Disp: 4*d.channels*v + d.channels*q}
}

// sumQuad leaves the sums of the pixels, bias included.
func (d dwtile) sumQuad(lines []GPVirtual, at func(GPVirtual, int) Mem, w GPVirtual) {
	zero := d.vec(31)
	VPXORD(zero, zero, zero)
	for q := range 4 {
		VMOVDQU64(d.quarterAt(w, d.vectors(), q), d.quarter(0, q))
		for p := 1; p < d.pixels; p++ {
			VMOVDQA64(d.quarter(0, q), d.quarter(p, q))
		}
	}
	x := []VecPhysical{d.vec(16), d.vec(17), d.vec(18), d.vec(19)}
	for col := 0; col < (d.pixels-1)*d.stride+d.s; col++ {
		met := false
		for p := range d.pixels {
			s := col - p*d.stride
			met = met || s >= 0 && s < d.s
		}
		for first := 0; met && first < d.r; first += 4 {
			d.interleaveQuad(lines[first:min(first+4, d.r)], col, at, zero, x)
			for p := range d.pixels {
				s := col - p*d.stride
				if s < 0 || s >= d.s {
					continue
				}
				for q := range 4 {
					VPDPBUSD(d.quarterAt(w, first/4*d.s+s, q), x[q], d.quarter(p, q))
				}
			}
		}
	}
}

// interleaveQuad makes dwords of one column of up to four lines.
func (d dwtile) interleaveQuad(lines []GPVirtual, col int, at func(GPVirtual, int) Mem, zero VecPhysical, x []VecPhysical) {
	// pair interleaves lines i and i+1: the lower and the upper half of the lanes.
	pair := func(i, to int) (lo, hi VecPhysical) {
		if i >= len(lines) {
			return zero, zero
		}
		v := d.vec(to)
		lo, hi = d.vec(to+1), d.vec(to+2)
		VMOVDQU64(at(lines[i], col), v)
		second := Op(zero)
		if i+1 < len(lines) {
			second = at(lines[i+1], col)
		}
		VPUNPCKLBW(second, v, lo)
		VPUNPCKHBW(second, v, hi)
		return lo, hi
	}
	lo, hi := pair(0, 20)
	lo2, hi2 := pair(2, 23)
	VPUNPCKLWD(lo2, lo, x[0])
	VPUNPCKHWD(lo2, lo, x[1])
	VPUNPCKLWD(hi2, hi, x[2])
	VPUNPCKHWD(hi2, hi, x[3])
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
	for q := range 4 {
		VMOVUPS(d.quarterAt(w, d.vectors()+1, q), d.vec(20+q))
	}
	each(func(q int, r VecPhysical) {
		VCVTDQ2PS(r, r)
		VMULPS(d.vec(20+q), r, r)
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
				VEXTRACTI32X4(Imm(uint64(l)), d.quarter(p, q), Mem{Base: dst, Disp: 4 * (16*l + 4*q)})
			}
		}
		ADDQ(stride, dst)
	}
	Label(name + "_stored")
}

// storeQuadBytes rounds and packs the scaled sums to uint8.
func (d dwtile) storeQuadBytes(a Register, dst, stride GPVirtual) {
	zero, lo, hi := d.vec(24), d.vec(25), d.vec(26)
	for _, c := range []struct {
		at int
		r  VecPhysical
	}{{qZero, zero}, {qLo, lo}, {qHi, hi}} {
		m := Mem{Base: a, Disp: c.at}
		if d.channels == 64 {
			VBROADCASTI64X4(m, c.r)
		} else {
			VMOVDQU64(m, c.r)
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
		VMOVDQU64(v, Mem{Base: dst})
		ADDQ(stride, dst)
	}
}
