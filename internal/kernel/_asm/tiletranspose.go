package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// emitTranspose8 emits the transpose of an 8 x 8 square: pairs, then pairs of
// pairs, then halves of registers.
func emitTranspose8() {
	TEXT("transpose8AVX2", NOSPLIT, "func(dst *float32, ldd int, src *float32, lds int)")
	dst := Load(Param("dst"), RDI)
	ldd := Load(Param("ldd"), RAX)
	src := Load(Param("src"), RSI)
	lds := Load(Param("lds"), RBX)
	SHLQ(Imm(2), ldd)
	SHLQ(Imm(2), lds)
	for i := range 8 {
		VMOVUPS(Mem{Base: src}, ymm(i))
		if i < 7 {
			ADDQ(lds, src)
		}
	}
	for i := 0; i < 8; i += 2 {
		VUNPCKLPS(ymm(i+1), ymm(i), ymm(8+i))
		VUNPCKHPS(ymm(i+1), ymm(i), ymm(9+i))
	}
	// Register 8+4h+p holds rows 4h, 4h+1 (p 0, 1) or 4h+2, 4h+3 (p 2, 3).
	for h := range 2 {
		for p := range 2 {
			a, b := ymm(8+4*h+p), ymm(8+4*h+2+p)
			VSHUFPS(Imm(0x44), b, a, ymm(4*h+2*p))
			VSHUFPS(Imm(0xee), b, a, ymm(4*h+2*p+1))
		}
	}
	store := func(v VecPhysical, last bool) {
		VMOVUPS(v, Mem{Base: dst})
		if !last {
			ADDQ(ldd, dst)
		}
	}
	for c := range 4 {
		VPERM2F128(Imm(0x20), ymm(4+c), ymm(c), Y8)
		store(Y8, false)
	}
	for c := range 4 {
		VPERM2F128(Imm(0x31), ymm(4+c), ymm(c), Y8)
		store(Y8, c == 3)
	}
	VZEROUPPER()
	RET()
}
