package bconv

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Shape describes a convolution, as for package conv. The input has no
// SrcStride: its pixels are Words(C) words apart. DstStride and AddStride
// count floats.
type Shape = conv.Shape

// Params are the constants of a convolution.
type Params struct {
	Signs    []int8    // of the weights, +1 or -1, [K][C/Groups][T][R][S]
	Scale    []float32 // [K]; nil means 1
	Bias     []float32 // [K]; nil means 0
	PadValue int       // of taps outside the input: 0, 1 or -1
	Min, Max float32   // limits of the float output; none when equal
	// ToSigns makes the signs of the result the output, for RunSigns; Run
	// computes floats.
	ToSigns bool
	Above   []float32 // [K], what a result is compared with for its sign; nil means 0
}

// Conv is a convolution ready to run: weights packed, tables made. It is
// immutable, so many goroutines may run it at once, each with its own scratch.
type Conv struct {
	shape       Shape
	p           Params
	scale, bias []float32 // K values each
	above       []float32 // alike
	run         runner
}

// runner is one way to compute the convolution.
type runner interface {
	name() string
	scratch(workers int) int
	exec(p *parallel.Pool, o output, src []uint64, scratch []byte)
}

// output says where results go: exactly one destination is set.
type output struct {
	f32, add []float32
	signs    []uint64
}

// Words is the number of 64-bit words of a pixel of so many channels.
func Words(channels int) int { return (channels + 63) / 64 }

// New makes a plan for a shape. It panics if the shape makes no sense or the
// slices of p do not fit it: the caller has checked its graph before.
func New(s Shape, p Params) *Conv { return newAt(cpu.Best(), s, p) }

// newAt is New for one level of instruction sets, which the CPU must have.
func newAt(level cpu.Level, s Shape, p Params) *Conv {
	s = normal(s)
	if err := check(&s, &p); err != nil {
		panic(err)
	}
	if p.Min == p.Max {
		p.Min, p.Max = float32(math.Inf(-1)), float32(math.Inf(1))
	}
	c := &Conv{shape: s, p: p, scale: make([]float32, s.K), bias: make([]float32, s.K), above: make([]float32, s.K)}
	for k := range s.K {
		c.scale[k] = 1
	}
	copy(c.scale, p.Scale)
	copy(c.bias, p.Bias)
	copy(c.above, p.Above)
	switch {
	case hasCounts(level) && c.suitsCounts():
		c.run = newCounted(c)
	case hasTiles(level) && c.suitsTiles():
		c.run = newTiled(c, level)
	default:
		c.run = newPortable(c, hasCount(level))
	}
	c.p.Signs = nil // packed by the runner
	return c
}

func check(s *Shape, p *Params) error {
	for _, v := range []int{s.N, s.D, s.H, s.W, s.C, s.K, s.T, s.R, s.S, s.OD, s.P, s.Q,
		s.StrideD, s.StrideH, s.StrideW, s.DilD, s.DilH, s.DilW, s.Groups} {
		if v < 1 {
			return fmt.Errorf("bconv: a size below 1 in %+v", *s)
		}
	}
	switch {
	case s.C%s.Groups != 0 || s.K%s.Groups != 0:
		return fmt.Errorf("bconv: %d and %d channels do not split into %d groups", s.C, s.K, s.Groups)
	case s.DstStride < s.K || s.AddStride < s.K:
		return fmt.Errorf("bconv: pixel strides %d, %d below %d channels", s.DstStride, s.AddStride, s.K)
	case len(p.Signs) != s.K*s.C/s.Groups*taps(s), p.Scale != nil && len(p.Scale) != s.K, p.Bias != nil && len(p.Bias) != s.K, p.Above != nil && len(p.Above) != s.K:
		return fmt.Errorf("bconv: %d weights, %d scales, %d biases do not fit %+v", len(p.Signs), len(p.Scale), len(p.Bias), *s)
	case p.PadValue < -1 || p.PadValue > 1:
		return fmt.Errorf("bconv: padding by %d", p.PadValue)
	}
	return nil
}

