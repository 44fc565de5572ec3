//go:build !purego

package qvec

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate go -C ../_asm run ./arm64 qvec ../qvec/kernels_arm64.s

// hasSIMD says whether there is vector code to test.
var hasSIMD = cpu.Has(cpu.NEON)

// useSIMD is off on a CPU without NEON, or where the environment says so.
var useSIMD = cpu.Best() >= cpu.NEON

// There are no wider vectors.
const hasWide, hasVBMI = false, false

var useWide, useVBMI bool

// The functions below process a prefix of their arguments with vector code
// and return its length.

func quantizeSIMD(dst []uint8, src []float32, scale float32, zero, flip uint8) int {
	n := len(src) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	quantizeNEON(&dst[:n][0], &src[0], n, scale, uint32(zero), uint32(flip))
	return n
}

func dequantizeSIMD(dst []float32, src []uint8, scale float32, zero, flip uint8) int {
	n := len(src) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	dequantizeNEON(&dst[:n][0], &src[0], n, scale, uint32(zero), uint32(flip))
	return n
}

func minMaxSIMD(x []float32) (lo, hi float32, n int) {
	lo, hi, n = inf, -inf, len(x)&^7
	if !useSIMD || n == 0 {
		return lo, hi, 0
	}
	var ends [16]float32
	for i := range 8 {
		ends[i], ends[8+i] = lo, hi
	}
	minMaxNEON(&x[0], n, &ends)
	for i := range 8 {
		lo, hi = min(lo, ends[i]), max(hi, ends[8+i])
	}
	return lo, hi, n
}

func addSIMD(dst, a, b []uint8, p *AddParams) int {
	n := len(a) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	addNEON(&dst[:n][0], &a[0], &b[:n][0], n, (*byte)(unsafe.Pointer(p)))
	return n
}

func mulSIMD(dst, a, b []uint8, p *MulParams) int {
	n := len(a) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	mulNEON(&dst[:n][0], &a[0], &b[:n][0], n, (*byte)(unsafe.Pointer(p)))
	return n
}

func lutSIMD(dst, src []uint8, table *[256]uint8) int {
	n := len(src) &^ 31
	if !useSIMD || n == 0 {
		return 0
	}
	lutNEON(&dst[:n][0], &src[0], n, table)
	return n
}

// maxSIMD and sumSIMD reduce over the pixels at offs, which the caller has
// checked to lie within src.
// maxSIMD reduces the first channels of pixels that lie srcStep and dstStep apart, and
// returns their number.
func maxSIMD(dst, src []uint8, offs []int, channels, pixels, srcStep, dstStep int) int {
	n := channels &^ 31
	if !useSIMD || n == 0 || len(offs) == 0 {
		return 0
	}
	for i := range pixels {
		maxTapsNEON(&dst[i*dstStep], &src[i*srcStep], &offs[0], len(offs), n)
	}
	return n
}

func sumSIMD(sums []int32, src []uint8, offs []int) int {
	n := len(sums) &^ 7
	if !useSIMD || n == 0 || len(offs) == 0 {
		return 0
	}
	sumTapsNEON(&sums[0], &src[0], &offs[0], len(offs), n)
	return n
}

func averageSIMD(dst []uint8, sums []int32, off int32, m float32, p *AverageParams) int {
	n := len(sums) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	averageNEON(&dst[:n][0], &sums[0], n, off, m, uint32(p.ZeroY), uint32(p.Min), uint32(p.Max))
	return n
}

// scaleShiftSIMD processes the first channels of every row and returns their number.
func scaleShiftSIMD(dst, src []uint8, r Rows, scale, shift []float32, lo, hi float32) int {
	n := len(scale) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	scaleShiftNEON(&dst[0], &src[0], r.N, n, r.DstStep, r.SrcStep, &scale[0], &shift[0], lo, hi)
	return n
}

//go:noescape
func scaleShiftNEON(dst, src *uint8, rows, n, dstStep, srcStep int, scale, shift *float32, lo, hi float32)

//go:noescape
func addNEON(dst, a, b *uint8, n int, p *byte)

//go:noescape
func mulNEON(dst, a, b *uint8, n int, p *byte)

//go:noescape
func quantizeNEON(dst *uint8, src *float32, n int, scale float32, zero, flip uint32)

//go:noescape
func dequantizeNEON(dst *float32, src *uint8, n int, scale float32, zero, flip uint32)

//go:noescape
func averageNEON(dst *uint8, sums *int32, n int, off int32, m float32, zero, lo, hi uint32)

//go:noescape
func lutNEON(dst, src *uint8, n int, table *[256]uint8)

//go:noescape
func maxTapsNEON(dst, src *uint8, offs *int, taps, n int)

//go:noescape
func sumTapsNEON(dst *int32, src *uint8, offs *int, taps, n int)

//go:noescape
func minMaxNEON(x *float32, n int, out *[16]float32)

func interleaveSIMD(dst, a, b []uint8) int { return 0 }
