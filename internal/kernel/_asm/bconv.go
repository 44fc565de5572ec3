package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["bconv"] = emitBconv }

// The layout of bconv.tileArgs; a test there holds the two together.
const (
	bBase       = 0
	bOffs       = 8
	bSteps      = 16
	bCount      = 24
	bW          = 32
	bScale      = 40
	bBias       = 48
	bThresholds = 56
	bDst        = 64
	bDstStride  = 72
	bAdd        = 80
	bAddStride  = 88
	bTiles      = 96
	bTable      = 104
	bMode       = 112
	bLeft       = 120
	bOffsAt     = 128 // uintptr, the next tile's offsets
	bDstAt      = 136 // uintptr, the next tile's output
	bAddAt      = 144 // uintptr, its addend
	bShift      = 152 // [16]int16
	bLo         = 184 // [8]float32
	bHi         = 216 // [8]float32
	bSums       = 248 // [6][64]uint16
)

const (
	bRows  = 6  // most pixels of a tile
	bChunk = 63 // steps whose matches, four a step at most, fit a byte
)

func emitBconv() {
	for _, t := range []btile{{vecs: 4, wide: true}, {vecs: 2, wide: true}, {vecs: 2}, {vecs: 1}} {
		for t.rows = bRows; t.rows >= 1; t.rows-- {
			t.emit()
		}
	}
	packSigns()
	expandSigns()
}

// btile emits the product of binary matrices: rows output pixels by vecs
// vectors of 16 output channels, for a list of tiles that share the weights.
//
// A step multiplies eight input channels of a tap. The signs of a pixel are the
// offset of one of 257 tables of 32 bytes: the matches of its first four signs
// with each of the 16 combinations of four signs, and those of its last four.
// The weights of a vector are such combinations: 16 bytes for the first four
// input channels of the 16 output channels, 16 for the last four. So one
// VPSHUFB counts the matches of 128 products, or of 256 with AVX-512, where a
// wide register holds two vectors and the table twice. They are summed as bytes
// for up to bChunk steps and then as words.
type btile struct {
	rows, vecs int
	wide       bool
}

func (t btile) name() string {
	if t.wide {
		return fmt.Sprintf("btileAVX512x%dx%d", t.rows, 16*t.vecs)
	}
	return fmt.Sprintf("btileAVX2x%dx%d", t.rows, 16*t.vecs)
}

func (t btile) acc(i, j int) VecPhysical {
	if t.wide {
		return zmm(i*t.parts() + j)
	}
	return ymm(i*t.vecs + j)
}

// parts is the number of registers of a pixel's sums.
func (t btile) parts() int {
	if t.wide {
		return t.vecs / 2
	}
	return t.vecs
}

// row is the bytes of a pixel's sums in memory.
func (t btile) row() int { return max(64, 32*t.vecs) }

// Registers beside the sums.
const (
	bW0    = 12 // weights, two vectors
	bTab   = 14
	bMatch = 15
)

