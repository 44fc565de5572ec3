//go:build !purego

package bconv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 bconv ../bconv/kernels_arm64.s ../bconv/stubs_arm64.go

// hasTiles reports whether the path by tables runs at a level: at none, since
// NEON counts bits as quickly as it looks them up.
func hasTiles(cpu.Level) bool { return false }

// hasCounts reports whether the path by vectors of population counts runs at a
// level: at none.
func hasCounts(cpu.Level) bool { return false }

func runCounts(*countArgs, int, int) {}

func xorPlanes(*byte, int, int) {}

func xorRows(*byte, int, int) {}

func narrow([]byte, []uint64, int, int) int { return 0 }

func runTiles(cpu.Level, *tileArgs, int, int) {}

func hasWidest(cpu.Level) bool { return false }

func tileName(cpu.Level) string { return "" }

func expand([]uint16, []uint64, int, int, int) {}

// hasPack reports whether packVector runs at a level, with thresholds or
// without.
func hasPack(l cpu.Level, thresholds bool) bool { return l >= cpu.NEON && !thresholds }

// packVector writes the signs of octets of channels of consecutive pixels; it
// knows no thresholds.
func packVector(_ cpu.Level, dst []uint64, src, _ []float32, pixels, octets, words, stride int) {
	packSignsNEON(&dst[0], &src[0], pixels, octets, 8*words, 4*stride)
}

// hasCount reports whether countDifferences runs at a level.
func hasCount(l cpu.Level) bool { return l >= cpu.NEON }

// countDifferences counts, for each of sums, the bits in which column differs
// from a row of weights of its length; with a mask, those it lets through.
func countDifferences(sums []int32, column, mask, weights []uint64) {
	_ = weights[len(sums)*len(column)-1]
	if mask == nil {
		countNEON(&sums[0], &column[0], &weights[0], len(column), len(sums))
		return
	}
	countMaskedNEON(&sums[0], &column[0], &mask[:len(column)][0], &weights[0], len(column), len(sums))
}
