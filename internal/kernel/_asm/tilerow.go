package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rowStreams is the number of packed panels that a row kernel reads side by
// side.
const rowStreams = 4

// emitRow emits the product of one row with rowStreams panels of two vectors.
func emitRow(t isa) {
	TEXT("row"+t.name, NOSPLIT, "func(sums, src, w *float32, k, stride int)")
	sums, src, k, stride := Load(Param("sums"), RDI), Load(Param("src"), RSI), Load(Param("k"), RCX), Load(Param("stride"), RDX)
	w := []Register{R8, R9, R10, R11}
	Load(Param("w"), R8)
	for i := 1; i < rowStreams; i++ {
		LEAQ(Mem{Base: w[i-1].(GPPhysical), Index: stride, Scale: 1}, w[i].(GPPhysical))
	}
	acc := func(i, j int) VecPhysical { return t.reg(2*i + j) }
	x := t.reg(2 * rowStreams)
	for i := range rowStreams {
		for j := range 2 {
			VMOVUPS(Mem{Base: sums, Disp: 4 * t.lanes * (2*i + j)}, acc(i, j))
		}
	}
	TESTQ(k, k)
	JLE(LabelRef("done"))
	Label("loop")
	VBROADCASTSS(Mem{Base: src}, x)
	ADDQ(Imm(4), src)
	for i := range rowStreams {
		for j := range 2 {
			VFMADD231PS(Mem{Base: w[i], Disp: 4 * t.lanes * j}, x, acc(i, j))
		}
		ADDQ(Imm(uint64(8*t.lanes)), w[i])
	}
	DECQ(k)
	JNE(LabelRef("loop"))
	Label("done")
	for i := range rowStreams {
		for j := range 2 {
			VMOVUPS(acc(i, j), Mem{Base: sums, Disp: 4 * t.lanes * (2*i + j)})
		}
	}
	VZEROUPPER()
	RET()
}