func (t btile) emit() {
	name := t.name()
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by %d channels; a is a *tileArgs.", name, t.rows, 16*t.vecs))
	a := Load(Param("a"), GP64())
	rows := make([]GPVirtual, t.rows)
	for i := range rows {
		rows[i] = GP64()
	}
	table, steps, w, k, off := GP64(), GP64(), GP64(), GP64(), GP64()
	for _, f := range [][2]int{{bOffs, bOffsAt}, {bDst, bDstAt}, {bAdd, bAddAt}} {
		MOVQ(Mem{Base: a, Disp: f[0]}, off)
		MOVQ(off, Mem{Base: a, Disp: f[1]})
	}
	Label(name + "_tile")
	t.point(a, rows, off, k)
	MOVQ(Mem{Base: a, Disp: bTable}, table)
	MOVQ(Mem{Base: a, Disp: bSteps}, steps)
	MOVQ(Mem{Base: a, Disp: bW}, w)
	MOVQ(Mem{Base: a, Disp: bCount}, k)
	MOVQ(k, Mem{Base: a, Disp: bLeft})
	Label(name + "_chunk")
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.parts(); j++ { // which clears wide registers too
			r := t.acc(i, j).AsX()
			VPXOR(r, r, r)
		}
	}
	MOVQ(Mem{Base: a, Disp: bLeft}, k)
	MOVQ(U32(bChunk), off)
	CMPQ(k, off)
	CMOVQGT(off, k)
	SUBQ(k, Mem{Base: a, Disp: bLeft})
	unrolled(name, k, 3, func(n int) {
		for u := 0; u < n; u++ {
			t.step(rows, table, steps, w, off, u)
		}
		ADDQ(Imm(uint64(4*n)), steps)
		ADDQ(U32(uint32(32*t.vecs*n)), w)
	})
	t.widen(a)
	CMPQ(Mem{Base: a, Disp: bLeft}, Imm(0))
	JNE(LabelRef(name + "_chunk"))
	t.store(a, rows[0], off, k, steps, w)
	DECQ(Mem{Base: a, Disp: bTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}

// point points rows at the pixels of the next tile and clears its sums.
func (t btile) point(a Register, rows []GPVirtual, offs, base GPVirtual) {
	MOVQ(Mem{Base: a, Disp: bOffsAt}, offs)
	MOVQ(Mem{Base: a, Disp: bBase}, base)
	for i := range rows {
		MOVLQSX(Mem{Base: offs, Disp: 4 * i}, rows[i])
		ADDQ(base, rows[i])
	}
	ADDQ(Imm(uint64(4*t.rows)), Mem{Base: a, Disp: bOffsAt})
	VPXOR(ymm(0), ymm(0), ymm(0))
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			VMOVDQU(ymm(0), t.sum(a, i, j))
		}
	}
}

// sum is where the sums of a pixel and a vector of channels lie.
func (t btile) sum(a Register, i, j int) Mem { return Mem{Base: a, Disp: bSums + t.row()*i + 32*j} }

// step counts the matches of the u-th step from here.
func (t btile) step(rows []GPVirtual, table, steps, w, off GPVirtual, u int) {
	MOVLQSX(Mem{Base: steps, Disp: 4 * u}, off)
	if t.wide {
		t.wideStep(rows, table, w, off, u)
		return
	}
	for j := 0; j < t.vecs; j++ {
		VMOVDQU(Mem{Base: w, Disp: 32 * (u*t.vecs + j)}, ymm(bW0+j))
	}
	signs := GP64()
	for i, row := range rows {
		MOVWQZX(Mem{Base: row, Index: off, Scale: 1}, signs)
		VMOVDQU(Mem{Base: table, Index: signs, Scale: 1}, ymm(bTab))
		for j := 0; j < t.vecs; j++ {
			to := ymm(bMatch)
			if j == t.vecs-1 {
				to = ymm(bTab)
			}
			VPSHUFB(ymm(bW0+j), ymm(bTab), to)
			VPADDB(to, t.acc(i, j), t.acc(i, j))
		}
	}
}

func (t btile) wideStep(rows []GPVirtual, table, w, off GPVirtual, u int) {
	for j := range t.parts() {
		VMOVDQU64(Mem{Base: w, Disp: 64 * (u*t.parts() + j)}, zmm(bW0+j))
	}
	signs := GP64()
	for i, row := range rows {
		MOVWQZX(Mem{Base: row, Index: off, Scale: 1}, signs)
		VBROADCASTI64X4(Mem{Base: table, Index: signs, Scale: 1}, zmm(bTab))
		for j := range t.parts() {
			to := zmm(bMatch)
			if j == t.parts()-1 {
				to = zmm(bTab)
			}
			VPSHUFB(zmm(bW0+j), zmm(bTab), to)
			VPADDB(to, t.acc(i, j), t.acc(i, j))
		}
	}
}

// widen adds the matches of the two halves of each vector to the sums.
func (t btile) widen(a Register) {
	if t.wide {
		for i := range t.rows {
			for j := range t.parts() {
				// The first halves of both vectors, then the second ones.
				r, other := t.acc(i, j), zmm(bTab)
				VSHUFI64X2(Imm(0xd8), r, r, r)
				VEXTRACTI64X4(Imm(1), r, other.AsY())
				VPMOVZXBW(r.AsY(), r)
				VPMOVZXBW(other.AsY(), other)
				VPADDW(other, r, r)
				VPADDW(t.sum(a, i, 2*j), r, r)
				VMOVDQU64(r, t.sum(a, i, 2*j))
			}
		}
		return
	}
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			r, half := t.acc(i, j), ymm(bTab)
			VPMOVZXBW(r.AsX(), half)
			VEXTRACTI128(Imm(1), r, r.AsX())
			VPMOVZXBW(r.AsX(), r)
			VPADDW(half, r, r)
			VPADDW(t.sum(a, i, j), r, r)
			VMOVDQU(r, t.sum(a, i, j))
		}
	}
}

