package conv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// dwArgs describes one call of a depthwise kernel: Lines lines of Pixels output
// pixels that all have the same taps. Pixel i of line l, channel c becomes
//
//	clamp(Bias[c] + sum over taps Src[First+l*LineStep+i*Step+tap+c]*W[wtap+c] + Add[l*AddLine+i*AddStride+c])
//
// The assembly knows this layout; TestDepthwiseArgsLayout guards it.
type dwArgs struct {
	Src       []float32
	W         []float32 // [tap][channel], channels padded to a multiple of dwPad
	Bias      []float32 // [channel], padded
	Dst       []float32
	Add       []float32 // nil for none; may be Dst itself
	Taps      []int     // for each tap its offset in Src and in W, in bytes
	First     int       // offset of the first pixel in Src, in bytes; with a tap never negative
	Pixels    int
	Lines     int
	Channels  int
	Step      int // bytes from one pixel to the next
	LineStep  int // bytes from one line to the next
	DstStride int // floats from one pixel to the next
	DstLine   int // floats from one line to the next
	AddStride int
	AddLine   int
	Min, Max  float32

	// Of the assembly, meaningless between calls.
	left, at, dstAt, addAt, linesLeft, lineAt, dstLineAt, addLineAt, chanLeft int

	// For kernels that slide, instead of Taps: the taps are Rows rows of the
	// kernel's whole width. Channels is a multiple of the lanes. Source
	// columns are read for Pixels rounded up to a multiple of four.
	Rows    int
	RowStep int // bytes of Src from one kernel row to the next
	ColStep int // bytes of Src from one kernel column to the next
	Pitch   int // bytes of W from one tap to the next
}

// dwPad is the number of channels the packed weights are padded to.
const dwPad = 16

// dwKernel is one implementation.
type dwKernel struct {
	name  string
	level cpu.Level
	lanes int
	run   func(*dwArgs)
	copy  func(dst, src *float32, pixels, bytes, dstStep, srcStep int) // whole vectors of pixels; nil for Go's copy
	slide map[[2]int]func(*dwArgs)                                     // by kernel width and stride
}

var dwKernels = []dwKernel{{name: "portable", level: cpu.Portable, lanes: 1, run: dwPortable}}

// dwPortable is the definition in plain Go.
func dwPortable(a *dwArgs) {
	for l := range a.Lines {
		for i := range a.Pixels {
			var add []float32
			if a.Add != nil {
				add = a.Add[l*a.AddLine+i*a.AddStride:]
			}
			a.pixel(a.Dst[l*a.DstLine+i*a.DstStride:], add, a.First+l*a.LineStep+i*a.Step)
		}
	}
}

// pixel computes one pixel, whose source is at bytes after Src.
func (a *dwArgs) pixel(dst, add []float32, at int) {
	const lump = 64
	var sums [lump]float32
	for c := 0; c < a.Channels; c += lump {
		sum := sums[:min(lump, a.Channels-c)]
		copy(sum, a.Bias[c:])
		for t := 0; t < len(a.Taps); t += 2 {
			x := a.Src[(at+a.Taps[t])/4+c:][:len(sum)]
			w := a.W[a.Taps[t+1]/4+c:][:len(sum)]
			for j, v := range x {
				sum[j] += v * w[j]
			}
		}
		for j, v := range sum {
			if add != nil {
				v += add[c+j]
			}
			dst[c+j] = tile.Clamp(v, a.Min, a.Max)
		}
	}
}

// span is a range of output positions along one axis that see the same range
// of kernel elements.
type span struct{ lo, hi, k0, k1 int }

// spans splits an axis into spans of at most limit positions.
func spans(out, n, kernel, stride, dil, pad, limit int) []span {
	var list []span
	for o := range out {
		at := o*stride - pad
		k0, k1 := 0, kernel
		for k0 < kernel && at+k0*dil < 0 {
			k0++
		}
		for k1 > k0 && at+(k1-1)*dil >= n {
			k1--
		}
		if last := len(list) - 1; last >= 0 && list[last].k0 == k0 && list[last].k1 == k1 && o-list[last].lo < limit {
			list[last].hi = o + 1
			continue
		}
		list = append(list, span{o, o + 1, k0, k1})
	}
	return list
}

