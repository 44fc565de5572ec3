package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// This file ends the tiles of integer products: sums become int32, float32 or
// uint8, as the mode of the call says.

// load readies what storeAs512 reads.
func (t qtile) load(a Register, dst, stride, scale GPVirtual) {
	MOVQ(Mem{Base: a, Disp: qDstAt}, dst)
	MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
	MOVQ(Mem{Base: a, Disp: qScale}, scale)
}

// storeVectors stores a tile of 256-bit vectors, one after the other.
func (t qtile) storeVectors(name string, a Register, dst, stride, scale GPVirtual) {
	for j := range t.vecs {
		MOVQ(Mem{Base: a, Disp: qDstAt}, dst)
		for range j {
			MOVQ(Mem{Base: a, Disp: qElem}, stride)
			LEAQ(Mem{Base: dst, Index: stride, Scale: 8}, dst)
		}
		MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
		MOVQ(Mem{Base: a, Disp: qScale}, scale)
		t.storeAs(fmt.Sprintf("%s_%d", name, j), j, t.rows*t.vecs, a, dst, stride, Mem{Base: scale, Disp: 32 * j})
	}
}

// storeAs writes vector j of the channels of a tile in the form that the mode
// says and moves dst past it; name starts the labels. Registers are free from
// number free on.
func (t qtile) storeAs(name string, j, free int, a Register, dst, stride GPVirtual, scale Mem) {
	factor := ymm(free)
	CMPQ(Mem{Base: a, Disp: qMode}, Imm(1))
	JEQ(LabelRef(name + "_int32"))
	VMOVUPS(scale, factor)
	for i := 0; i < t.rows; i++ {
		VCVTDQ2PS(t.acc(i, j), t.acc(i, j))
		VMULPS(factor, t.acc(i, j), t.acc(i, j))
	}
	JA(LabelRef(name + "_float")) // flags are those of the comparison
	for i := 0; i < t.rows; i++ {
		VCVTPS2DQ(t.acc(i, j), t.acc(i, j))
	}
	t.storeBytes(j, free, a, dst, stride)
	JMP(LabelRef(name + "_stored"))
	Label(name + "_float")
	for i := 0; i < t.rows; i++ {
		VMAXPS(Mem{Base: a, Disp: qFLo}, t.acc(i, j), t.acc(i, j))
		VMINPS(Mem{Base: a, Disp: qFHi}, t.acc(i, j), t.acc(i, j))
	}
	Label(name + "_int32")
	for i := 0; i < t.rows; i++ {
		VMOVDQU(t.acc(i, j), Mem{Base: dst})
		ADDQ(stride, dst)
	}
	Label(name + "_stored")
}

// storeBytes packs the rounded sums of vector j to uint8, four pixels at a time, and
// leaves dst past the tile.
func (t qtile) storeBytes(j, free int, a Register, dst, stride GPVirtual) {
	lane, zero := ymm(free+1), ymm(free+2)
	VMOVDQU(Mem{Base: a, Disp: qLane}, lane)
	VMOVDQU(Mem{Base: a, Disp: qZero}, zero)
	for i := 0; i < t.rows; i += 4 {
		n := min(4, t.rows-i)
		words := func(p, q int) VecPhysical {
			lo, hi := t.acc(i+min(p, n-1), j), t.acc(i+min(q, n-1), j)
			VPACKSSDW(hi, lo, lo)
			VPADDSW(zero, lo, lo)
			return lo
		}
		x := words(0, 1)
		y := x
		if n > 2 {
			y = words(2, 3)
		}
		VPACKUSWB(y, x, x)
		VPMAXUB(Mem{Base: a, Disp: qLo}, x, x)
		VPMINUB(Mem{Base: a, Disp: qHi}, x, x)
		VPERMD(x, lane, x)
		for r := 0; r < n; r++ {
			switch r {
			case 0:
				VMOVQ(x.AsX(), Mem{Base: dst})
			case 1:
				VMOVHPS(x.AsX(), Mem{Base: dst, Index: stride, Scale: 1})
			case 2:
				LEAQ(Mem{Base: dst, Index: stride, Scale: 2}, dst)
				VEXTRACTI128(Imm(1), x, x.AsX())
				VMOVQ(x.AsX(), Mem{Base: dst})
			case 3:
				VMOVHPS(x.AsX(), Mem{Base: dst, Index: stride, Scale: 1})
			}
		}
		if n%2 == 1 {
			ADDQ(stride, dst)
		} else {
			LEAQ(Mem{Base: dst, Index: stride, Scale: 2}, dst)
		}
	}
}

