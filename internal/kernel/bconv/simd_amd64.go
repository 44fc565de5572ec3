//go:build !purego

package bconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate sh -c "cd ../_asm && go run . bconv -out ../bconv/kernels_amd64.s -stubs ../bconv/kernels_amd64.go -pkg bconv"

//go:generate sh -c "cd ../_asm && go run . bcount -out ../bconv/count_amd64.s -stubs ../bconv/count_amd64.go -pkg bconv"

// hasCounts reports whether the path by vectors of population counts runs at a
// level.
func hasCounts(l cpu.Level) bool { return l >= cpu.VBMI }

// runCounts computes a.tiles tiles of so many pixels, by steps of so many words.
func runCounts(args *countArgs, rows, words int) {
	a := (*byte)(unsafe.Pointer(args))
	switch words {
	case 9:
		counts9(a, rows)
	case 3:
		counts3(a, rows)
	default:
		counts(a, rows)
	}
}

func counts9(a *byte, rows int) {
	switch rows {
	case 1:
		bcount9x1(a)
	case 2:
		bcount9x2(a)
	case 3:
		bcount9x3(a)
	case 4:
		bcount9x4(a)
	case 5:
		bcount9x5(a)
	case 6:
		bcount9x6(a)
	case 7:
		bcount9x7(a)
	default:
		bcount9x8(a)
	}
}

func counts3(a *byte, rows int) {
	switch rows {
	case 1:
		bcount3x1(a)
	case 2:
		bcount3x2(a)
	case 3:
		bcount3x3(a)
	case 4:
		bcount3x4(a)
	case 5:
		bcount3x5(a)
	case 6:
		bcount3x6(a)
	case 7:
		bcount3x7(a)
	default:
		bcount3x8(a)
	}
}

func counts(a *byte, rows int) {
	switch rows {
	case 1:
		bcountx1(a)
	case 2:
		bcountx2(a)
	case 3:
		bcountx3(a)
	case 4:
		bcountx4(a)
	case 5:
		bcountx5(a)
	case 6:
		bcountx6(a)
	case 7:
		bcountx7(a)
	default:
		bcountx8(a)
	}
}

// narrow writes the first bytes of words, size each, of eight pixels at a time
// and returns how many it has done.
func narrow(dst []byte, src []uint64, pixels, size int) int {
	eights := pixels / 8
	if eights == 0 {
		return 0
	}
	switch _ = dst[8*eights*size-1]; size {
	case 1:
		narrowSigns1(&dst[0], &src[0], eights)
	case 2:
		narrowSigns2(&dst[0], &src[0], eights)
	case 4:
		narrowSigns4(&dst[0], &src[0], eights)
	default:
		return 0
	}
	return 8 * eights
}

// hasTiles reports whether the path by tables runs at a level.
func hasTiles(l cpu.Level) bool { return l >= cpu.AVX2 }

// hasPack reports whether packVector runs at a level, with thresholds or
// without.
func hasPack(l cpu.Level, _ bool) bool { return hasTiles(l) }

// hasCount reports whether countDifferences runs at a level: tables are quicker.
func hasCount(cpu.Level) bool { return false }

func countDifferences([]int32, []uint64, []uint64, []uint64) {}

// runTiles computes a.tiles tiles of so many pixels by so many vectors of
// channels.
func runTiles(level cpu.Level, args *tileArgs, rows, vecs int) {
	a := (*byte)(unsafe.Pointer(args))
	switch {
	case vecs == widest:
		tiles64(a, rows)
	case vecs == wide && level >= cpu.AVX512:
		tiles32wide(a, rows)
	case vecs == wide:
		tiles32(a, rows)
	default:
		tiles16(a, rows)
	}
}

// hasWidest reports whether there are kernels for panels of that width.
func hasWidest(l cpu.Level) bool { return l >= cpu.AVX512 }

func tiles64(a *byte, rows int) {
	switch rows {
	case 1:
		btileAVX512x1x64(a)
	case 2:
		btileAVX512x2x64(a)
	case 3:
		btileAVX512x3x64(a)
	case 4:
		btileAVX512x4x64(a)
	case 5:
		btileAVX512x5x64(a)
	default:
		btileAVX512x6x64(a)
	}
}

// tileName is what the path by tables is called in profiles.
func tileName(level cpu.Level) string {
	if level >= cpu.AVX512 {
		return "avx512 lookup 6x64"
	}
	return "avx2 lookup 6x32"
}

func tiles32wide(a *byte, rows int) {
	switch rows {
	case 1:
		btileAVX512x1x32(a)
	case 2:
		btileAVX512x2x32(a)
	case 3:
		btileAVX512x3x32(a)
	case 4:
		btileAVX512x4x32(a)
	case 5:
		btileAVX512x5x32(a)
	default:
		btileAVX512x6x32(a)
	}
}

func tiles32(a *byte, rows int) {
	switch rows {
	case 1:
		btileAVX2x1x32(a)
	case 2:
		btileAVX2x2x32(a)
	case 3:
		btileAVX2x3x32(a)
	case 4:
		btileAVX2x4x32(a)
	case 5:
		btileAVX2x5x32(a)
	default:
		btileAVX2x6x32(a)
	}
}

func tiles16(a *byte, rows int) {
	switch rows {
	case 1:
		btileAVX2x1x16(a)
	case 2:
		btileAVX2x2x16(a)
	case 3:
		btileAVX2x3x16(a)
	case 4:
		btileAVX2x4x16(a)
	case 5:
		btileAVX2x5x16(a)
	default:
		btileAVX2x6x16(a)
	}
}

// packVector writes the signs of octets of channels of consecutive pixels.
func packVector(level cpu.Level, dst []uint64, src, above []float32, pixels, octets, words, stride int) {
	least, step := &zeros[0], 0
	if above != nil {
		least, step = &above[0], 4*8
	}
	if level >= cpu.AVX512 {
		packSignsAVX512(&dst[0], &src[0], least, pixels, octets, 8*words, 4*stride, 2*step)
		return
	}
	packSignsAVX2(&dst[0], &src[0], least, pixels, octets, 8*words, 4*stride, step)
}

// zeros are what signs are told by without thresholds.
var zeros [16]float32

// expand writes the offsets of the tables of consecutive pixels, which are so
// many words in src and octets in dst.
func expand(dst []uint16, src []uint64, pixels, words, octets int) {
	if pixels > 0 {
		expandSignsAVX2(&dst[0], &src[0], pixels, words, 2*octets)
	}
}
