//go:build !purego

package vec

import "github.com/drawknife/drawknife/internal/cpu"

// The functions of this file run the AVX2 or AVX-512 version of a kernel if there is one
// and level allows it, and tell whether they did. Calls are direct, not
// through a table, so that buffers of the callers stay on their stacks.
// Slices are not empty and have the length of the destination.

func unarySIMD(f Func, alpha, beta float32, dst, src []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	d, s, n := &dst[0], &src[0], len(dst)
	if level >= cpu.AVX512 && wideUnary(f, alpha, d, s, n) {
		return true
	}
	switch f {
	case Relu:
		reluAVX2(d, s, n, alpha, beta)
	case LeakyRelu:
		leakyReluAVX2(d, s, n, alpha, beta)
	case Clip:
		clipAVX2(d, s, n, alpha, beta)
	case Elu:
		eluAVX2(d, s, n, alpha, beta)
	case Selu:
		seluAVX2(d, s, n, alpha, beta)
	case Celu:
		celuAVX2(d, s, n, alpha, beta)
	case ThresholdedRelu:
		thresholdedReluAVX2(d, s, n, alpha, beta)
	case Sigmoid:
		sigmoidAVX2(d, s, n, alpha, beta)
	case HardSigmoid:
		hardSigmoidAVX2(d, s, n, alpha, beta)
	case HardSwish:
		hardSwishAVX2(d, s, n, alpha, beta)
	case Silu:
		siluAVX2(d, s, n, alpha, beta)
	case Swish:
		swishAVX2(d, s, n, alpha, beta)
	case Tanh:
		tanhAVX2(d, s, n, alpha, beta)
	case Softplus:
		softplusAVX2(d, s, n, alpha, beta)
	case Softsign:
		softsignAVX2(d, s, n, alpha, beta)
	case Mish:
		mishAVX2(d, s, n, alpha, beta)
	case GeluErf:
		geluErfAVX2(d, s, n, alpha, beta)
	case GeluTanh:
		geluTanhAVX2(d, s, n, alpha, beta)
	default:
		return unaryMathSIMD(f, d, s, n)
	}
	return true
}

// wideUnary runs the functions that gain from vectors of sixteen.
func wideUnary(f Func, alpha float32, d, s *float32, n int) bool {
	switch f {
	case Sigmoid:
		sigmoidAVX512(d, s, n, 0, 0)
	case Silu:
		siluAVX512(d, s, n, 0, 0)
	case Swish:
		swishAVX512(d, s, n, alpha, 0)
	case HardSwish:
		hardSwishAVX512(d, s, n, 0, 0)
	default:
		return false
	}
	return true
}

// unaryMathSIMD runs the functions that are not activations.
func unaryMathSIMD(f Func, d, s *float32, n int) bool {
	switch f {
	case Erf:
		erfAVX2(d, s, n, 0, 0)
	case Exp:
		expAVX2(d, s, n, 0, 0)
	case Log:
		logAVX2(d, s, n, 0, 0)
	case Sqrt:
		sqrtAVX2(d, s, n, 0, 0)
	case Neg:
		negAVX2(d, s, n, 0, 0)
	case Abs:
		absAVX2(d, s, n, 0, 0)
	case Reciprocal:
		reciprocalAVX2(d, s, n, 0, 0)
	case Floor:
		floorAVX2(d, s, n, 0, 0)
	case Ceil:
		ceilAVX2(d, s, n, 0, 0)
	case Round:
		roundAVX2(d, s, n, 0, 0)
	case Sign:
		signAVX2(d, s, n, 0, 0)
	case Square:
		squareAVX2(d, s, n, 0, 0)
	default:
		return false
	}
	return true
}