// storeAs512 is storeAs for 512-bit registers.
func (t qtile) storeAs512(name string, a Register, dst, stride, p GPVirtual) {
	each := func(do func(i, j int, r VecPhysical)) {
		for i := 0; i < t.rows; i++ {
			for j := 0; j < t.vecs; j++ {
				do(i, j, t.acc(i, j))
			}
		}
	}
	CMPQ(Mem{Base: a, Disp: qMode}, Imm(1))
	JEQ(LabelRef(name + "_int32"))
	each(func(i, j int, r VecPhysical) {
		VCVTDQ2PS(r, r)
		VMULPS(Mem{Base: p, Disp: 64 * j}, r, r)
	})
	JA(LabelRef(name + "_float")) // flags are those of the comparison
	each(func(_, _ int, r VecPhysical) { VCVTPS2DQ(r, r) })
	t.storeBytes512(name, a, dst, stride)
	JMP(LabelRef(name + "_stored"))
	Label(name + "_float")
	each(func(i, j int, r VecPhysical) {
		VMAXPS(Mem{Base: a, Disp: qFLo}, r, r)
		VMINPS(Mem{Base: a, Disp: qFHi}, r, r)
	})
	Label(name + "_int32")
	each(func(i, j int, r VecPhysical) {
		VMOVDQU32(r, Mem{Base: dst, Disp: 64 * j})
		if j == t.vecs-1 {
			ADDQ(stride, dst)
		}
	})
	Label(name + "_stored")
}

// storeBytes512 packs the rounded sums to uint8, four vectors at a time, and
// leaves dst past the tile. Pixels that adjoin are stored at once.
func (t qtile) storeBytes512(name string, a Register, dst, stride GPVirtual) {
	zero, lo, hi, order := zmm(31), zmm(30), zmm(29), zmm(28)
	VBROADCASTI64X4(Mem{Base: a, Disp: qZero}, zero)
	VBROADCASTI64X4(Mem{Base: a, Disp: qLo}, lo)
	VBROADCASTI64X4(Mem{Base: a, Disp: qHi}, hi)
	VMOVDQU32(Mem{Base: a, Disp: qOrder}, order)
	all := t.rows * t.vecs
	for first := 0; first < all; first += 4 {
		n := min(4, all-first)
		words := func(p, q int) VecPhysical {
			x, y := zmm(first+min(p, n-1)), zmm(first+min(q, n-1))
			VPACKSSDW(y, x, x)
			VPADDSW(zero, x, x)
			return x
		}
		x := words(0, 1)
		y := x
		if n > 2 {
			y = words(2, 3)
		}
		VPACKUSWB(y, x, x)
		VPMAXUB(lo, x, x)
		VPMINUB(hi, x, x)
		VPERMD(x, order, x)
	}
	CMPQ(stride, Imm(uint64(16*t.vecs)))
	JEQ(LabelRef(name + "_adjoin"))
	for first := 0; first < all; first += 4 {
		x := zmm(first)
		for at := 0; at < min(4, all-first); at += t.vecs {
			to := Mem{Base: dst}
			switch {
			case t.vecs == 4:
				VMOVDQU32(x, to)
			case t.vecs == 2 && at > 0:
				VEXTRACTI64X4(Imm(1), x, to)
			case t.vecs == 2:
				VMOVDQU(x.AsY(), to)
			case at > 0:
				VEXTRACTI32X4(Imm(uint64(at)), x, to)
			default:
				VMOVDQU(x.AsX(), to)
			}
			ADDQ(stride, dst)
		}
	}
	JMP(LabelRef(name + "_stored"))
	Label(name + "_adjoin")
	for first := 0; first < all; first += 4 {
		x, n := zmm(first), min(4, all-first)
		to := Mem{Base: dst, Disp: 16 * first}
		switch {
		case n == 4:
			VMOVDQU32(x, to)
			continue
		case n >= 2:
			VMOVDQU(x.AsY(), to)
		default:
			VMOVDQU(x.AsX(), to)
		}
		if n == 3 {
			VEXTRACTI32X4(Imm(2), x, Mem{Base: dst, Disp: 16*first + 32})
		}
	}
	ADDQ(U32(uint32(16*all)), dst)
}
