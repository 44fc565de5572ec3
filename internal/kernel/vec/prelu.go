package vec

import "github.com/drawknife/drawknife/internal/parallel"

// RPRelu computes y = PRelu(x-before[c], slope[c]) + after[c] for each row of
// len(slope) elements: RPReLU of Liu et al., ReActNet (ECCV 2020).
// dst may be x.
func RPRelu(dst, x, before, slope, after []float32) {
	c := len(slope)
	if c == 0 || len(dst) == 0 {
		return
	}
	x, before, after = x[:len(dst)], before[:c], after[:c]
	var bufB, bufS, bufA [rowTile]float32
	if c < shortRow {
		rows := (len(dst) + c - 1) / c
		before, slope, after = tileRow(&bufB, before, rows), tileRow(&bufS, slope, rows), tileRow(&bufA, after, rows)
	}
	for i := 0; i < len(dst); i += len(slope) {
		n := min(len(slope), len(dst)-i)
		rprelu(dst[i:i+n], x[i:i+n], before[:n], slope[:n], after[:n])
	}
}

func rprelu(dst, x, b, s, a []float32) {
	if rpreluSIMD(dst, x, b, s, a) {
		return
	}
	for i := range dst {
		y := x[i] - b[i]
		dst[i] = pick(y < 0, float32(y*s[i]), y) + a[i]
	}
}

// preluTile is the number of elements whose products wait to be summed.
const preluTile = 2048

// ParallelPReluGrad computes the gradient of y = PRelu(x, slope) for rows of cols
// elements, on the workers of p: dx is dy, or slope·dy where x is not positive, and
// dslope the sum of x·dy there. slope has an element for each column, or one in
// all. dx may be dy. scratch has ColScratch elements; the order of the sums, and so
// the result, does not depend on the number of workers.
func ParallelPReluGrad(p *parallel.Pool, dx, dslope, dy, x, slope []float32, cols int, scratch []float64) {
	if cols == 0 || len(dx) == 0 {
		clear(dslope)
		return
	}
	rows := len(dx) / cols
	per := groupRows(rows)
	groups := (rows + per - 1) / per
	p.For(groups, 1, func(_, lo, hi int) {
		var t preluTiles
		for g := lo; g < hi; g++ {
			i, j := g*per*cols, min((g+1)*per, rows)*cols
			t.rows(dx[i:j], scratch[g*cols:(g+1)*cols], dy[i:j], x[i:j], slope)
		}
	})
	total := 0.0
	for c := range cols {
		sum := 0.0
		for g := range groups {
			sum += scratch[g*cols+c]
		}
		if total += sum; len(slope) > 1 {
			dslope[c] = float32(sum)
		}
	}
	if len(slope) == 1 {
		dslope[0] = float32(total)
	}
}

// preluTiles are the buffers of a gradient: what elements add to the gradients of
// their slopes, sums of that, and slopes repeated.
type preluTiles struct{ products, part, slope [preluTile]float32 }

// rows does rows of len(sums) elements.
func (t *preluTiles) rows(dx []float32, sums []float64, dy, x, slope []float32) {
	cols := len(sums)
	clear(sums)
	for c := 0; c < cols; c += preluTile { // wide rows go in parts
		n := min(cols-c, preluTile)
		rows := 1 // at a time
		if n == cols {
			rows = min(preluTile/n, colBlock, len(dx)/n)
		}
		repeated := t.slope[:rows*n]
		filled := copy(repeated, slope[min(c, len(slope)-1):])
		for filled < len(repeated) {
			filled += copy(repeated[filled:], repeated[:filled])
		}
		for i := c; i < len(dx); i += rows * cols {
			m := n
			if n == cols {
				m = min(rows*n, len(dx)-i)
			}
			preluGrad(dx[i:i+m], t.products[:m], dy[i:i+m], x[i:i+m], repeated[:m])
			colReduce(colSum, t.part[:n], t.products[:m], nil, nil, m/n, n, n)
			for k, v := range t.part[:n] {
				sums[c+k] += float64(v)
			}
		}
	}
}

// preluGrad computes dx and what each element adds to the gradient of its slope.
func preluGrad(dx, ds, dy, x, s []float32) {
	if preluGradSIMD(dx, ds, dy, x, s) {
		return
	}
	for i, d := range dy {
		if x[i] > 0 {
			dx[i], ds[i] = d, 0
		} else {
			dx[i], ds[i] = d*s[i], d*x[i]
		}
	}
}
