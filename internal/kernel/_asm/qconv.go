package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["qconv"] = emitQconv }

// The layout of qconv.tileArgs; a test there holds the two together.
const (
	qBase      = 0
	qOffs      = 8
	qSteps     = 16
	qCount     = 24
	qW         = 32
	qBias      = 40
	qScale     = 48
	qDst       = 56
	qDstStride = 64
	qTiles     = 72
	qMode      = 80
	qElem      = 88
	qChunks    = 96
	qZero      = 104 // [16]int16
	qLo        = 136 // [32]uint8
	qHi        = 168 // [32]uint8
	qFLo       = 200 // [16]float32
	qFHi       = 264 // [16]float32
	qLane      = 328 // [8]int32, the dword order that undoes lane-wise packing
	qOffsAt    = 360 // uintptr, the next tile's offsets
	qDstAt     = 368 // uintptr, the next tile's output
	qHeadAt    = 376 // uintptr, the panel's header
	qLeft      = 384 // int, chunks left
	qLines     = 392 // [7]unsafe.Pointer, depthwise from here on
	qPixel     = 448
	qTileStep  = 456
	qLastStep  = 464
	qSrcAt     = 472 // uintptr, offset of the tile in its lines
	qChunkAt   = 480 // uintptr, output of the chunk
	qLens      = 496 // lengths of groups, for weights of a few bits
	qNext      = 504 // uintptr, the weights of the panel after
	qNextEnd   = 512
	qOrder     = 520 // [16]int32, the dword order that undoes packing in four lanes
)

// The layout of the header of a panel of AVX2 tiles, before its groups.
const (
	hCounts  = 0  // [4]int32: numbers of groups of one step to four
	hChannel = 16 // int32: offset of the output
	hBias    = 32 // [8]int32
	hScale   = 64 // [8]float32
	hSize    = 96
)

func emitQconv() {
	for rows := 8; rows >= 1; rows-- {
		qtile{rows: rows, vecs: 1}.emit()
	}
	for _, vecs := range []int{2, 1} {
		for rows := 8; rows >= 1; rows-- {
			qtile{rows: rows, vecs: vecs, vnni: true}.emit()
		}
	}
	for rows := 16; rows >= 8; rows-- {
		qtile{rows: rows, vecs: 1, vnni: true, line: true}.emit()
	}
	for _, vecs := range []int{2, 1} {
		for rows := 6; rows >= 1; rows-- {
			qtile{rows: rows, vecs: vecs, vnni: true, vex: true}.emit()
		}
	}
	reorder()
	stepLoads()
	qvector()
	for _, d := range []dwshape{
		{3, 3, 1, 8, 8}, {3, 3, 1, 4, 8}, {3, 3, 2, 4, 8}, {3, 3, 1, 1, 8},
		{5, 5, 1, 4, 8}, {5, 5, 2, 4, 8}, {5, 5, 1, 1, 8}, {7, 7, 1, 2, 8},
		{7, 7, 1, 1, 8}, {3, 3, 1, 4, 16}, {3, 3, 1, 2, 16}, {3, 3, 2, 4, 16},
		{3, 3, 1, 1, 16}, {5, 5, 1, 4, 16}, {5, 5, 2, 4, 16}, {5, 5, 1, 1, 16},
		{7, 7, 1, 2, 16}, {7, 7, 1, 1, 16}, {3, 3, 1, 4, 32}, {3, 3, 2, 4, 32},
		{3, 3, 1, 1, 32}, {5, 5, 1, 4, 32}, {5, 5, 2, 4, 32}, {5, 5, 1, 1, 32},
		{3, 3, 1, 4, 64}, {3, 3, 2, 4, 64}, {3, 3, 1, 1, 64}, {5, 5, 1, 4, 64},
		{5, 5, 2, 4, 64}, {5, 5, 1, 1, 64},
	} {
		dwtile{d, false}.emit()
	}
	for _, d := range []dwshape{
		{3, 3, 1, 2, 32}, {3, 3, 2, 2, 32}, {3, 3, 1, 1, 32}, {5, 5, 1, 2, 32},
		{5, 5, 2, 2, 32}, {5, 5, 1, 1, 32},
	} {
		dwtile{d, true}.emit()
	}
}

