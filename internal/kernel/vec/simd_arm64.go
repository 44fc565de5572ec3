//go:build !purego

package vec

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 vec ../vec/vec_arm64.s ../vec/stubs_arm64.go

// The functions of this file run the NEON version of a kernel if there is one
// and level allows it, and tell whether they did. Calls are direct, not
// through a table, so that buffers of the callers stay on their stacks.
// Slices are not empty and have the length of the destination.

func unarySIMD(f Func, alpha, beta float32, dst, src []float32) bool {
	if level < cpu.NEON {
		return false
	}
	d, s, n := &dst[0], &src[0], len(dst)
	switch f {
	case Relu:
		reluNEON(d, s, n, alpha, beta)
	case LeakyRelu:
		leakyReluNEON(d, s, n, alpha, beta)
	case Clip:
		clipNEON(d, s, n, alpha, beta)
	case Elu:
		eluNEON(d, s, n, alpha, beta)
	case Selu:
		seluNEON(d, s, n, alpha, beta)
	case Celu:
		celuNEON(d, s, n, alpha, beta)
	case ThresholdedRelu:
		thresholdedReluNEON(d, s, n, alpha, beta)
	case Sigmoid:
		sigmoidNEON(d, s, n, alpha, beta)
	case HardSigmoid:
		hardSigmoidNEON(d, s, n, alpha, beta)
	case HardSwish:
		hardSwishNEON(d, s, n, alpha, beta)
	case Silu:
		siluNEON(d, s, n, alpha, beta)
	case Swish:
		swishNEON(d, s, n, alpha, beta)
	case Tanh:
		tanhNEON(d, s, n, alpha, beta)
	case Softplus:
		softplusNEON(d, s, n, alpha, beta)
	case Softsign:
		softsignNEON(d, s, n, alpha, beta)
	case Mish:
		mishNEON(d, s, n, alpha, beta)
	case GeluErf:
		geluErfNEON(d, s, n, alpha, beta)
	case GeluTanh:
		geluTanhNEON(d, s, n, alpha, beta)
	default:
		return unaryMathSIMD(f, d, s, n)
	}
	return true
}

// unaryMathSIMD runs the functions that are not activations.
func unaryMathSIMD(f Func, d, s *float32, n int) bool {
	switch f {
	case Erf:
		erfNEON(d, s, n, 0, 0)
	case Exp:
		expNEON(d, s, n, 0, 0)
	case Log:
		logNEON(d, s, n, 0, 0)
	case Sqrt:
		sqrtNEON(d, s, n, 0, 0)
	case Neg:
		negNEON(d, s, n, 0, 0)
	case Abs:
		absNEON(d, s, n, 0, 0)
	case Reciprocal:
		reciprocalNEON(d, s, n, 0, 0)
	case Floor:
		floorNEON(d, s, n, 0, 0)
	case Ceil:
		ceilNEON(d, s, n, 0, 0)
	case Round:
		roundNEON(d, s, n, 0, 0)
	case Sign:
		signNEON(d, s, n, 0, 0)
	case Square:
		squareNEON(d, s, n, 0, 0)
	default:
		return false
	}
	return true
}

func unaryGradSIMD(f Func, alpha, beta float32, dx, dy, x, y []float32) bool {
	if level < cpu.NEON {
		return false
	}
	d, g, a, v, n := &dx[0], &dy[0], &x[0], &y[0], len(dx)
	switch f {
	case Relu:
		reluGradNEON(d, g, a, v, n, alpha, beta)
	case LeakyRelu:
		leakyReluGradNEON(d, g, a, v, n, alpha, beta)
	case Clip:
		clipGradNEON(d, g, a, v, n, alpha, beta)
	case Elu:
		eluGradNEON(d, g, a, v, n, alpha, beta)
	case Selu:
		seluGradNEON(d, g, a, v, n, alpha, beta)
	case Sigmoid:
		sigmoidGradNEON(d, g, a, v, n, alpha, beta)
	case HardSigmoid:
		hardSigmoidGradNEON(d, g, a, v, n, alpha, beta)
	case HardSwish:
		hardSwishGradNEON(d, g, a, v, n, alpha, beta)
	case Silu:
		siluGradNEON(d, g, a, v, n, alpha, beta)
	case Swish:
		swishGradNEON(d, g, a, v, n, alpha, beta)
	case Tanh:
		tanhGradNEON(d, g, a, v, n, alpha, beta)
	case Softplus:
		softplusGradNEON(d, g, a, v, n, alpha, beta)
	case Mish:
		mishGradNEON(d, g, a, v, n, alpha, beta)
	case GeluErf:
		geluErfGradNEON(d, g, a, v, n, alpha, beta)
	case GeluTanh:
		geluTanhGradNEON(d, g, a, v, n, alpha, beta)
	case Exp:
		expGradNEON(d, g, a, v, n, alpha, beta)
	case Square:
		squareGradNEON(d, g, a, v, n, alpha, beta)
	default:
		return false
	}
	return true
}

