//go:build amd64 && !purego

#include "go_asm.h"
#include "textflag.h"

// The assembler knows no AMX, so that its instructions are written as bytes,
// each for the registers of its name.

// LDTILECFG (AX)
#define CONFIGURE LONG $0x4978E2C4; BYTE $0x00
// TILERELEASE
#define RELEASE LONG $0x4978E2C4; BYTE $0xC0

// TILELOADD of the bias at R9, the same for each row (R15 is zero): 16 channels
// and the next 16 into T0 and T1, or T2 and T3.
#define BIAS0 LONG $0x4B7B82C4; WORD $0x3904
#define BIAS1 LONG $0x4B7B82C4; WORD $0x394C; BYTE $0x40
#define BIAS2 LONG $0x4B7B82C4; WORD $0x3914
#define BIAS3 LONG $0x4B7B82C4; WORD $0x395C; BYTE $0x40

// TILELOADD of pixels BX bytes apart: at R10 into T4, at R11 into T5.
#define PIXELS4 LONG $0x4B7BC2C4; WORD $0x1A24
#define PIXELS5 LONG $0x4B7BC2C4; WORD $0x1B2C
// TILELOADD of weights at DX, CX bytes apart: 16 channels into T6, the next 16
// into T7.
#define WEIGHTS6 LONG $0x4B7BE2C4; WORD $0x0A34
#define WEIGHTS7 LONG $0x4B7BE2C4; WORD $0x0A7C; BYTE $0x40

// TDPBUSD: T0 += T4·T6, T1 += T4·T7, T2 += T5·T6, T3 += T5·T7.
#define DOT046 LONG $0x5E49E2C4; BYTE $0xC4
#define DOT147 LONG $0x5E41E2C4; BYTE $0xCC
#define DOT256 LONG $0x5E49E2C4; BYTE $0xD5
#define DOT357 LONG $0x5E41E2C4; BYTE $0xDD

// TILESTORED of a tile to its KiB at AX, R14 bytes a row.
#define STORE0 LONG $0x4B7AA2C4; WORD $0x3004
#define STORE1 LONG $0x4B7AA2C4; WORD $0x308C; LONG $0x400
#define STORE2 LONG $0x4B7AA2C4; WORD $0x3094; LONG $0x800
#define STORE3 LONG $0x4B7AA2C4; WORD $0x309C; LONG $0xC00

// BEGIN reads the arguments. DI stays their address, AX that of the sums, BX
// and CX the bytes between pixels and between rows of weights, R8 the next spot,
// R14 64.
#define BEGIN(weightStep) \
	MOVQ a+0(FP), DI \
	LEAQ tileArgs_config(DI), AX \
	CONFIGURE \
	MOVQ SP, AX \
	ADDQ $63, AX \
	ANDQ $~63, AX \
	MOVQ tileArgs_pixel(DI), BX \
	MOVQ $weightStep, CX \
	MOVQ tileArgs_offs(DI), R8 \
	MOVQ $64, R14 \
	MOVQ tileArgs_scale(DI), R10 \
	VMOVUPS (R10), Z16 \
	VPBROADCASTW tileArgs_zero(DI), Z18 \
	VPBROADCASTB tileArgs_lo(DI), Z19 \
	VPBROADCASTB tileArgs_hi(DI), Z20 \
	VMOVDQU64 tileArgs_order(DI), Z21 \
	VMOVUPS tileArgs_flo(DI), Z22 \
	VMOVUPS tileArgs_fhi(DI), Z23

// OUTPUT makes the output of the pair of tiles before the spot at R8. That is done
// once the next pair is summed: what a tile stores cannot be read at once.
#define OUTPUT(emit) \
	SUBQ $16, R8 \
	MOVQ AX, R10 \
	CALL emit<>(SB) \
	ADDQ $8, R8 \
	LEAQ 2048(AX), R10 \
	CALL emit<>(SB) \
	ADDQ $8, R8

// STEPS begins the sums of a pair of tiles of pixels.
#define STEPS \
	MOVQ tileArgs_steps(DI), SI \
	MOVQ tileArgs_w(DI), DX \
	MOVQ tileArgs_count(DI), R15 \
	MOVQ tileArgs_next(DI), R9

// FETCH brings the next 512 bytes of the next panel closer, if there are any.
#define FETCH(done) \
	CMPQ R9, tileArgs_nextEnd(DI) \
	JAE done \
	PREFETCHT1 (R9) \
	PREFETCHT1 64(R9) \
	PREFETCHT1 128(R9) \
	PREFETCHT1 192(R9) \
	PREFETCHT1 256(R9) \
	PREFETCHT1 320(R9) \
	PREFETCHT1 384(R9) \
	PREFETCHT1 448(R9) \
	ADDQ $512, R9

