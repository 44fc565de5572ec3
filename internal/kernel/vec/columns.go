package vec

import "github.com/drawknife/drawknife/internal/parallel"

const (
	colTile  = 64  // columns reduced at a time
	colBlock = 256 // rows a float32 partial sum may cover
)

// colRed names what is reduced over rows.
type colRed uint8

const (
	colSum     colRed = iota // sum of a
	colDot                   // sum of a*b
	colMoments               // sum of a-m, m one row, and at dst[n:] of (a-m)^2
	colMax                   // maximum of a
	colDotDev                // sum of a*(b-m)
)

// colReduce reduces rows by n columns of a (and b), whose rows are stride
// elements apart, to dst. The sums start from zero, the maximum from dst.
func colReduce(r colRed, dst, a, b, m []float32, rows, n, stride int) {
	if rows == 0 || n == 0 {
		if r != colMax {
			clear(dst[:n])
		}
		return
	}
	if !colReduceSIMD(r, dst, a, b, m, rows, n, stride) {
		colReduceGo(r, dst, a, b, m, rows, n, stride)
	}
}

func colReduceGo(r colRed, dst, a, b, m []float32, rows, n, stride int) {
	switch r {
	case colMax:
	case colMoments:
		clear(dst[:2*n])
	default:
		clear(dst[:n])
	}
	for i := range rows {
		x := a[i*stride:][:n]
		switch r {
		case colSum:
			for j, v := range x {
				dst[j] += v
			}
		case colDot:
			y := b[i*stride:][:n]
			for j, v := range x {
				dst[j] = fma(v, y[j], dst[j])
			}
		case colDotDev:
			y := b[i*stride:][:n]
			for j, v := range x {
				dst[j] = fma(v, y[j]-m[j], dst[j])
			}
		case colMoments:
			for j, v := range x {
				d := v - m[j]
				dst[j] += d
				dst[n+j] = fma(d, d, dst[n+j])
			}
		case colMax:
			for j, v := range x {
				dst[j] = max2(v, dst[j])
			}
		}
	}
}

// colTotal reduces all rows of columns [lo, lo+n) into total, n <= colTile.
func colTotal(r colRed, total *[colTile]float64, a, b, m []float32, rows, cols, lo, n int) {
	var part [colTile]float32
	clear(total[:n])
	if m != nil {
		m = m[lo:]
	}
	for i := 0; i < rows; i += colBlock {
		k := min(colBlock, rows-i)
		at := i*cols + lo
		var y []float32
		if b != nil {
			y = b[at:]
		}
		colReduce(r, part[:n], a[at:], y, m, k, n, cols)
		for j, v := range part[:n] {
			total[j] += float64(v)
		}
	}
}

func colSums(r colRed, dst, a, b, m []float32, cols int) {
	if cols == 0 {
		return
	}
	var total [colTile]float64
	rows := len(a) / cols
	for lo := 0; lo < cols; lo += colTile {
		n := min(colTile, cols-lo)
		colTotal(r, &total, a, b, m, rows, cols, lo, n)
		for j, v := range total[:n] {
			dst[lo+j] = float32(v)
		}
	}
}

// ColSum sums src, rows of cols elements, over its rows: dst[c] is the sum of
// column c. Sums are float32 over blocks of rows, float64 over blocks.
func ColSum(dst, src []float32, cols int) { colSums(colSum, dst[:cols], src, nil, nil, cols) }

// ColSumTile sums len(dst) adjacent columns of a wider matrix: rows rows of
// src that begin stride elements apart. Each column's sum is that of ColSum.
func ColSumTile(dst, src []float32, rows, stride int) {
	var total [colTile]float64
	for lo := 0; lo < len(dst); lo += colTile {
		n := min(colTile, len(dst)-lo)
		colTotal(colSum, &total, src, nil, nil, rows, stride, lo, n)
		for j, v := range total[:n] {
			dst[lo+j] = float32(v)
		}
	}
}

// ColMaxTile is ColMax of len(dst) adjacent columns; see ColSumTile.
func ColMaxTile(dst, src []float32, rows, stride int) {
	Fill(dst, RedMax.start())
	colReduce(colMax, dst, src, nil, nil, rows, len(dst), stride)
}

// ColDot sums a*b over the rows.
func ColDot(dst, a, b []float32, cols int) { colSums(colDot, dst[:cols], a, b[:len(a)], nil, cols) }

// ColDotDev sums a*(b-mean[c]) over the rows, the gradient of a normalised
// scale.
func ColDotDev(dst, a, b, mean []float32, cols int) {
	colSums(colDotDev, dst[:cols], a, b[:len(a)], mean[:cols], cols)
}

// ColMax takes the greatest element of each column, a NaN if there is one.
func ColMax(dst, src []float32, cols int) {
	if cols == 0 {
		return
	}
	Fill(dst[:cols], RedMax.start())
	colReduce(colMax, dst[:cols], src, nil, nil, len(src)/cols, cols, cols)
}

// colGroups is the greatest number of groups of rows that parallel column
// sums are split into. It is fixed so that their order does not depend on the
// number of workers.
const colGroups = 64

// groupRows is the number of rows in a group: a multiple of colBlock.
func groupRows(rows int) int {
	per := (rows + colGroups - 1) / colGroups
	return (per + colBlock - 1) / colBlock * colBlock
}

// ColScratch is the length of the scratch that ParallelColSum and
// ParallelColDotDev need for rows rows of cols elements.
func ColScratch(rows, cols int) int {
	g := groupRows(rows)
	if g == 0 {
		return 0
	}
	return (rows + g - 1) / g * cols
}

// ParallelColSum is ColSum on the workers of p. scratch has ColScratch
// elements; nil allocates it. The order of the sums, and so the result, does
// not depend on the number of workers.
func ParallelColSum(p *parallel.Pool, dst, src []float32, cols int, scratch []float64) {
	parallelCols(p, colSum, dst, src, nil, nil, cols, scratch)
}

// ParallelColDotDev is ColDotDev on the workers of p; see ParallelColSum.
func ParallelColDotDev(p *parallel.Pool, dst, a, b, mean []float32, cols int, scratch []float64) {
	parallelCols(p, colDotDev, dst, a, b[:len(a)], mean[:cols], cols, scratch)
}

func parallelCols(p *parallel.Pool, r colRed, dst, a, b, m []float32, cols int, scratch []float64) {
	if cols == 0 {
		return
	}
	dst = dst[:cols]
	rows := len(a) / cols
	if rows == 0 {
		clear(dst)
		return
	}
	if scratch == nil {
		scratch = make([]float64, ColScratch(rows, cols))
	}
	per := groupRows(rows)
	groups := (rows + per - 1) / per
	tiles := (cols + colTile - 1) / colTile
	p.For(groups*tiles, 1, func(_, lo, hi int) {
		var total [colTile]float64
		for job := lo; job < hi; job++ {
			g, c := job/tiles, job%tiles*colTile
			first := g * per
			n := min(colTile, cols-c)
			at := first * cols
			var y []float32
			if b != nil {
				y = b[at:]
			}
			colTotal(r, &total, a[at:], y, m, min(per, rows-first), cols, c, n)
			copy(scratch[g*cols+c:], total[:n])
		}
	})
	for c := range dst {
		sum := 0.0
		for g := range groups {
			sum += scratch[g*cols+c]
		}
		dst[c] = float32(sum)
	}
}
