//go:build amd64 && !purego

#include "textflag.h"

// func sumRowsAVX512(y, bias, add *float32, rows, n, step, addStep int, lo, hi float32)
TEXT ·sumRowsAVX512(SB), NOSPLIT, $0-64
	MOVQ y+0(FP), DI
	MOVQ bias+8(FP), SI
	MOVQ add+16(FP), DX
	MOVQ rows+24(FP), R8
	MOVQ n+32(FP), R9
	MOVQ step+40(FP), R10
	MOVQ addStep+48(FP), R11
	VBROADCASTSS lo+56(FP), Z16
	VBROADCASTSS hi+60(FP), Z17
	MOVQ R9, CX
	ANDQ $15, CX
	MOVQ $1, AX
	SHLQ CX, AX
	DECQ AX
	KMOVW AX, K1
	SHLQ $2, R9
	ANDQ $~63, R9 // bytes of whole vectors
row:
	XORQ BX, BX
	CMPQ BX, R9
	JGE rest
vector:
	VMOVUPS (DI)(BX*1), Z0
	VADDPS (SI)(BX*1), Z0, Z0
	TESTQ DX, DX
	JZ alone
	VADDPS (DX)(BX*1), Z0, Z0
alone:
	VMAXPS Z0, Z16, Z0
	VMINPS Z0, Z17, Z0
	VMOVUPS Z0, (DI)(BX*1)
	ADDQ $64, BX
	CMPQ BX, R9
	JLT vector
rest:
	TESTQ CX, CX
	JZ next
	VMOVUPS.Z (DI)(BX*1), K1, Z0
	VMOVUPS.Z (SI)(BX*1), K1, Z1
	VADDPS Z1, Z0, Z0
	TESTQ DX, DX
	JZ lone
	VMOVUPS.Z (DX)(BX*1), K1, Z1
	VADDPS Z1, Z0, Z0
lone:
	VMAXPS Z0, Z16, Z0
	VMINPS Z0, Z17, Z0
	VMOVUPS Z0, K1, (DI)(BX*1)
next:
	ADDQ R10, DI
	TESTQ DX, DX
	JZ done
	ADDQ R11, DX
done:
	DECQ R8
	JNZ row
	VZEROUPPER
	RET
