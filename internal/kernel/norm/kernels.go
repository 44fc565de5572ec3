package norm

import (
	"math"
	"unsafe"
)

// floats views float64s as twice as many float32s.
func floats(s []float64) []float32 {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&s[0])), 2*len(s))
}

func fma(a, b, c float32) float32 { return float32(math.FMA(float64(a), float64(b), float64(c))) }

func clip(v, lo, hi float32) float32 {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}

// open reports whether a clamp lets y's gradient through.
func open(y, lo, hi float32) bool { return y > lo && y < hi }

// coefficients are those of the channels, repeated to whole rows that hold a
// multiple of all vectors: the forward pass is y = x·scale + shift, the
// backward pass dx = g·a + (x·b + c).
type coefficients struct{ scale, shift, a, b, c []float32 }

// The flat kernels treat n elements, the first of which belongs to the first
// coefficient. One that streams writes around the caches.

// forward computes dst = clamp(src·scale + shift + add); add may be nil.
func forward(dst, src, add []float32, k *coefficients, lo, hi float32, stream bool) {
	done := 0
	if add == nil {
		done = forwardSIMD(dst, src, k, lo, hi, stream)
	} else {
		done = forwardAddSIMD(dst, src, add, k, lo, hi, stream)
	}
	for i, j := done, done%len(k.scale); i < len(dst); i++ {
		y := fma(src[i], k.scale[j], k.shift[j])
		if add != nil {
			y += add[i]
		}
		dst[i] = clip(y, lo, hi)
		if j++; j == len(k.scale) {
			j = 0
		}
	}
}

// backward computes dx = g·a + (x·b + c).
func backward(dx, g, x []float32, k *coefficients, stream bool) {
	done := backwardSIMD(dx, g, x, k, stream)
	for i, j := done, done%len(k.a); i < len(dx); i++ {
		dx[i] = fma(g[i], k.a[j], fma(x[i], k.b[j], k.c[j]))
		if j++; j == len(k.a) {
			j = 0
		}
	}
}

// backwardClamp is backward with g = dy where lo < x·scale + shift < hi, else 0.
func backwardClamp(dx, dy, x []float32, k *coefficients, lo, hi float32, stream bool) {
	done := backwardClampSIMD(dx, dy, x, k, lo, hi, stream)
	for i, j := done, done%len(k.a); i < len(dx); i++ {
		g := dy[i]
		if !open(fma(x[i], k.scale[j], k.shift[j]), lo, hi) {
			g = 0
		}
		dx[i] = fma(g, k.a[j], fma(x[i], k.b[j], k.c[j]))
		if j++; j == len(k.a) {
			j = 0
		}
	}
}

// moments sums x - m and (x - m)² over rows of n columns, stride elements
// apart.
func moments(sum, dot, x, m []float32, rows, n, stride int) {
	if momentsSIMD(sum, dot, x, m, rows, n, stride) {
		return
	}
	clear(sum[:n])
	clear(dot[:n])
	for r := range rows {
		for j, v := range x[r*stride:][:n] {
			d := v - m[j]
			sum[j] += d
			dot[j] = fma(d, d, dot[j])
		}
	}
}

// columns sums g and g·(x - m) over rows of n columns, stride elements apart,
// where g = dy where lo < x·scale + shift < hi, else 0.
func columns(sum, dot, dy, x, m, scale, shift []float32, rows, n, stride int, lo, hi float32) {
	if columnsSIMD(sum, dot, dy, x, m, scale, shift, rows, n, stride, lo, hi) {
		return
	}
	clear(sum[:n])
	clear(dot[:n])
	for r := range rows {
		d, v := dy[r*stride:][:n], x[r*stride:][:n]
		for j := range n {
			if open(fma(v[j], scale[j], shift[j]), lo, hi) {
				sum[j] += d[j]
				dot[j] = fma(d[j], v[j]-m[j], dot[j])
			}
		}
	}
}

// columnsAdd is columns with g = dy where lo < y < hi, else 0, written to out.
func columnsAdd(sum, dot, out, dy, x, y, m []float32, rows, n, stride int, lo, hi float32) {
	if columnsAddSIMD(sum, dot, out, dy, x, y, m, rows, n, stride, lo, hi) {
		return
	}
	clear(sum[:n])
	clear(dot[:n])
	for r := range rows {
		o, d, v, w := out[r*stride:][:n], dy[r*stride:][:n], x[r*stride:][:n], y[r*stride:][:n]
		for j := range n {
			g := d[j]
			if !open(w[j], lo, hi) {
				g = 0
			}
			o[j] = g
			sum[j] += g
			dot[j] = fma(g, v[j]-m[j], dot[j])
		}
	}
}
