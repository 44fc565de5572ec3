// Package gemm multiplies float32 matrices, row-major, on the micro-kernels of
// package tile.
//
// The left matrix is read where it lies, by row offsets; only the right one is
// packed, into panels as wide as a kernel (Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008, without the packing of A).
// Results have the same bits for any number of workers.
package gemm

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

// depthBlock is the largest depth of one pass over a panel: the rows that a kernel
// reads side by side then fill half of a first-level cache, and sums of so many
// products are added to C, which rounds less than one sum of all.
const depthBlock = 512

// rowBlock is the number of rows of a unit of work.
const rowBlock = 4 * tile.RowStep

// SGEMM computes C = alpha*op(A)*op(B) + beta*C, where op transposes if told
// to, op(A) is m x k, op(B) is k x n and C is m x n. The leading dimensions
// are the distances between rows as stored. With beta 0, C is not read.
func SGEMM(p *parallel.Pool, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int,
	b []float32, ldb int, beta float32, c []float32, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	mustHold("c", c, m, n, ldc)
	if alpha != 0 && k > 0 {
		rows, cols := m, k
		if transA {
			rows, cols = k, m
		}
		mustHold("a", a, rows, cols, lda)
		rows, cols = k, n
		if transB {
			rows, cols = n, k
		}
		mustHold("b", b, rows, cols, ldb)
	}
	st := states.Get().(*state)
	defer states.Put(st)
	if alpha == 0 || k <= 0 {
		scale(m, n, beta, c, ldc)
		return
	}
	if beta != 0 && beta != 1 {
		scale(m, n, beta, c, ldc)
	}
	set := tile.Best()
	if transA {
		st.at = grow(st.at, m*k)
		st.transpose(p, st.at, k, a, lda, k, m)
		a, lda = st.at, k
	}
	// Some columns at a time are packed to the same memory, which the
	// second-level cache keeps.
	const grain = 96 // columns that fill panels of every width
	step := max(panelBytes/(4*k)/grain, 1) * grain
	for j := 0; j < n; j += step {
		cols, right := min(step, n-j), b[j:]
		if transB {
			right = b[j*ldb:]
		}
		st.pack(p, set, transB, k, cols, alpha, right, ldb)
		st.product = product{
			panels: &st.packed, m: m, a: a, lda: lda, c: c[j:], ldc: ldc, min: negInf, max: posInf, accumulate: beta != 0,
		}
		st.run(p)
	}
}

// mustHold panics unless v can hold a matrix: the assembly does not look.
func mustHold(what string, v []float32, rows, cols, ld int) {
	if need := (rows-1)*ld + cols; ld < cols || len(v) < need {
		panic(fmt.Sprintf("gemm: %s has %d floats and leading dimension %d, too few for %d x %d", what, len(v), ld, rows, cols))
	}
}

// scale multiplies C by beta; zero clears, whatever C held.
func scale(m, n int, beta float32, c []float32, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= beta
		}
	}
}
