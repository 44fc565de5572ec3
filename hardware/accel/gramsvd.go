package accel

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// gramSVD is the truncated decomposition A ≈ U·diag(s)·Vᵀ of a tall matrix as
// the TTD engine computes it: the eigenvectors of the small matrix AᵀA, which
// the Lanczos process brings to three diagonals and shifted QR steps to one,
// then U = A·V/s. Squaring halves the digits: singular values below about 1e-8
// of the largest are lost. A rank above what the matrix has gives fewer columns.
func gramSVD(a mat.Matrix, rank int) (u *mat.Dense, s []float64, v *mat.Dense, err error) {
	m, n := a.Dims()
	if m < n || rank < 1 || rank > n {
		return nil, nil, nil, fmt.Errorf("rank %d of a %d×%d matrix: it must be tall and the rank from 1 to its width", rank, m, n)
	}
	var gram mat.Dense
	gram.Mul(a.T(), a)
	diag, off, basis := lanczos(&gram)
	if err := shiftedQR(diag, off, basis); err != nil {
		return nil, nil, nil, err
	}
	order := make([]int, len(diag))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(diag[j], diag[i]) })
	for rank > 1 && (rank > len(diag) || diag[order[rank-1]] <= 1e-15*diag[order[0]]) {
		rank--
	}
	v = mat.NewDense(n, rank, nil)
	for j, from := range order[:rank] {
		s = append(s, math.Sqrt(max(diag[from], 0)))
		for i := range n {
			v.Set(i, j, basis[from][i])
		}
	}
	u = mat.NewDense(m, rank, nil)
	u.Mul(a, v)
	for j, sigma := range s {
		for i := range m {
			if sigma > 0 {
				u.Set(i, j, u.At(i, j)/sigma)
			}
		}
	}
	return u, s, v, nil
}

// lanczos is the Arnoldi process on a symmetric matrix, with modified
// Gram-Schmidt against the whole basis: g = B·T·Bᵀ, T of a diagonal and the
// one beside it. basis holds the columns of B. Where the process ends early,
// in an invariant subspace, it starts again with a fresh direction.
func lanczos(g *mat.Dense) (diag, off []float64, basis [][]float64) {
	n, _ := g.Dims()
	scale := mat.Norm(g, 2)
	next := make([]float64, n)
	for i := range next {
		next[i] = 1 + float64(i%7)/8 // no special direction
	}
	for fresh := 0; len(basis) < n; {
		norm := orthogonalize(next, basis)
		if norm <= 1e-12*scale || norm == 0 {
			if len(basis) > 0 && len(off) < len(basis) {
				off = append(off, 0)
			}
			norm = 0
			for ; norm < 0.1/float64(n) && fresh < 2*n; fresh++ {
				clear(next)
				next[fresh%n] = 1
				norm = orthogonalize(next, basis)
			}
			if norm == 0 {
				break
			}
		} else if len(basis) > 0 {
			off = append(off, norm)
		}
		q := make([]float64, n)
		for i := range q {
			q[i] = next[i] / norm
		}
		basis = append(basis, q)
		alpha := 0.0
		for i := range n {
			next[i] = dot(g.RawRowView(i), q)
			alpha += q[i] * next[i]
		}
		diag = append(diag, alpha)
	}
	return diag, off, basis
}

// orthogonalize takes from x what lies in the basis, twice, and returns the
// length of the rest.
func orthogonalize(x []float64, basis [][]float64) float64 {
	for range 2 {
		for _, b := range basis {
			c := dot(b, x)
			for i := range x {
				x[i] -= c * b[i]
			}
		}
	}
	return math.Sqrt(dot(x, x))
}