// BYTES4 turns sums at R10, four vectors at the given distances, into 64 bytes
// of Z0, those of one vector together.
#define BYTES4(b, c, d, odd) \
	VCVTDQ2PS (R10), Z0 \
	VCVTDQ2PS b(R10), Z1 \
	VCVTDQ2PS c(R10), Z2 \
	VCVTDQ2PS d(R10), Z3 \
	VMULPS Z16, Z0, Z0 \
	VMULPS odd, Z1, Z1 \
	VMULPS Z16, Z2, Z2 \
	VMULPS odd, Z3, Z3 \
	VCVTPS2DQ Z0, Z0 \
	VCVTPS2DQ Z1, Z1 \
	VCVTPS2DQ Z2, Z2 \
	VCVTPS2DQ Z3, Z3 \
	VPACKSSDW Z1, Z0, Z0 \
	VPACKSSDW Z3, Z2, Z2 \
	VPADDSW Z18, Z0, Z0 \
	VPADDSW Z18, Z2, Z2 \
	VPACKUSWB Z2, Z0, Z0 \
	VPMAXUB Z19, Z0, Z0 \
	VPMINUB Z20, Z0, Z0 \
	VPERMD Z0, Z21, Z0

// FLOATS turns 16 sums into floats of Z0.
#define FLOATS(at, scale) \
	VCVTDQ2PS at(R10), Z0 \
	VMULPS scale, Z0, Z0 \
	VMAXPS Z22, Z0, Z0 \
	VMINPS Z23, Z0, Z0

// func amx2x32(a *byte)
// Two tiles of pixels by 32 channels at a time.
TEXT ·amx2x32(SB), 0, $4160-8
	BEGIN(128)
	VMOVUPS 64(R10), Z17
pair:
	XORQ R15, R15
	MOVQ tileArgs_bias(DI), R9
	BIAS0
	BIAS1
	BIAS2
	BIAS3
	STEPS
	MOVQ tileArgs_base(DI), R13
	MOVLQSX (R8), R12
	ADDQ R13, R12
	MOVLQSX 8(R8), R10
	ADDQ R10, R13
	MOVLQSX (SI), R11
	LEAQ (R12)(R11*1), R10
	ADDQ R13, R11
	PIXELS4
	WEIGHTS6
	DECQ R15
	JZ last
step: // what the next step reads first is loaded before this one ends
	FETCH(fetched)
fetched:
	PIXELS5
	DOT046
	WEIGHTS7
	DOT256
	MOVLQSX 4(SI), R11
	ADDQ $2048, DX
	WEIGHTS6
	DOT147
	LEAQ (R12)(R11*1), R10
	ADDQ R13, R11
	PIXELS4
	DOT357
	ADDQ $4, SI
	DECQ R15
	JNZ step
last:
	PIXELS5
	DOT046
	WEIGHTS7
	DOT256
	DOT147
	DOT357
	MOVQ R9, tileArgs_next(DI)
	CMPQ R8, tileArgs_offs(DI)
	JEQ first
	OUTPUT(emit32)
first:
	STORE0
	STORE1
	STORE2
	STORE3
	ADDQ $16, R8
	SUBQ $2, tileArgs_tiles(DI)
	JNZ pair
	RELEASE
	OUTPUT(emit32)
	VZEROUPPER
	RET

// func amx1x32(a *byte)
// One tile of pixels by 32 channels at a time.
TEXT ·amx1x32(SB), 0, $4160-8
	BEGIN(128)
	VMOVUPS 64(R10), Z17
pair:
	XORQ R15, R15
	MOVQ tileArgs_bias(DI), R9
	BIAS0
	BIAS1
	STEPS
	MOVQ tileArgs_base(DI), R12
	MOVLQSX (R8), R10
	ADDQ R10, R12
step:
	FETCH(fetched)
fetched:
	MOVLQSX (SI), R10
	ADDQ R12, R10
	PIXELS4
	WEIGHTS6
	DOT046
	WEIGHTS7
	DOT147
	ADDQ $4, SI
	ADDQ $2048, DX
	DECQ R15
	JNZ step
	MOVQ R9, tileArgs_next(DI)
	STORE0
	STORE1
	MOVQ AX, R10
	CALL emit32<>(SB)
	ADDQ $8, R8
	DECQ tileArgs_tiles(DI)
	JNZ pair
	RELEASE
	VZEROUPPER
	RET

// func amx2x16(a *byte)
// Two tiles of pixels by 16 channels at a time.
TEXT ·amx2x16(SB), 0, $4160-8
	BEGIN(64)
pair:
	XORQ R15, R15
	MOVQ tileArgs_bias(DI), R9
	BIAS0
	BIAS2
	STEPS
	MOVQ tileArgs_base(DI), R13
	MOVLQSX (R8), R12
	ADDQ R13, R12
	MOVLQSX 8(R8), R10
	ADDQ R10, R13
step:
	FETCH(fetched)
