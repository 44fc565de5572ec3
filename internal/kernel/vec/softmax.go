package vec

import "math"

// Softmax computes exp(x)/sum(exp(x)) over each row of cols elements, or its
// logarithm, shifted by the greatest element so that nothing overflows. A row
// with a NaN, or of minus infinities only, gives NaN.
func Softmax(dst, src []float32, cols int, log bool) {
	if cols == 0 {
		return
	}
	src = src[:len(dst)]
	for i := 0; i+cols <= len(dst); i += cols {
		d, s := dst[i:i+cols], src[i:i+cols]
		if log {
			logSoftmaxRow(d, s)
		} else {
			softmaxRow(d, s)
		}
	}
}

func softmaxRow(dst, src []float32) {
	top := Reduce(RedMax, src)
	sum := 0.0
	for i := 0; i < len(src); i += block {
		n := min(block, len(src)-i)
		sum += float64(expSum(dst[i:i+n], src[i:i+n], top))
	}
	Scale(float32(1/sum), dst, dst)
}

func logSoftmaxRow(dst, src []float32) {
	top := Reduce(RedMax, src)
	var buf [block]float32
	sum := 0.0
	for i := 0; i < len(src); i += block {
		n := min(block, len(src)-i)
		sum += float64(expSum(buf[:n], src[i:i+n], top))
	}
	BinaryScalar(Sub, dst, src, top, false)
	BinaryScalar(Sub, dst, dst, float32(math.Log(sum)), false)
}

// expSum computes dst = exp(src-top) and returns the sum.
func expSum(dst, src []float32, top float32) float32 {
	if v, ok := expSumSIMD(dst, src, top); ok {
		return v
	}
	sum := 0.0
	for i, x := range src {
		e := exp32(x - top)
		dst[i] = e
		sum += float64(e)
	}
	return float32(sum)
}

// SoftmaxGrad computes dx = y*(dy - sum(y*dy)) over each row, y the softmax.
// dx may be dy but not y.
func SoftmaxGrad(dx, dy, y []float32, cols int) {
	if cols == 0 {
		return
	}
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i := 0; i+cols <= len(dx); i += cols {
		d, g, v := dx[i:i+cols], dy[i:i+cols], y[i:i+cols]
		BinaryScalar(Sub, d, g, Dot(g, v), false)
		Binary(Mul, d, d, v)
	}
}

// LogSoftmaxGrad computes dx = dy - exp(y)*sum(dy) over each row, y the
// logarithm of the softmax.
func LogSoftmaxGrad(dx, dy, y []float32, cols int) {
	if cols == 0 {
		return
	}
	dy, y = dy[:len(dx)], y[:len(dx)]
	var buf [block]float32
	for i := 0; i+cols <= len(dx); i += cols {
		d, g, v := dx[i:i+cols], dy[i:i+cols], y[i:i+cols]
		s := -Sum(g)
		for j := 0; j < cols; j += block {
			n := min(block, cols-j)
			Unary(Exp, 0, 0, buf[:n], v[j:j+n])
			copy(d[j:j+n], g[j:j+n])
			Axpy(s, buf[:n], d[j:j+n])
		}
	}
}