func dot(a, b []float64) (sum float64) {
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// shiftedQR turns a symmetric matrix of three diagonals into its eigenvalues,
// in diag, by QR steps with Wilkinson's shift; basis, whose vectors are turned
// along, ends as the eigenvectors. off is used up.
func shiftedQR(diag, off []float64, basis [][]float64) error {
	const stepsEach = 50
	steps := 0
	for hi := len(diag) - 1; hi > 0; {
		small := func(i int) bool { return math.Abs(off[i]) <= 1e-16*(math.Abs(diag[i])+math.Abs(diag[i+1])) }
		if small(hi - 1) {
			hi--
			continue
		}
		lo := hi - 1
		for lo > 0 && !small(lo-1) {
			lo--
		}
		if steps++; steps > stepsEach*len(diag) {
			return fmt.Errorf("the QR iteration does not converge after %d steps; are all weights finite?", steps)
		}
		qrStep(diag, off, basis, lo, hi)
	}
	return nil
}

// qrStep chases the bulge of one implicit QR step through rows lo to hi.
func qrStep(diag, off []float64, basis [][]float64, lo, hi int) {
	d := (diag[hi-1] - diag[hi]) / 2
	e := off[hi-1]
	shift := diag[hi] - e*e/(d+math.Copysign(math.Hypot(d, e), d))
	x, z := diag[lo]-shift, off[lo]
	for k := lo; k < hi; k++ {
		r := math.Hypot(x, z)
		if r == 0 {
			return
		}
		c, s := x/r, z/r
		if k > lo {
			off[k-1] = r
		}
		a, b, o := diag[k], diag[k+1], off[k]
		diag[k] = c*c*a + 2*c*s*o + s*s*b
		diag[k+1] = s*s*a - 2*c*s*o + c*c*b
		off[k] = c*s*(b-a) + (c*c-s*s)*o
		for i, p := range basis[k] {
			q := basis[k+1][i]
			basis[k][i], basis[k+1][i] = c*p+s*q, c*q-s*p
		}
		if k+1 < hi {
			x, z = off[k], s*off[k+1]
			off[k+1] *= c
		}
	}
}

// ttDecompose finds the cores of a train for a matrix in row-major order by
// one SVD for each core but the last, at the ranks of t, which are lowered
// where the matrix has less.
func ttDecompose(t *ttMatrix, w []float64) ([][]float64, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(w) != t.dense() {
		return nil, fmt.Errorf("%d weights for a train of a matrix of %d", len(w), t.dense())
	}
	d := len(t.rows)
	rest := t.interleave(w)
	cores := make([][]float64, d)
	for k := range d - 1 {
		m := t.ranks[k] * t.rows[k] * t.cols[k]
		n := len(rest) / m
		a := mat.NewDense(m, n, rest)
		rank := min(t.ranks[k+1], m, n)
		var left, right mat.Dense // left·right is the unfolding
		if m >= n {
			u, s, v, err := gramSVD(a, rank)
			if err != nil {
				return nil, err
			}
			left.CloneFrom(u)
			right.Mul(mat.NewDiagDense(len(s), s), v.T())
		} else {
			u, s, v, err := gramSVD(a.T(), rank)
			if err != nil {
				return nil, err
			}
			left.CloneFrom(v)
			right.Mul(mat.NewDiagDense(len(s), s), u.T())
		}
		_, t.ranks[k+1] = left.Dims()
		cores[k], rest = left.RawMatrix().Data, right.RawMatrix().Data
	}
	cores[d-1] = rest
	return cores, nil
}

// interleave brings a matrix into the order of a train: row and column of core
// 0, those of core 1, and so on.
func (t ttMatrix) interleave(w []float64) []float64 {
	d, n := len(t.rows), span(t.cols, 0, len(t.cols))
	out := make([]float64, len(w))
	for i := range w {
		row, col, to := i/n, i%n, 0
		for k := range d {
			to = (to*t.rows[k]+row/span(t.rows, k+1, d)%t.rows[k])*t.cols[k] + col/span(t.cols, k+1, d)%t.cols[k]
		}
		out[to] = w[i]
	}
	return out
}

// ttError is the relative error, in the norm of all elements, of a train for a
// matrix.
func ttError(t ttMatrix, w []float64) (float64, error) {
	t.ranks = slices.Clone(t.ranks)
	cores, err := ttDecompose(&t, w)
	if err != nil {
		return 0, err
	}
	n := span(t.cols, 0, len(t.cols))
	x := make([]float64, n)
	diff, all := 0.0, 0.0
	for j := range n {
		clear(x)
		x[j] = 1
		for i, y := range t.apply(cores, x) {
			diff += (w[i*n+j] - y) * (w[i*n+j] - y)
			all += w[i*n+j] * w[i*n+j]
		}
	}
	if all == 0 {
		return 0, nil
	}
	return math.Sqrt(diff / all), nil
}
