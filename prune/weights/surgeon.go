package weights

import (
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// surgeon is a set of weights with the inverse of their Hessian, from which
// weights are taken out one by one (Hassibi and Stork, 1992).
type surgeon struct {
	w    []float64
	inv  []float64 // H⁻¹, n × n; rows and columns of weights that are gone are 0
	gone []bool
}

func newSurgeon(w []float64, inv []float64) *surgeon {
	return &surgeon{w: w, inv: inv, gone: make([]bool, len(w))}
}

// cost is what taking weight q out adds to the loss: w_q² / (2·[H⁻¹]_qq).
func (s *surgeon) cost(q int) float64 {
	d := s.inv[q*len(s.w)+q]
	if s.gone[q] {
		return math.Inf(1)
	}
	if d <= 0 {
		return 0
	}
	return s.w[q] * s.w[q] / (2 * d)
}

// remove takes weight q out, moves the others by −(w_q/[H⁻¹]_qq)·H⁻¹e_q, and
// brings the inverse up to date: H⁻¹ ← H⁻¹ − H⁻¹e_q e_qᵀH⁻¹/[H⁻¹]_qq.
func (s *surgeon) remove(q int) {
	n := len(s.w)
	row := s.inv[q*n:][:n]
	d := row[q]
	s.gone[q] = true
	if d > 0 {
		step := s.w[q] / d
		for i, v := range row {
			s.w[i] -= step * v
		}
		col := make([]float64, n)
		copy(col, row) // the matrix is symmetric
		for i, c := range col {
			if c == 0 {
				continue
			}
			axpy(-c/d, col, s.inv[i*n:][:n])
		}
	}
	for i := range n {
		s.inv[q*n+i], s.inv[i*n+q] = 0, 0
	}
	for i, g := range s.gone {
		if g {
			s.w[i] = 0
		}
	}
}

// axpy is y ← y + a·x.
func axpy(a float64, x, y []float64) {
	blas64.Axpy(a, blas64.Vector{N: len(x), Inc: 1, Data: x}, blas64.Vector{N: len(y), Inc: 1, Data: y})
}

// cheapest is the weight of the least cost among those allowed, -1 if none is.
func (s *surgeon) cheapest(allowed func(q int) bool) int {
	best, least := -1, math.Inf(1)
	for q := range s.w {
		if c := s.cost(q); !s.gone[q] && (allowed == nil || allowed(q)) && (best < 0 || c < least) {
			best, least = q, c
		}
	}
	return best
}

// joint takes a set of weights out at once: δw = −H⁻¹_{:,Q}·([H⁻¹]_QQ)⁻¹·w_Q. It
// returns ½·w_Qᵀ([H⁻¹]_QQ)⁻¹w_Q, what that adds to the loss.
func (s *surgeon) joint(q []int) float64 {
	n, m := len(s.w), len(q)
	if m == 0 {
		return 0
	}
	a, b := mat.NewSymDense(m, nil), mat.NewVecDense(m, nil)
	for i, qi := range q {
		b.SetVec(i, s.w[qi])
		for j := i; j < m; j++ {
			a.SetSym(i, j, s.inv[qi*n+q[j]])
		}
	}
	cost := 0.0
	var chol mat.Cholesky
	var x mat.VecDense
	if chol.Factorize(a) && chol.SolveVecTo(&x, b) == nil {
		cost = mat.Dot(b, &x) / 2
		for i := range n {
			for j, qj := range q {
				s.w[i] -= s.inv[i*n+qj] * x.AtVec(j)
			}
		}
	}
	for _, i := range q {
		s.gone[i], s.w[i] = true, 0
	}
	return cost
}

// fisherInverse is (λI + (1/N)·Σ g gᵀ)⁻¹ by N updates of rank one. Rows of g
// are samples.
func fisherInverse(g [][]float32, lambda float64) []float64 {
	if len(g) == 0 {
		return nil
	}
	n := len(g[0])
	inv := make([]float64, n*n)
	for i := range n {
		inv[i*n+i] = 1 / lambda
	}
	y, wide := make([]float64, n), make([]float64, n)
	for _, x := range g {
		for i, v := range x {
			wide[i] = float64(v)
		}
		at := blas64.Vector{N: n, Inc: 1, Data: wide}
		dot := 0.0
		for i := range n {
			y[i] = blas64.Dot(blas64.Vector{N: n, Inc: 1, Data: inv[i*n:][:n]}, at)
			dot += y[i] * wide[i]
		}
		f := 1 / (float64(len(g)) + dot)
		for i, a := range y {
			axpy(-f*a, y, inv[i*n:][:n])
		}
	}
	return inv
}

// spdInverse inverts a symmetric matrix after adding damping times the mean of
// its diagonal, more if that is not enough.
func spdInverse(h []float64, n int, damping float64) []float64 {
	mean := 0.0
	for i := range n {
		mean += h[i*n+i] / float64(n)
	}
	if mean <= 0 {
		mean = 1
	}
	for ; ; damping = max(10*damping, 1e-8) {
		a := mat.NewSymDense(n, nil)
		for i := range n {
			for j := i; j < n; j++ {
				a.SetSym(i, j, h[i*n+j])
			}
			a.SetSym(i, i, h[i*n+i]+damping*mean)
		}
		var chol mat.Cholesky
		if !chol.Factorize(a) {
			continue
		}
		var inv mat.SymDense
		if chol.InverseTo(&inv) != nil {
			continue
		}
		out := make([]float64, n*n)
		for i := range n {
			for j := range n {
				out[i*n+j] = inv.At(i, j)
			}
		}
		return out
	}
}
