package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["tile"] = emitTiles }

func emitTiles() {
	emitTranspose8()
	for _, s := range []struct{ rows, vecs int }{{12, 1}, {6, 2}, {4, 3}} {
		newTile(avx2, s.rows, s.vecs).emit()
	}
	for _, s := range []struct{ rows, vecs int }{{12, 1}, {12, 2}, {8, 3}} {
		newTile(avx512, s.rows, s.vecs).emit()
	}
	emitRow(avx2)
	emitRow(avx512)
	emitDots(avx2)
	emitDots(avx512)
}

// isa is a vector instruction set.
type isa struct {
	name  string
	lanes int
	reg   func(int) VecPhysical
	regs  int
}

var (
	avx2   = isa{"AVX2", 8, ymm, 16}
	avx512 = isa{"AVX512", 16, zmm, 32}
)

// Byte offsets of the fields of tile.Args.
const (
	argSrc, argW, argBias, argDst, argAdd, argZero = 0, 24, 48, 72, 96, 120
	argBase, argMask, argTaps, argTapsLen          = 144, 168, 192, 200
	argRun, argRows, argDstStride, argAddStride    = 216, 224, 232, 240
	argMin, argMax                                 = 248, 252
	argLeft, argBit, argTap, argTapEnd, argAt      = 256, 264, 272, 280, 288
	argZeroEnd, argDstAt, argAddAt, argWAt         = 296, 304, 312, 320
	argNextAt, argNext, argNextLen                 = 328, 336, 344
	argWanted, argAhead                            = 360, 368
)

// tile emits the indirect GEMM tile described by tile.Args: rows pixels by
// vecs vectors of output channels, for as many tiles as the call has rows.
//
// All general registers are spoken for: twelve row pointers, the packed
// weights, the arguments and the channel counter, which runs from minus the
// length of a run to zero and indexes the row pointers, which stand at the
// end of their runs. What else there is lives in the arguments, and while the
// channels run, what comes next takes the arguments' register.
type tile struct {
	isa
	rows, vecs int
	unroll     int // channels a turn of the inner loop
	lines      int // cache lines of what comes next, fetched in a turn
	nextEnd    Mem // where that ends
}

func newTile(i isa, rows, vecs int) tile {
	const unroll = 4
	tiles := fewRows / rows
	lines := (unroll*vecs*i.lanes/16 + tiles - 1) / tiles
	return tile{isa: i, rows: rows, vecs: vecs, unroll: unroll, lines: lines}
}

var tileRows = []GPPhysical{R8, R9, R10, R11, R12, R13, R14, R15, RBX, RSI, RDI, RBP}

// fewRows is the number of rows in which a kernel is through with fetching what
// comes next: maps of 7x7 pixels have 49.
const fewRows = 36

// masked reports whether the kernel can leave columns of the last vector out.
func (t tile) masked() bool { return t.regs == 32 }

func (t tile) acc(i, j int) VecPhysical { return t.reg(i*t.vecs + j) }
func (t tile) weight(j int) VecPhysical { return t.reg(t.rows*t.vecs + j) }
func (t tile) value(i int) VecPhysical {
	used := t.rows*t.vecs + t.vecs
	return t.reg(used + i%(t.regs-used))
}

