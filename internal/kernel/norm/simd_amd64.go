//go:build amd64 && !purego

package norm

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

// lanes is the number of floats of a vector at the current level, 0 for none.
func lanes() int {
	switch {
	case level >= cpu.AVX512:
		return 16
	case level >= cpu.AVX2:
		return 8
	}
	return 0
}

// whole is the number of elements in whole vectors, and whether they can be
// streamed to dst.
func whole(dst []float32, stream bool) (n int, streams bool) {
	w := lanes()
	if w == 0 || len(dst) < w {
		return 0, false
	}
	return len(dst) &^ (w - 1), stream && uintptr(unsafe.Pointer(&dst[0]))%uintptr(4*w) == 0
}

func forwardSIMD(dst, src []float32, k *coefficients, lo, hi float32, stream bool) int {
	n, stream := whole(dst, stream)
	if n == 0 {
		return 0
	}
	_, scale, shift := src[n-1], k.scale, k.shift[:len(k.scale)]
	switch {
	case lanes() == 16 && stream:
		forwardStreamAVX512(&dst[0], &src[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	case lanes() == 16:
		forwardAVX512(&dst[0], &src[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	case stream:
		forwardStreamAVX2(&dst[0], &src[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	default:
		forwardAVX2(&dst[0], &src[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	}
	return n
}

func forwardAddSIMD(dst, src, add []float32, k *coefficients, lo, hi float32, stream bool) int {
	n, stream := whole(dst, stream)
	if n == 0 {
		return 0
	}
	_, _, scale, shift := src[n-1], add[n-1], k.scale, k.shift[:len(k.scale)]
	switch {
	case lanes() == 16 && stream:
		forwardAddStreamAVX512(&dst[0], &src[0], &add[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	case lanes() == 16:
		forwardAddAVX512(&dst[0], &src[0], &add[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	case stream:
		forwardAddStreamAVX2(&dst[0], &src[0], &add[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	default:
		forwardAddAVX2(&dst[0], &src[0], &add[0], &scale[0], &shift[0], n, len(scale), lo, hi)
	}
	return n
}

func backwardSIMD(dx, g, x []float32, k *coefficients, stream bool) int {
	n, stream := whole(dx, stream)
	if n == 0 {
		return 0
	}
	_, _, a, b, c := g[n-1], x[n-1], k.a, k.b[:len(k.a)], k.c[:len(k.a)]
	switch {
	case lanes() == 16 && stream:
		backwardStreamAVX512(&dx[0], &g[0], &x[0], &a[0], &b[0], &c[0], n, len(a), 0, 0)
	case lanes() == 16:
		backwardAVX512(&dx[0], &g[0], &x[0], &a[0], &b[0], &c[0], n, len(a), 0, 0)
	case stream:
		backwardStreamAVX2(&dx[0], &g[0], &x[0], &a[0], &b[0], &c[0], n, len(a), 0, 0)
	default:
		backwardAVX2(&dx[0], &g[0], &x[0], &a[0], &b[0], &c[0], n, len(a), 0, 0)
	}
	return n
}

func backwardClampSIMD(dx, dy, x []float32, k *coefficients, lo, hi float32, stream bool) int {
	n, stream := whole(dx, stream)
	if n == 0 {
		return 0
	}
	_, _, a, b, c := dy[n-1], x[n-1], k.a, k.b[:len(k.a)], k.c[:len(k.a)]
	scale, shift := k.scale[:len(a)], k.shift[:len(a)]
	switch {
	case lanes() == 16 && stream:
		backwardClampStreamAVX512(&dx[0], &dy[0], &x[0], &scale[0], &shift[0], &a[0], &b[0], &c[0], n, len(a), lo, hi)
	case lanes() == 16:
		backwardClampAVX512(&dx[0], &dy[0], &x[0], &scale[0], &shift[0], &a[0], &b[0], &c[0], n, len(a), lo, hi)
	case stream:
		backwardClampStreamAVX2(&dx[0], &dy[0], &x[0], &scale[0], &shift[0], &a[0], &b[0], &c[0], n, len(a), lo, hi)
	default:
		backwardClampAVX2(&dx[0], &dy[0], &x[0], &scale[0], &shift[0], &a[0], &b[0], &c[0], n, len(a), lo, hi)
	}
	return n
}

func momentsSIMD(sum, dot, x, m []float32, rows, n, stride int) bool {
	if lanes() == 0 || rows == 0 || n == 0 {
		return false
	}
	_, _, _, _ = sum[n-1], dot[n-1], x[(rows-1)*stride+n-1], m[n-1]
	if lanes() == 16 {
		momentsAVX512(&sum[0], &dot[0], &x[0], &m[0], rows, n, 4*stride)
	} else {
		momentsAVX2(&sum[0], &dot[0], &x[0], &m[0], rows, n, 4*stride)
	}
	return true
}

func columnsSIMD(sum, dot, dy, x, m, scale, shift []float32, rows, n, stride int, lo, hi float32) bool {
	if lanes() == 0 || rows == 0 || n == 0 {
		return false
	}
	last := (rows-1)*stride + n - 1
	_, _, _, _, _, _, _ = sum[n-1], dot[n-1], dy[last], x[last], m[n-1], scale[n-1], shift[n-1]
	if lanes() == 16 {
		columnsAVX512(&sum[0], &dot[0], &dy[0], &x[0], &m[0], &scale[0], &shift[0], rows, n, 4*stride, lo, hi)
	} else {
		columnsAVX2(&sum[0], &dot[0], &dy[0], &x[0], &m[0], &scale[0], &shift[0], rows, n, 4*stride, lo, hi)
	}
	return true
}

func columnsAddSIMD(sum, dot, out, dy, x, y, m []float32, rows, n, stride int, lo, hi float32) bool {
	if lanes() == 0 || rows == 0 || n == 0 {
		return false
	}
	last := (rows-1)*stride + n - 1
	_, _, _, _, _, _, _ = sum[n-1], dot[n-1], out[last], dy[last], x[last], y[last], m[n-1]
	if lanes() == 16 {
		columnsAddAVX512(&sum[0], &dot[0], &out[0], &dy[0], &x[0], &y[0], &m[0], rows, n, 4*stride, lo, hi)
	} else {
		columnsAddAVX2(&sum[0], &dot[0], &out[0], &dy[0], &x[0], &y[0], &m[0], rows, n, 4*stride, lo, hi)
	}
	return true
}