func binarySIMD(op Op, dst, a, b []float32) bool {
	if level < cpu.NEON {
		return false
	}
	d, x, y, n := &dst[0], &a[0], &b[0], len(dst)
	switch op {
	case Add:
		addNEON(d, x, y, n)
	case Sub:
		subNEON(d, x, y, n)
	case Mul:
		mulNEON(d, x, y, n)
	case Div:
		divNEON(d, x, y, n)
	case Min:
		minNEON(d, x, y, n)
	case Max:
		maxNEON(d, x, y, n)
	case PRelu:
		preluNEON(d, x, y, n)
	case SquDiff:
		squDiffNEON(d, x, y, n)
	default:
		return false
	}
	return true
}

func binaryScalarSIMD(op Op, dst, a []float32, b float32, swap bool) bool {
	if level < cpu.NEON {
		return false
	}
	d, x, n := &dst[0], &a[0], len(dst)
	switch {
	case op == Add:
		addScalarNEON(d, x, n, b)
	case op == Mul:
		mulScalarNEON(d, x, n, b)
	case op == Min:
		minScalarNEON(d, x, n, b)
	case op == Max:
		maxScalarNEON(d, x, n, b)
	case op == SquDiff:
		squDiffScalarNEON(d, x, n, b)
	case op == Sub && swap:
		scalarSubNEON(d, x, n, b)
	case op == Sub:
		subScalarNEON(d, x, n, b)
	case op == Div && swap:
		scalarDivNEON(d, x, n, b)
	case op == Div:
		divScalarNEON(d, x, n, b)
	case op == PRelu && swap:
		scalarPreluNEON(d, x, n, b)
	case op == PRelu:
		preluScalarNEON(d, x, n, b)
	default:
		return false
	}
	return true
}

func addClampSIMD(dst, a, b []float32, lo, hi float32) bool {
	if level < cpu.NEON {
		return false
	}
	addClampNEON(&dst[0], &a[0], &b[0], len(dst), lo, hi)
	return true
}

func mulAddClampSIMD(dst, x, s, b []float32, lo, hi float32) bool {
	if level < cpu.NEON {
		return false
	}
	mulAddClampNEON(&dst[0], &x[0], &s[0], &b[0], len(dst), lo, hi)
	return true
}

func affine2SIMD(dst, x, y, a, b, c []float32) bool {
	if level < cpu.NEON {
		return false
	}
	affine2NEON(&dst[0], &x[0], &y[0], &a[0], &b[0], &c[0], len(dst))
	return true
}

func rpreluSIMD(dst, x, b, s, a []float32) bool {
	if level < cpu.NEON {
		return false
	}
	rpreluNEON(&dst[0], &x[0], &b[0], &s[0], &a[0], len(dst))
	return true
}

func preluGradSIMD(dx, ds, dy, x, s []float32) bool {
	if level < cpu.NEON {
		return false
	}
	preluGradNEON(&dx[0], &ds[0], &dy[0], &x[0], &s[0], len(dx))
	return true
}

func axpySIMD(alpha float32, x, y []float32) bool {
	if level < cpu.NEON {
		return false
	}
	axpyNEON(&x[0], &y[0], len(y), alpha)
	return true
}