// depthwise is a convolution in which each output channel reads the input
// channel of its number.
type depthwise struct {
	Shape
	kernel            *dwKernel
	slide             func(*dwArgs) // nil if the kernel cannot
	min, max          float32
	w, bias           []float32
	pitch             int // floats from one tap's weights to the next's
	depth, rows, cols []span
	pairs             func(*dwArgs) // slides over pairs of pixels as over pixels of twice as many channels; nil if they are not one vector
	field             *padded       // nil if the kernels read the input itself
	place             *place        // nil if the output is dense
	states            reuse.List[dwState]
}

// dwRows is the largest number of output rows of a unit of work.
const dwRows = 8

func newDepthwise(level cpu.Level, s Shape, lo, hi float32) *depthwise {
	d := &depthwise{Shape: s, min: lo, max: hi}
	for i := range dwKernels {
		if k := &dwKernels[i]; k.level <= level && cpu.Has(k.level) {
			d.kernel = k
		}
	}
	d.pitch = (s.C + dwPad - 1) / dwPad * dwPad
	d.w, d.bias = aligned(d.pitch*s.T*s.R*s.S), aligned(d.pitch)
	d.depth = spans(s.OD, s.D, s.T, s.StrideD, s.DilD, s.PadD, 1)
	d.rows = spans(s.P, s.H, s.R, s.StrideH, s.DilH, s.PadH, dwRows)
	d.cols = spans(s.Q, s.W, s.S, s.StrideW, s.DilW, s.PadW, s.Q)
	if s.DilW == 1 {
		d.slide = d.kernel.slide[[2]int{s.S, s.StrideW}]
	}
	if d.slide != nil && s.StrideW == 1 && 2*s.C == d.kernel.lanes && s.SrcStride == s.C && s.DstStride == s.C && s.AddStride == s.C {
		d.pairs = d.kernel.slide[[2]int{s.S, 2}]
	}
	d.usePadded()
	return d
}

// rowUnits is the number of units of work of the same channels.
func (d *depthwise) rowUnits() int {
	if d.field != nil {
		return d.N
	}
	return d.N * d.OD * len(d.rows)
}

// share is the number of channels of a unit of work: all of them unless that
// leaves too few units for the workers.
func (d *depthwise) share(workers int) int {
	if d.field != nil {
		return paddedChans
	}
	chans := d.pitch
	for workers > 1 && chans > 128 && d.rowUnits()*((d.C+chans-1)/chans) < 8*workers {
		chans = (chans/2 + dwPad - 1) / dwPad * dwPad
	}
	return chans
}

// byChannels reports whether workers share out the channels rather than the rows, as
// they do in the pointwise convolution that wrote the input, if its weights
// outweighed what it read: most of the input then is in the worker's own cache.
func (d *depthwise) byChannels() bool { return d.N == 1 && d.C > d.D*d.H*d.W }

func (d *depthwise) scratch() int {
	if d.field == nil {
		return 0
	}
	return d.field.h * d.field.w * paddedChans
}

func (d *depthwise) name() string {
	return fmt.Sprintf("depthwise %s %dx%d", d.kernel.name, d.R, d.S)
}

func (d *depthwise) setWeights(w, bias []float32) {
	f := d.forward()
	d.pack(d.w, w, &f)
	clear(d.bias)
	copy(d.bias, bias)
	if d.pairs != nil {
		copy(d.bias[d.C:], bias)
	}
}

// pack lays out the weights.
func (d *depthwise) pack(dst, w []float32, p *packing) {
	for t, tap := range p.taps {
		row := dst[t*d.pitch : (t+1)*d.pitch]
		for c := range d.C {
			row[c] = w[c*p.group+tap]
		}
		clear(row[d.C:])
		if d.pairs != nil {
			copy(row[d.C:], row[:d.C])
		}
	}
}

// dwState is what one run needs besides the plan.
type dwState struct {
	d                *depthwise
	w, dst, src, add []float32
	scratch          []float32
	chans            int // of a unit of work
	first            int // pixel that dst and add start at
	shift            int // floats of the image before src
	workers          []dwWorker
	body             func(worker, lo, hi int)
}

type dwWorker struct {
	args dwArgs
	taps []int
}

// exec runs the convolution with the packed weights w; nil means its own.
func (d *depthwise) exec(p *parallel.Pool, w, dst, src, add, scratch []float32) {
	st := d.state(p.Workers())
	st.set(w, dst, src, add, scratch)
	st.first, st.shift, st.chans = 0, 0, d.share(p.Workers())
	p.For(d.rowUnits()*((d.C+st.chans-1)/st.chans), 1, st.body)
	d.release(st)
}

