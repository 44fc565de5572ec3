package qconv

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Params holds what a convolution multiplies and how its sums become output.
type Params struct {
	Weights []int8 // [K][C/Groups][T][R][S]
	// Flip is inverted in each weight before it is read as an int8: 128 makes
	// weights stored as uint8 weights less 128.
	Flip uint8
	// WeightZero is the zero point of the weights: none, one or K values.
	WeightZero []int8
	Bias       []int32 // K values in units of the accumulator (sx*sw[k]), or nil
	SrcZero    uint8   // zero point of the input
	// SrcMax is the largest value of the input, at least SrcZero; 0 stands for
	// 255. Less lets weights of a few bits run faster.
	SrcMax uint8
	// Scale has K values or one: sx*sw[k]/sy for uint8 output, sx*sw[k] for
	// float output. Int32 output ignores it. Finite.
	Scale      []float32
	DstZero    uint8   // zero point of the uint8 output
	Min, Max   uint8   // clamp of the uint8 output; Max 0 stands for 255
	FMin, FMax float32 // clamp of the float output; none when equal
	// Workers is how many will share a run, 0 if that is not known. It changes
	// nothing but how the work is cut.
	Workers int
}

// AddParams describes the quantized addition of RunAdd: the operand A is the
// convolution's own output, B the other tensor.
type AddParams = qvec.AddParams

// Conv is a convolution ready to run: weights packed, tables made. It is
// immutable, so many goroutines may run it at once, each with its own scratch.
type Conv struct {
	shape Shape
	p     Params
	bias  []int32   // K values, the zero-point correction included
	scale []float32 // K values
	run   runner
}

// runner is one way to compute the convolution.
type runner interface {
	name() string
	scratch(workers int) int
	exec(p *parallel.Pool, src []uint8, o output, scratch []byte)
}

// output says where sums go and as what: exactly one destination is set.
type output struct {
	u8  []uint8
	f32 []float32
	i32 []int32
	add []uint8   // with u8: the other operand of an addition, of stride AddStride
	q   AddParams // with add
}

// New makes a plan for a shape. It panics if the shape makes no sense or the
// slices of p do not fit it: the caller has checked its graph before.
func New(s Shape, p Params) *Conv { return newAt(cpu.Best(), s, p) }

// newAt is New for one level of instruction sets, which the CPU must have.
func newAt(level cpu.Level, s Shape, p Params) *Conv {
	c := plan(s, p)
	c.run = c.choose(level)
	c.p.Weights = nil // packed by the runner
	return c
}

// plan checks the arguments of New and prepares what all runners need.
func plan(s Shape, p Params) *Conv {
	s = normal(s)
	if err := check(&s); err != nil {
		panic(err)
	}
	if len(p.Weights) != s.K*s.C/s.Groups*taps(&s) || p.Bias != nil && len(p.Bias) != s.K ||
		len(p.Scale) > 1 && len(p.Scale) != s.K || len(p.WeightZero) > 1 && len(p.WeightZero) != s.K {
		panic(fmt.Sprintf("qconv: %d weights, %d biases, %d scales do not fit %+v", len(p.Weights), len(p.Bias), len(p.Scale), s))
	}
	if p.Max == 0 {
		p.Max = 255
	}
	if p.SrcMax == 0 || p.SrcMax < p.SrcZero {
		p.SrcMax = 255
	}
	if p.FMin == p.FMax {
		p.FMin, p.FMax = float32(math.Inf(-1)), float32(math.Inf(1))
	}
	c := &Conv{shape: s, p: p, bias: make([]int32, s.K), scale: make([]float32, s.K)}
	per := len(p.Weights) / s.K
	for k := range s.K {
		if p.Bias != nil {
			c.bias[k] = p.Bias[k]
		}
		if p.SrcZero != 0 {
			sum := int32(0)
			for _, w := range p.Weights[k*per:][:per] {
				sum += int32(w ^ int8(p.Flip))
			}
			c.bias[k] -= int32(p.SrcZero) * (sum - int32(per)*int32(pick(p.WeightZero, k, 0)))
		}
		c.scale[k] = pick(p.Scale, k, 1)
	}
	return c
}

// channel returns the weights of output channel k less their zero point, in the
// memory of to if they fit there.
func (c *Conv) channel(k int, to []int16) []int16 {
	per := len(c.p.Weights) / c.shape.K
	to = resize(to, per)
	zero, flip := int16(pick(c.p.WeightZero, k, 0)), int8(c.p.Flip)
	for i, w := range c.p.Weights[k*per:][:len(to)] {
		to[i] = int16(w^flip) - zero
	}
	return to
}

// plain reports whether weights are what is multiplied, byte for byte.
func (c *Conv) plain() bool {
	return c.p.Flip == 0 && !slices.ContainsFunc(c.p.WeightZero, func(z int8) bool { return z != 0 })
}

// within reports whether all weights less their zero points are in [lo, hi].
func (c *Conv) within(lo, hi int) bool {
	per, flip := len(c.p.Weights)/c.shape.K, int8(c.p.Flip)
	for k := range c.shape.K {
		zero := int(pick(c.p.WeightZero, k, 0))
		if lo+zero <= math.MinInt8 && hi+zero >= math.MaxInt8 {
			continue
		}
		for _, w := range c.p.Weights[k*per:][:per] {
			if v := int(w^flip) - zero; v < lo || v > hi {
				return false
			}
		}
	}
	return true
}

// fit reports whether the weights fit so many bits.
func (c *Conv) fit(bits int) bool { return c.within(-1<<(bits-1), 1<<(bits-1)-1) }

