package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS. The quiet ordered ones are false for a NaN, the
// unordered ones true.
const (
	cmpEQ    = 0x00
	cmpUNORD = 0x03
	cmpEQU   = 0x08 // equal or unordered
	cmpLT    = 0x11
	cmpNLE   = 0x16 // not less or equal
	cmpNGE   = 0x19 // not greater or equal
	cmpGE    = 0x1d
	cmpGT    = 0x1e
)

// constants holds the read-only vectors of the file being generated.
var constants = map[uint32]Mem{}

// kbits is a vector of eight copies of a 32-bit word, in memory.
func kbits(v uint32) Mem {
	if m, ok := constants[v]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("k%08x", v), RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(v))
	}
	constants[v] = m
	return m
}

// k is a vector of eight copies of v, in memory.
func k(v float64) Mem { return kbits(math.Float32bits(float32(v))) }

// tailMasks is the address of eight words of ones followed by eight of zeros.
var tailMasks *Mem

// tailMask returns the mask of the first n of eight lanes, 0 < n < 8, for
// VMASKMOVPS. It destroys n.
func tailMask(n Register) VecVirtual {
	if tailMasks == nil {
		m := GLOBL("tailmasks", RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(0xffffffff))
		}
		for i := range 8 {
			DATA(32+4*i, U32(0))
		}
		tailMasks = &m
	}
	base := GP64()
	LEAQ(*tailMasks, base)
	NEGQ(n)
	mask := YMM()
	VMOVUPS(Mem{Base: base, Index: n, Scale: 4, Disp: 32}, mask)
	return mask
}

func ld(m Op) VecVirtual { d := YMM(); VMOVUPS(m, d); return d }

func zero() VecVirtual { d := YMM(); VXORPS(d, d, d); return d }

func mul(a VecVirtual, b Op) VecVirtual { d := YMM(); VMULPS(b, a, d); return d }
func add(a VecVirtual, b Op) VecVirtual { d := YMM(); VADDPS(b, a, d); return d }
func sub(a VecVirtual, b Op) VecVirtual { d := YMM(); VSUBPS(b, a, d); return d }
func div(a VecVirtual, b Op) VecVirtual { d := YMM(); VDIVPS(b, a, d); return d }

// maxK is max(lo, x), and x if x is a NaN.
func maxK(x VecVirtual, lo Op) VecVirtual { d := ld(lo); VMAXPS(x, d, d); return d }

// minK is min(hi, x), and x if x is a NaN.
func minK(x VecVirtual, hi Op) VecVirtual { d := ld(hi); VMINPS(x, d, d); return d }

func and(a VecVirtual, b Op) VecVirtual { d := YMM(); VANDPS(b, a, d); return d }
func or(a VecVirtual, b Op) VecVirtual  { d := YMM(); VORPS(b, a, d); return d }
func xor(a VecVirtual, b Op) VecVirtual { d := YMM(); VXORPS(b, a, d); return d }

// andNot is b without the bits of a.
func andNot(a VecVirtual, b Op) VecVirtual { d := YMM(); VANDNPS(b, a, d); return d }

// cmp is the mask of the lanes where a pred b.
func cmp(pred uint8, a VecVirtual, b Op) VecVirtual {
	d := YMM()
	VCMPPS(Imm(uint64(pred)), b, a, d)
	return d
}

// blend takes t where the sign bit of mask is set, e elsewhere.
func blend(mask VecVirtual, t Op, e VecVirtual) VecVirtual {
	d := YMM()
	VBLENDVPS(mask, t, e, d)
	return d
}

// fma213 makes y = y*x + c.
func fma213(y, x VecVirtual, c Op) { VFMADD213PS(c, x, y) }

// fma231 makes y += a*b.
func fma231(y, a VecVirtual, b Op) { VFMADD231PS(b, a, y) }

// fnma231 makes y -= a*b.
func fnma231(y, a VecVirtual, b Op) { VFNMADD231PS(b, a, y) }

// fma is a*b + c in a register of its own.
func fma(a VecVirtual, b Op, c Op) VecVirtual {
	d := ld(c)
	VFMADD231PS(b, a, d)
	return d
}

// fnma is c - a*b in a register of its own.
func fnma(a VecVirtual, b Op, c Op) VecVirtual {
	d := ld(c)
	VFNMADD231PS(b, a, d)
	return d
}

// sumLanes returns the sum of the eight lanes of v in the first lane.
func sumLanes(v VecVirtual) VecVirtual {
	return foldLanes(v, func(a, b, d VecVirtual) { VADDPS(a, b, d) })
}

// foldLanes reduces the eight lanes of v to one.
func foldLanes(v VecVirtual, join func(a, b, d VecVirtual)) VecVirtual {
	h := YMM()
	VEXTRACTF128(Imm(1), v, h.AsX())
	join(h, v, v)
	VPERMILPS(Imm(0x4e), v, h)
	join(h, v, v)
	VPERMILPS(Imm(0xb1), v, h)
	join(h, v, v)
	return v
}
