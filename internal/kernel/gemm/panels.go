package gemm

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// panel is a run of columns of the right matrix that one kernel computes.
type panel struct {
	kernel *tile.Kernel
	j, n   int // first column, columns (fewer than the kernel's at the end)
	w      int // start in the packed matrix
}

// panels is a packed right matrix: panel by panel, [k][kernel columns].
type panels struct {
	set  *tile.Set
	k, n int
	list []panel
	w    []float32
}

// layout plans the panels of a k x n matrix.
func (t *panels) layout(set *tile.Set, k, n int) {
	if t.k == k && t.n == n && t.set == set {
		return
	}
	t.set, t.k, t.n, t.list = set, k, n, t.list[:0]
	j, w := 0, 0
	for _, kn := range set.Columns(n) {
		t.list = append(t.list, panel{kernel: kn, j: j, n: min(kn.Cols, n-j), w: w})
		j += kn.Cols
		w += k * kn.Cols
	}
	t.w = grow(t.w, w)
}

// packRows is the number of rows of B of a unit of packing.
const packRows = 64

// packs is the number of units of packing: panels if trans, else some rows of all
// panels.
func (t *panels) packs(trans bool) int {
	if trans {
		return len(t.list)
	}
	return (t.k + packRows - 1) / packRows
}

// pack does unit i of packing B (k x n, or n x k if trans), times alpha.
func (t *panels) pack(i int, trans bool, alpha float32, b []float32, ldb int) {
	if trans {
		p := &t.list[i]
		nr := p.kernel.Cols
		dst := t.w[p.w : p.w+t.k*nr]
		if p.n < nr {
			clear(dst)
		}
		tile.Transpose(dst, nr, b[p.j*ldb:], ldb, p.n, t.k)
		if alpha != 1 {
			for j := range dst {
				dst[j] *= alpha
			}
		}
		return
	}
	for r := i * packRows; r < min((i+1)*packRows, t.k); r++ {
		from := b[r*ldb:][:t.n]
		for i := range t.list {
			p := &t.list[i]
			row := t.w[p.w+r*p.kernel.Cols:][:p.kernel.Cols]
			clear(row[copy(row, from[p.j:]):])
			if alpha != 1 {
				for j := range row {
					row[j] *= alpha
				}
			}
		}
	}
}

// Packed is a right matrix packed once, for use with many left ones.
type Packed struct {
	panels
	states reuse.List[state]
}

// PackB packs op(B), k x n; B is stored n x k if transB.
func PackB(transB bool, k, n int, b []float32, ldb int) *Packed {
	t := &Packed{}
	if n > 0 {
		t.layout(tile.Best(), k, n)
	}
	for i := range t.packs(transB) {
		t.pack(i, transB, 1, b, ldb)
	}
	return t
}

// Mul computes C = clamp(A*B + bias): A is m x k, C is m x n, both row-major;
// bias has an entry a column, nil means 0. It may run in several goroutines
// at once.
func (t *Packed) Mul(p *parallel.Pool, m int, a []float32, lda int, bias []float32, lo, hi float32, c []float32, ldc int) {
	if m <= 0 || t.n == 0 {
		return
	}
	mustHold("c", c, m, t.n, ldc)
	if t.k > 0 {
		mustHold("a", a, m, t.k, lda)
	}
	st := t.states.Get()
	if st == nil {
		st = newState()
	}
	defer t.states.Put(st)
	st.product = product{panels: &t.panels, m: m, a: a, lda: lda, bias: bias, c: c, ldc: ldc, min: lo, max: hi}
	st.run(p)
}

// grow returns a slice of n floats on a cache line, s itself if long enough.
// What it holds is not defined.
func grow(s []float32, n int) []float32 {
	if cap(s) >= n {
		return s[:n]
	}
	const line = 64
	s = make([]float32, n+line/4)
	if off := int(uintptr(unsafe.Pointer(&s[0])) % line); off != 0 {
		s = s[(line-off)/4:]
	}
	return s[:n]
}
