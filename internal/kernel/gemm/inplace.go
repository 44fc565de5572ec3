package gemm

import (
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// InPlace is a right matrix, stored n x k, that single rows are multiplied by
// where it lies: packing it would take as much memory again, and a single row
// reads every weight once anyway.
type InPlace struct {
	set  *tile.Set
	w    []float32
	n, k int
	runs reuse.List[inPlaceRun]
}

// NewInPlace is a matrix of n rows of k elements, or nil where there is no fast
// kernel for it.
func NewInPlace(w []float32, n, k int) *InPlace {
	set := tile.Best()
	if !set.HasDots() || n < tile.DotRows || k == 0 {
		return nil
	}
	mustHold("w", w, n, k, k)
	return &InPlace{set: set, w: w, n: n, k: k}
}

// inPlaceRun is the state of one multiplication.
type inPlaceRun struct {
	m          *InPlace
	a, bias, c []float32
	min, max   float32
	sums       [][tile.DotRows]float32 // of each worker
	body       func(worker, lo, hi int)
}

// inPlaceRows is the number of rows of a unit of work.
const inPlaceRows = 64

// Mul computes c = clamp(a*W' + bias), a row of k elements and one of n; bias
// may be nil. It may run in several goroutines at once.
func (m *InPlace) Mul(p *parallel.Pool, a, bias []float32, lo, hi float32, c []float32) {
	_, _ = a[m.k-1], c[m.n-1]
	r := m.runs.Get()
	if r == nil {
		r = &inPlaceRun{m: m}
		r.body = r.work
	}
	if n := p.Workers(); len(r.sums) < n {
		r.sums = make([][tile.DotRows]float32, n)
	}
	r.a, r.bias, r.c, r.min, r.max = a[:m.k], bias, c[:m.n], lo, hi
	p.For((m.n+inPlaceRows-1)/inPlaceRows, 1, r.body)
	r.a, r.bias, r.c = nil, nil, nil
	m.runs.Put(r)
}

// work computes units lo..hi-1. Rows that are computed together are a quarter of
// a unit apart, so that each of the paths along which the weights are read goes
// on from one row to the next. Rows left over make a group with those before.
func (r *inPlaceRun) work(worker, lo, hi int) {
	m, sums := r.m, &r.sums[worker]
	for unit := lo; unit < hi; unit++ {
		first := unit * inPlaceRows
		rows := min(inPlaceRows, m.n-first)
		apart := rows / tile.DotRows
		for i := first; i < first+apart; i++ {
			m.set.Dots(sums, r.a, m.w[i*m.k:], apart*m.k)
			r.store(sums[:], i, apart)
		}
		if left := rows % tile.DotRows; left > 0 {
			m.set.Dots(sums, r.a, m.w[(m.n-tile.DotRows)*m.k:], m.k)
			r.store(sums[tile.DotRows-left:], m.n-left, 1)
		}
	}
}

// store writes sums to outputs i, i+stride, and so on.
func (r *inPlaceRun) store(sums []float32, i, stride int) {
	for j, v := range sums {
		j = i + j*stride
		if r.bias != nil {
			v += r.bias[j]
		}
		if v < r.min {
			v = r.min
		}
		if v > r.max {
			v = r.max
		}
		r.c[j] = v
	}
}