// pick is element k of a list of one value for each channel, or one for all,
// or none.
func pick[T any](list []T, k int, none T) T {
	switch len(list) {
	case 0:
		return none
	case 1:
		return list[0]
	}
	return list[k]
}

// choose picks the fastest way that level allows.
func (c *Conv) choose(level cpu.Level) runner {
	i := isaFor(level)
	if i == nil || !c.finite() {
		return newPortable(c)
	}
	if !i.vnni || i.vex {
		if v := newVector(c); v != nil {
			return v
		}
	}
	if d := newDepthwise(c, level); d != nil {
		return d
	}
	if f := c.few(i); f != nil {
		return newTiled(c, f)
	}
	if i.small != nil && c.small(i.lanes) {
		if t := newTiled(c, i.small); t.averageGroup() >= longGroup {
			return t
		}
	}
	if i.deep && !c.deep() {
		i = i.shallow
	}
	return newTiled(c, i)
}

// Kernel names the kernel that runs, for profiles.
func (c *Conv) Kernel() string { return c.run.name() }

// Shape is the shape of the convolution, zeros replaced by what they stand for.
func (c *Conv) Shape() Shape { return c.shape }

// Scratch is the number of bytes of scratch memory a run by so many workers
// needs; the contents do not matter.
func (c *Conv) Scratch(workers int) int { return c.run.scratch(workers) }

// Run writes the requantized convolution of src to dst.
func (c *Conv) Run(p *parallel.Pool, dst, src []uint8, scratch []byte) {
	c.exec(p, src, output{u8: dst}, scratch, len(dst))
}

// RunFloat writes the dequantized convolution of src to dst.
func (c *Conv) RunFloat(p *parallel.Pool, dst []float32, src []uint8, scratch []byte) {
	c.exec(p, src, output{f32: dst}, scratch, len(dst))
}

// RunInt32 writes the sums themselves to dst, bias included.
func (c *Conv) RunInt32(p *parallel.Pool, dst []int32, src []uint8, scratch []byte) {
	c.exec(p, src, output{i32: dst}, scratch, len(dst))
}

// RunAdd writes the quantized sum of the requantized convolution of src and
// add to dst: the bytes of Run followed by qvec.Add. add has the shape's
// AddStride and may not overlap dst.
func (c *Conv) RunAdd(p *parallel.Pool, dst, src, add []uint8, q AddParams, scratch []byte) {
	need := (pixels(&c.shape)-1)*c.shape.AddStride + c.shape.K
	if len(add) < need {
		panic(fmt.Sprintf("qconv: the addend has %d elements, %d needed", len(add), need))
	}
	c.exec(p, src, output{u8: dst, add: add, q: q}, scratch, len(dst))
}

func (c *Conv) dstLen() int { return (pixels(&c.shape)-1)*c.shape.DstStride + c.shape.K }

func (c *Conv) srcLen() int {
	s := &c.shape
	return (s.N*s.D*s.H*s.W-1)*s.SrcStride + s.C
}

func (c *Conv) exec(p *parallel.Pool, src []uint8, o output, scratch []byte, dst int) {
	if dst < c.dstLen() || len(src) < c.srcLen() || len(scratch) < c.run.scratch(p.Workers()) {
		panic(fmt.Sprintf("qconv: dst %d, src %d, scratch %d elements; need %d, %d, %d",
			dst, len(src), len(scratch), c.dstLen(), c.srcLen(), c.run.scratch(p.Workers())))
	}
	c.run.exec(p, src, o, scratch)
}

// emit turns the sums of channels k0, k0+1, … of one pixel into output, at
// element at of the destination.
func (c *Conv) emit(o *output, at, k0 int, sums []int32) {
	scale := c.scale[k0 : k0+len(sums)]
	switch {
	case o.i32 != nil:
		copy(o.i32[at:], sums)
	case o.f32 != nil:
		for i, v := range sums {
			o.f32[at+i] = min(max(float32(v)*scale[i], c.p.FMin), c.p.FMax)
		}
	default:
		for i, v := range sums {
			o.u8[at+i] = qvec.Round(float32(v)*scale[i], c.p.DstZero, c.p.Min, c.p.Max)
		}
	}
}

// addBlock adds the second operand to channels k0..k1-1 of count finished
// pixels from first on.
func (c *Conv) addBlock(o *output, first, count, k0, k1 int) {
	k, ds, as := c.shape.K, c.shape.DstStride, c.shape.AddStride
	if ds == k && as == k && k1-k0 == k {
		d := o.u8[first*k : (first+count)*k]
		qvec.Add(d, d, o.add[first*k:(first+count)*k], o.q)
		return
	}
	for m := first; m < first+count; m++ {
		d := o.u8[m*ds+k0 : m*ds+k1]
		qvec.Add(d, d, o.add[m*as+k0:m*as+k1], o.q)
	}
}

// finite reports whether no sum can leave the range in which a rounded
// product fits an int32, as the vector epilogues assume.
func (c *Conv) finite() bool {
	per := len(c.p.Weights) / c.shape.K
	var w []int16
	for k, m := range c.scale {
		bound := math.Abs(float64(c.bias[k])) + 255*255*float64(per)
		if v := bound * math.Abs(float64(m)); v < 1<<30 && bound < 1<<31 {
			continue // whatever the weights
		}
		sum := 0
		w = c.channel(k, w)
		for _, v := range w {
			sum += int(max(v, -v))
		}
		bound = math.Abs(float64(c.bias[k])) + 255*float64(sum)
		if v := bound * math.Abs(float64(m)); !(v < 1<<30) || bound >= 1<<31 {
			return false
		}
	}
	return !slices.ContainsFunc(c.scale, func(m float32) bool { return m != m })
}
