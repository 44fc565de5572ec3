package vec

import (
	"math"

	"github.com/drawknife/drawknife/internal/parallel"
)

// momentRows is the number of rows whose moments are summed in float32.
const momentRows = 128

// momentGroups splits rows into at most colGroups groups of whole chunks.
func momentGroups(rows int) (groups, perGroup int) {
	chunks := (rows + momentRows - 1) / momentRows
	per := max(1, (chunks+colGroups-1)/colGroups) * momentRows
	return (rows + per - 1) / per, per
}

// MeanVarScratch is the length of the scratch of MeanVar for rows rows of c
// channels.
func MeanVarScratch(rows, c int) int {
	if c == 0 {
		return 0
	}
	groups, _ := momentGroups(rows)
	return 2 * c * groups
}

// MeanVar computes the mean and the biased variance of each of c channels
// over the rows of src. Rows are taken in chunks; sums and squares are those of
// the deviations from the mean of the rows before, so that a mean far from
// zero costs no accuracy, and chunks are joined in float64 by the rule of
// Chan, Golub and LeVeque (1979). The order is fixed: the result does not depend on the number of
// workers. scratch has MeanVarScratch elements; nil allocates it.
func MeanVar(p *parallel.Pool, mean, variance, src []float32, c int, scratch []float64) {
	if c == 0 {
		return
	}
	mean, variance = mean[:c], variance[:c]
	rows := len(src) / c
	if rows == 0 {
		clear(mean)
		clear(variance)
		return
	}
	if scratch == nil {
		scratch = make([]float64, MeanVarScratch(rows, c))
	}
	groups, per := momentGroups(rows)
	tiles := (c + colTile - 1) / colTile
	p.For(groups*tiles, 1, func(_, lo, hi int) {
		for job := lo; job < hi; job++ {
			g, t := job/tiles, job%tiles*colTile
			n := min(colTile, c-t)
			s := scratch[2*g*c+2*t:][:2*n]
			groupMoments(s[:n], s[n:], src[g*per*c:], min(per, rows-g*per), c, t)
		}
	})
	for t := 0; t < c; t += colTile {
		n := min(colTile, c-t)
		total := scratch[2*t:][:2*n]
		count := min(per, rows)
		for g := 1; g < groups; g++ {
			s := scratch[2*g*c+2*t:][:2*n]
			k := min(per, rows-g*per)
			for j := range n {
				joinMoments(&total[j], &total[n+j], count, s[j], s[n+j], k)
			}
			count += k
		}
		for j := range n {
			mean[t+j] = float32(total[j])
			variance[t+j] = float32(max(0, total[n+j]) / float64(rows))
		}
	}
}

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

// joinMoments adds the moments of k elements to those of count elements.
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
