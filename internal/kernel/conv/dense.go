package conv

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

// oneTap is the tap list of a matrix product.
var oneTap = []int{0}

// mode is how the rows of the GEMM find their pixels.
type mode int

const (
	byTap  mode = iota // a tap is one kernel element, a run its channels
	byRow              // a tap is one kernel row, a run all of it: for few channels
	gather             // the patch of each pixel is copied to scratch first
)

// column is a run of output channels that one kernel computes.
type column struct {
	kernel *tile.Kernel
	k, n   int // first channel, channels (fewer than the kernel's at the end of a group)
	w, b   int // start of its packed weights and bias
	src    int // first input channel of its group
}

// dense is a convolution as an indirect GEMM.
type dense struct {
	Shape            // with small groups merged
	given      Shape // as given
	mode       mode
	set        *tile.Set
	min, max   float32
	cols       []column
	w, bias    []float32 // packed: [column][tap][step][kernel columns]
	zero       []float32
	taps       []int // byte offset of each tap
	run        int   // steps of a tap
	block      int   // pixels of a unit of work
	colBlock   int   // columns of a unit of work
	dmask      []uint64
	hmask      []uint64
	wmask      []uint64 // which taps are inside, by output depth, row and column
	inside     bool     // all taps of all pixels are
	far        bool     // no cache of a core holds the output
	lines      [2][]int // by tap, one tap, stride 1: base of the pixels of a full block and of the last one
	states     reuse.List[denseState]
	gatherSize int    // floats of the patches of a block
	slots      int    // byRow: patches in a plane
	plane      int    // byRow: floats of a plane of patches
	place      *place // nil if the output is dense
}

func newDense(set *tile.Set, s Shape, lo, hi float32) *dense {
	d := &dense{Shape: merged(s, set.Lanes), given: s, set: set, min: lo, max: hi}
	s = d.Shape
	cg, kg := s.C/s.Groups, s.K/s.Groups
	d.plan(cg)
	depth := len(d.taps) * d.run
	d.zero = make([]float32, d.run)
	w, b := 0, 0
	for g := range s.Groups {
		k := 0
		for _, kn := range set.Columns(kg) {
			d.cols = append(d.cols, column{kernel: kn, k: g*kg + k, n: min(kn.Cols, kg-k), w: w, b: b, src: g * cg})
			k += kn.Cols
			w += depth * kn.Cols
			b += kn.Cols
		}
	}
	d.w, d.bias = aligned(w), aligned(b)
	d.split(depth)
	d.line()
	d.far = d.pixels()*d.K > farFloats && depth >= farDepth
	return d
}

// Outputs are fetched ahead if a second-level cache is sure not to hold them beside
// all else, and if there is time for it while the sums form.
const farFloats, farDepth = 1 << 18, 64

// line lists the pixels of blocks that all look alike but for where they start.
func (d *dense) line() {
	if d.mode != byTap || len(d.taps) != 1 || !d.inside || d.StrideD*d.StrideH*d.StrideW != 1 || d.OD != d.D || d.P != d.H || d.Q != d.W {
		return
	}
	for i, rows := range [...]int{d.block, (d.pixels()-1)%d.block + 1} {
		d.lines[i] = make([]int, d.block+tile.MaxRows)
		for j := range rows {
			d.lines[i][j] = 4 * j * d.SrcStride
		}
	}
}

// plan chooses the mode and lists the taps.
func (d *dense) plan(cg int) {
	n := d.T * d.R * d.S
	// The portable kernel checks its bounds, and byRow leaves them.
	if d.set != tile.Portable && d.T == 1 && d.R <= tile.MaxTaps && d.S > 1 && d.S <= d.W && d.DilW == 1 &&
		(cg <= 4 || n > tile.MaxTaps) && cg == d.SrcStride {
		d.planRows()
		return
	}
	if n > tile.MaxTaps || n > 1 && cg <= 4 && d.Groups == 1 {
		d.mode, d.taps, d.run = gather, oneTap, n*cg
		return
	}
	d.mode, d.run = byTap, cg
	for t := range d.T {
		for r := range d.R {
			for s := range d.S {
				at := (t*d.DilD*d.H+r*d.DilH)*d.W + s*d.DilW
				d.taps = append(d.taps, 4*at*d.SrcStride)
			}
		}
	}
	d.dmask = insideMask(d.OD, d.D, d.T, d.StrideD, d.DilD, d.PadD, d.R*d.S, 1, d.R*d.S)
	d.hmask = insideMask(d.P, d.H, d.R, d.StrideH, d.DilH, d.PadH, d.S, d.T, d.S)
	d.wmask = insideMask(d.Q, d.W, d.S, d.StrideW, d.DilW, d.PadW, 1, d.T*d.R, 1)
	all := uint64(1)<<n - 1
	d.inside = true
	for _, masks := range [][]uint64{d.dmask, d.hmask, d.wmask} {
		for _, m := range masks {
			d.inside = d.inside && m == all
		}
	}
}