// qtile emits an indirect integer matrix product: rows output pixels by vecs
// vectors of output channels, for a list of tiles that share the weights.
//
// A pixel is a pointer into the strip; the depth is a list of steps, offsets
// that hold for every pixel, of four uint8 values each. AVX2 takes the steps
// in groups of up to four: the VPMADDUBSW of the steps of a group are summed
// as int16, which their weights do not let overflow, before VPMADDWD by ones
// widens the sum. With vnni, every step is one VPDPBUSD; with vex, that of
// AVX-VNNI, for CPUs without AVX-512.
//
// Sixteen channels leave room for more pixels than there are registers to
// point at them. The kernels of a line take the pixels of a tile to lie a
// fixed distance apart.
type qtile struct {
	rows, vecs      int
	vnni, line, vex bool
}

// qgroup is the most steps of a group.
const qgroup = 4

func (t qtile) name() string {
	switch {
	case t.line:
		return fmt.Sprintf("qlineVNNI%dx%d", t.rows, 16*t.vecs)
	case t.vex:
		return fmt.Sprintf("qtileAVXVNNI%dx%d", t.rows, 8*t.vecs)
	case t.vnni:
		return fmt.Sprintf("qtileVNNI%dx%d", t.rows, 16*t.vecs)
	}
	return fmt.Sprintf("qtileAVX2x%dx%d", t.rows, 8*t.vecs)
}

// wide reports whether vectors have 512 bits.
func (t qtile) wide() bool { return t.vnni && !t.vex }

func (t qtile) reg(i int) VecPhysical {
	if t.wide() {
		return zmm(i)
	}
	return ymm(i)
}

// registers is how many there are.
func (t qtile) registers() int {
	if t.wide() {
		return 32
	}
	return 16
}

func (t qtile) bytes() int {
	if t.wide() {
		return 64
	}
	return 32
}

// read loads a vector.
func (t qtile) read(from Op, to VecPhysical) {
	if t.wide() {
		VMOVDQU32(from, to)
	} else {
		VMOVDQU(from, to)
	}
}

func (t qtile) acc(i, j int) VecPhysical { return t.reg(i*t.vecs + j) }

