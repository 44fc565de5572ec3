package vec

import "math"

// momentRows is the number of rows whose moments are summed in float32.
const momentRows = 128

// MomentsTile is the number of channels that Moments takes at a time.
const MomentsTile = colTile

// Moments computes mean and sum of squared deviations of len(mean) adjacent
// channels, at most MomentsTile, from channel first on, over rows rows of c
// channels. It does not allocate.
func Moments(mean, dev []float64, src []float32, rows, c, first int) {
	clear(mean)
	clear(dev)
	groupMoments(mean, dev[:len(mean)], src, rows, c, first)
}

// groupMoments computes mean and sum of squared deviations of the channels
// [t, t+len(mean)) over rows of c channels.
func groupMoments(mean, dev []float64, src []float32, rows, c, t int) {
	var pivot [colTile]float32
	var sums [2 * colTile]float32
	n := len(mean)
	colReduce(colSum, pivot[:n], src[t:], nil, nil, min(rows, momentRows), n, c)
	for j := range n {
		pivot[j] /= float32(min(rows, momentRows))
	}
	for i := 0; i < rows; i += momentRows {
		k := min(momentRows, rows-i)
		colReduce(colMoments, sums[:2*n], src[i*c+t:], nil, pivot[:n], k, n, c)
		for j := range n {
			d := float64(sums[j]) / float64(k)
			m, s := float64(pivot[j])+d, float64(sums[n+j])-d*float64(sums[j])
			if i == 0 {
				mean[j], dev[j] = m, s
			} else {
				joinMoments(&mean[j], &dev[j], i, m, s, k)
			}
			pivot[j] = float32(mean[j])
		}
	}
}

// joinMoments adds the moments of k elements to those of count elements, by the
// rule of Chan, Golub and LeVeque (1979).
func joinMoments(mean, dev *float64, count int, m, d float64, k int) {
	delta := m - *mean
	f := float64(k) / float64(count+k)
	*mean += delta * f
	*dev += d + delta*delta*float64(count)*f
}

// LayerNorm normalises each row of cols elements to mean 0 and variance 1,
// with eps added to the variance, then scales and shifts it element by
// element; scale and shift may be nil.
func LayerNorm(dst, src, scale, shift []float32, cols int, eps float32) {
	if cols == 0 {
		return
	}
	src = src[:len(dst)]
	for i := 0; i+cols <= len(dst); i += cols {
		d, s := dst[i:i+cols], src[i:i+cols]
		BinaryScalar(Sub, d, s, float32(reduce64(RedSum, s)/float64(cols)), false)
		variance := reduce64(RedSumSquares, d) / float64(cols)
		Scale(float32(1/math.Sqrt(variance+float64(eps))), d, d)
		if scale != nil {
			Binary(Mul, d, d, scale)
		}
		if shift != nil {
			Binary(Add, d, d, shift)
		}
	}
}

// lrnTile is the number of channels normalised at a time, lrnHalo the
// greatest number of neighbours on a side.
const (
	lrnTile = 256
	lrnHalo = 128
)

// LRN is local response normalisation across the channels of channels-last
// rows (Krizhevsky et al., 2012, section 3.3, as ONNX defines it):
//
//	y = x / (bias + alpha/size * sum of x^2 over size channels around)^beta
//
// The window holds (size-1)/2 channels before, rounded down, and (size-1)/2
// after, rounded up. dst and src must not overlap; size is at most 256.
func LRN(dst, src []float32, c, size int, alpha, beta, bias float32) {
	if c == 0 || size < 1 {
		return
	}
	before, after := (size-1)/2, size/2
	var sq [lrnTile + 2*lrnHalo]float32
	for row := 0; row+c <= len(dst); row += c {
		for lo := 0; lo < c; lo += lrnTile {
			n := min(lrnTile, c-lo)
			first, last := max(0, lo-before), min(c, lo+n+after)
			w := sq[:n+before+after]
			clear(w)
			x := src[row+first : row+last]
			Binary(Mul, w[first-lo+before:][:len(x)], x, x)
			d := dst[row+lo : row+lo+n]
			copy(d, w[:n])
			for k := 1; k < size; k++ {
				Binary(Add, d, d, w[k:k+n])
			}
			lrnScale(d, src[row+lo:row+lo+n], w[:n], alpha/float32(size), beta, bias)
		}
	}
}

// lrnScale replaces the sums of squares in d by x*(bias+alpha*d)^-beta; t is
// scratch.
func lrnScale(d, x, t []float32, alpha, beta, bias float32) {
	BinaryScalar(Mul, d, d, alpha, false)
	BinaryScalar(Add, d, d, bias, false)
	switch beta {
	case 0.5:
		Unary(Sqrt, 0, 0, d, d)
	case 0.75:
		Unary(Sqrt, 0, 0, d, d)
		Unary(Sqrt, 0, 0, t, d)
		Binary(Mul, d, d, t)
	case 1:
	default:
		Unary(Log, 0, 0, d, d)
		Scale(beta, d, d)
		Unary(Exp, 0, 0, d, d)
	}
	Binary(Div, d, x, d)
}
