package gemm

import (
	"sync"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// product is one multiplication by a packed matrix.
type product struct {
	panels     *panels
	m          int
	a          []float32
	lda        int
	bias       []float32
	c          []float32
	ldc        int
	min, max   float32
	accumulate bool // add to C
	rows, cols int  // rows and panels of a unit of work
	blocks     int  // units one above the other
}

// state is what a call needs; states recycles them so that calls allocate
// nothing.
type state struct {
	product
	packed  panels    // of SGEMM
	at      []float32 // of SGEMM: A transposed
	workers []worker
	body    func(worker, lo, hi int)

	// The job of packBody and transposeBody.
	packBody, transposeBody func(worker, lo, hi int)
	trans                   bool
	alpha                   float32
	src, dst                []float32
	lds, ldd, dstCols       int
}

// worker is the state of one worker.
type worker struct {
	args tile.Args
	base [rowBlock]int
	edge [rowBlock * tile.MaxCols]float32
	bias [tile.MaxCols]float32
}

// states are those of SGEMM, whose packed matrices may be large: the garbage
// collector may have them. Constant matrices have their own.
var states = sync.Pool{New: func() any { return newState() }}

func newState() *state {
	st := &state{}
	st.body = st.work
	st.packBody = st.packSome
	st.transposeBody = st.transposeSome
	return st
}

// pack packs op(B) into st.packed.
func (st *state) pack(p *parallel.Pool, set *tile.Set, trans bool, k, n int, alpha float32, b []float32, ldb int) {
	st.packed.layout(set, k, n)
	st.trans, st.alpha, st.src, st.lds = trans, alpha, b, ldb
	p.For(st.packed.packs(trans), 1, st.packBody)
	st.src = nil
}

func (st *state) packSome(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		st.packed.pack(i, st.trans, st.alpha, st.src, st.lds)
	}
}

// transposeRows is the number of rows of the source of one unit of transpose.
const transposeRows = 32

// transpose writes the rows x cols matrix src to dst, cols x rows.
func (st *state) transpose(p *parallel.Pool, dst []float32, ldd int, src []float32, lds, rows, cols int) {
	st.src, st.dst, st.lds, st.ldd, st.dstCols = src, dst, lds, ldd, cols
	p.For(rows, transposeRows, st.transposeBody)
	st.src, st.dst = nil, nil
}

func (st *state) transposeSome(_, lo, hi int) {
	tile.Transpose(st.dst[lo:], st.ldd, st.src[lo*st.lds:], st.lds, hi-lo, st.dstCols)
}

// panelBytes is how much of the packed matrix a unit of work reads where others
// read the same: a part of the second-level cache.
const panelBytes = 1 << 20

// oneTap is the tap list of a matrix: rows are contiguous.
var oneTap = []int{0}

// run computes the product.
func (st *state) run(p *parallel.Pool) {
	if n := p.Workers(); len(st.workers) < n {
		st.workers = make([]worker, n)
	}
	// Blocks of rows by all panels; by fewer if there are few rows.
	st.rows = rowBlock
	if st.m <= rowBlock*8 {
		st.rows = tile.RowStep
	}
	blocks := (st.m + st.rows - 1) / st.rows
	units := min(len(st.panels.list), (32+blocks-1)/blocks)
	st.cols = (len(st.panels.list) + units - 1) / units
	if blocks > 1 {
		st.cols = min(st.cols, max(1, panelBytes*len(st.panels.list)/max(4*len(st.panels.w), 1)))
	}
	if st.m == 1 { // whole groups of panels
		st.cols = (st.cols + tile.Streams - 1) / tile.Streams * tile.Streams
	}
	st.blocks = blocks
	p.For(blocks*st.colUnits(), 1, st.body)
	for i := range st.workers {
		st.workers[i].args = tile.Args{}
	}
	st.product = product{}
}

func (st *state) colUnits() int { return (len(st.panels.list) + st.cols - 1) / st.cols }

