package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of sparse.laneArgs.
const (
	slSrc, slDst, slAdd             = 0, 8, 16
	slSrcStep, slDstStep, slAddStep = 24, 32, 40
	slTiles, slGroups, slLast       = 48, 56, 64
	slTwice                         = 184
	slAt, slIndex, slWeights        = 72, 80, 88
	slBias, slCounts                = 96, 104
	slClamp, slMin, slMax           = 112, 120, 124
	slBiasAt, slCountAt             = 128, 136
	slDstAt, slAddAt                = 144, 152
	slTileDst, slTileAdd            = 160, 168
	slGroupsLeft                    = 176
)

// lanePixels is the most pixels of a tile.
const lanePixels = 14

// lanes emits the product of a tile of pixels by sparse output channels in the
// lanes of vectors, described by sparse.laneArgs.
type lanes struct {
	pixels int
	lines  int // of 16 inputs, that a window has: 1 or 2
}

func (t lanes) emit() {
	n, name := t.pixels, fmt.Sprintf("lanes%dAVX512x%d", 16*t.lines, t.pixels)
	label := func(l string) string { return name + "_" + l }
	TEXT(name, NOSPLIT, "func(a *byte)") // the stub says *laneArgs
	a, src, at, index, weights, steps, p := RAX, RSI, RDI, R12, R13, R15, RBX
	odd := map[int]GPPhysical{1: RCX, 3: RDX, 5: R8, 7: R9, 9: R10, 11: R11, 13: R14} // multiples of the distance of two pixels
	Load(Param("a"), a)
	arg := func(off int) Mem { return Mem{Base: a, Disp: off} }
	pixel := func(i int) Mem {
		m := Mem{Base: p}
		if i > 0 {
			scale := 1
			for ; i%2 == 0; i /= 2 {
				scale *= 2
			}
			m.Index, m.Scale = odd[i], uint8(scale)
		}
		return m
	}
	MOVQ(arg(slSrc), src)
	MOVQ(arg(slSrcStep), odd[1])
	for i := 3; i < n; i += 2 {
		LEAQ(Mem{Base: odd[i-2], Index: odd[1], Scale: 2}, odd[i])
	}
	for _, m := range [][2]int{{slDst, slTileDst}, {slAdd, slTileAdd}} {
		MOVQ(arg(m[0]), p)
		MOVQ(p, arg(m[1]))
	}
	choice, w := Z14, Z15
	spare := func(i int) VecPhysical { return zmm(16 + i%16) }

	Label(label("tile"))
	MOVQ(arg(slAt), at)
	MOVQ(arg(slIndex), index)
	MOVQ(arg(slWeights), weights)
	for _, m := range [][2]int{{slBias, slBiasAt}, {slCounts, slCountAt}, {slTileDst, slDstAt}, {slTileAdd, slAddAt}, {slGroups, slGroupsLeft}} {
		MOVQ(arg(m[0]), p)
		MOVQ(p, arg(m[1]))
	}

	Label(label("group"))
	MOVQ(arg(slBiasAt), p)
	ADDQ(Imm(64), arg(slBiasAt))
	VMOVUPS(Mem{Base: p}, Z0)
	for i := 1; i < n; i++ {
		VMOVAPS(Z0, zmm(i))
	}
	MOVQ(arg(slCountAt), p)
	ADDQ(Imm(4), arg(slCountAt))
	MOVLQSX(Mem{Base: p}, steps)
	TESTQ(steps, steps)
	JEQ(LabelRef(label("stepped")))
	Label(label("step"))
	MOVLQSX(Mem{Base: at}, p)
	VPMOVZXBD(Mem{Base: index}, choice)
	VMOVUPS(Mem{Base: weights}, w)
	ADDQ(src, p)
	for i := range n {
		x, second := spare(i), pixel(i)
		second.Disp = 64
		if t.lines == 1 {
			VPERMPS(pixel(i), choice, x)
		} else {
			VMOVUPS(pixel(i), x)
			VPERMT2PS(second, choice, x)
		}
		VFMADD231PS(x, w, zmm(i))
	}
	ADDQ(Imm(4), at)
	ADDQ(Imm(16), index)
	ADDQ(Imm(64), weights)
	DECQ(steps)
	JNE(LabelRef(label("step")))
	Label(label("stepped"))
	t.finish(label, arg, p, steps)
	ADDQ(Imm(64), arg(slDstAt))
	DECQ(arg(slGroupsLeft))
	JNE(LabelRef(label("group")))

	// The next tile.
	for _, m := range [][2]int{{slDstStep, slTileDst}, {slAddStep, slTileAdd}} {
		IMUL3Q(Imm(uint64(n)), arg(m[0]), p)
		if m[1] == slTileAdd {
			CMPQ(arg(slAdd), Imm(0))
			JEQ(LabelRef(label("next")))
		}
		ADDQ(p, arg(m[1]))
	}
	Label(label("next"))
	IMUL3Q(Imm(uint64(n)), odd[1], p)
	ADDQ(p, src)
	DECQ(arg(slTiles))
	JNE(LabelRef(label("tile")))
	VZEROUPPER()
	RET()
}

// finish adds what is to be added, limits the sums and writes them.
func (t lanes) finish(label func(string) string, arg func(int) Mem, p, step GPPhysical) {
	MOVL(U32(0xffff), p.As32())
	CMPQ(arg(slGroupsLeft), Imm(1))
	JNE(LabelRef(label("whole")))
	CMPQ(arg(slTwice), Imm(0))
	JEQ(LabelRef(label("once")))
	for i := range t.pixels {
		x := zmm(16 + i)
		VEXTRACTF64X4(Imm(1), zmm(i), x.AsY())
		VADDPS(x, zmm(i), zmm(i))
	}
	Label(label("once"))
	MOVQ(arg(slLast), p)
	Label(label("whole"))
	KMOVW(p.As32(), K1)

	MOVQ(arg(slAddAt), p)
	TESTQ(p, p)
	JEQ(LabelRef(label("added")))
	ADDQ(Imm(64), arg(slAddAt))
	MOVQ(arg(slAddStep), step)
	for i := range t.pixels {
		VADDPS(Mem{Base: p}, zmm(i), K1, zmm(i))
		ADDQ(step, p)
	}
	Label(label("added"))
	CMPQ(arg(slClamp), Imm(0))
	JEQ(LabelRef(label("clamped")))
	VBROADCASTSS(arg(slMin), Z14)
	VBROADCASTSS(arg(slMax), Z15)
	for i := range t.pixels {
		// The sum is the operand that a comparison with NaN returns.
		VMAXPS(zmm(i), Z14, zmm(i))
		VMINPS(zmm(i), Z15, zmm(i))
	}
	Label(label("clamped"))
	MOVQ(arg(slDstAt), p)
	MOVQ(arg(slDstStep), step)
	for i := range t.pixels {
		VMOVUPS(zmm(i), K1, Mem{Base: p})
		ADDQ(step, p)
	}
}