// normal fills in the values that zeros stand for.
func normal(s Shape) Shape {
	for _, f := range []*int{&s.N, &s.D, &s.H, &s.W, &s.T, &s.R, &s.S, &s.OD, &s.P, &s.Q,
		&s.StrideD, &s.StrideH, &s.StrideW, &s.DilD, &s.DilH, &s.DilW, &s.Groups} {
		if *f == 0 {
			*f = 1
		}
	}
	if s.DstStride == 0 {
		s.DstStride = s.K
	}
	if s.AddStride == 0 {
		s.AddStride = s.K
	}
	return s
}

// taps is the number of taps of the kernel.
func taps(s *Shape) int { return s.T * s.R * s.S }

// pixels is the number of output pixels.
func pixels(s *Shape) int { return s.N * s.OD * s.P * s.Q }

// padded reports whether any tap of any output pixel lies outside the input.
func padded(s *Shape) bool {
	out := func(n, out, k, stride, dil, pad int) bool {
		return pad > 0 || (out-1)*stride-pad+(k-1)*dil >= n
	}
	return out(s.D, s.OD, s.T, s.StrideD, s.DilD, s.PadD) || out(s.H, s.P, s.R, s.StrideH, s.DilH, s.PadH) ||
		out(s.W, s.Q, s.S, s.StrideW, s.DilW, s.PadW)
}

// Kernel names the kernel that runs, for profiles.
func (c *Conv) Kernel() string { return c.run.name() }

// Scratch is the number of bytes of scratch memory a run by so many workers
// needs; the contents do not matter.
func (c *Conv) Scratch(workers int) int { return c.run.scratch(workers) }

// Run writes the convolution of src to dst, plus add unless that is nil. add
// may not overlap dst.
func (c *Conv) Run(p *parallel.Pool, dst []float32, src []uint64, add []float32, scratch []byte) {
	s := &c.shape
	if need := (pixels(s) - 1) * s.DstStride; c.p.ToSigns || len(dst) < need+s.K || add != nil && len(add) < (pixels(s)-1)*s.AddStride+s.K {
		panic(fmt.Sprintf("bconv: %d outputs and %d addends do not fit %+v", len(dst), len(add), *s))
	}
	c.exec(p, output{f32: dst, add: add}, src, scratch)
}

// RunSigns writes the signs of the convolution of src to dst, Words(K) words a
// pixel.
func (c *Conv) RunSigns(p *parallel.Pool, dst, src []uint64, scratch []byte) {
	if !c.p.ToSigns || len(dst) < pixels(&c.shape)*Words(c.shape.K) {
		panic(fmt.Sprintf("bconv: %d words of signs do not fit %+v", len(dst), c.shape))
	}
	c.exec(p, output{signs: dst}, src, scratch)
}

func (c *Conv) exec(p *parallel.Pool, o output, src []uint64, scratch []byte) {
	s := &c.shape
	if len(src) < s.N*s.D*s.H*s.W*Words(s.C) || len(scratch) < c.run.scratch(p.Workers()) {
		panic(fmt.Sprintf("bconv: %d words and %d bytes of scratch do not fit %+v", len(src), len(scratch), *s))
	}
	c.run.exec(p, o, src, scratch)
}

// value is the result for a sum of channel k, without addend and limits.
func (c *Conv) value(k, sum int) float32 {
	return float32(float32(sum)*c.scale[k]) + c.bias[k]
}

// emit turns the sum of channel k of output pixel m into output.
func (c *Conv) emit(o *output, m, k, sum int) {
	v := c.value(k, sum)
	if o.signs != nil {
		if v >= c.above[k] {
			o.signs[m*Words(c.shape.K)+k/64] |= 1 << (k % 64)
		}
		return
	}
	if o.add != nil {
		v += o.add[m*c.shape.AddStride+k]
	}
	o.f32[m*c.shape.DstStride+k] = c.clamp(v)
}

// clamp applies the limits. A NaN stays.
func (c *Conv) clamp(v float32) float32 {
	if c.p.Min > v {
		v = c.p.Min
	}
	if c.p.Max < v {
		v = c.p.Max
	}
	return v
}