// planRows prepares mode byRow. A pixel whose kernel rows would leave the image
// to the left or right reads a copy of its patch, laid out with the pitch of
// the image so that the same taps serve.
func (d *dense) planRows() {
	d.mode, d.run = byRow, d.S*d.C
	pitch := d.DilH * d.W * d.C
	for r := range d.R {
		d.taps = append(d.taps, 4*r*pitch)
	}
	d.dmask = insideMask(d.OD, d.D, 1, d.StrideD, 1, d.PadD, d.R, 1, d.R)
	d.hmask = insideMask(d.P, d.H, d.R, d.StrideH, d.DilH, d.PadH, 1, 1, 1)
	for q := range d.Q {
		x := q*d.StrideW - d.PadW
		edge := uint64(0)
		if x < 0 || x+d.S > d.W {
			edge = 1
		}
		d.wmask = append(d.wmask, edge)
	}
	d.inside = !slices.Contains(d.wmask, 1)
	for _, masks := range [][]uint64{d.dmask, d.hmask} {
		for _, m := range masks {
			d.inside = d.inside && m == 1<<d.R-1
		}
	}
	d.slots, d.plane = d.W/d.S, d.R*pitch
}

// insideMask returns, for each of out positions along one axis, the taps that
// fall inside the n input elements. Kernel element i of the axis is the taps
// i*step+j, j < width, repeated times over.
func insideMask(out, n, kernel, stride, dil, pad, step, times, width int) []uint64 {
	masks := make([]uint64, out)
	for o := range masks {
		for i := range kernel {
			if at := o*stride - pad + i*dil; at < 0 || at >= n {
				continue
			}
			for rep := range times {
				for j := range width {
					masks[o] |= 1 << (rep*kernel*step + i*step + j)
				}
			}
		}
	}
	return masks
}

// callFLOPs bounds one call into assembly, which cannot be preempted, to some
// tens of microseconds.
const callFLOPs = 4 << 20

// split chooses the unit of work: block pixels by colBlock columns. It does
// not depend on the number of workers.
func (d *dense) split(depth int) {
	maxCols := 0
	for _, c := range d.cols {
		maxCols = max(maxCols, c.kernel.Cols)
	}
	steps := callFLOPs / (2 * tile.RowStep * maxCols * depth)
	d.block = tile.RowStep * min(max(steps, 1), 4)
	// A short last block would fetch all weights for little: share the pixels
	// out evenly.
	if n := (d.pixels() + d.block/2) / d.block; n > 0 {
		const unit = tile.MaxRows
		even := (d.pixels() + n - 1) / n
		d.block = min((even+unit-1)/unit*unit, maxBlock)
	}
	if d.mode == gather {
		d.block = tile.RowStep
		d.gatherSize = d.block * d.run
	}
	if d.mode == byRow {
		d.gatherSize = d.mostEdges() * d.plane
	}
	// Some 32 units or more, if the columns allow.
	blocks := (d.pixels() + d.block - 1) / d.block
	units := min(len(d.cols), (32+blocks-1)/blocks)
	d.colBlock = (len(d.cols) + units - 1) / units
	if d.alone() {
		d.colBlock = max(d.colBlock, tile.Streams)
	}
}

// alone reports whether the convolution is a product of one row.
func (d *dense) alone() bool {
	return d.mode == byTap && len(d.taps) == 1 && d.inside && d.pixels() == 1
}

// mostEdges is the largest number of planes that the patches of a block fill.
func (d *dense) mostEdges() int {
	edges := 0
	for _, m := range d.wmask {
		edges += int(m)
	}
	// A block touches at most so many output rows.
	rows := (d.block+d.Q-2)/d.Q + 1
	return (min(d.block, rows*edges) + d.slots - 1) / d.slots
}

