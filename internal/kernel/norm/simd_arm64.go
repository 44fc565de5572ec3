//go:build arm64 && !purego

package norm

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 norm ../norm/norm_arm64.s ../norm/stubs_arm64.go

// periods calls body for one row of coefficients after the other, and the rest.
func periods(n, period int, body func(lo, hi int)) int {
	if level < cpu.NEON {
		return 0
	}
	for i := 0; i < n; i += period {
		body(i, min(i+period, n))
	}
	return n
}

func forwardSIMD(dst, src []float32, k *coefficients, lo, hi float32, _ bool) int {
	return periods(len(dst), len(k.scale), func(i, j int) {
		_ = src[j-1]
		forwardNEON(&dst[i], &src[i], &k.scale[0], &k.shift[:len(k.scale)][0], j-i, lo, hi)
	})
}

func forwardAddSIMD(dst, src, add []float32, k *coefficients, lo, hi float32, _ bool) int {
	return periods(len(dst), len(k.scale), func(i, j int) {
		_, _ = src[j-1], add[j-1]
		forwardAddNEON(&dst[i], &src[i], &k.scale[0], &k.shift[:len(k.scale)][0], &add[i], j-i, lo, hi)
	})
}

func backwardSIMD(dx, g, x []float32, k *coefficients, _ bool) int {
	return periods(len(dx), len(k.a), func(i, j int) {
		_, _ = g[j-1], x[j-1]
		backwardNEON(&dx[i], &g[i], &x[i], &k.a[0], &k.b[:len(k.a)][0], &k.c[:len(k.a)][0], j-i)
	})
}

func backwardClampSIMD(dx, dy, x []float32, k *coefficients, lo, hi float32, _ bool) int {
	return periods(len(dx), len(k.a), func(i, j int) {
		_, _ = dy[j-1], x[j-1]
		scale, shift, b, c := k.scale[:len(k.a)], k.shift[:len(k.a)], k.b[:len(k.a)], k.c[:len(k.a)]
		backwardClampNEON(&dx[i], &dy[i], &x[i], &scale[0], &shift[0], &k.a[0], &b[0], &c[0], j-i, lo, hi)
	})
}

func momentsSIMD(sum, dot, x, m []float32, rows, n, stride int) bool {
	if level < cpu.NEON || rows == 0 || n == 0 {
		return false
	}
	_, _, _, _ = sum[n-1], dot[n-1], x[(rows-1)*stride+n-1], m[n-1]
	momentsNEON(&sum[0], &dot[0], &x[0], &m[0], rows, n, 4*stride)
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