func unaryGradSIMD(f Func, alpha, beta float32, dx, dy, x, y []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	d, g, a, v, n := &dx[0], &dy[0], &x[0], &y[0], len(dx)
	switch f {
	case Relu:
		reluGradAVX2(d, g, a, v, n, alpha, beta)
	case LeakyRelu:
		leakyReluGradAVX2(d, g, a, v, n, alpha, beta)
	case Clip:
		clipGradAVX2(d, g, a, v, n, alpha, beta)
	case Elu:
		eluGradAVX2(d, g, a, v, n, alpha, beta)
	case Selu:
		seluGradAVX2(d, g, a, v, n, alpha, beta)
	case Sigmoid:
		sigmoidGradAVX2(d, g, a, v, n, alpha, beta)
	case HardSigmoid:
		hardSigmoidGradAVX2(d, g, a, v, n, alpha, beta)
	case HardSwish:
		hardSwishGradAVX2(d, g, a, v, n, alpha, beta)
	case Silu:
		siluGradAVX2(d, g, a, v, n, alpha, beta)
	case Swish:
		swishGradAVX2(d, g, a, v, n, alpha, beta)
	case Tanh:
		tanhGradAVX2(d, g, a, v, n, alpha, beta)
	case Softplus:
		softplusGradAVX2(d, g, a, v, n, alpha, beta)
	case Mish:
		mishGradAVX2(d, g, a, v, n, alpha, beta)
	case GeluErf:
		geluErfGradAVX2(d, g, a, v, n, alpha, beta)
	case GeluTanh:
		geluTanhGradAVX2(d, g, a, v, n, alpha, beta)
	case Exp:
		expGradAVX2(d, g, a, v, n, alpha, beta)
	case Square:
		squareGradAVX2(d, g, a, v, n, alpha, beta)
	default:
		return false
	}
	return true
}

func binarySIMD(op Op, dst, a, b []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	d, x, y, n := &dst[0], &a[0], &b[0], len(dst)
	switch op {
	case Add:
		addAVX2(d, x, y, n)
	case Sub:
		subAVX2(d, x, y, n)
	case Mul:
		mulAVX2(d, x, y, n)
	case Div:
		divAVX2(d, x, y, n)
	case Min:
		minAVX2(d, x, y, n)
	case Max:
		maxAVX2(d, x, y, n)
	case PRelu:
		preluAVX2(d, x, y, n)
	case SquDiff:
		squDiffAVX2(d, x, y, n)
	default:
		return false
	}
	return true
}

func binaryScalarSIMD(op Op, dst, a []float32, b float32, swap bool) bool {
	if level < cpu.AVX2 {
		return false
	}
	d, x, n := &dst[0], &a[0], len(dst)
	switch {
	case op == Add:
		addScalarAVX2(d, x, n, b)
	case op == Mul:
		mulScalarAVX2(d, x, n, b)
	case op == Min:
		minScalarAVX2(d, x, n, b)
	case op == Max:
		maxScalarAVX2(d, x, n, b)
	case op == SquDiff:
		squDiffScalarAVX2(d, x, n, b)
	case op == Sub && swap:
		scalarSubAVX2(d, x, n, b)
	case op == Sub:
		subScalarAVX2(d, x, n, b)
	case op == Div && swap:
		scalarDivAVX2(d, x, n, b)
	case op == Div:
		divScalarAVX2(d, x, n, b)
	case op == PRelu && swap:
		scalarPreluAVX2(d, x, n, b)
	case op == PRelu:
		preluScalarAVX2(d, x, n, b)
	default:
		return false
	}
	return true
}

func addClampSIMD(dst, a, b []float32, lo, hi float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	addClampAVX2(&dst[0], &a[0], &b[0], len(dst), lo, hi)
	return true
}

func mulAddClampSIMD(dst, x, s, b []float32, lo, hi float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	mulAddClampAVX2(&dst[0], &x[0], &s[0], &b[0], len(dst), lo, hi)
	return true
}

func affine2SIMD(dst, x, y, a, b, c []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	affine2AVX2(&dst[0], &x[0], &y[0], &a[0], &b[0], &c[0], len(dst))
	return true
}

func rpreluSIMD(dst, x, b, s, a []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	rpreluAVX2(&dst[0], &x[0], &b[0], &s[0], &a[0], len(dst))
	return true
}

func preluGradSIMD(dx, ds, dy, x, s []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	preluGradAVX2(&dx[0], &ds[0], &dy[0], &x[0], &s[0], len(dx))
	return true
}

func axpySIMD(alpha float32, x, y []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	axpyAVX2(&x[0], &y[0], len(y), alpha)
	return true
}

func lerpSIMD(dst []float32, beta, alpha float32, x []float32) bool {
	if level < cpu.AVX2 {
		return false
	}
	lerpAVX2(&x[0], &dst[0], len(dst), beta, alpha)
	return true
}

