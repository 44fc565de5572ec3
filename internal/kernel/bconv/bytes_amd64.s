//go:build amd64 && !purego

#include "textflag.h"

// func toBytesAVX512(dst *uint8, src *uint64, words int)
TEXT ·toBytesAVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ words+16(FP), CX
	MOVL $2, AX
	VPBROADCASTB AX, Z1
word:
	KMOVQ (SI), K1
	VMOVDQU8.Z Z1, K1, Z0
	VMOVDQU64 Z0, (DI)
	ADDQ $8, SI
	ADDQ $64, DI
	DECQ CX
	JNZ word
	VZEROUPPER
	RET
