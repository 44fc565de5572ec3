package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// ttMatrix is a matrix of Π Rows by Π Cols as a train of d cores: core k has
// Ranks[k]·Rows[k]·Cols[k]·Ranks[k+1] elements, the first and the last rank are
// 1.
type ttMatrix struct {
	rows, cols, ranks []int
}

// ttUniform has rank r between all its cores, or less where that is as good as
// a full matrix.
func ttUniform(rows, cols []int, r int) ttMatrix {
	t := ttMatrix{rows: rows, cols: cols, ranks: make([]int, len(rows)+1)}
	for k := range t.ranks {
		t.ranks[k] = min(r, t.maxRank(k))
	}
	return t
}

// maxRank is the rank before core k beyond which nothing is gained.
func (t ttMatrix) maxRank(k int) int {
	size := func(lo, hi int) int { return span(t.rows, lo, hi) * span(t.cols, lo, hi) }
	return min(size(0, k), size(k, len(t.rows)))
}

func span(xs []int, lo, hi int) int {
	n := 1
	for _, x := range xs[lo:hi] {
		n *= x
	}
	return n
}

// check reports a train whose parts do not fit together.
func (t ttMatrix) check() error {
	d := len(t.rows)
	if d == 0 || len(t.cols) != d || len(t.ranks) != d+1 || t.ranks[0] != 1 || t.ranks[d] != 1 {
		return fmt.Errorf("a train of %d cores needs as many rows and columns and one rank more, 1 at both ends: %v, %v, %v", d, t.rows, t.cols, t.ranks)
	}
	for k := range d {
		if t.rows[k] < 1 || t.cols[k] < 1 || t.ranks[k] < 1 {
			return fmt.Errorf("core %d of the train is empty", k)
		}
	}
	return nil
}

// stage is the matrix product of one core: rows × depth by depth × vectors.
type ttStage struct{ rows, depth, vectors int }

func (t ttMatrix) stage(k int) ttStage {
	return ttStage{rows: t.ranks[k] * t.rows[k], depth: t.cols[k] * t.ranks[k+1],
		vectors: span(t.cols, 0, k) * span(t.rows, k+1, len(t.rows))}
}

// storage counts the elements of the cores.
func (t ttMatrix) storage() (n int) {
	for k := range t.rows {
		n += t.ranks[k] * t.rows[k] * t.cols[k] * t.ranks[k+1]
	}
	return n
}

// dense counts the elements of the matrix that the train stands for.
func (t ttMatrix) dense() int { return span(t.rows, 0, len(t.rows)) * span(t.cols, 0, len(t.cols)) }

// mults counts the multiplications of one product with a vector, a matrix
// product for each core and nothing computed twice.
func (t ttMatrix) mults() (n int) {
	for k := range t.rows {
		s := t.stage(k)
		n += s.rows * s.depth * s.vectors
	}
	return n
}

// naiveMults counts those of computing every element of the result, and every
// weight for it, on its own.
func (t ttMatrix) naiveMults() int {
	sum := 0
	for k := range t.rows {
		sum += t.ranks[k] * t.ranks[k+1]
	}
	return t.dense() * sum
}

// apply multiplies by x core by core, in the order that the machine does. Core
// k is in row-major order of rank, row, column, rank. The result has as many
// elements as the matrix has rows.
func (t ttMatrix) apply(cores [][]float64, x []float64) []float64 {
	v := x // columns 0..k, then the rank behind core k, then rows k+1..d
	for k := len(t.rows) - 1; k >= 0; k-- {
		before, after := span(t.cols, 0, k), span(t.rows, k+1, len(t.rows))
		r0, m, n, r1 := t.ranks[k], t.rows[k], t.cols[k], t.ranks[k+1]
		next := make([]float64, before*r0*m*after)
		for b := range before {
			for row := range r0 * m {
				out := next[(b*r0*m+row)*after:][:after]
				for col := range n * r1 {
					w := cores[k][row*n*r1+col]
					for a, e := range v[(b*n*r1+col)*after:][:after] {
						out[a] += w * e
					}
				}
			}
		}
		v = next
	}
	return v
}

// factors splits n into d factors that are as equal as its primes allow.
func factors(n, d int) []int {
	fs := make([]int, d)
	for i := range fs {
		fs[i] = 1
	}
	var primes []int
	for p := 2; p*p <= n; p++ {
		for n%p == 0 {
			primes, n = append(primes, p), n/p
		}
	}
	if n > 1 {
		primes = append(primes, n)
	}
	for i := len(primes) - 1; i >= 0; i-- {
		least := 0
		for j := range fs {
			if fs[j] < fs[least] {
				least = j
			}
		}
		fs[least] *= primes[i]
	}
	return fs
}

// ttLayer decomposes one group of a layer, kernels as rows, as a matrix on
// unrolled inputs; with one core it is the layer itself.
func ttLayer(l *hardware.Layer, d, rank int) ttMatrix {
	return ttUniform(factors(l.Size[hardware.K], d), factors(filterSize(l), d), rank)
}