func (t qtile) emit() {
	name := t.name()
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by %d channels; a is a *tileArgs.", name, t.rows, t.vecs*t.bytes()/4))
	a := Load(Param("a"), GP64())
	pointers := t.rows
	if t.line {
		pointers = 1
	}
	rows := make([]GPVirtual, pointers)
	for i := range rows {
		rows[i] = GP64()
	}
	off, k, w := GP64(), GP64(), GP64()

	MOVQ(Mem{Base: a, Disp: qOffs}, off)
	MOVQ(off, Mem{Base: a, Disp: qOffsAt})
	MOVQ(Mem{Base: a, Disp: qDst}, off)
	MOVQ(off, Mem{Base: a, Disp: qDstAt})
	var apart []GPVirtual
	if t.line {
		apart = t.apart(a)
	}
	if !t.vnni {
		VPCMPEQW(ymm(qones), ymm(qones), ymm(qones))
		VPSRLW(Imm(15), ymm(qones), ymm(qones))
	}
	next := GP64()
	if t.vnni {
		MOVQ(Mem{Base: a, Disp: qNext}, next)
	}
	Label(name + "_tile")
	t.point(a, rows, off, w)
	MOVQ(Mem{Base: a, Disp: qW}, w)
	switch {
	case t.vex:
		t.dots(a, rows, apart, off, k, w, next)
		t.storeVectors(name, a, off, w, k)
		t.advance(a, off)
	case t.vnni:
		t.dots(a, rows, apart, off, k, w, next)
		t.load(a, off, w, k)
		t.storeAs512(name, a, off, w, k)
		MOVQ(off, Mem{Base: a, Disp: qDstAt})
	default:
		t.panels(a, rows, off, k, w)
		t.advance(a, off)
	}
	DECQ(Mem{Base: a, Disp: qTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}

// point points rows at the pixels of the next tile.
func (t qtile) point(a Register, rows []GPVirtual, offs, base GPVirtual) {
	MOVQ(Mem{Base: a, Disp: qOffsAt}, offs)
	MOVQ(Mem{Base: a, Disp: qBase}, base)
	for i := range rows { // of a line, the first only
		MOVLQSX(Mem{Base: offs, Disp: 4 * i}, rows[i])
		ADDQ(base, rows[i])
	}
	ADDQ(Imm(uint64(4*t.rows)), Mem{Base: a, Disp: qOffsAt})
}

// apart returns one, three, five and seven times the distance between pixels.
func (t qtile) apart(a Register) []GPVirtual {
	p := []GPVirtual{GP64(), GP64(), GP64(), GP64()}
	MOVQ(Mem{Base: a, Disp: qPixel}, p[0])
	LEAQ(Mem{Base: p[0], Index: p[0], Scale: 2}, p[1])
	LEAQ(Mem{Base: p[0], Index: p[0], Scale: 4}, p[2])
	LEAQ(Mem{Base: p[1], Index: p[0], Scale: 4}, p[3])
	return p
}

// dots sums the bias and the steps by VPDPBUSD. Meanwhile it fetches the weights
// of the next panel, a quarter of them or half in each tile.
func (t qtile) dots(a Register, rows, apart []GPVirtual, off, k, w, next GPVirtual) {
	steps := GP64()
	MOVQ(Mem{Base: a, Disp: qBias}, steps)
	for j := 0; j < t.vecs; j++ {
		t.read(Mem{Base: steps, Disp: t.bytes() * j}, t.acc(0, j))
		for i := 1; i < t.rows; i++ {
			if t.wide() {
				VMOVDQA32(t.acc(0, j), t.acc(i, j))
			} else {
				VMOVDQA(t.acc(0, j), t.acc(i, j))
			}
		}
	}
	MOVQ(Mem{Base: a, Disp: qSteps}, steps)
	MOVQ(Mem{Base: a, Disp: qCount}, k)
	size := t.bytes() * t.vecs
	unrolled(t.name(), k, 2, func(n int) {
		for u := 0; u < n; u++ {
			MOVLQSX(Mem{Base: steps, Disp: 4 * u}, off)
			t.dot(rows, apart, off, w, u*size)
		}
		ADDQ(Imm(uint64(4*n)), steps)
		ADDQ(U32(uint32(n*size)), w)
		PREFETCHT1(Mem{Base: next})
		ADDQ(Imm(64), next)
		CMPQ(next, Mem{Base: a, Disp: qNextEnd})
		CMOVQGT(Mem{Base: a, Disp: qNextEnd}, next)
	})
}

// dot adds a step of VPDPBUSD.
func (t qtile) dot(rows, apart []GPVirtual, off, w GPVirtual, disp int) {
	used := t.rows * t.vecs
	for j := 0; j < t.vecs; j++ {
		t.read(Mem{Base: w, Disp: disp + t.bytes()*j}, t.reg(used+j))
	}
	if t.line {
		ADDQ(rows[0], off)
	}
	for i := range t.rows {
		x := used + t.vecs + i%(t.registers()-used-t.vecs)
		var from Mem
		if t.line {
			if i > 0 && i%7 == 0 {
				ADDQ(apart[3], off)
			}
			from = []Mem{{Base: off}, {Base: off, Index: apart[0], Scale: 1}, {Base: off, Index: apart[0], Scale: 2}, {Base: off, Index: apart[1], Scale: 1},
				{Base: off, Index: apart[0], Scale: 4}, {Base: off, Index: apart[2], Scale: 1}, {Base: off, Index: apart[1], Scale: 2}}[i%7]
		} else {
			from = Mem{Base: rows[i], Index: off, Scale: 1}
		}
		VPBROADCASTD(from, t.reg(x))
		for j := 0; j < t.vecs; j++ {
			if t.vex {
				vexDot(used+j, x, i*t.vecs+j)
			} else {
				VPDPBUSD(t.reg(used+j), t.reg(x), t.acc(i, j))
			}
		}
	}
}

// vexDot adds to the dwords of sum the products of the signed bytes of w and
// the unsigned ones of x, all of them numbers of 256-bit registers. The assembler
// knows VPDPBUSD of AVX-512 alone, so that this one is written as bytes: a VEX
// prefix of three, the opcode and the registers.
func vexDot(w, x, sum int) {
	high := func(reg, bit int) int { // inverted, as prefixes have it
		if reg >= 8 {
			return 0
		}
		return 1 << bit
	}
	first := high(sum, 7) | 1<<6 | high(w, 5) | 0b00010 // opcodes 0F38
	second := (15-x)<<3 | 1<<2 | 0b01                   // 256 bits, prefix 66
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{U32(uint32(0xC4 | first<<8 | second<<16 | 0x50<<24))}})
	Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(uint8(0b11<<6 | sum&7<<3 | w&7))}})
}

