package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() {
	families["qlowbit"] = func() {
		for rows := 6; rows >= 1; rows-- {
			qlong{qtile{rows: rows, vecs: 1}}.emit()
		}
		unpackNibbles()
		for _, vecs := range []int{4, 1} {
			qfew{qtile{rows: 1, vecs: vecs, vnni: true}, 8}.emit()
			for rows := 4; rows >= 1; rows-- {
				qfew{qtile{rows: rows, vecs: vecs, vnni: true}, 4}.emit()
				qfew{qtile{rows: rows, vecs: vecs, vnni: true}, 2}.emit()
			}
		}
	}
}

// qlong emits the indirect integer matrix product for weights of a few bits:
// rows output pixels by eight output channels. The VPMADDUBSW of many steps
// are summed as int16 before VPMADDWD widens them, so both sums of a pixel have
// a register. All panels share the steps; a panel lists the lengths of the
// groups of steps that it may sum.
type qlong struct{ qtile }

func (t qlong) narrow(i int) VecPhysical { return ymm(6 + i) }

func (t qlong) emit() {
	const weights, x = 12, 13
	name := fmt.Sprintf("qlongAVX2x%dx8", t.rows)
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by 8 channels; a is a *tileArgs.", name, t.rows))
	a := Load(Param("a"), GP64())
	rows := make([]GPVirtual, t.rows)
	for i := range rows {
		rows[i] = GP64()
	}
	off, k, w, steps, lens := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(Mem{Base: a, Disp: qOffs}, off)
	MOVQ(off, Mem{Base: a, Disp: qOffsAt})
	MOVQ(Mem{Base: a, Disp: qDst}, off)
	MOVQ(off, Mem{Base: a, Disp: qDstAt})
	VPCMPEQW(ymm(qones), ymm(qones), ymm(qones))
	VPSRLW(Imm(15), ymm(qones), ymm(qones))
	Label(name + "_tile")
	t.point(a, rows, off, k)
	MOVQ(Mem{Base: a, Disp: qBias}, off)
	for i := range rows {
		VMOVDQU(Mem{Base: off}, t.acc(i, 0))
	}
	MOVQ(Mem{Base: a, Disp: qW}, w)
	MOVQ(Mem{Base: a, Disp: qSteps}, steps)
	MOVQ(Mem{Base: a, Disp: qLens}, lens)
	MOVQ(Mem{Base: a, Disp: qCount}, k)
	MOVQ(k, Mem{Base: a, Disp: qLeft})
	Label(name + "_group")
	for i := range rows {
		VPXOR(t.narrow(i), t.narrow(i), t.narrow(i))
	}
	MOVLQSX(Mem{Base: lens}, k)
	ADDQ(Imm(4), lens)
	unrolled(name, k, 2, func(n int) {
		for u := 0; u < n; u++ {
			MOVLQSX(Mem{Base: steps, Disp: 4 * u}, off)
			VMOVDQU(Mem{Base: w, Disp: 32 * u}, ymm(weights))
			for i := range rows {
				r := ymm(x + i%2)
				VPBROADCASTD(Mem{Base: rows[i], Index: off, Scale: 1}, r)
				VPMADDUBSW(ymm(weights), r, r)
				VPADDW(r, t.narrow(i), t.narrow(i))
			}
		}
		ADDQ(Imm(uint64(4*n)), steps)
		ADDQ(Imm(uint64(32*n)), w)
	})
	for i := range rows {
		VPMADDWD(ymm(qones), t.narrow(i), t.narrow(i))
		VPADDD(t.narrow(i), t.acc(i, 0), t.acc(i, 0))
	}
	DECQ(Mem{Base: a, Disp: qLeft})
	JNE(LabelRef(name + "_group"))
	dst, stride, scale := off, k, w
	MOVQ(Mem{Base: a, Disp: qDstAt}, dst)
	MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
	MOVQ(Mem{Base: a, Disp: qScale}, scale)
	t.storeAs(name, 0, 8, a, dst, stride, Mem{Base: scale})
	MOVQ(dst, Mem{Base: a, Disp: qDstAt})
	DECQ(Mem{Base: a, Disp: qTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}

// unpackNibbles emits the step from weights of four bits to int8.
func unpackNibbles() {
	const name = "unpackNibblesAVX2"
	low := dwords("nibbles", 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f)
	eight := dwords("eights", 0x08080808, 0x08080808, 0x08080808, 0x08080808, 0x08080808, 0x08080808, 0x08080808, 0x08080808)
	TEXT(name, NOSPLIT, "func(dst, src *byte, n int)")
	Pragma("noescape")
	Doc(name + " writes 32 int8 for each 16 of 16*n bytes: the lower and the upper four bits of each byte, less 8.")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	VMOVDQU(low, ymm(14))
	VMOVDQU(eight, ymm(15))
	Label(name + "_loop")
	VPMOVZXBW(Mem{Base: src}, ymm(0))
	VPSLLW(Imm(4), ymm(0), ymm(1))
	VPOR(ymm(1), ymm(0), ymm(0))
	VPAND(ymm(14), ymm(0), ymm(0))
	VPSUBB(ymm(15), ymm(0), ymm(0))
	VMOVDQU(ymm(0), Mem{Base: dst})
	ADDQ(Imm(16), src)
	ADDQ(Imm(32), dst)
	DECQ(n)
	JNE(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}
