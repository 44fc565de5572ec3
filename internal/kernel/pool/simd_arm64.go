//go:build !purego

package pool

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 pool ../pool/pool_arm64.s ../pool/stubs_arm64.go

// The functions of this file run the NEON version of a kernel if level allows
// it, and tell whether they did.

func maxWindowsSIMD(dst, src []float32, win *window, first bool, row *run) bool {
	if level < cpu.NEON || row.c == 0 {
		return false
	}
	for i := range row.n {
		maxWindowNEON(&dst[i*row.dstStep], &src[i*row.srcStep], row.c, win.kh, win.kw, 4*win.sh, 4*win.sw, !first)
	}
	return true
}

func sumWindowsSIMD(dst, src []float32, win *window, first bool, scale float32, row *run) bool {
	if level < cpu.NEON || row.c == 0 {
		return false
	}
	for i := range row.n {
		sumWindowNEON(&dst[i*row.dstStep], &src[i*row.srcStep], row.c, win.kh, win.kw, 4*win.sh, 4*win.sw, !first, scale)
	}
	return true
}

func maxIndexSIMD(dst []float32, index []int32, src []float32, win *window, first bool, at place) bool {
	if level < cpu.NEON || len(dst) == 0 {
		return false
	}
	maxIndexWindowNEON(&dst[0], &src[0], len(dst), win.kh, win.kw, 4*win.sh, 4*win.sw, !first, &index[0], at.first, at.row, at.column)
	return true
}

func addWhereSIMD(dx, dy []float32, index []int32, at int32) bool {
	if level < cpu.NEON || len(dx) == 0 {
		return false
	}
	addWhereNEON(&dx[0], &dy[0], &index[0], len(dx), at)
	return true
}

// hasGradWindows tells whether maxGradWindows is no slower than by indices.
func hasGradWindows() bool { return level < cpu.NEON }

func maxGradWindowsSIMD(_, _, _ []float32, _ *window, _ *run) bool { return false }