// state is what a run on so many workers needs.
func (d *depthwise) state(workers int) *dwState {
	st := d.states.Get()
	if st == nil {
		st = &dwState{d: d}
		st.body = st.work
	}
	for len(st.workers) < workers {
		st.workers = append(st.workers, dwWorker{taps: make([]int, 2*d.T*d.R*d.S)})
	}
	return st
}

func (st *dwState) set(w, dst, src, add, scratch []float32) {
	if w == nil {
		w = st.d.w
	}
	st.w, st.dst, st.src, st.add, st.scratch = w, dst, src, add, scratch
}

func (d *depthwise) release(st *dwState) {
	st.w, st.dst, st.src, st.add, st.scratch = nil, nil, nil, nil, nil
	for i := range st.workers {
		st.workers[i].args = dwArgs{}
	}
	d.states.Put(st)
}

// work computes the units lo to hi: each is a few output rows of one image by
// a block of channels.
func (st *dwState) work(worker, lo, hi int) {
	d := st.d
	w := &st.workers[worker]
	var field []float32
	if d.field != nil {
		field = st.scratch[worker*d.scratch():][:d.scratch()]
		clear(field)
	}
	across, down := (d.C+st.chans-1)/st.chans, d.rowUnits()
	for u := lo; u < hi; u++ {
		unit, c := u/across, u%across*st.chans
		if d.byChannels() {
			unit, c = u%down, u/down*st.chans
		}
		if d.field != nil {
			st.padded(w, field, unit, c)
			continue
		}
		unit, row := unit/len(d.rows), unit%len(d.rows)
		st.rows(w, unit/d.OD, unit%d.OD, c, d.rows[row])
	}
}

// rows computes a span of rows of image n at depth z, in one unit of channels
// from c on.
func (st *dwState) rows(w *dwWorker, n, z, c int, rows span) {
	d := st.d
	for _, cols := range d.cols {
		r := rectangle{n, z, c, min(st.chans, d.C-c), rows, cols}
		if d.slide == nil || cols.k1-cols.k0 < d.S || r.rows.k0 == r.rows.k1 || d.depth[z].k1-d.depth[z].k0 != 1 {
			st.byTaps(w, r)
			continue
		}
		if d.pairs != nil && d.place == nil {
			st.byTaps(w, st.slidingPairs(w, r))
			continue
		}
		// Whole vectors slide, the rest does not.
		chans := r.chans / d.kernel.lanes * d.kernel.lanes
		if part := r; chans > 0 {
			part.chans = chans
			st.sliding(w, part)
		}
		r.c, r.chans = c+chans, r.chans-chans
		st.byTaps(w, r)
	}
}

// rectangle is a rectangle of output pixels that all have the same taps, by a
// range of channels.
type rectangle struct {
	n, z, c, chans int
	rows, cols     span
}

// prepare sets what both kinds of kernel need. The lines are the rows.
func (st *dwState) prepare(a *dwArgs, r *rectangle) {
	d := st.d
	*a = dwArgs{
		Src: st.src[r.c:], W: st.w[r.c:], Bias: d.bias[r.c:], Channels: r.chans, Min: d.min, Max: d.max,
		Pixels: r.cols.hi - r.cols.lo, Lines: r.rows.hi - r.rows.lo,
		Step: 4 * d.StrideW * d.SrcStride, LineStep: 4 * d.StrideH * d.W * d.SrcStride,
		DstStride: d.DstStride, DstLine: d.Q * d.DstStride,
		AddStride: d.AddStride, AddLine: d.Q * d.AddStride,
	}
	y, x := r.rows.lo*d.StrideH-d.PadH, r.cols.lo*d.StrideW-d.PadW
	a.First = 4 * ((((r.n*d.D+r.z*d.StrideD-d.PadD)*d.H+y)*d.W+x)*d.SrcStride - st.shift)
	out := ((r.n*d.OD+r.z)*d.P+r.rows.lo)*d.Q + r.cols.lo - st.first
	if g := d.place; g != nil {
		out = g.at(pixel{r.n, r.z, r.rows.lo, r.cols.lo})
		a.DstStride, a.DstLine = g.stepW*d.DstStride, g.stepH*g.w*d.DstStride
		a.AddStride, a.AddLine = g.stepW*d.AddStride, g.stepH*g.w*d.AddStride
	}
	a.Dst = st.dst[out*d.DstStride+r.c:]
	if st.add != nil {
		a.Add = st.add[out*d.AddStride+r.c:]
	}
}