func (t tile) emit() {
	name := fmt.Sprintf("tile%sx%dx%d", t.name, t.rows, t.vecs*t.lanes)
	label := func(s string) string { return name + "_" + s }
	// The stubs say *Args; avo, which does not know that type, writes no stubs
	// of this family.
	TEXT(name, NOSPLIT, "func(a *byte)")
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	move := func(from, to int) {
		MOVQ(arg(from), RCX)
		MOVQ(RCX, arg(to))
	}
	move(argRows, argLeft)
	move(argDst, argDstAt)
	move(argAdd, argAddAt)
	MOVQ(U32(0), arg(argAt))
	MOVQ(arg(argTapsLen), RCX)
	SHLQ(Imm(3), RCX)
	MOVQ(RCX, arg(argTapEnd))
	MOVQ(arg(argRun), RCX)
	MOVQ(arg(argZero), RDX)
	LEAQ(Mem{Base: RDX, Index: RCX, Scale: 4}, RDX)
	MOVQ(RDX, arg(argZeroEnd))

	MOVQ(arg(argNext), RCX)
	TESTQ(RCX, RCX)
	CMOVQEQ(arg(argW), RCX)
	MOVQ(RCX, arg(argNextAt))
	MOVQ(arg(argNextLen), RDX)
	LEAQ(Mem{Base: RCX, Index: RDX, Scale: 4}, RCX)
	t.nextEnd = AllocLocal(8)
	MOVQ(RCX, t.nextEnd)

	if t.masked() {
		// The columns wanted of the last vector; none given is all.
		MOVQ(arg(argWanted), RCX)
		SUBQ(Imm(uint64(t.lanes*(t.vecs-1))), RCX)
		MOVQ(I32(-1), RDX)
		SHLQ(CL, RDX)
		NOTQ(RDX)
		CMPQ(arg(argWanted), Imm(0))
		MOVQ(I32(-1), RCX)
		CMOVQEQ(RCX, RDX)
		KMOVW(EDX, K1)
	}

	// Full tiles while there are rows for two; what is left after them is
	// halved, since tiles of few rows wait for their sums.
	Label(label("next"))
	MOVQ(arg(argLeft), RCX)
	CMPQ(RCX, Imm(uint64(2*t.rows)))
	JGE(LabelRef(label("full")))
	CMPQ(RCX, Imm(uint64(t.rows)))
	JLE(LabelRef(label("choose")))
	INCQ(RCX)
	SHRQ(Imm(1), RCX)
	Label(label("choose"))
	for r := t.rows - 1; r > 0; r-- {
		CMPQ(RCX, Imm(uint64(r)))
		JEQ(LabelRef(label(fmt.Sprintf("rows%d", r))))
	}
	Label(label("full"))
	for r := t.rows; r > 0; r-- {
		part := t
		if r < t.rows {
			// Few rows leave little time to fetch: half of what they read.
			part.rows, part.unroll, part.lines = r, 1, (t.vecs*t.lanes/16+1)/2
		}
		Label(label(fmt.Sprintf("rows%d", r)))
		part.body(func(s string) string { return label(fmt.Sprintf("%s%d", s, r)) }, arg)
		SUBQ(U32(uint32(r)), arg(argLeft))
		JLE(LabelRef(label("ret")))
		ADDQ(U32(uint32(8*r)), arg(argAt))
		JMP(LabelRef(label("next")))
	}
	Label(label("ret"))
	VZEROUPPER()
	RET()
}

// body computes and stores one tile.
func (t tile) body(label func(string) string, arg func(int) Mem) {
	MOVQ(arg(argBias), RCX)
	for j := range t.vecs {
		VMOVUPS(Mem{Base: RCX, Disp: 4 * t.lanes * j}, t.acc(0, j))
	}
	for i := 1; i < t.rows; i++ {
		for j := range t.vecs {
			VMOVAPS(t.acc(0, j), t.acc(i, j))
		}
	}
	t.ahead(label, arg)
	MOVQ(U32(0), arg(argTap))
	MOVQ(U32(1), arg(argBit))
	MOVQ(arg(argW), RDX)

	Label(label("tap"))
	t.pointRows(label, arg)
	MOVQ(arg(argRun), RCX)
	SHLQ(Imm(2), RCX)
	NEGQ(RCX)
	MOVQ(arg(argNextAt), RAX)
	t.channels(label)
	MOVQ(RAX, RCX)
	Load(Param("a"), RAX)
	MOVQ(RCX, arg(argNextAt))
	SHLQ(Imm(1), arg(argBit))
	MOVQ(arg(argTap), RCX)
	ADDQ(Imm(8), RCX)
	MOVQ(RCX, arg(argTap))
	CMPQ(RCX, arg(argTapEnd))
	JNE(LabelRef(label("tap")))
	t.store(label, arg)
}

// ahead asks the first-level cache for where the tile will store its sums, and
// for what it will add to them.
func (t tile) ahead(label func(string) string, arg func(int) Mem) {
	CMPB(arg(argAhead), Imm(0))
	JEQ(LabelRef(label("near")))
	at, stride := RCX, RDX
	rows := func() {
		for i := range t.rows {
			for j := 0; j < t.vecs*t.lanes; j += 16 {
				PREFETCHT0(Mem{Base: at, Disp: 4 * j})
			}
			if i < t.rows-1 {
				LEAQ(Mem{Base: at, Index: stride, Scale: 4}, at)
			}
		}
	}
	MOVQ(arg(argDstAt), at)
	MOVQ(arg(argDstStride), stride)
	rows()
	MOVQ(arg(argAddAt), at)
	TESTQ(at, at)
	JEQ(LabelRef(label("near")))
	MOVQ(arg(argAddStride), stride)
	rows()
	Label(label("near"))
}

// pointRows points the row registers at the end of their runs of the current
// tap, or at the end of the zeros where there is a mask that lacks it.
func (t tile) pointRows(label func(string) string, arg func(int) Mem) {
	rows := tileRows[:t.rows]
	first, last := rows[0], rows[t.rows-1]
	MOVQ(RDX, arg(argWAt))
	MOVQ(arg(argTap), RCX)
	MOVQ(arg(argTaps), first)
	MOVQ(Mem{Base: first, Index: RCX, Scale: 1}, RCX)
	ADDQ(arg(argSrc), RCX)
	MOVQ(arg(argRun), first)
	LEAQ(Mem{Base: RCX, Index: first, Scale: 4}, RCX)
	MOVQ(arg(argBase), last)
	MOVQ(arg(argMask), RDX)
	ADDQ(arg(argAt), last)
	ADDQ(arg(argAt), RDX)
	for i, r := range rows {
		MOVQ(Mem{Base: last, Disp: 8 * i}, r)
		ADDQ(RCX, r)
	}
	CMPQ(arg(argMask), Imm(0))
	JEQ(LabelRef(label("inside")))
	MOVQ(arg(argBit), RCX)
	for i, r := range rows {
		TESTQ(RCX, Mem{Base: RDX, Disp: 8 * i})
		CMOVQEQ(arg(argZeroEnd), r)
	}
	Label(label("inside"))
	MOVQ(arg(argWAt), RDX)
}