func (st *state) work(id, lo, hi int) {
	w := &st.workers[id]
	for u := lo; u < hi; u++ {
		// All rows by some panels before the next, so that the panels stay.
		first := u % st.blocks * st.rows
		col := u / st.blocks * st.cols
		end := min(col+st.cols, len(st.panels.list))
		for st.m == 1 && st.group(w, col, end) {
			col += tile.Streams
		}
		if col < end {
			st.block(w, first, min(st.rows, st.m-first), col, end)
		}
	}
}

// group computes the panels from i on that a row kernel takes together, and
// reports whether it did: all must be there and alike.
func (st *state) group(w *worker, i, end int) bool {
	if i+tile.Streams > end || st.accumulate {
		return false
	}
	list := st.panels.list[i : i+tile.Streams]
	first, last := &list[0], &list[tile.Streams-1]
	cols := first.kernel.Cols
	n := last.j + last.n - first.j
	if set := st.panels.set; len(set.Kernels) < 2 || first.kernel != &set.Kernels[1] {
		return false
	}
	if n != tile.Streams*cols || last.w-first.w != (tile.Streams-1)*st.panels.k*cols {
		return false
	}
	k, c := st.panels.k, st.c[first.j:][:n]
	depth := st.depth()
	for at := 0; at < max(k, 1); at += depth {
		sums := w.edge[:n]
		clear(sums)
		if at == 0 && st.bias != nil {
			copy(sums, st.bias[first.j:])
		}
		end := min(at+depth, k)
		if !st.panels.set.Row(sums, st.a[at:end], st.panels.w[first.w+at*cols:], k) {
			return false
		}
		if at == 0 {
			copy(c, sums)
		} else {
			for j, v := range sums {
				c[j] += v
			}
		}
	}
	for j, v := range c {
		c[j] = tile.Clamp(v, st.min, st.max)
	}
	return true
}

// depth is the number of steps of a depth block.
func (st *state) depth() int {
	k := st.panels.k
	blocks := max(1, (k+depthBlock-1)/depthBlock)
	return max(1, (k+blocks-1)/blocks)
}

// block computes rows rows from first on of the panels lo to hi, depth block
// by depth block.
func (st *state) block(w *worker, first, rows, lo, hi int) {
	k, depth := st.panels.k, st.depth()
	for i := range rows {
		w.base[i] = 4 * i * st.lda
	}
	for i := rows; i%tile.RowStep != 0; i++ {
		w.base[i] = 0
	}
	for at := 0; at < max(k, 1); at += depth {
		n := min(depth, k-at)
		w.args = tile.Args{
			Src: st.a[first*st.lda+at:], Zero: zeros[:n], Base: w.base[:], Taps: oneTap, Run: n, Rows: rows,
		}
		for i := lo; i < hi; i++ {
			st.panel(w, &st.panels.list[i], first, at, at+n == k)
		}
	}
}

// zeros is what rows that are missing read.
var zeros [depthBlock]float32

// panel adds one depth block to one panel of C.
func (st *state) panel(w *worker, p *panel, first, at int, last bool) {
	a, nr := &w.args, p.kernel.Cols
	a.W = st.panels.w[p.w+at*nr:]
	bias := w.bias[:nr]
	clear(bias)
	if at == 0 && st.bias != nil {
		copy(bias, st.bias[p.j:p.j+p.n])
	}
	a.Bias = bias
	a.Min, a.Max = negInf, posInf
	dst := st.c[first*st.ldc+p.j:]
	a.Columns = p.n
	if p.kernel.Takes(p.n) {
		if last {
			a.Min, a.Max = st.min, st.max
		}
		a.Dst, a.DstStride, a.AddStride, a.Add = dst, st.ldc, st.ldc, nil
		if at > 0 || st.accumulate {
			a.Add = dst
		}
		p.kernel.Run(a)
		return
	}
	// The kernel writes more columns than there are: add in Go.
	a.Dst, a.DstStride, a.Add = w.edge[:], nr, nil
	p.kernel.Run(a)
	for i := range a.Rows {
		row := dst[i*st.ldc:][:p.n]
		for j, v := range w.edge[i*nr:][:p.n] {
			if at > 0 || st.accumulate {
				v += row[j]
			}
			if last {
				v = tile.Clamp(v, st.min, st.max)
			}
			row[j] = v
		}
	}
}