// qones is the register of ones.
const qones = 15

// panels computes a tile of each of the panels of eight channels, whose
// headers and groups follow each other in memory. A group of n steps lies there
// as n offsets and n vectors of weights, larger groups first.
func (t qtile) panels(a Register, rows []GPVirtual, off, k, w GPVirtual) {
	name := t.name()
	offs := []GPVirtual{off, GP64(), GP64(), GP64()}
	MOVQ(Mem{Base: a, Disp: qChunks}, k)
	MOVQ(k, Mem{Base: a, Disp: qLeft})
	Label(name + "_panel")
	MOVQ(w, Mem{Base: a, Disp: qHeadAt})
	VMOVDQU(Mem{Base: w, Disp: hBias}, t.acc(0, 0))
	for i := 1; i < t.rows; i++ {
		VMOVDQA(t.acc(0, 0), t.acc(i, 0))
	}
	ADDQ(Imm(hSize), w)
	for n := qgroup; n >= 1; n-- {
		label := fmt.Sprintf("%s_groups%d", name, n)
		MOVQ(Mem{Base: a, Disp: qHeadAt}, off)
		MOVLQSX(Mem{Base: off, Disp: hCounts + 4*(n-1)}, k)
		TESTQ(k, k)
		JE(LabelRef(label + "_done"))
		Label(label)
		t.group(rows, offs[:n], w)
		ADDQ(U32(uint32(36*n)), w)
		DECQ(k)
		JNE(LabelRef(label))
		Label(label + "_done")
	}
	dst, stride, head := off, offs[1], k
	MOVQ(Mem{Base: a, Disp: qHeadAt}, head)
	MOVLQSX(Mem{Base: head, Disp: hChannel}, dst)
	IMULQ(Mem{Base: a, Disp: qElem}, dst)
	ADDQ(Mem{Base: a, Disp: qDstAt}, dst)
	MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
	t.storeAs(name, 0, 8, a, dst, stride, Mem{Base: head, Disp: hScale})
	DECQ(Mem{Base: a, Disp: qLeft})
	JNE(LabelRef(name + "_panel"))
}

// advance moves the output past the tile.
func (t qtile) advance(a Register, off GPVirtual) {
	MOVQ(Mem{Base: a, Disp: qDstStride}, off)
	IMUL3Q(Imm(uint64(t.rows)), off, off)
	ADDQ(off, Mem{Base: a, Disp: qDstAt})
}

// group adds a group of steps, pixel by pixel, with the weights in registers.
// The sum of a pixel is widened while the next one is multiplied.
func (t qtile) group(rows, offs []GPVirtual, w GPVirtual) {
	const weights, sums, x = 8, 12, 14
	n := len(offs)
	for s, off := range offs {
		MOVLQSX(Mem{Base: w, Disp: 4 * s}, off)
		VMOVDQU(Mem{Base: w, Disp: 4*n + 32*s}, ymm(weights+s))
	}
	sum := func(i int) VecPhysical { return ymm(sums + i%2) }
	widen := func(i int) { VPMADDWD(ymm(qones), sum(i), sum(i)) }
	add := func(i int) { VPADDD(sum(i), t.acc(i, 0), t.acc(i, 0)) }
	last := len(rows) - 1
	for i := range rows {
		VPBROADCASTD(Mem{Base: rows[i], Index: offs[0], Scale: 1}, ymm(x))
		VPMADDUBSW(ymm(weights), ymm(x), sum(i))
		if i > 0 {
			widen(i - 1)
		}
		for s := 1; s < n; s++ {
			VPBROADCASTD(Mem{Base: rows[i], Index: offs[s], Scale: 1}, ymm(x))
			VPMADDUBSW(ymm(weights+s), ymm(x), ymm(x))
			VPADDW(ymm(x), sum(i), sum(i))
			if s == 1 && i > 0 {
				add(i - 1)
			}
		}
		if n == 1 && i > 0 {
			add(i - 1)
		}
	}
	widen(last)
	add(last)
}