// channels adds one run of channels to the sums, several at a time and the
// rest one by one.
func (t tile) channels(label func(string) string) {
	step := func(u, disp int) {
		for j := range t.vecs {
			VMOVUPS(Mem{Base: RDX, Disp: 4 * t.lanes * (u*t.vecs + j)}, t.weight(j))
		}
		for i, r := range tileRows[:t.rows] {
			VBROADCASTSS(Mem{Base: r, Index: RCX, Scale: 1, Disp: disp + 4*u}, t.value(i))
			for j := range t.vecs {
				VFMADD231PS(t.weight(j), t.value(i), t.acc(i, j))
			}
		}
	}
	if t.unroll > 1 {
		ADDQ(U32(uint32(4*t.unroll)), RCX)
		JG(LabelRef(label("few")))
		Label(label("channels"))
		for u := range t.unroll {
			step(u, -4*t.unroll)
		}
		ADDQ(U32(uint32(4*t.lanes*t.vecs*t.unroll)), RDX)
		t.fetch()
		ADDQ(U32(uint32(4*t.unroll)), RCX)
		JLE(LabelRef(label("channels")))
		Label(label("few"))
		SUBQ(U32(uint32(4*t.unroll)), RCX)
	} else {
		TESTQ(RCX, RCX)
	}
	JEQ(LabelRef(label("done")))
	Label(label("channel"))
	step(0, 0)
	if t.unroll == 1 {
		t.fetch()
	}
	ADDQ(U32(uint32(4*t.lanes*t.vecs)), RDX)
	ADDQ(U32(4), RCX)
	JNE(LabelRef(label("channel")))
	Label(label("done"))
}

// fetch asks the second-level cache for a turn's part of what comes next.
func (t tile) fetch() {
	for i := range t.lines {
		PREFETCHT1(Mem{Base: RAX, Disp: 64 * i})
	}
	ADDQ(U32(uint32(64*t.lines)), RAX)
	CMPQ(RAX, t.nextEnd)
	CMOVQGT(t.nextEnd, RAX)
}

// store adds the residual, clamps and stores.
func (t tile) store(label func(string) string, arg func(int) Mem) {
	dst, add, dstStride, addStride := RCX, RDX, R8, R9
	MOVQ(arg(argDstStride), dstStride)
	SHLQ(Imm(2), dstStride)
	MOVQ(arg(argDstAt), dst)
	MOVQ(arg(argAddAt), add)
	TESTQ(add, add)
	JEQ(LabelRef(label("clamp")))
	MOVQ(arg(argAddStride), addStride)
	SHLQ(Imm(2), addStride)
	for i := range t.rows {
		for j := range t.vecs {
			m := Mem{Base: add, Disp: 4 * t.lanes * j}
			if t.masked() && j == t.vecs-1 {
				VADDPS(m, t.acc(i, j), K1, t.acc(i, j))
			} else {
				VADDPS(m, t.acc(i, j), t.acc(i, j))
			}
		}
		ADDQ(addStride, add)
	}
	MOVQ(add, arg(argAddAt))
	Label(label("clamp"))
	lo, hi := t.weight(0), t.value(0)
	const inf, minusInf = 0x7f800000, 0xff800000
	limit := func(to, infinite int, bound VecPhysical, op func(...Op), done string) {
		CMPL(arg(to), U32(uint32(infinite)))
		JEQ(LabelRef(label(done)))
		VBROADCASTSS(arg(to), bound)
		for i := range t.rows {
			for j := range t.vecs {
				// The sum is the operand that a comparison with NaN returns.
				op(t.acc(i, j), bound, t.acc(i, j))
			}
		}
		Label(label(done))
	}
	limit(argMin, minusInf, lo, VMAXPS, "above")
	limit(argMax, inf, hi, VMINPS, "below")
	for i := range t.rows {
		for j := range t.vecs {
			m := Mem{Base: dst, Disp: 4 * t.lanes * j}
			if t.masked() && j == t.vecs-1 {
				VMOVUPS(t.acc(i, j), K1, m)
			} else {
				VMOVUPS(t.acc(i, j), m)
			}
		}
		ADDQ(dstStride, dst)
	}
	MOVQ(dst, arg(argDstAt))
}
