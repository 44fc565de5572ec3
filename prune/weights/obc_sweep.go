package weights

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/internal/kernel/vec"
)

// exactWork is the number of multiplications, about, up to which obc takes the
// weights of a layer out one by one in the order of their costs.
const exactWork = 2e10

// large reports layers for which that takes too long.
func (o *obc) large(l *Layer) bool {
	n := float64(min(o.hess[l].width, l.Cols))
	return float64(len(l.W))*n*n/3 > exactWork
}

// sweepColumns is how many columns are decided about together.
const sweepColumns = 32

// sweep is the short cut for large layers (Frantar and Alistarh, SparseGPT,
// ICML 2023): all rows go through the columns in one order, so that one Cholesky
// factor of H⁻¹ = UᵀU serves all. Some columns at a time, the weights of the least
// w²/U_jj² go, as many as the mask says there (with N:M, all but N of each M;
// blocks stay those of the mask), and the columns to their right make up for
// each: w ← w − (w_j/U_jj)·U_j.
func (o *obc) sweep(l *Layer, p Pattern, mask []float32) {
	h := o.hess[l]
	rows := l.Rows / h.groups
	for g := range h.groups {
		for b := range h.blocks() {
			_, first, n := h.of(g*rows, b)
			s := &sweeper{l: l, pattern: p, mask: mask, row: g * rows, rows: rows, first: first, n: n}
			s.load(o.inverse[l][g*h.blocks()+b])
			width := sweepColumns
			if p.M > 0 {
				width = p.M * l.Taps
			}
			for from := 0; from < n; from += width {
				s.chunk(from, min(from+width, n))
			}
			s.store()
		}
	}
}

// sweeper is one block of columns of one group of rows.
type sweeper struct {
	l         *Layer
	pattern   Pattern
	mask      []float32
	row, rows int // first row, and how many
	first, n  int // first column, and how many
	w         []float32
	keep      []float32
	upper     []float32 // U, n × n
}

func (s *sweeper) load(inverse []float64) {
	var chol mat.Cholesky
	var u mat.TriDense
	s.upper = make([]float32, s.n*s.n)
	if chol.Factorize(mat.NewSymDense(s.n, inverse)) {
		chol.UTo(&u)
		for i := range s.n {
			for j := i; j < s.n; j++ {
				s.upper[i*s.n+j] = float32(u.At(i, j))
			}
		}
	} else { // without second derivatives nothing makes up for anything
		for i := range s.n {
			s.upper[i*s.n+i] = 1
		}
	}
	s.w, s.keep = make([]float32, s.rows*s.n), make([]float32, s.rows*s.n)
	for r := range s.rows {
		for j := range s.n {
			at := s.l.At(s.row+r, s.first+j)
			s.w[r*s.n+j], s.keep[r*s.n+j] = s.l.W[at], s.mask[at]
		}
	}
}

func (s *sweeper) store() {
	for r := range s.rows {
		for j := range s.n {
			at := s.l.At(s.row+r, s.first+j)
			s.l.W[at], s.mask[at] = s.w[r*s.n+j], s.keep[r*s.n+j]
		}
	}
}

// chunk decides about the columns from a to b, and takes out what goes.
func (s *sweeper) chunk(a, b int) {
	if s.pattern.Height == 0 {
		s.choose(a, b)
	}
	engine.Pool(0).For(s.rows, 4, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			w, keep := s.w[r*s.n:][:s.n], s.keep[r*s.n:][:s.n]
			for j := a; j < b; j++ {
				if keep[j] != 0 {
					continue
				}
				u := s.upper[j*s.n:][:s.n]
				if e := w[j] / u[j]; e != 0 && j+1 < s.n {
					vec.Axpy(-e, u[j+1:], w[j+1:])
				}
				w[j] = 0
			}
		}
	})
}

// choose decides again which weights of some columns go, now that the columns
// to their left are gone.
func (s *sweeper) choose(a, b int) {
	cost := make([]float32, 0, s.rows*(b-a))
	gone := 0
	for r := range s.rows {
		for j := a; j < b; j++ {
			v := s.w[r*s.n+j] / s.upper[j*s.n+j]
			cost = append(cost, v*v)
			if s.keep[r*s.n+j] == 0 {
				gone++
			}
		}
	}
	if s.pattern.M > 0 {
		s.chooseNM(a, b, cost)
		return
	}
	if gone == 0 || gone == len(cost) {
		return
	}
	limit := smallest(append([]float32(nil), cost...), gone)
	left := gone
	for _, c := range cost {
		if c < limit {
			left--
		}
	}
	for i, c := range cost { // of equal costs the first go
		keep := &s.keep[i/(b-a)*s.n+a+i%(b-a)]
		*keep = 1
		if c < limit || c == limit && left > 0 {
			*keep = 0
			if c == limit {
				left--
			}
		}
	}
}

// chooseNM keeps N of each M input channels' weights at each tap.
func (s *sweeper) chooseNM(a, b int, cost []float32) {
	p, taps := s.pattern, s.l.Taps
	for r := range s.rows {
		keep := s.keep[r*s.n+a:][:b-a]
		cost := cost[r*(b-a):][:b-a]
		for k := range taps {
			for i := range p.M {
				// A weight stays if fewer than N others are worth more.
				better := 0
				for j := range p.M {
					x, y := cost[j*taps+k], cost[i*taps+k]
					if x > y || x == y && j < i {
						better++
					}
				}
				keep[i*taps+k] = 0
				if better < p.N {
					keep[i*taps+k] = 1
				}
			}
		}
	}
}

// smallest is the n-th smallest element of x, from 1, which it reorders
// (Hoare's selection).
func smallest(x []float32, n int) float32 {
	lo, hi, k := 0, len(x)-1, n-1
	for lo < hi {
		pivot := x[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	if len(x) == 0 {
		return float32(math.Inf(1))
	}
	return x[k]
}