// store writes the tile in the form that the mode says, pixel by pixel: 0
// floats, 1 floats with an addend, 2 signs.
func (t btile) store(a Register, sum, dst, k, add, p GPVirtual) {
	name := t.name()
	LEAQ(Mem{Base: a, Disp: bSums}, sum)
	MOVQ(Mem{Base: a, Disp: bDstAt}, dst)
	MOVQ(U32(uint32(t.rows)), k)
	CMPQ(Mem{Base: a, Disp: bMode}, Imm(1))
	JA(LabelRef(name + "_signs"))
	const shift, lo, hi = 12, 13, 14
	VMOVDQU(Mem{Base: a, Disp: bShift}, ymm(shift))
	VMOVUPS(Mem{Base: a, Disp: bLo}, ymm(lo))
	VMOVUPS(Mem{Base: a, Disp: bHi}, ymm(hi))
	MOVQ(Mem{Base: a, Disp: bAddAt}, add)
	Label(name + "_floats")
	MOVQ(Mem{Base: a, Disp: bScale}, p)
	bias := GP64()
	MOVQ(Mem{Base: a, Disp: bBias}, bias)
	for j := 0; j < t.vecs; j++ {
		VMOVDQU(Mem{Base: sum, Disp: 32 * j}, ymm(2*j))
		VPADDW(ymm(2*j), ymm(2*j), ymm(2*j))
		VPSUBW(ymm(shift), ymm(2*j), ymm(2*j))
		VEXTRACTI128(Imm(1), ymm(2*j), xmm(2*j+1))
		VPMOVSXWD(xmm(2*j), ymm(2*j))
		VPMOVSXWD(xmm(2*j+1), ymm(2*j+1))
	}
	each := func(do func(i int, r VecPhysical)) {
		for i := 0; i < 2*t.vecs; i++ {
			do(i, ymm(i))
		}
	}
	each(func(i int, r VecPhysical) {
		VCVTDQ2PS(r, r)
		VMULPS(Mem{Base: p, Disp: 32 * i}, r, r)
		VADDPS(Mem{Base: bias, Disp: 32 * i}, r, r)
	})
	TESTQ(add, add)
	JE(LabelRef(name + "_clamp"))
	each(func(i int, r VecPhysical) { VADDPS(Mem{Base: add, Disp: 32 * i}, r, r) })
	ADDQ(Mem{Base: a, Disp: bAddStride}, add)
	Label(name + "_clamp")
	each(func(i int, r VecPhysical) {
		VMAXPS(r, ymm(lo), r) // a NaN stays
		VMINPS(r, ymm(hi), r)
		VMOVUPS(r, Mem{Base: dst, Disp: 32 * i})
	})
	ADDQ(U32(uint32(t.row())), sum)
	ADDQ(Mem{Base: a, Disp: bDstStride}, dst)
	DECQ(k)
	JNE(LabelRef(name + "_floats"))
	MOVQ(add, Mem{Base: a, Disp: bAddAt})
	JMP(LabelRef(name + "_stored"))

	Label(name + "_signs")
	MOVQ(Mem{Base: a, Disp: bThresholds}, p)
	bits := GP32()
	Label(name + "_sign")
	for j := 0; j < t.vecs; j++ {
		VMOVDQU(Mem{Base: sum, Disp: 32 * j}, ymm(j))
		VPCMPGTW(Mem{Base: p, Disp: 32 * j}, ymm(j), ymm(j))
	}
	if t.vecs > 1 {
		for j := 0; j < t.vecs; j += 2 {
			r := ymm(j)
			VPACKSSWB(ymm(j+1), r, r)
			VPERMQ(Imm(0xd8), r, r)
			VPMOVMSKB(r, bits)
			MOVL(bits, Mem{Base: dst, Disp: 2 * j})
		}
	} else {
		VEXTRACTI128(Imm(1), ymm(0), xmm(1))
		VPACKSSWB(xmm(1), xmm(0), xmm(0))
		VPMOVMSKB(xmm(0), bits)
		MOVW(bits.As16(), Mem{Base: dst})
	}
	ADDQ(U32(uint32(t.row())), sum)
	ADDQ(Mem{Base: a, Disp: bDstStride}, dst)
	DECQ(k)
	JNE(LabelRef(name + "_sign"))
	Label(name + "_stored")
	MOVQ(dst, Mem{Base: a, Disp: bDstAt})
}

