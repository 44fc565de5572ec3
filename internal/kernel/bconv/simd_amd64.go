//go:build !purego

package bconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate sh -c "cd ../_asm && go run . bconv -out ../bconv/kernels_amd64.s -stubs ../bconv/kernels_amd64.go -pkg bconv"

// hasTiles reports whether the vector path runs at a level.
func hasTiles(l cpu.Level) bool { return l >= cpu.AVX2 }

// hasPack reports whether packVector runs at a level, with thresholds or
// without.
func hasPack(l cpu.Level, _ bool) bool { return hasTiles(l) }

// hasCount reports whether countDifferences runs at a level: tables are quicker.
func hasCount(cpu.Level) bool { return false }

func countDifferences([]int32, []uint64, []uint64, []uint64) {}

// runTiles computes a.tiles tiles of so many pixels by so many vectors of
// channels.
func runTiles(args *tileArgs, rows, vecs int) {
	a := (*byte)(unsafe.Pointer(args))
	if vecs == wide {
		tiles32(a, rows)
		return
	}
	tiles16(a, rows)
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
func packVector(dst []uint64, src, above []float32, pixels, octets, words, stride int) {
	if above == nil {
		packSignsAVX2(&dst[0], &src[0], &zeros[0], pixels, octets, 8*words, 4*stride, 0)
		return
	}
	packSignsAVX2(&dst[0], &src[0], &above[0], pixels, octets, 8*words, 4*stride, 4*len(zeros))
}

// zeros are what signs are told by without thresholds.
var zeros [8]float32

// expand writes the offsets of the tables of consecutive pixels, which are so
// many words in src and octets in dst.
func expand(dst []uint16, src []uint64, pixels, words, octets int) {
	if pixels > 0 {
		expandSignsAVX2(&dst[0], &src[0], pixels, words, 2*octets)
	}
}
