// Package conv computes float32 convolutions of channels-last tensors: dense,
// grouped and depthwise, of one, two or three dimensions, with bias, residual
// add and clamp fused into the store.
//
// Dense convolution is an indirect GEMM (package tile) over the flattened
// output pixels: nothing but the weights is packed, once. Depthwise
// convolution has its own kernel.
//
// Results have the same bits for any number of workers.
package conv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Shape describes a convolution of channels-last tensors. Dimensions that a
// convolution lacks are 1; a zero in D, T, OD, a stride, a dilation or Groups
// also means 1.
type Shape struct {
	N, D, H, W, C                   int // input; D is the depth of 3-D images
	K                               int // output channels
	T, R, S                         int // kernel depth, height, width
	OD, P, Q                        int // output depth, height, width; reads past the input give zero
	StrideD, StrideH, StrideW       int
	DilD, DilH, DilW                int
	PadD, PadH, PadW                int // padding before the first element; may be negative
	Groups                          int
	SrcStride, DstStride, AddStride int // elements from one pixel to the next; 0 means dense (C, K, K)
}

// normal returns s with the zeros that mean a default replaced.
func (s Shape) normal() Shape {
	for _, v := range []*int{&s.N, &s.D, &s.H, &s.W, &s.T, &s.R, &s.S, &s.OD, &s.P, &s.Q,
		&s.StrideD, &s.StrideH, &s.StrideW, &s.DilD, &s.DilH, &s.DilW, &s.Groups} {
		if *v == 0 {
			*v = 1
		}
	}
	for v, d := range map[*int]int{&s.SrcStride: s.C, &s.DstStride: s.K, &s.AddStride: s.K} {
		if *v == 0 {
			*v = d
		}
	}
	return s
}

// depthwise tells if each channel is convolved by itself.
func (s *Shape) depthwise() bool { return s.Groups > 1 && s.Groups == s.C && s.K == s.C }

// pixels is the number of output pixels of the batch.
func (s *Shape) pixels() int { return s.N * s.OD * s.P * s.Q }

// MACs is the number of multiply-accumulates, those with padding included.
func (s Shape) MACs() int {
	s = s.normal()
	return s.pixels() * s.K * (s.C / s.Groups) * s.T * s.R * s.S
}

// Params are the constants of a convolution.
type Params struct {
	Weights  []float32 // [K][C/Groups][T][R][S], as in ONNX
	Bias     []float32 // [K]; nil means 0
	Min, Max float32   // limits of the result; -Inf and +Inf for none

	// Winograd allows large 3x3 convolutions of stride 1 to be computed with
	// fewer multiplications, at an error of up to 1e-5 of the sum of the
	// magnitudes of an output's products instead of 2e-6.
	Winograd bool
}

// Conv is a convolution ready to run. It may run in several goroutines at
// once if each brings its own scratch.
type Conv struct {
	impl
	shape *Shape
	label string
	fixed int // floats of scratch whatever the number of workers
}

// impl is one way to compute a convolution.
type impl interface {
	name() string
	scratch() int // floats a worker
	setWeights(w, bias []float32)
	exec(p *parallel.Pool, w, dst, src, add, scratch []float32)
}

// New packs the weights and chooses the kernels. It panics if the weights do
// not fit the shape.
func New(s Shape, p Params) *Conv { return newWith(tile.Best(), s, p) }

func newWith(set *tile.Set, s Shape, p Params) *Conv {
	s = s.normal()
	if s.C%s.Groups != 0 || s.K%s.Groups != 0 {
		panic(fmt.Sprintf("conv: %d groups do not divide %d input and %d output channels", s.Groups, s.C, s.K))
	}
	c := &Conv{}
	if s.depthwise() {
		c.impl = newDepthwise(set.Level, s, p.Min, p.Max)
	} else if p.Winograd && winogradFits(set, &s) {
		w := newWinograd(set, s, p.Min, p.Max)
		c.impl, c.fixed = w, w.fixedScratch()
	} else if s.frames(set) {
		f := newFramed(set, s, p)
		c.impl, c.fixed = f, f.fixedScratch()
	} else if n := blockPixels(set, &s); n > 1 {
		c.impl = newBlocked(set, s, n, p.Min, p.Max)
	} else {
		c.impl = newDense(set, s, p.Min, p.Max)
	}
	c.label, c.shape = c.name(), &s
	c.SetWeights(p.Weights, p.Bias)
	return c
}

// checkParams panics unless weights and bias fit the shape.
func checkParams(s *Shape, w, bias []float32) {
	if len(w) != s.K*(s.C/s.Groups)*s.T*s.R*s.S || bias != nil && len(bias) != s.K {
		panic(fmt.Sprintf("conv: %d weights and %d biases for shape %+v", len(w), len(bias), *s))
	}
}

// Kernel names the kernel, for profiles.
func (c *Conv) Kernel() string { return c.label }

// Scratch is the number of float32s that Run needs with that many workers.
func (c *Conv) Scratch(workers int) int { return c.fixed + workers*c.scratch() }

// SetWeights replaces weights and bias (nil means 0), laid out as in Params.
// It must not run at the same time as Run.
func (c *Conv) SetWeights(w, bias []float32) {
	checkParams(c.shape, w, bias)
	c.setWeights(w, bias)
}

// Run computes dst = clamp(conv(src) + bias + add). The slices start at the
// first channel of the first pixel; add may be nil or dst itself.
func (c *Conv) Run(p *parallel.Pool, dst, src, add, scratch []float32) {
	c.check(dst, src, add)
	c.shape.check("scratch", scratch, 1, 0, c.Scratch(p.Workers()))
	c.exec(p, nil, dst, src, add, scratch)
}

// check panics unless the tensors of a run are large enough.
func (c *Conv) check(dst, src, add []float32) {
	s := c.shape
	s.check("src", src, s.N*s.D*s.H*s.W, s.SrcStride, s.C)
	s.check("dst", dst, s.pixels(), s.DstStride, s.K)
	if add != nil {
		s.check("add", add, s.pixels(), s.AddStride, s.K)
	}
}

// check panics unless v holds so many pixels: the assembly does not look.
func (s *Shape) check(what string, v []float32, pixels, stride, channels int) {
	if need := (pixels-1)*stride + channels; len(v) < need {
		panic(fmt.Sprintf("conv: %s has %d floats, needs %d for shape %+v", what, len(v), need, *s))
	}
}
