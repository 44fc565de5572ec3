//go:build !purego

package pool

import "github.com/drawknife/drawknife/internal/cpu"

// The functions of this file run the AVX2 version of a kernel if level allows
// it, and tell whether they did.

func maxWindowsSIMD(dst, src []float32, win *window, first bool, row *run) bool {
	if level < cpu.AVX2 || row.c == 0 {
		return false
	}
	maxWindowAVX2(&dst[0], &src[0], row.c, win.kh, win.kw, 4*win.sh, 4*win.sw, !first, row.n, 4*row.dstStep, 4*row.srcStep)
	return true
}

func sumWindowsSIMD(dst, src []float32, win *window, first bool, scale float32, row *run) bool {
	if level < cpu.AVX2 || row.c == 0 {
		return false
	}
	sumWindowAVX2(&dst[0], &src[0], row.c, win.kh, win.kw, 4*win.sh, 4*win.sw, !first, scale, row.n, 4*row.dstStep, 4*row.srcStep)
	return true
}

func maxIndexSIMD(dst []float32, index []int32, src []float32, win *window, first bool, at place) bool {
	if level < cpu.AVX2 || len(dst) == 0 {
		return false
	}
	maxIndexWindowAVX2(&dst[0], &src[0], len(dst), win.kh, win.kw, 4*win.sh, 4*win.sw, !first, &index[0], at.first, at.row, at.column)
	return true
}

func addWhereSIMD(dx, dy []float32, index []int32, at int32) bool {
	if level < cpu.AVX2 || len(dx) == 0 {
		return false
	}
	addWhereAVX2(&dx[0], &dy[0], &index[0], len(dx), at)
	return true
}

// hasGradWindows tells whether maxGradWindows is no slower than by indices.
func hasGradWindows() bool { return true }

func maxGradWindowsSIMD(dx, dy, src []float32, win *window, row *run) bool {
	if level < cpu.AVX2 || row.c == 0 {
		return false
	}
	maxGradWindowsAVX2(&dx[0], &dy[0], &src[0], row.c, win.kh, win.kw, 4*win.sh, 4*win.sw, row.n, 4*row.dstStep, 4*row.srcStep)
	return true
}
