package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dotRows is the number of rows that a kernel of products in place reads side
// by side: more than rowStreams, as it reads the other factor as often.
const dotRows = 8

// emitDots emits the products of one row with dotRows others.
func emitDots(t isa) {
	TEXT("dots"+t.name, NOSPLIT, "func(sums, src, w *float32, k, stride int)")
	sums, src, k, stride := Load(Param("sums"), RDI), Load(Param("src"), RSI), Load(Param("k"), RCX), Load(Param("stride"), RDX)
	w := []GPPhysical{R8, R9, R10, R11, R12, R13, R14, RBX}[:dotRows]
	Load(Param("w"), R8)
	for i := 1; i < dotRows; i++ {
		LEAQ(Mem{Base: w[i-1], Index: stride, Scale: 1}, w[i])
	}
	acc := func(i int) VecPhysical { return t.reg(i) }
	x := t.reg(dotRows)
	for i := range dotRows {
		VXORPS(ymm(i), ymm(i), ymm(i))
	}
	at := RAX
	XORL(EAX, EAX)
	Label("loop")
	for j := range 2 {
		disp := 4 * t.lanes * j
		VMOVUPS(Mem{Base: src, Index: at, Scale: 4, Disp: disp}, x)
		for i := range dotRows {
			VFMADD231PS(Mem{Base: w[i], Index: at, Scale: 4, Disp: disp}, x, acc(i))
		}
	}
	ADDQ(Imm(uint64(2*t.lanes)), at)
	CMPQ(at, k)
	JLT(LabelRef("loop"))
	for i := range dotRows {
		if t.lanes == 16 {
			VEXTRACTF64X4(Imm(1), zmm(i), ymm(dotRows))
			VADDPS(ymm(dotRows), ymm(i), ymm(i))
		}
	}
	for i := 0; i < dotRows; i += 4 {
		VHADDPS(ymm(i+1), ymm(i), ymm(i))
		VHADDPS(ymm(i+3), ymm(i+2), ymm(i+2))
		VHADDPS(ymm(i+2), ymm(i), ymm(i))
		VEXTRACTF128(Imm(1), ymm(i), xmm(i+1))
		VADDPS(xmm(i+1), xmm(i), xmm(i))
		VMOVUPS(xmm(i), Mem{Base: sums, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}
