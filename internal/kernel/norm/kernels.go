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

// forward computes dst = clamp(src·scale + shift + add).
func forward(dst, src, scale, shift, add []float32, lo, hi float32) {
	if len(dst) == 0 || forwardSIMD(dst, src, scale, shift, add, lo, hi) {
		return
	}
	for i := range dst {
		dst[i] = clip(fma(src[i], scale[i], shift[i])+add[i], lo, hi)
	}
}

// backward computes dx = g·a + (x·b + c).
func backward(dx, g, x, a, b, c []float32) {
	if len(dx) == 0 || backwardSIMD(dx, g, x, a, b, c) {
		return
	}
	for i := range dx {
		dx[i] = fma(g[i], a[i], fma(x[i], b[i], c[i]))
	}
}

// backwardClamp is backward with g = dy where lo < x·scale + shift < hi, else 0.
func backwardClamp(dx, dy, x, scale, shift, a, b, c []float32, lo, hi float32) {
	if len(dx) == 0 || backwardClampSIMD(dx, dy, x, scale, shift, a, b, c, lo, hi) {
		return
	}
	for i := range dx {
		g := dy[i]
		if !open(fma(x[i], scale[i], shift[i]), lo, hi) {
			g = 0
		}
		dx[i] = fma(g, a[i], fma(x[i], b[i], c[i]))
	}
}

// columns sums g and g·(x - m) over rows of n columns, stride elements apart,
// where g = dy where lo < x·scale + shift < hi, else 0.
func columns(sum, dot, dy, x, m, scale, shift []float32, rows, n, stride int, lo, hi float32) {
	if columnsSIMD(sum, dot, dy, x, m, scale, shift, rows, n, stride, lo, hi) {
		return
	}
	clear(sum)
	clear(dot)
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
	clear(sum)
	clear(dot)
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
