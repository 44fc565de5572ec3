package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["qconv"] = emitQconv }

// The layout of qconv.tileArgs; a test there holds the two together.
const (
	qBase      = 0
	qOffs      = 8
	qRuns      = 16
	qNRuns     = 24
	qSteps     = 32
	qW         = 40
	qBias      = 48
	qScale     = 56
	qDst       = 64
	qDstStride = 72
	qTiles     = 80
	qMode      = 88
	qZero      = 96  // [16]int16
	qLo        = 128 // [32]uint8
	qHi        = 160 // [32]uint8
	qFLo       = 192 // [16]float32
	qFHi       = 256 // [16]float32
	qLane      = 320 // [8]int32, the dword order that undoes lane-wise packing
	qOffsAt    = 352 // uintptr, the next tile's offsets
	qDstAt     = 360 // uintptr, the next tile's output
)

func emitQconv() {
	for _, vecs := range []int{2, 1} {
		for rows := 6; rows >= 1; rows-- {
			qtile{rows: rows, vecs: vecs}.emit()
		}
	}
	widen()
}

// qtile emits an indirect integer matrix product: rows output pixels by vecs
// vectors of output channels, for a list of tiles that share the weights.
//
// A pixel is a pointer into the strip; the depth is a list of runs (byte
// offsets that hold for every pixel) of steps. A step takes two values of a
// pixel as a pair of int16 with VPMADDWD, or, with vnni, four uint8 with
// VPDPBUSD. Both are exact.
type qtile struct {
	rows, vecs int
	vnni       bool
}

func (t qtile) name() string {
	if t.vnni {
		return fmt.Sprintf("qtileVNNI%dx%d", t.rows, 16*t.vecs)
	}
	return fmt.Sprintf("qtileAVX2x%dx%d", t.rows, 8*t.vecs)
}

func (t qtile) reg(i int) VecPhysical {
	if t.vnni {
		return zmm(i)
	}
	return ymm(i)
}

func (t qtile) bytes() int {
	if t.vnni {
		return 64
	}
	return 32
}

func (t qtile) acc(i, j int) VecPhysical { return t.reg(i*t.vecs + j) }

