package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// stepLoads emits the function that measures steps of AVX2 tiles: the sums of
// the positive and of the negative weights of each int16 sum, in up to three
// orders of the four values of a channel.
func stepLoads() {
	const name = "stepLoadsAVX2"
	bytes := func(name string, v uint32) Mem { return dwords(name, v, v, v, v, v, v, v, v) }
	ones, most := bytes("onebytes", 0x01010101), bytes("topbytes", 0x80808080)
	TEXT(name, NOSPLIT, "func(w, loads, states *byte, src *int16, n, orders int)")
	Pragma("noescape")
	Doc(name + " measures n steps of 32 weights: see measure.")
	w, loads := Load(Param("w"), GP64()), Load(Param("loads"), GP64())
	states, src := Load(Param("states"), GP64()), Load(Param("src"), GP64())
	n, orders := Load(Param("n"), GP64()), Load(Param("orders"), GP64())
	state, t := GP64(), GP64()
	VMOVDQU(ones, ymm(15))
	VMOVDQU(most, ymm(14))
	VPXOR(ymm(13), ymm(13), ymm(13))
	VPCMPEQW(ymm(12), ymm(12), ymm(12))
	VPSRLW(Imm(9), ymm(12), ymm(12)) // 127 in each word
	order1, order2 := orderMask(1), orderMask(2)
	Label(name + "_step")
	VMOVDQU(Mem{Base: src}, ymm(0))
	VMOVDQU(Mem{Base: src, Disp: 32}, ymm(1))
	VPABSW(ymm(0), ymm(2))
	VPABSW(ymm(1), ymm(3))
	VPMAXSW(ymm(2), ymm(3), ymm(2))
	VPCMPGTW(ymm(12), ymm(2), ymm(2))
	VPMOVMSKB(ymm(2), t.As32())
	XORL(state.As32(), state.As32())
	TESTL(t.As32(), t.As32())
	SETNE(state.As8())
	VPACKSSWB(ymm(1), ymm(0), ymm(0))
	VPERMQ(Imm(0xd8), ymm(0), ymm(0))
	VMOVDQU(ymm(0), Mem{Base: w})
	XORL(t.As32(), t.As32())
	VPTEST(ymm(0), ymm(0))
	SETEQ(t.As8())
	LEAQ(Mem{Base: state, Index: t, Scale: 2}, state) // 1: wide, 2: nothing but zeros
	for order := range 3 {
		x := ymm(0)
		if order > 0 {
			CMPQ(orders, Imm(uint64(order)))
			JLE(LabelRef(name + "_next"))
			x = ymm(1)
			VPSHUFB([]Mem{order1, order2}[order-1], ymm(0), x)
		}
		VPMAXSB(ymm(13), x, ymm(2))
		VPSUBB(x, ymm(2), ymm(3))
		VPMADDUBSW(ymm(15), ymm(2), ymm(2))
		VPMADDUBSW(ymm(15), ymm(3), ymm(3))
		VPACKUSWB(ymm(3), ymm(2), ymm(2))
		VPMINUB(ymm(14), ymm(2), ymm(2))
		VMOVDQU(ymm(2), Mem{Base: loads, Disp: 32 * order})
		VPMOVMSKB(ymm(2), t.As32())
		CMPL(t.As32(), Imm(1)) // carry where no top bit is set
		SBBL(t.As32(), t.As32())
		ANDL(Imm(4<<order), t.As32())
		ORL(t.As32(), state.As32())
	}
	Label(name + "_next")
	MOVB(state.As8(), Mem{Base: states})
	INCQ(states)
	ADDQ(Imm(64), src)
	ADDQ(Imm(32), w)
	MOVQ(orders, t)
	SHLQ(Imm(5), t)
	ADDQ(t, loads)
	DECQ(n)
	JNE(LabelRef(name + "_step"))
	VZEROUPPER()
	RET()
}