func (d *dense) name() string {
	how := map[mode]string{byTap: "taps", byRow: "rows", gather: "gather"}[d.mode]
	return fmt.Sprintf("conv %s %s", d.cols[0].kernel.Name, how)
}

// scratch is room for the patches of a block and for one tile whose columns
// are not all wanted.
func (d *dense) scratch() int { return d.gatherSize + d.block*tile.MaxCols }

// maxBlock is the largest number of pixels of a unit of work.
const maxBlock = 6 * tile.RowStep

// denseState is what one run needs besides the plan.
type denseState struct {
	d                      *dense
	w                      []float32
	dst, src, add, scratch []float32
	first                  int  // pixel that dst and add start at
	shift                  int  // floats of the image before src
	byColumns              bool // all blocks of some columns follow each other
	workers                []denseWorker
	body                   func(worker, lo, hi int)
}

// denseWorker is the state of one worker of a run.
type denseWorker struct {
	args tile.Args
	base [maxBlock + tile.MaxRows]int
	mask [maxBlock + tile.MaxRows]uint64

	filled int // pixel that base and mask (or patches) start at
	group  int // input channel of the patches
}

// exec runs the convolution with the packed weights w; nil means its own.
func (d *dense) exec(p *parallel.Pool, w, dst, src, add, scratch []float32) {
	st := d.state(p.Workers())
	st.set(w, dst, src, add, scratch)
	st.first, st.shift, st.byColumns = 0, 0, d.heavy()
	p.For(d.blocks()*d.colUnits(), 1, st.body)
	d.release(st)
}

// state is what a run on so many workers needs.
func (d *dense) state(workers int) *denseState {
	st := d.states.Get()
	if st == nil {
		st = &denseState{d: d}
		st.body = st.work
	}
	if len(st.workers) < workers {
		st.workers = make([]denseWorker, workers)
	}
	return st
}

func (st *denseState) set(w, dst, src, add, scratch []float32) {
	if w == nil {
		w = st.d.w
	}
	st.w, st.dst, st.src, st.add, st.scratch = w, dst, src, add, scratch
}

func (d *dense) release(st *denseState) {
	st.w, st.dst, st.src, st.add, st.scratch = nil, nil, nil, nil, nil
	for i := range st.workers {
		st.workers[i].args = tile.Args{}
	}
	d.states.Put(st)
}

// heavy reports whether the weights outweigh the input: workers then share out
// the columns, so that each reads but a part of the weights.
func (d *dense) heavy() bool {
	const least = 16 << 10 // floats
	return d.mode == byTap && len(d.w) > max(least, d.N*d.D*d.H*d.W*d.C)
}

func (d *dense) blocks() int   { return (d.pixels() + d.block - 1) / d.block }
func (d *dense) colUnits() int { return (len(d.cols) + d.colBlock - 1) / d.colBlock }

// work computes the units lo to hi: each is a block of pixels by a block of
// columns.
func (st *denseState) work(worker, lo, hi int) {
	d := st.d
	st.workers[worker].filled = -1
	for u := lo; u < hi; u++ {
		block, unit := u/d.colUnits(), u%d.colUnits()
		if st.byColumns {
			block, unit = u%d.blocks(), u/d.blocks()
		}
		first, c0 := block*d.block, unit*d.colBlock
		st.block(worker, first, min(d.block, d.pixels()-first), c0, min(c0+d.colBlock, len(d.cols)))
	}
}

// block computes the columns c0 to c1-1 of the rows pixels from first on, which are
// no more than a block.
func (st *denseState) block(worker, first, rows, c0, c1 int) {
	d := st.d
	w := &st.workers[worker]
	per := d.scratch()
	patches := st.scratch[worker*per:][:d.gatherSize]
	edge := st.scratch[worker*per+d.gatherSize:][:d.block*tile.MaxCols]
	w.args = tile.Args{Zero: d.zero, Taps: d.taps, Run: d.run, Ahead: d.far}
	src, base := st.src, w.base[:]
	switch {
	case d.lines[0] != nil && rows == d.block:
		src, base = src[first*d.SrcStride-st.shift:], d.lines[0]
	case d.lines[1] != nil && rows == (d.pixels()-1)%d.block+1:
		src, base = src[first*d.SrcStride-st.shift:], d.lines[1]
	case d.mode != gather && first != w.filled:
		d.fill(w, first, rows, patches, src, st.shift)
		w.filled = first
	}
	for i := c0; i < c1; i++ {
		c := &d.cols[i]
		if d.alone() && i+tile.Streams <= c1 && st.streams(i) {
			i += tile.Streams - 1
			continue
		}
		if d.mode != gather {
			w.args.Src = src[c.src:]
		} else {
			w.args.Src = patches
			if first != w.filled || c.src != w.group {
				d.gather(w, patches, src, first, rows, c.src)
				w.filled, w.group = first, c.src
			}
		}
		w.args.Next = nil
		if i+1 < len(d.cols) {
			next := &d.cols[i+1]
			w.args.Next = st.w[next.w:][:len(d.taps)*d.run*next.kernel.Cols]
		}
		st.column(w, c, first, rows, base, edge)
	}
}

