//go:build !purego

package qvec

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate sh -c "cd ../_asm && go run . qvec -out ../qvec/kernels_amd64.s -stubs ../qvec/kernels_amd64.go -pkg qvec"

// hasSIMD says whether there is vector code to test.
var hasSIMD = cpu.Has(cpu.AVX2)

// useSIMD is off on a CPU without AVX2, or where the environment says so.
var useSIMD = cpu.Best() >= cpu.AVX2

// hasWide and useWide are the same of AVX-512, hasVBMI and useVBMI of what needs
// VBMI too.
var (
	hasWide, hasVBMI = cpu.Has(cpu.AVX512), cpu.Has(cpu.VBMI)
	useWide, useVBMI = cpu.Best() >= cpu.AVX512, cpu.Best() >= cpu.VBMI
)

// The functions below process a prefix of their arguments with vector code
// and return its length.

func quantizeSIMD(dst []uint8, src []float32, scale float32, zero, flip uint8) int {
	n := len(src) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	quantizeAVX2(&dst[:n][0], &src[0], n, scale, uint32(zero), uint32(flip))
	return n
}

func dequantizeSIMD(dst []float32, src []uint8, scale float32, zero, flip uint8) int {
	n := len(src) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	dequantizeAVX2(&dst[:n][0], &src[0], n, scale, uint32(zero), uint32(flip))
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
	minMaxAVX2(&x[0], n, &ends)
	for i := range 8 {
		lo, hi = min(lo, ends[i]), max(hi, ends[8+i])
	}
	return lo, hi, n
}

// fused is how many of n elements the fused kernels compute: none where a sum or a
// product of two values, or its quotient, might leave the range in which their
// remainders are exact, or that of an int32.
func (p *AddParams) fused(n int) int {
	const least, most, limit = 1.0 / (1 << 20), 1 << 20, 1 << 13
	for _, s := range [...]float32{p.ScaleA, p.ScaleB, p.ScaleY} {
		if !(s >= least && s <= most) {
			return 0
		}
	}
	if !(p.ScaleA/p.ScaleY <= limit && p.ScaleB/p.ScaleY <= limit && p.ScaleA*p.ScaleB/p.ScaleY <= limit) {
		return 0
	}
	return n &^ 63
}

func addSIMD(dst, a, b []uint8, p *AddParams) int {
	if useSIMD && useWide && len(a) > 0 {
		n := p.fused(len(a))
		switch {
		case n > 0 && useVBMI:
			addFusedVBMI(&dst[0], &a[0], &b[0], n, (*byte)(unsafe.Pointer(p)), 1/p.ScaleY)
		case n > 0:
			addFusedAVX512(&dst[0], &a[0], &b[0], n, (*byte)(unsafe.Pointer(p)), 1/p.ScaleY)
		}
		if n < len(a) {
			addAVX512(&dst[n], &a[n], &b[n], len(a)-n, (*byte)(unsafe.Pointer(p)))
		}
		return len(a)
	}
	n := len(a) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	addAVX2(&dst[:n][0], &a[0], &b[:n][0], n, (*byte)(unsafe.Pointer(p)))
	return n
}

func mulSIMD(dst, a, b []uint8, p *MulParams) int {
	if useSIMD && useWide && len(a) > 0 {
		n := p.fused(len(a))
		switch {
		case n > 0 && useVBMI:
			mulFusedVBMI(&dst[0], &a[0], &b[0], n, (*byte)(unsafe.Pointer(p)), 1/p.ScaleY)
		case n > 0:
			mulFusedAVX512(&dst[0], &a[0], &b[0], n, (*byte)(unsafe.Pointer(p)), 1/p.ScaleY)
		}
		if n < len(a) {
			mulAVX512(&dst[n], &a[n], &b[n], len(a)-n, (*byte)(unsafe.Pointer(p)))
		}
		return len(a)
	}
	n := len(a) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	mulAVX2(&dst[:n][0], &a[0], &b[:n][0], n, (*byte)(unsafe.Pointer(p)))
	return n
}

func lutSIMD(dst, src []uint8, table *[256]uint8) int {
	if useSIMD && useVBMI && len(src) > 0 {
		lutVBMI(&dst[0], &src[0], len(src), table)
		return len(src)
	}
	n := len(src) &^ 31
	if !useSIMD || n == 0 {
		return 0
	}
	lutAVX2(&dst[:n][0], &src[0], n, table)
	return n
}

// maxSIMD and sumSIMD reduce over the pixels at offs, which the caller has
// checked to lie within src.
// maxSIMD reduces the first channels of pixels that lie srcStep and dstStep apart, and
// returns their number.
func maxSIMD(dst, src []uint8, offs []int, channels, pixels, srcStep, dstStep int) int {
	n := channels &^ 7
	switch {
	case len(offs) == 0 || channels*pixels == 0:
		return 0
	case useWide:
		maxTapsAVX512(&dst[0], &src[0], &offs[0], len(offs), channels, pixels, srcStep, dstStep)
		return channels
	case !useSIMD || n == 0:
		return 0
	}
	for i := range pixels {
		maxTapsAVX2(&dst[i*dstStep], &src[i*srcStep], &offs[0], len(offs), n)
	}
	return n
}

func sumSIMD(sums []int32, src []uint8, offs []int) int {
	n := len(sums) &^ 7
	if !useSIMD || n == 0 || len(offs) == 0 {
		return 0
	}
	done := 0
	if useWide {
		if done = n &^ 15; done > 0 {
			sumTapsAVX512(&sums[0], &src[0], &offs[0], len(offs), done)
		}
	}
	if done < n {
		sumTapsAVX2(&sums[done], &src[done], &offs[0], len(offs), n-done)
	}
	return n
}

func averageSIMD(dst []uint8, sums []int32, off int32, m float32, p *AverageParams) int {
	n := len(sums) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	averageAVX2(&dst[:n][0], &sums[0], n, off, m, uint32(p.ZeroY), uint32(p.Min), uint32(p.Max))
	return n
}

func interleaveSIMD(dst, a, b []uint8) int {
	n := len(a) &^ 15
	if !useSIMD || n == 0 {
		return 0
	}
	interleaveAVX2(&dst[0], &a[0], &b[0], n)
	return n
}

// scaleShiftSIMD processes the first channels of every row and returns their number.
func scaleShiftSIMD(dst, src []uint8, r Rows, scale, shift []float32, lo, hi float32) int {
	if useSIMD && useWide {
		scaleShiftAVX512(&dst[0], &src[0], r.N, len(scale), r.DstStep, r.SrcStep, &scale[0], &shift[0], lo, hi)
		return len(scale)
	}
	n := len(scale) &^ 7
	if !useSIMD || n == 0 {
		return 0
	}
	scaleShiftAVX2(&dst[0], &src[0], r.N, n, r.DstStep, r.SrcStep, &scale[0], &shift[0], lo, hi)
	return n
}