// byTaps computes a rectangle tap by tap, in lines along its longer side.
func (st *dwState) byTaps(w *dwWorker, rect rectangle) {
	if rect.chans == 0 || rect.cols.lo == rect.cols.hi {
		return
	}
	d, a := st.d, &w.args
	st.prepare(a, &rect)
	deep := &d.depth[rect.z]
	list := w.taps[:0]
	for t := deep.k0; t < deep.k1; t++ {
		for r := rect.rows.k0; r < rect.rows.k1; r++ {
			for s := rect.cols.k0; s < rect.cols.k1; s++ {
				at := (t*d.DilD*d.H+r*d.DilH)*d.W + s*d.DilW
				list = append(list, 4*at*d.SrcStride, 4*((t*d.R+r)*d.S+s)*d.pitch)
			}
		}
	}
	a.Taps = list
	if a.Lines > a.Pixels {
		a.Pixels, a.Lines = a.Lines, a.Pixels
		a.Step, a.LineStep = a.LineStep, a.Step
		a.DstStride, a.DstLine = a.DstLine, a.DstStride
		a.AddStride, a.AddLine = a.AddLine, a.AddStride
	}
	d.kernel.run(a)
}

// slidingPairs computes what it can of a rectangle by pairs of pixels, and returns
// what is left of it.
func (st *dwState) slidingPairs(w *dwWorker, r rectangle) rectangle {
	d, a := st.d, &w.args
	pairs, rest := (r.cols.hi-r.cols.lo)/2, r
	t := d.depth[r.z].k0
	st.prepare(a, &r)
	a.First += 4 * (t*d.DilD*d.H + r.rows.k0*d.DilH) * d.W * d.C
	a.Rows = r.rows.k1 - r.rows.k0
	// The last pixel whose column the kernel reads, from the first one's on.
	ends := a.First/4 + (((a.Lines-1)*d.StrideH+(a.Rows-1)*d.DilH)*d.W+2*((pairs+3)/4*4)+d.S-1)*d.C
	if ends > len(st.src) {
		pairs = pairs / 4 * 4
	}
	if rest.cols.lo += 2 * pairs; pairs == 0 {
		return rest
	}
	a.W = a.W[(t*d.R+r.rows.k0)*d.S*d.pitch:]
	a.Pixels, a.Channels = pairs, 2*d.C
	a.Step, a.ColStep, a.RowStep, a.Pitch = 8*d.C, 4*d.C, 4*d.DilH*d.W*d.C, 4*d.pitch
	a.DstStride, a.AddStride = 2*d.DstStride, 2*d.AddStride
	d.pairs(a)
	return rest
}

// sliding computes a rectangle with the kernel made for the width. The last
// pixels of the source, where the kernel would read past the end, go tap by
// tap.
func (st *dwState) sliding(w *dwWorker, r rectangle) {
	d, a := st.d, &w.args
	pixels := r.cols.hi - r.cols.lo
	if over := -pixels & 3; over > 0 {
		last := r.cols.hi - 1 + over
		z := r.z*d.StrideD - d.PadD + d.depth[r.z].k0*d.DilD
		y := (r.rows.hi-1)*d.StrideH - d.PadH + (r.rows.k1-1)*d.DilH
		x := last*d.StrideW - d.PadW + d.S - 1
		if (((r.n*d.D+z)*d.H+y)*d.W+x)*d.SrcStride+r.c+r.chans-st.shift > len(st.src) {
			rest := r
			rest.cols.lo = r.cols.lo + pixels&^3
			r.cols.hi = rest.cols.lo
			st.byTaps(w, rest)
			if r.cols.hi == r.cols.lo {
				return
			}
		}
	}
	st.prepare(a, &r)
	t := d.depth[r.z].k0
	a.First += 4 * (t*d.DilD*d.H + r.rows.k0*d.DilH) * d.W * d.SrcStride
	a.W = a.W[(t*d.R+r.rows.k0)*d.S*d.pitch:]
	a.Rows = r.rows.k1 - r.rows.k0
	a.RowStep, a.ColStep = 4*d.DilH*d.W*d.SrcStride, 4*d.SrcStride
	a.Pitch = 4 * d.pitch
	d.slide(a)
}
