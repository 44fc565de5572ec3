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
// once for the four. Otherwise AVX-512's registers hold the sums of four output
// channels with about as many weights, so that the processor, which foresees
// the end of a loop badly, meets one for four.
//
// Narrow layers are bound by transposing. With AVX-512 they are computed where
// they are, with output channels in the lanes of vectors, which choose their
// inputs by permutations: see lanes.go.
//
// Results have the same bits for any number of workers.
package sparse

import (
	"fmt"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/conv"
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
	runner
	shape   conv.Shape
	nonzero int
	label   string
}

// runner is a way to compute a convolution.
type runner interface {
	perWorker() int // floats of scratch memory
	exec(p *parallel.Pool, dst, src, add, scratch []float32)
	bands() bool
	band(dst, src, add, scratch []float32, lo, hi, from int)
}

// New packs the weights and chooses the kernels. It panics if the weights do
// not fit the shape or the shape is not supported.
func New(s conv.Shape, p conv.Params) *Conv {
	s = normal(s)
	k := best()
	z := census(k.rates, s, p.Weights)
	m, _ := k.choose(s, z)
	return newWith(k, m, s, p)
}

func newWith(k *kernels, m method, s conv.Shape, p conv.Params) *Conv {
	s = normal(s)
	if !Supports(s) || len(p.Weights) != s.K*s.C*s.R*s.S || p.Bias != nil && len(p.Bias) != s.K {
		panic(fmt.Sprintf("sparse: %d weights and %d biases for shape %+v", len(p.Weights), len(p.Bias), s))
	}
	z := census(k.rates, s, p.Weights)
	var run runner
	switch {
	case m == byLanes:
		run = newLanes(k, s, p)
	default:
		if run = newDivided(k, m, z, s, p); run == nil {
			run = newPanel(k, m, z.nonzero, s, p)
		}
	}
	return &Conv{
		runner: run, shape: s, nonzero: z.nonzero,
		label: fmt.Sprintf("sparse %s %v %.3g%%", k.name, m, 100*float64(z.nonzero)/float64(max(len(p.Weights), 1))),
	}
}

// Kernel names the kernel, for profiles, with the share of weights that are not
// zero.
func (c *Conv) Kernel() string { return c.label }

// line is the size of a cache line in floats.
const line = 16

func lines(floats int) int { return ceilDiv(floats, line) * line }

// Scratch is the number of float32s that Run needs with that many workers.
func (c *Conv) Scratch(workers int) int { return workers*c.perWorker() + line }

// Run computes dst = clamp(conv(src) + bias + add). The slices start at the
// first channel of the first pixel; add may be nil or dst itself.
func (c *Conv) Run(p *parallel.Pool, dst, src, add, scratch []float32) {
	s := &c.shape
	check("src", src, s, s.N*s.H*s.W, s.SrcStride, s.C)
	check("dst", dst, s, s.N*s.P*s.Q, s.DstStride, s.K)
	if add != nil {
		check("add", add, s, s.N*s.P*s.Q, s.AddStride, s.K)
	}
	check("scratch", scratch, s, 1, 0, c.Scratch(p.Workers()))
	c.exec(p, dst, src, add, onLine(scratch))
}

// check panics unless v holds so many pixels: the assembly does not look.
func check(what string, v []float32, s *conv.Shape, pixels, stride, channels int) {
	if need := (pixels-1)*stride + channels; len(v) < need {
		panic(fmt.Sprintf("sparse: %s has %d floats, needs %d for shape %+v", what, len(v), need, *s))
	}
}

// Bands reports whether RunBand works for this convolution.
func (c *Conv) Bands() bool { return c.bands() }

// RunBand computes the rows lo to hi-1 of the output of one image, with the same
// bits as Run, on the calling goroutine. The slices dst and add start at row lo
// of the output, src at row from of the input; src ends no earlier than the last
// row that is read. Scratch is that of one worker.
func (c *Conv) RunBand(dst, src, add, scratch []float32, lo, hi, from int) {
	s := &c.shape
	first, last := c.InputRows(lo, hi)
	if lo < 0 || hi <= lo || hi > s.P || from > first {
		panic(fmt.Sprintf("sparse: rows %d to %d from %d for shape %+v", lo, hi, from, *s))
	}
	check("src", src, s, (last-from)*s.W, s.SrcStride, s.C)
	check("dst", dst, s, (hi-lo)*s.Q, s.DstStride, s.K)
	if add != nil {
		check("add", add, s, (hi-lo)*s.Q, s.AddStride, s.K)
	}
	check("scratch", scratch, s, 1, 0, c.Scratch(1))
	c.band(dst, src, add, onLine(scratch), lo, hi, from)
}

// Shape is the shape of the convolution, with the zeros that mean a default replaced.
func (c *Conv) Shape() conv.Shape { return c.shape }

// InputRows is the range of input rows that the output rows lo to hi-1 depend on; if
// they see padding alone, some row.
func (c *Conv) InputRows(lo, hi int) (first, last int) {
	s := &c.shape
	first = min(max(lo*s.StrideH-s.PadH, 0), s.H-1)
	last = min((hi-1)*s.StrideH-s.PadH+reach(s.R, s.DilH), s.H)
	return first, max(last, first+1)
}

// Weights is the number of bytes that the weights take.
func (c *Conv) Weights() int { return 8 * c.nonzero }

// onLine drops up to line-1 floats, so that s starts on a cache line.
func onLine(s []float32) []float32 {
	if off := int(uintptr(unsafe.Pointer(&s[0])) % (4 * line)); off != 0 {
		return s[(4*line-off)/4:]
	}
	return s
}

// wantedUnits is the number of units of work to have at least, so that they can
// be shared out evenly.
const wantedUnits = 16