func reduceSIMD(r Red, x []float32) (float32, bool) {
	if level < cpu.AVX2 || len(x) == 0 {
		return 0, false
	}
	switch r {
	case RedSum:
		return sumAVX2(&x[0], len(x)), true
	case RedSumSquares:
		return sumSquaresAVX2(&x[0], len(x)), true
	case RedSumAbs:
		return sumAbsAVX2(&x[0], len(x)), true
	case RedMax:
		return maxOfAVX2(&x[0], len(x)), true
	case RedMin:
		return minOfAVX2(&x[0], len(x)), true
	case RedMaxAbs:
		return maxAbsOfAVX2(&x[0], len(x)), true
	}
	return 0, false
}

func dotSIMD(x, y []float32) (float32, bool) {
	if level < cpu.AVX2 {
		return 0, false
	}
	return dotAVX2(&x[0], &y[0], len(x)), true
}

func expSumSIMD(dst, src []float32, top float32) (float32, bool) {
	if level < cpu.AVX2 {
		return 0, false
	}
	return expSumAVX2(&dst[0], &src[0], len(dst), top), true
}

func colReduceSIMD(r colRed, dst, a, b, m []float32, rows, n, stride int) bool {
	if level < cpu.AVX2 {
		return false
	}
	d, x := &dst[0], &a[0]
	bytes := 4 * stride
	switch r {
	case colSum:
		colSumAVX2(d, x, rows, n, bytes)
	case colDot:
		colDotAVX2(d, x, &b[0], rows, n, bytes)
	case colDotDev:
		colDotDevAVX2(d, x, &b[0], &m[0], rows, n, bytes)
	case colMoments:
		colMomentsAVX2(d, &dst[n], x, &m[0], rows, n, bytes)
	case colMax:
		colMaxAVX2(d, x, rows, n, bytes)
	}
	return true
}

// transposeRows is the number of source rows transposed at a time: the lines
// of one block of columns stay in the first-level cache.
const transposeRows = 128

// transposeSIMD transposes the whole blocks of 8x8 elements and returns how
// many rows and columns they cover.
func transposeSIMD(dst, src []float32, rows, cols, dstStride, srcStride int) (int, int) {
	rows, cols = rows&^7, cols&^7
	if level < cpu.AVX2 || rows == 0 || cols == 0 {
		return 0, 0
	}
	for r := 0; r < rows; r += transposeRows {
		n := min(transposeRows, rows-r)
		transposeAVX2(&dst[r], &src[r*srcStride], n, cols, 4*dstStride, 4*srcStride)
	}
	return rows, cols
}

func sgdSIMD(w, g, m []float32, s *sgdStep) bool {
	switch {
	case level < cpu.AVX2:
		return false
	case m == nil:
		sgdAVX2(&w[0], &g[0], len(w), s.lr, s.decay)
	default:
		sgdMomentumAVX2(&w[0], &g[0], &m[0], len(w), s.lr, s.momentum, s.damp, s.decay, s.gw, s.mw)
	}
	return true
}

func adamSIMD(w, g, m, v []float32, s *adamStep) bool {
	if level < cpu.AVX2 {
		return false
	}
	adamAVX2(&w[0], &g[0], &m[0], &v[0], len(w), s.b1, s.c1, s.b2, s.c2, s.eps, s.decay, s.keep, s.rate, s.root)
	return true
}

func rmsSIMD(w, g, v, m []float32, s *rmsStep) bool {
	switch {
	case level < cpu.AVX2:
		return false
	case m == nil:
		rmsAVX2(&w[0], &g[0], &v[0], len(w), s.lr, s.alpha, s.rest, s.eps, s.decay)
	default:
		rmsMomentumAVX2(&w[0], &g[0], &v[0], &m[0], len(w), s.lr, s.alpha, s.rest, s.eps, s.decay, s.momentum)
	}
	return true
}

func interleaveSIMD(dst, a, b []float32) int {
	n := len(a) &^ 7
	if level < cpu.AVX2 || n == 0 {
		return 0
	}
	interleaveAVX2(&dst[0], &a[0], &b[0], n)
	return n
}

func planesSIMD(dst, src []float32, n, stride int) int {
	n &^= 7
	if level < cpu.AVX2 || n == 0 {
		return 0
	}
	planesAVX2(&dst[0], &src[0], n, 4*stride)
	return n
}

func planesBytesSIMD(dst, src *uint8, n, stride int) int {
	n &^= 15
	if level < cpu.AVX2 || n == 0 {
		return 0
	}
	planesBytesAVX2(dst, src, n, stride)
	return n
}