func (t qtile) emit() {
	name := t.name()
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by %d channels; see tileArgs.", name, t.rows, t.vecs*t.bytes()/4))
	a := Load(Param("a"), GP64())
	rows := make([]GPVirtual, t.rows)
	for i := range rows {
		rows[i] = GP64()
	}
	off, k, w, runs, nruns := GP64(), GP64(), GP64(), GP64(), GP64()

	MOVQ(Mem{Base: a, Disp: qOffs}, runs)
	MOVQ(runs, Mem{Base: a, Disp: qOffsAt})
	MOVQ(Mem{Base: a, Disp: qDst}, w)
	MOVQ(w, Mem{Base: a, Disp: qDstAt})
	Label(name + "_tile")
	MOVQ(Mem{Base: a, Disp: qOffsAt}, runs)
	for i := range rows {
		MOVLQSX(Mem{Base: runs, Disp: 4 * i}, rows[i])
		ADDQ(Mem{Base: a, Disp: qBase}, rows[i])
	}
	ADDQ(Imm(uint64(4*t.rows)), Mem{Base: a, Disp: qOffsAt})
	MOVQ(Mem{Base: a, Disp: qBias}, w)
	for j := 0; j < t.vecs; j++ {
		t.load(Mem{Base: w, Disp: t.bytes() * j}, t.acc(0, j))
		for i := 1; i < t.rows; i++ {
			t.move(t.acc(0, j), t.acc(i, j))
		}
	}
	MOVQ(Mem{Base: a, Disp: qW}, w)
	MOVQ(Mem{Base: a, Disp: qRuns}, runs)
	MOVQ(Mem{Base: a, Disp: qNRuns}, nruns)
	Label(name + "_run")
	MOVLQSX(Mem{Base: runs}, off)
	ADDQ(Imm(4), runs)
	MOVQ(Mem{Base: a, Disp: qSteps}, k)
	unrolled(name, k, t.unroll(), func(n int) {
		for u := 0; u < n; u++ {
			t.step(rows, off, w, u)
		}
		ADDQ(Imm(uint64(4*n)), off)
		ADDQ(U32(uint32(t.bytes()*t.vecs*n)), w)
	})
	DECQ(nruns)
	JNE(LabelRef(name + "_run"))

	t.store(a, off, w, k)
	DECQ(Mem{Base: a, Disp: qTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}

func (t qtile) unroll() int { return 2 }

func (t qtile) load(m Mem, r VecPhysical) {
	if t.vnni {
		VMOVDQU32(m, r)
		return
	}
	VMOVDQU(m, r)
}

func (t qtile) move(from, to VecPhysical) {
	if t.vnni {
		VMOVDQA32(from, to)
		return
	}
	VMOVDQA(from, to)
}

// step adds the products of the u-th step from here.
func (t qtile) step(rows []GPVirtual, off, w GPVirtual, u int) {
	used := t.rows * t.vecs
	for j := 0; j < t.vecs; j++ {
		t.load(Mem{Base: w, Disp: t.bytes() * (u*t.vecs + j)}, t.reg(used+j))
	}
	for i := range rows {
		x := t.reg(used + t.vecs)
		if t.vnni {
			x = t.reg(used + t.vecs + i%(32-used-t.vecs))
		}
		VPBROADCASTD(Mem{Base: rows[i], Index: off, Scale: 1, Disp: 4 * u}, x)
		for j := 0; j < t.vecs; j++ {
			if t.vnni {
				VPDPBUSD(t.reg(used+j), x, t.acc(i, j))
				continue
			}
			product := t.reg(used + t.vecs + 1)
			VPMADDWD(t.reg(used+j), x, product)
			VPADDD(product, t.acc(i, j), t.acc(i, j))
		}
	}
}

// store writes the tile in the form that the mode says and moves dst on.
func (t qtile) store(a Register, dst, stride, p GPVirtual) {
	name := t.name()
	MOVQ(Mem{Base: a, Disp: qDstAt}, dst)
	MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
	CMPQ(Mem{Base: a, Disp: qMode}, Imm(1))
	JEQ(LabelRef(name + "_int32"))
	MOVQ(Mem{Base: a, Disp: qScale}, p)
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			VCVTDQ2PS(t.acc(i, j), t.acc(i, j))
			VMULPS(Mem{Base: p, Disp: t.bytes() * j}, t.acc(i, j), t.acc(i, j))
		}
	}
	JA(LabelRef(name + "_float")) // flags are those of the comparison
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			VCVTPS2DQ(t.acc(i, j), t.acc(i, j))
		}
	}
	t.storeBytes(a, dst, stride)
	JMP(LabelRef(name + "_stored"))
	Label(name + "_float")
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			VMAXPS(Mem{Base: a, Disp: qFLo}, t.acc(i, j), t.acc(i, j))
			VMINPS(Mem{Base: a, Disp: qFHi}, t.acc(i, j), t.acc(i, j))
		}
	}
	Label(name + "_int32")
	for i := 0; i < t.rows; i++ {
		for j := 0; j < t.vecs; j++ {
			VMOVDQU(t.acc(i, j), Mem{Base: dst, Disp: t.bytes() * j})
		}
		ADDQ(stride, dst)
	}
	Label(name + "_stored")
	MOVQ(dst, Mem{Base: a, Disp: qDstAt})
}

