// Package sparse computes float32 convolutions of channels-last tensors whose
// weights hold zeros, with bias, residual addition and clamp fused into the
// store.
//
// A weight meets the same channel of many pixels, so the vectors of the
// arithmetic run along pixels: a block of them is transposed to a panel in the
// cache, [input][pixel], of which each non-zero weight reads one row. A step
// of the kernel is one broadcast weight, one place, and as many fused
// multiply-adds from memory as the block has vectors; the sums of an output
// channel stay in registers. (The idea of the panel is that of Elsen, Dukhan,
// Gale and Simonyan, "Fast Sparse ConvNets", 2020, who keep whole networks in
// that layout; here it lives as long as a block.) Where four consecutive output
// channels have their zeros in the same places, a vector of inputs is loaded
// once for the four.
//
// Results have the same bits for any number of workers.
package sparse

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Supports reports whether the kernels can compute convolutions of that shape:
// images of at most two dimensions, one group.
func Supports(s conv.Shape) bool {
	s = normal(s)
	return s.D == 1 && s.T == 1 && s.OD == 1 && s.PadD == 0 && s.Groups == 1
}

// normal returns s with the zeros that mean a default replaced.
func normal(s conv.Shape) conv.Shape {
	for _, v := range []*int{&s.N, &s.D, &s.H, &s.W, &s.T, &s.R, &s.S, &s.OD, &s.P, &s.Q,
		&s.StrideD, &s.StrideH, &s.StrideW, &s.DilD, &s.DilH, &s.DilW, &s.Groups} {
		*v = max(*v, 1)
	}
	for v, d := range map[*int]int{&s.SrcStride: s.C, &s.DstStride: s.K, &s.AddStride: s.K} {
		if *v == 0 {
			*v = d
		}
	}
	return s
}

// Conv is a convolution ready to run. It may run in several goroutines at once
// if each brings its own scratch.
type Conv struct {
	geometry
	packed
	k        *kernels
	min, max float32
	zero     []float32
	units    int // units of work that a block is split into, by output channels
	states   reuse.List[state]
}

// New packs the weights. It panics if they do not fit the shape or if the
// shape is not supported.
func New(s conv.Shape, p conv.Params) *Conv { return newWith(best(), s, p) }

func newWith(k *kernels, s conv.Shape, p conv.Params) *Conv {
	s = normal(s)
	if !Supports(s) || len(p.Weights) != s.K*s.C*s.R*s.S || p.Bias != nil && len(p.Bias) != s.K {
		panic(fmt.Sprintf("sparse: %d weights and %d biases for shape %+v", len(p.Weights), len(p.Bias), s))
	}
	c := &Conv{k: k, min: p.Min, max: p.Max, zero: make([]float32, s.C)}
	zeros := census(s, p.Weights)
	c.geometry = newGeometry(s, zeros.vecs(s))
	c.packed = pack(&c.geometry, zeros, p)
	c.units = min(max(1, wantedUnits/max(c.blocks, 1)), len(c.groups))
	return c
}

// wantedUnits is the number of units of work to have at least, so that they can
// be shared out evenly.
const wantedUnits = 16

// Kernel names the kernel, for profiles.
func (c *Conv) Kernel() string {
	kind := "rows"
	if c.shared {
		kind = fmt.Sprintf("%d-blocks", blockRows)
	}
	return fmt.Sprintf("sparse %s %s %d%%", c.k.name, kind, c.percent)
}

// Scratch is the number of float32s that Run needs with that many workers.
func (c *Conv) Scratch(workers int) int { return workers*c.perWorker() + line }

// line is the size of a cache line in floats.
const line = 16

// perWorker is room for a panel and for the sums of a group of output channels
// and one more, which fills up strips.
func (c *Conv) perWorker() int {
	return c.panelSize() + ceilDiv((groupOutput+1)*c.pitchOut(), line)*line
}

func (c *Conv) panelSize() int { return ceilDiv(c.panel(), line) * line }

// pitchOut is the distance of the sums of two output channels.
func (c *Conv) pitchOut() int { return max(lanes*c.vecs, 1) }

// Run computes dst = clamp(conv(src) + bias + add). The slices start at the
// first channel of the first pixel; add may be nil or dst itself.
func (c *Conv) Run(p *parallel.Pool, dst, src, add, scratch []float32) {
	check := func(what string, v []float32, pixels, stride, channels int) {
		if need := (pixels-1)*stride + channels; len(v) < need { // the assembly does not look
			panic(fmt.Sprintf("sparse: %s has %d floats, needs %d for shape %+v", what, len(v), need, c.Shape))
		}
	}
	check("src", src, c.N*c.H*c.W, c.SrcStride, c.C)
	check("dst", dst, c.pixels(), c.DstStride, c.K)
	if add != nil {
		check("add", add, c.pixels(), c.AddStride, c.K)
	}
	check("scratch", scratch, 1, 0, c.Scratch(p.Workers()))
	st := c.states.Get()
	if st == nil {
		st = &state{c: c}
		st.body = st.work
	}
	if n := p.Workers(); len(st.workers) < n {
		st.workers = make([]worker, n)
	}
	st.dst, st.src, st.add, st.scratch = dst, src, add, onLine(scratch)
	p.For(c.blocks*c.units, 1, st.body)
	st.dst, st.src, st.add, st.scratch = nil, nil, nil, nil
	clear(st.workers)
	c.states.Put(st)
}

// state is what one run needs besides the plan.
type state struct {
	c                      *Conv
	dst, src, add, scratch []float32
	workers                []worker
	body                   func(worker, lo, hi int)
}

// worker is the state of one worker of a run.
type worker struct {
	strip stripArgs
	in    inArgs
	out   outArgs
}

// work computes the units lo to hi: each is a block of pixels by a share of
// the output channels.
func (st *state) work(id, lo, hi int) {
	c, w := st.c, &st.workers[id]
	mine := st.scratch[id*c.perWorker():][:c.perWorker()]
	size := c.panelSize()
	l := loader{geometry: &c.geometry, k: c.k, zero: c.zero, args: &w.in, src: st.src, panel: mine[:size]}
	w.strip = stripArgs{Panel: l.panel, Out: mine[size:], Min: c.min, Max: c.max}
	if st.add != nil {
		w.strip.Min, w.strip.Max = negInf, posInf
	}
	w.out = outArgs{Ld: c.pitchOut(), DstStride: c.DstStride, AddStride: c.AddStride, Min: c.min, Max: c.max}
	loaded := -1
	var b block
	for u := lo; u < hi; u++ {
		if i := u / c.units; i != loaded {
			b = c.blockAt(i)
			l.load(b)
			loaded = i
		}
		part := u % c.units
		for g := part * len(c.groups) / c.units; g < (part+1)*len(c.groups)/c.units; g++ {
			w.strip.Stream, w.strip.Strips = c.stream[c.groups[g].at:], c.groups[g].strips
			c.kernel(c.k, b.vecs)(&w.strip)
			st.store(w, b, g)
		}
	}
}

// store copies the sums of output group g to the pixels of block b.
func (st *state) store(w *worker, b block, g int) {
	c, a := st.c, &w.out
	k := g * groupOutput
	a.Chans = min(groupOutput, c.K-k)
	for i := range b.rows {
		pixel := b.first + i*c.Q
		a.Src, a.Pixels = w.strip.Out[i*c.pitch:], b.cols
		a.Dst = st.dst[pixel*c.DstStride+k:]
		if st.add != nil {
			a.Add = st.add[pixel*c.AddStride+k:]
		}
		if c.vecs == 0 {
			portableOut(a, 0)
		} else {
			c.k.out(a)
		}
	}
}