// streams computes some columns of the only pixel at once, from column i on, if they
// are alike.
func (st *denseState) streams(i int) bool {
	d := st.d
	first, last := &d.cols[i], &d.cols[i+tile.Streams-1]
	width := first.kernel.Cols
	if len(d.set.Kernels) < 2 || first.kernel != &d.set.Kernels[1] || st.add != nil || first.src != last.src ||
		last.k+last.n-first.k != tile.Streams*width || last.w-first.w != (tile.Streams-1)*d.run*width {
		return false
	}
	sums := st.dst[first.k:][:tile.Streams*width]
	copy(sums, d.bias[first.b:])
	if !d.set.Row(sums, st.src[first.src:][:d.run], st.w[first.w:], d.run) {
		return false
	}
	for j, v := range sums {
		sums[j] = tile.Clamp(v, d.min, d.max)
	}
	return true
}

// column runs one column over the block of pixels that starts at first and has those bases.
func (st *denseState) column(w *denseWorker, c *column, first, rows int, base []int, edge []float32) {
	d, a := st.d, &w.args
	a.W, a.Bias = st.w[c.w:], d.bias[c.b:]
	a.Rows, a.Base, a.Mask = rows, base, nil
	if !d.inside {
		a.Mask = w.mask[:]
	}
	a.Columns = c.n
	if !c.kernel.Takes(c.n) || d.place != nil {
		n := st.spilling(c, rows)
		if n > 0 {
			a.Dst, a.DstStride, a.Add = st.dst[(first-st.first)*d.DstStride:], d.DstStride, nil
			a.Rows, a.Min, a.Max = n, d.min, d.max
			c.kernel.Run(a)
		}
		a.Rows, a.Base = rows-n, base[n:]
		if a.Mask != nil {
			a.Mask = w.mask[n:]
		}
		st.loose(a, c, first+n, edge)
		return
	}
	a.Dst, a.DstStride, a.Add = st.dst[(first-st.first)*d.DstStride+c.k:], d.DstStride, nil
	if st.add != nil {
		a.Add, a.AddStride = st.add[(first-st.first)*d.AddStride+c.k:], d.AddStride
	}
	a.Min, a.Max = d.min, d.max
	c.kernel.Run(a)
}

// spilling is the number of rows that the kernel may store itself although it
// has more channels than there are: what spills over the end of a pixel falls
// on the next pixels of the block, which are stored later.
func (st *denseState) spilling(c *column, rows int) int {
	d := st.d
	if st.add != nil || d.place != nil || len(d.cols) > 1 || d.DstStride != c.n {
		return 0
	}
	return max(0, rows-(c.kernel.Cols-1)/c.n)
}

// loose computes a column that the kernel cannot store itself: one with fewer
// channels than the kernel has, or with its pixels apart.
func (st *denseState) loose(a *tile.Args, c *column, first int, edge []float32) {
	d, nr := st.d, c.kernel.Cols
	a.Dst, a.DstStride, a.Add = edge, nr, nil
	a.Min, a.Max = d.min, d.max
	if st.add != nil {
		a.Min, a.Max = negInf, posInf
	}
	c.kernel.Run(a)
	var x pixel
	if d.place != nil {
		x = d.pixelAt(first)
	}
	for i := range a.Rows {
		to := first - st.first + i
		if d.place != nil {
			to = d.place.at(x)
			x.next(&d.Shape)
		}
		row := st.dst[to*d.DstStride+c.k:][:c.n]
		sums := edge[i*nr:][:c.n]
		if st.add == nil {
			copy(row, sums)
			continue
		}
		vec.AddClamp(row, sums, st.add[to*d.AddStride+c.k:], d.min, d.max)
	}
}
