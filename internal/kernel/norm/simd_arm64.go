//go:build arm64 && !purego

package norm

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 norm ../norm/norm_arm64.s ../norm/stubs_arm64.go

func forwardSIMD(dst, src, scale, shift, add []float32, lo, hi float32) bool {
	if level < cpu.NEON {
		return false
	}
	n := len(dst)
	_, _, _, _ = src[n-1], scale[n-1], shift[n-1], add[n-1]
	forwardNEON(&dst[0], &src[0], &scale[0], &shift[0], &add[0], n, lo, hi)
	return true
}

func backwardSIMD(dx, g, x, a, b, c []float32) bool {
	if level < cpu.NEON {
		return false
	}
	n := len(dx)
	_, _, _, _, _ = g[n-1], x[n-1], a[n-1], b[n-1], c[n-1]
	backwardNEON(&dx[0], &g[0], &x[0], &a[0], &b[0], &c[0], n)
	return true
}

func backwardClampSIMD(dx, dy, x, scale, shift, a, b, c []float32, lo, hi float32) bool {
	if level < cpu.NEON {
		return false
	}
	n := len(dx)
	_, _, _, _ = dy[n-1], x[n-1], scale[n-1], shift[n-1]
	_, _, _ = a[n-1], b[n-1], c[n-1]
	backwardClampNEON(&dx[0], &dy[0], &x[0], &scale[0], &shift[0], &a[0], &b[0], &c[0], n, lo, hi)
	return true
}

func columnsSIMD(sum, dot, dy, x, m, scale, shift []float32, rows, n, stride int, lo, hi float32) bool {
	if level < cpu.NEON || rows == 0 || n == 0 {
		return false
	}
	last := (rows-1)*stride + n - 1
	_, _, _, _, _ = dy[last], x[last], m[n-1], scale[n-1], shift[n-1]
	columnsNEON(&sum[0], &dot[0], &dy[0], &x[0], &m[0], &scale[0], &shift[0], rows, n, 4*stride, lo, hi)
	return true
}

func columnsAddSIMD(sum, dot, out, dy, x, y, m []float32, rows, n, stride int, lo, hi float32) bool {
	if level < cpu.NEON || rows == 0 || n == 0 {
		return false
	}
	last := (rows-1)*stride + n - 1
	_, _, _, _, _ = out[last], dy[last], x[last], y[last], m[n-1]
	columnsAddNEON(&sum[0], &dot[0], &out[0], &dy[0], &x[0], &y[0], &m[0], rows, n, 4*stride, lo, hi)
	return true
}
