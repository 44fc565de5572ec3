package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// orderMasks are the shuffles of bytes that put each four values into the
// orders 0, 2, 1, 3 and 0, 3, 1, 2.
var orderMasks [2]*Mem

func orderMask(order int) Mem {
	if m := orderMasks[order-1]; m != nil {
		return *m
	}
	quads := make([]uint32, 8)
	for i := range quads {
		quads[i] = []uint32{0x03010200, 0x02010300}[order-1] + uint32(i%4)*0x04040404
	}
	m := dwords(fmt.Sprintf("order%d", order), quads...)
	orderMasks[order-1] = &m
	return m
}

// reorder emits the function that fills two further copies of a strip, with
// each four values in the orders 0, 2, 1, 3 and 0, 3, 1, 2.
func reorder() {
	const name = "reorderAVX2"
	TEXT(name, NOSPLIT, "func(copies *uint8, n int)")
	Pragma("noescape")
	Doc(name + " fills the second and third of three copies of n bytes, a multiple of 32, from the first.")
	at := Load(Param("copies"), GP64())
	n := Load(Param("n"), GP64())
	k := GP64()
	MOVQ(n, k)
	VMOVDQU(orderMask(1), ymm(0))
	VMOVDQU(orderMask(2), ymm(1))
	Label(name + "_loop")
	VMOVDQU(Mem{Base: at}, ymm(2))
	VPSHUFB(ymm(0), ymm(2), ymm(3))
	VPSHUFB(ymm(1), ymm(2), ymm(2))
	VMOVDQU(ymm(3), Mem{Base: at, Index: n, Scale: 1})
	VMOVDQU(ymm(2), Mem{Base: at, Index: n, Scale: 2})
	ADDQ(Imm(32), at)
	SUBQ(Imm(32), k)
	JNE(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// qvector emits the product of one pixel and octets of output channels. The
// steps of an octet are listed; pairs of products of the first ones fit an
// int16, the others are multiplied as even and odd values apart.
func qvector() {
	const name = "vectorAVX2"
	const even = 14
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(name + " computes octets of channels of a single pixel; a is a *tileArgs.")
	a := Load(Param("a"), GP64())
	x, w, steps, k, at, head := GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(Mem{Base: a, Disp: qBase}, x)
	MOVQ(Mem{Base: a, Disp: qW}, w)
	MOVQ(Mem{Base: a, Disp: qSteps}, steps)
	VPCMPEQW(ymm(qones), ymm(qones), ymm(qones))
	VPSRLW(Imm(8), ymm(qones), ymm(even))
	VPSRLW(Imm(15), ymm(qones), ymm(qones))
	Label(name + "_octet")
	MOVQ(w, head)
	VMOVDQU(Mem{Base: head, Disp: hBias}, ymm(0))
	VPXOR(ymm(1), ymm(1), ymm(1))
	ADDQ(Imm(hSize), w)
	loop := func(label string, count int, step func(u int)) {
		MOVLQSX(Mem{Base: head, Disp: hCounts + 4*count}, k)
		unrolled(label, k, 4, func(n int) {
			for u := 0; u < n; u++ {
				MOVWLZX(Mem{Base: steps, Disp: 2 * u}, at.As32())
				VPBROADCASTD(Mem{Base: x, Index: at, Scale: 4}, ymm(2))
				step(u)
			}
			ADDQ(Imm(uint64(2*n)), steps)
			ADDQ(U32(uint32(32*n)), w)
		})
	}
	loop(name+"_whole", 0, func(u int) {
		VPMADDUBSW(Mem{Base: w, Disp: 32 * u}, ymm(2), ymm(3))
		VPMADDWD(ymm(qones), ymm(3), ymm(3))
		VPADDD(ymm(3), ymm(u%2), ymm(u%2))
	})
	loop(name+"_apart", 1, func(u int) {
		VMOVDQU(Mem{Base: w, Disp: 32 * u}, ymm(4))
		VPAND(ymm(4), ymm(even), ymm(3))
		VPMADDUBSW(ymm(3), ymm(2), ymm(3))
		VPMADDWD(ymm(qones), ymm(3), ymm(3))
		VPADDD(ymm(3), ymm(0), ymm(0))
		VPSRLW(Imm(8), ymm(2), ymm(2))
		VPSRAW(Imm(8), ymm(4), ymm(4))
		VPMADDWD(ymm(4), ymm(2), ymm(4))
		VPADDD(ymm(4), ymm(1), ymm(1))
	})
	VPADDD(ymm(1), ymm(0), ymm(0))
	dst, stride := at, k
	MOVLQSX(Mem{Base: head, Disp: hChannel}, dst)
	IMULQ(Mem{Base: a, Disp: qElem}, dst)
	ADDQ(Mem{Base: a, Disp: qDst}, dst)
	XORL(stride.As32(), stride.As32())
	qtile{rows: 1, vecs: 1}.storeAs(name, 0, 8, a, dst, stride, Mem{Base: head, Disp: hScale})
	DECQ(Mem{Base: a, Disp: qChunks})
	JNE(LabelRef(name + "_octet"))
	VZEROUPPER()
	RET()
}