func lerpSIMD(dst []float32, beta, alpha float32, x []float32) bool {
	if level < cpu.NEON {
		return false
	}
	lerpNEON(&x[0], &dst[0], len(dst), beta, alpha)
	return true
}

func reduceSIMD(r Red, x []float32) (float32, bool) {
	if level < cpu.NEON || len(x) == 0 {
		return 0, false
	}
	switch r {
	case RedSum:
		return sumNEON(&x[0], len(x)), true
	case RedSumSquares:
		return sumSquaresNEON(&x[0], len(x)), true
	case RedSumAbs:
		return sumAbsNEON(&x[0], len(x)), true
	case RedMax:
		return maxOfNEON(&x[0], len(x)), true
	case RedMin:
		return minOfNEON(&x[0], len(x)), true
	case RedMaxAbs:
		return maxAbsOfNEON(&x[0], len(x)), true
	}
	return 0, false
}

func dotSIMD(x, y []float32) (float32, bool) {
	if level < cpu.NEON {
		return 0, false
	}
	return dotNEON(&x[0], &y[0], len(x)), true
}

func expSumSIMD(dst, src []float32, top float32) (float32, bool) {
	if level < cpu.NEON {
		return 0, false
	}
	return expSumNEON(&dst[0], &src[0], len(dst), top), true
}

func colReduceSIMD(r colRed, dst, a, b, m []float32, rows, n, stride int) bool {
	if level < cpu.NEON {
		return false
	}
	d, x := &dst[0], &a[0]
	bytes := 4 * stride
	switch r {
	case colSum:
		colSumNEON(d, x, rows, n, bytes)
	case colDot:
		colDotNEON(d, x, &b[0], rows, n, bytes)
	case colDotDev:
		colDotDevNEON(d, x, &b[0], &m[0], rows, n, bytes)
	case colMoments:
		colMomentsNEON(d, &dst[n], x, &m[0], rows, n, bytes)
	case colMax:
		colMaxNEON(d, x, rows, n, bytes)
	}
	return true
}

// transposeRows is the number of source rows transposed at a time: the lines
// of one block of columns stay in the first-level cache.
const transposeRows = 128

// transposeSIMD transposes the whole blocks of 4x4 elements and returns how
// many rows and columns they cover.
func transposeSIMD(dst, src []float32, rows, cols, dstStride, srcStride int) (int, int) {
	rows, cols = rows&^3, cols&^3
	if level < cpu.NEON || rows == 0 || cols == 0 {
		return 0, 0
	}
	for r := 0; r < rows; r += transposeRows {
		n := min(transposeRows, rows-r)
		transposeNEON(&dst[r], &src[r*srcStride], n, cols, 4*dstStride, 4*srcStride)
	}
	return rows, cols
}

func sgdSIMD(w, g, m []float32, s *sgdStep) bool {
	switch {
	case level < cpu.NEON:
		return false
	case m == nil:
		sgdNEON(&w[0], &g[0], len(w), s.lr, s.decay)
	default:
		sgdMomentumNEON(&w[0], &g[0], &m[0], len(w), s.lr, s.momentum, s.damp, s.decay, s.gw, s.mw)
	}
	return true
}

func adamSIMD(w, g, m, v []float32, s *adamStep) bool {
	if level < cpu.NEON {
		return false
	}
	adamNEON(&w[0], &g[0], &m[0], &v[0], len(w), s.b1, s.c1, s.b2, s.c2, s.eps, s.decay, s.keep, s.rate, s.root)
	return true
}

func rmsSIMD(w, g, v, m []float32, s *rmsStep) bool {
	switch {
	case level < cpu.NEON:
		return false
	case m == nil:
		rmsNEON(&w[0], &g[0], &v[0], len(w), s.lr, s.alpha, s.rest, s.eps, s.decay)
	default:
		rmsMomentumNEON(&w[0], &g[0], &v[0], &m[0], len(w), s.lr, s.alpha, s.rest, s.eps, s.decay, s.momentum)
	}
	return true
}

func interleaveSIMD([]float32, []float32, []float32) int { return 0 }

func planesSIMD([]float32, []float32, int, int) int { return 0 }

func planesBytesSIMD(*uint8, *uint8, int, int) int { return 0 }
