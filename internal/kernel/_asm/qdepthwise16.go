package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// wide reports whether d computes sixteen channels at a time: values are widened
// once for all of them, and interleaved by halves of lanes. The first vector of
// a pixel then holds channels 0 to 3 and 8 to 11, the second the others; packing
// them undoes that.
func (d dwtile) wide() bool { return d.channels == 16 }

// acc is half h of a pixel's channels.
func (d dwtile) acc(pixel, h int) VecPhysical { return ymm(2*pixel + h) }

// sumWide is sum for sixteen channels.
func (d dwtile) sumWide(lines []GPVirtual, at func(GPVirtual, int) Mem, w GPVirtual) {
	x := []VecPhysical{ymm(15), ymm(14)}
	product := []VecPhysical{ymm(13), ymm(12)}
	started := make([]bool, d.pixels)
	use := func(pixel, v int) {
		for h := range 2 {
			weights := Mem{Base: w, Disp: 32 * (2*v + h)}
			if !started[pixel] {
				VPMADDWD(weights, x[h], d.acc(pixel, h))
				continue
			}
			VPMADDWD(weights, x[h], product[h])
			VPADDD(product[h], d.acc(pixel, h), d.acc(pixel, h))
		}
		started[pixel] = true
	}
	interleave := func(first, second Mem) {
		VPMOVZXBW(first, product[0])
		VPMOVZXBW(second, product[1])
		VPUNPCKLWD(product[1], product[0], x[0])
		VPUNPCKHWD(product[1], product[0], x[1])
	}
	d.pairs(lines, at, interleave, use)
	for p := 0; p < d.pixels; p++ {
		for h := range 2 {
			VPADDD(Mem{Base: w, Disp: 32 * (2*d.vectors() + h)}, d.acc(p, h), d.acc(p, h))
		}
	}
}

// storeWide writes the pixels in the form that the mode says.
func (d dwtile) storeWide(name string, a Register, dst, stride GPVirtual, scale Mem) {
	each := func(do func(p, h int, r VecPhysical)) {
		for p := range d.pixels {
			for h := range 2 {
				do(p, h, d.acc(p, h))
			}
		}
	}
	factor := []VecPhysical{ymm(14), ymm(15)}
	CMPQ(Mem{Base: a, Disp: qMode}, Imm(1))
	JEQ(LabelRef(name + "_int32"))
	for h := range 2 {
		m := scale
		m.Disp += 32 * h
		VMOVUPS(m, factor[h])
	}
	each(func(_, h int, r VecPhysical) {
		VCVTDQ2PS(r, r)
		VMULPS(factor[h], r, r)
	})
	JA(LabelRef(name + "_float")) // flags are those of the comparison
	each(func(_, _ int, r VecPhysical) { VCVTPS2DQ(r, r) })
	d.storeWideBytes(a, dst, stride)
	JMP(LabelRef(name + "_stored"))
	Label(name + "_float")
	each(func(_, _ int, r VecPhysical) {
		VMAXPS(Mem{Base: a, Disp: qFLo}, r, r)
		VMINPS(Mem{Base: a, Disp: qFHi}, r, r)
	})
	Label(name + "_int32")
	for p := range d.pixels {
		lo, hi := d.acc(p, 0), d.acc(p, 1)
		VPERM2I128(Imm(0x20), hi, lo, ymm(15))
		VPERM2I128(Imm(0x31), hi, lo, ymm(14))
		VMOVDQU(ymm(15), Mem{Base: dst})
		VMOVDQU(ymm(14), Mem{Base: dst, Disp: 32})
		ADDQ(stride, dst)
	}
	Label(name + "_stored")
}

// storeWideBytes packs the rounded sums to uint8, two pixels at a time.
func (d dwtile) storeWideBytes(a Register, dst, stride GPVirtual) {
	zero := ymm(15)
	VMOVDQU(Mem{Base: a, Disp: qZero}, zero)
	for p := 0; p < d.pixels; p += 2 {
		n := min(2, d.pixels-p)
		for i := p; i < p+n; i++ {
			VPACKSSDW(d.acc(i, 1), d.acc(i, 0), d.acc(i, 0))
			VPADDSW(zero, d.acc(i, 0), d.acc(i, 0))
		}
		v := d.acc(p, 0)
		VPACKUSWB(d.acc(p+n-1, 0), v, v)
		VPMAXUB(Mem{Base: a, Disp: qLo}, v, v)
		VPMINUB(Mem{Base: a, Disp: qHi}, v, v)
		VPERMQ(Imm(0xd8), v, v)
		VMOVDQU(v.AsX(), Mem{Base: dst})
		ADDQ(stride, dst)
		if n == 2 {
			VEXTRACTI128(Imm(1), v, v.AsX())
			VMOVDQU(v.AsX(), Mem{Base: dst})
			ADDQ(stride, dst)
		}
	}
}

func (d dwtile) suffix() string {
	if d.channels > 8 {
		return fmt.Sprintf("x%d", d.channels)
	}
	return ""
}