// storeBytes packs the rounded sums to uint8 and leaves dst past the tile.
func (t qtile) storeBytes(a Register, dst, stride GPVirtual) {
	per := 2 // rows that fill a register of bytes
	if t.vecs == 1 {
		per = 4
	}
	lane := ymm(15)
	VMOVDQU(Mem{Base: a, Disp: qLane}, lane)
	for i := 0; i < t.rows; i += per {
		n := min(per, t.rows-i)
		// words(q) packs the q-th pair of vectors of this group.
		words := func(q int) VecPhysical {
			lo, hi := t.acc(i+q, 0), t.acc(i+q, t.vecs-1)
			if t.vecs == 1 {
				lo, hi = t.acc(i+min(2*q, n-1), 0), t.acc(i+min(2*q+1, n-1), 0)
			}
			VPACKSSDW(hi, lo, lo)
			VPADDSW(Mem{Base: a, Disp: qZero}, lo, lo)
			return lo
		}
		x := words(0)
		y := x
		if n > per/2 {
			y = words(1)
		}
		VPACKUSWB(y, x, x)
		VPMAXUB(Mem{Base: a, Disp: qLo}, x, x)
		VPMINUB(Mem{Base: a, Disp: qHi}, x, x)
		VPERMD(x, lane, x)
		for r := 0; r < n; r++ {
			if t.vecs == 1 {
				if r == 2 {
					VEXTRACTI128(Imm(1), x, x.AsX())
				}
				if r%2 == 0 {
					VMOVQ(x.AsX(), Mem{Base: dst})
				} else {
					VMOVHPS(x.AsX(), Mem{Base: dst})
				}
			} else if r == 0 {
				VMOVDQU(x.AsX(), Mem{Base: dst})
			} else {
				VEXTRACTI128(Imm(1), x, Mem{Base: dst})
			}
			ADDQ(stride, dst)
		}
	}
}

// widen emits the zero extension of rows of bytes to int16.
func widen() {
	const name = "widenAVX2"
	TEXT(name, NOSPLIT, "func(dst *int16, dstStride int, src *uint8, srcStride, n, rows int)")
	Pragma("noescape")
	Doc(name + " zero-extends n bytes of each of some rows; strides are in bytes.")
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	n := Load(Param("n"), GP64())
	rows := Load(Param("rows"), GP64())
	i, left := GP64(), GP64()
	from := func(d int) Mem { return Mem{Base: src, Index: i, Scale: 1, Disp: d} }
	to := func(d int) Mem { return Mem{Base: dst, Index: i, Scale: 2, Disp: 2 * d} }
	Label("widen_row")
	XORQ(i, i)
	MOVQ(n, left)
	SUBQ(Imm(64), left)
	JLT(LabelRef("widen_tail"))
	Label("widen_64")
	for j := 0; j < 4; j++ {
		VPMOVZXBW(from(16*j), ymm(j))
	}
	for j := 0; j < 4; j++ {
		VMOVDQU(ymm(j), to(16*j))
	}
	ADDQ(Imm(64), i)
	SUBQ(Imm(64), left)
	JGE(LabelRef("widen_64"))
	Label("widen_tail")
	for _, bit := range []int{32, 16, 8} {
		next := fmt.Sprintf("widen_below%d", bit)
		TESTQ(U32(uint32(bit)), left)
		JEQ(LabelRef(next))
		switch bit {
		case 32:
			VPMOVZXBW(from(0), Y0)
			VPMOVZXBW(from(16), Y1)
			VMOVDQU(Y0, to(0))
			VMOVDQU(Y1, to(16))
		case 16:
			VPMOVZXBW(from(0), Y0)
			VMOVDQU(Y0, to(0))
		case 8:
			VPMOVZXBW(from(0), X0)
			VMOVDQU(X0, to(0))
		}
		ADDQ(Imm(uint64(bit)), i)
		Label(next)
	}
	ANDQ(Imm(7), left)
	JEQ(LabelRef("widen_end"))
	b := GP64()
	Label("widen_one")
	MOVBQZX(from(0), b)
	MOVW(b.As16(), to(0))
	INCQ(i)
	DECQ(left)
	JNE(LabelRef("widen_one"))
	Label("widen_end")
	ADDQ(dstStride, dst)
	ADDQ(srcStride, src)
	DECQ(rows)
	JNE(LabelRef("widen_row"))
	VZEROUPPER()
	RET()
}