fetched:
	MOVLQSX (SI), R11
	LEAQ (R12)(R11*1), R10
	ADDQ R13, R11
	PIXELS4
	WEIGHTS6
	DOT046
	PIXELS5
	DOT256
	ADDQ $4, SI
	ADDQ $1024, DX
	DECQ R15
	JNZ step
	MOVQ R9, tileArgs_next(DI)
	CMPQ R8, tileArgs_offs(DI)
	JEQ first
	OUTPUT(emit16)
first:
	STORE0
	STORE2
	ADDQ $16, R8
	SUBQ $2, tileArgs_tiles(DI)
	JNZ pair
	RELEASE
	OUTPUT(emit16)
	VZEROUPPER
	RET

// func amx1x16(a *byte)
// One tile of pixels by 16 channels at a time.
TEXT ·amx1x16(SB), 0, $4160-8
	BEGIN(64)
pair:
	XORQ R15, R15
	MOVQ tileArgs_bias(DI), R9
	BIAS0
	STEPS
	MOVQ tileArgs_base(DI), R12
	MOVLQSX (R8), R10
	ADDQ R10, R12
step:
	FETCH(fetched)
fetched:
	MOVLQSX (SI), R10
	ADDQ R12, R10
	PIXELS4
	WEIGHTS6
	DOT046
	ADDQ $4, SI
	ADDQ $1024, DX
	DECQ R15
	JNZ step
	MOVQ R9, tileArgs_next(DI)
	STORE0
	MOVQ AX, R10
	CALL emit16<>(SB)
	ADDQ $8, R8
	DECQ tileArgs_tiles(DI)
	JNZ pair
	RELEASE
	VZEROUPPER
	RET

// emit32 writes the sums of the pixels of the spot at R8 by 32 channels: at R10
// those of the first 16, a KiB on the others. It changes R10 to R13 and R15.
TEXT emit32<>(SB), NOSPLIT, $0-0
	MOVQ tileArgs_dstStride(DI), R13
	MOVLQSX 4(R8), R12
	IMULQ R13, R12
	ADDQ tileArgs_dst(DI), R12
	MOVQ tileArgs_rows(DI), R15
	MOVQ tileArgs_mode(DI), R11
	CMPQ R11, $1
	JEQ ints
	JGT floats
bytes:
	BYTES4(1024, 64, 1088, Z17)
	CMPQ R15, $1
	JEQ last
	VMOVDQU Y0, (R12)
	VEXTRACTI64X4 $1, Z0, (R12)(R13*1)
	LEAQ (R12)(R13*2), R12
	ADDQ $128, R10
	SUBQ $2, R15
	JNZ bytes
	RET
last:
	VMOVDQU Y0, (R12)
	RET
ints:
	VMOVDQU64 (R10), Z0
	VMOVDQU64 1024(R10), Z1
	VMOVDQU64 Z0, (R12)
	VMOVDQU64 Z1, 64(R12)
	ADDQ R13, R12
	ADDQ $64, R10
	DECQ R15
	JNZ ints
	RET
floats:
	FLOATS(0, Z16)
	VMOVUPS Z0, (R12)
	FLOATS(1024, Z17)
	VMOVUPS Z0, 64(R12)
	ADDQ R13, R12
	ADDQ $64, R10
	DECQ R15
	JNZ floats
	RET

// emit16 is emit32 for 16 channels.
TEXT emit16<>(SB), NOSPLIT, $0-0
	MOVQ tileArgs_dstStride(DI), R13
	MOVLQSX 4(R8), R12
	IMULQ R13, R12
	ADDQ tileArgs_dst(DI), R12
	MOVQ tileArgs_rows(DI), R15
	MOVQ tileArgs_mode(DI), R11
	CMPQ R11, $1
	JEQ ints
	JGT floats
bytes:
	BYTES4(64, 128, 192, Z16)
	VMOVDQU X0, (R12)
	SUBQ $4, R15
	JLT some
	LEAQ (R12)(R13*2), R11
	VEXTRACTI32X4 $1, Z0, (R12)(R13*1)
	VEXTRACTI32X4 $2, Z0, (R11)
	VEXTRACTI32X4 $3, Z0, (R11)(R13*1)
	LEAQ (R12)(R13*4), R12
	ADDQ $256, R10
	TESTQ R15, R15
	JNZ bytes
	RET
some: // the first of one to three is written
	CMPQ R15, $-3
	JEQ done
	VEXTRACTI32X4 $1, Z0, (R12)(R13*1)
	CMPQ R15, $-2
	JEQ done
	VEXTRACTI32X4 $2, Z0, (R12)(R13*2)
done:
	RET
ints:
	VMOVDQU64 (R10), Z0
	VMOVDQU64 Z0, (R12)
	ADDQ R13, R12
	ADDQ $64, R10
	DECQ R15
	JNZ ints
	RET
floats:
	FLOATS(0, Z16)
	VMOVUPS Z0, (R12)
	ADDQ R13, R12
	ADDQ $64, R10
	DECQ R15
	JNZ floats
	RET