// packSigns emits the comparison of floats with zero, eight to a byte.
func packSigns() {
	const name = "packSignsAVX2"
	lanes := dwords("lanes", 0, 4, 1, 5, 2, 6, 3, 7)
	TEXT(name, NOSPLIT, "func(dst *uint64, src, above *float32, pixels, octets, dstStride, srcStride, aboveStep int)")
	Pragma("noescape")
	Doc(name + " writes a bit for each of 8*octets floats of every pixel: 1 where it is at least the float above, which moves aboveStep bytes from one octet to the next. Strides are in bytes.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	pixels, octets := Load(Param("pixels"), GP64()), Load(Param("octets"), GP64())
	dstStride, srcStride := Load(Param("dstStride"), GP64()), Load(Param("srcStride"), GP64())
	above, step := Load(Param("above"), GP64()), Load(Param("aboveStep"), GP64())
	p, q, k, bits, least := GP64(), GP64(), GP64(), GP32(), GP64()
	VMOVDQU(lanes, ymm(14))
	compare := func(i int) { // least ≤ x
		VMOVUPS(Mem{Base: least}, ymm(i))
		VCMPPS(Imm(0x12), Mem{Base: p, Disp: 32 * i}, ymm(i), ymm(i))
		ADDQ(step, least)
	}
	Label(name + "_pixel")
	MOVQ(src, p)
	MOVQ(dst, q)
	MOVQ(above, least)
	MOVQ(octets, k)
	SUBQ(Imm(4), k)
	JLT(LabelRef(name + "_rest"))
	Label(name + "_four")
	for i := 0; i < 4; i++ {
		compare(i)
	}
	VPACKSSDW(ymm(1), ymm(0), ymm(0))
	VPACKSSDW(ymm(3), ymm(2), ymm(2))
	VPACKSSWB(ymm(2), ymm(0), ymm(0))
	VPERMD(ymm(0), ymm(14), ymm(0))
	VPMOVMSKB(ymm(0), bits)
	MOVL(bits, Mem{Base: q})
	ADDQ(U32(128), p)
	ADDQ(Imm(4), q)
	SUBQ(Imm(4), k)
	JGE(LabelRef(name + "_four"))
	Label(name + "_rest")
	ADDQ(Imm(4), k)
	JE(LabelRef(name + "_next"))
	Label(name + "_one")
	compare(0)
	VMOVMSKPS(ymm(0), bits)
	MOVB(bits.As8(), Mem{Base: q})
	ADDQ(Imm(32), p)
	INCQ(q)
	DECQ(k)
	JNE(LabelRef(name + "_one"))
	Label(name + "_next")
	ADDQ(srcStride, src)
	ADDQ(dstStride, dst)
	DECQ(pixels)
	JNE(LabelRef(name + "_pixel"))
	VZEROUPPER()
	RET()
}

// expandSigns emits the step from bits to offsets of tables.
func expandSigns() {
	const name = "expandSignsAVX2"
	TEXT(name, NOSPLIT, "func(dst *uint16, src *uint64, pixels, words, dstStride int)")
	Pragma("noescape")
	Doc(name + " writes 32 times each byte of the words of every pixel as eight uint16 a word, pixels dstStride bytes apart; later pixels overwrite what earlier ones have too much.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	pixels, words := Load(Param("pixels"), GP64()), Load(Param("words"), GP64())
	stride := Load(Param("dstStride"), GP64())
	q, k := GP64(), GP64()
	Label(name + "_pixel")
	MOVQ(dst, q)
	MOVQ(words, k)
	Label(name + "_word")
	VPMOVZXBW(Mem{Base: src}, xmm(0))
	VPSLLW(Imm(5), xmm(0), xmm(0))
	VMOVDQU(xmm(0), Mem{Base: q})
	ADDQ(Imm(8), src)
	ADDQ(Imm(16), q)
	DECQ(k)
	JNE(LabelRef(name + "_word"))
	ADDQ(stride, dst)
	DECQ(pixels)
	JNE(LabelRef(name + "_pixel"))
	RET()
}
