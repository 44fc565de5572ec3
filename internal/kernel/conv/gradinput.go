package conv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// GradInput computes the gradient of a convolution with respect to its input.
//
// With stride 1 it is a convolution of the output's gradient with the weights
// turned around and transposed. With a larger stride the input falls into
// stride x stride classes of pixels that meet different kernel elements; each
// class is such a convolution, without the zeros that a transposed convolution
// by dilation would multiply.
type GradInput struct {
	shape   Shape
	classes []gradClass
	clear   bool // some input pixels reach no output
	packed  int  // floats of packed weights
	states  reuse.List[gradInputState]
	part    Shape // of a part of the batch
	parts   *parts
}

// gradClass is the pixels of one class.
type gradClass struct {
	kernel  repacker
	packing packing
	w, n    int // start and number of its weights
}

// repacker is a way to compute a convolution whose weights are packed anew for
// every run, in a number of parts.
type repacker interface {
	name() string
	scratch() int
	exec(p *parallel.Pool, w, dst, src, add, scratch []float32)
	packed() int // floats
	packs() int
	packPart(dst, w []float32, p *packing, part int)
}

// axisClass is one class of positions a, a+stride, ... along one axis, as a
// convolution of stride 1.
type axisClass struct {
	first, out, dil, pad int
	elements             []int // kernel elements, in the order of that convolution
}

// axisClasses lists the classes of an axis of n input positions.
func axisClasses(n, kernel, stride, dil, pad int) []axisClass {
	var list []axisClass
	for a := range min(stride, n) {
		c := axisClass{first: a, out: (n - a + stride - 1) / stride, dil: 1}
		// Input a+stride*i met output i+offset through element r.
		offset := 0
		for r := kernel - 1; r >= 0; r-- {
			at := a + pad - r*dil
			if at%stride != 0 {
				continue
			}
			if len(c.elements) == 0 {
				c.pad = -at / stride
			} else {
				c.dil = at/stride - offset
			}
			offset = at / stride
			c.elements = append(c.elements, r)
		}
		list = append(list, c)
	}
	return list
}

// NewGradInput plans the gradient of the convolution s.
func NewGradInput(s Shape) *GradInput { return newGradInput(tile.Best(), s) }

func newGradInput(set *tile.Set, s Shape) *GradInput {
	s = s.normal()
	g := &GradInput{shape: s, part: s}
	// The other way round: dy is read, dx written.
	back := s
	back.D, back.H, back.W, back.C, back.SrcStride = s.OD, s.P, s.Q, s.K, s.DstStride
	back.OD, back.P, back.Q, back.K, back.DstStride = s.D, s.H, s.W, s.C, s.SrcStride
	back, g.parts = planParts(set.Level, back)
	g.part.N = back.N
	for _, z := range axisClasses(s.D, s.T, s.StrideD, s.DilD, s.PadD) {
		for _, y := range axisClasses(s.H, s.R, s.StrideH, s.DilH, s.PadH) {
			for _, x := range axisClasses(s.W, s.S, s.StrideW, s.DilW, s.PadW) {
				g.add(set, z, y, x)
			}
		}
	}
	return g
}

func (g *GradInput) add(set *tile.Set, z, y, x axisClass) {
	s := &g.part
	if len(z.elements)*len(y.elements)*len(x.elements) == 0 {
		g.clear = true
		return
	}
	back := Shape{
		N: s.N, D: s.OD, H: s.P, W: s.Q, C: s.K, K: s.C, Groups: s.Groups,
		T: len(z.elements), R: len(y.elements), S: len(x.elements),
		OD: z.out, P: y.out, Q: x.out, StrideD: 1, StrideH: 1, StrideW: 1,
		DilD: z.dil, DilH: y.dil, DilW: x.dil, PadD: z.pad, PadH: y.pad, PadW: x.pad,
		SrcStride: s.DstStride, DstStride: s.SrcStride, AddStride: s.SrcStride,
	}
	n := s.T * s.R * s.S
	cg, kg := s.C/s.Groups, s.K/s.Groups
	c := gradClass{w: g.packed, packing: packing{group: kg * cg * n, out: n, in: cg * n}}
	for _, t := range z.elements {
		for _, r := range y.elements {
			for _, q := range x.elements {
				c.packing.taps = append(c.packing.taps, (t*s.R+r)*s.S+q)
			}
		}
	}
	var at *place
	if s.StrideD*s.StrideH*s.StrideW > 1 {
		at = &place{s.D, s.H, s.W, s.StrideD, s.StrideH, s.StrideW, z.first, y.first, x.first}
	}
	switch {
	case s.depthwise():
		d := newDepthwise(set.Level, back, negInf, posInf)
		d.place = at
		c.kernel = d
	case at == nil && back.PadH >= 0 && back.PadW >= 0 && winogradFits(set, &back) && winogradApart(set, &back):
		c.kernel = newWinograd(set, back, negInf, posInf)
	default:
		d := newDense(set, back, negInf, posInf)
		d.place = at
		c.kernel = d
	}
	c.n = c.kernel.packed()
	g.packed += c.n
	g.classes = append(g.classes, c)
}

// Kernel names the kernels, for profiles.
func (g *GradInput) Kernel() string {
	if len(g.classes) == 0 {
		return "clear"
	}
	return fmt.Sprintf("input gradient, %d x %s", len(g.classes), g.classes[0].kernel.name())
}

// Scratch is the number of float32s that Run needs with that many workers.
func (g *GradInput) Scratch(workers int) int { return g.packed + line + workers*g.perWorker() }

// perWorker is the floats of scratch of a worker.
func (g *GradInput) perWorker() int {
	per := 0
	for _, c := range g.classes {
		per = max(per, c.kernel.scratch())
	}
	if g.parts != nil {
		per += g.parts.stage
	}
	return per
}

// gradInputState is what one run needs besides the plan.
type gradInputState struct {
	g               *GradInput
	class           *gradClass
	dx, dy, w, dst  []float32
	add             []float32
	packed, scratch []float32
	packBody        func(worker, lo, hi int)
	partBody        func(worker, lo, hi int)
	clearBody       func(worker, lo, hi int)
}

// Adds reports whether Run can add to the gradient: every input pixel is
// computed.
func (g *GradInput) Adds() bool { return !g.clear }

// Run computes dx, laid out as the input, from dy, laid out as the output,
// and the weights, [K][C/Groups][T][R][S]. It overwrites dx. If add is not nil
// it is laid out as dx, may be dx, and is added; see Adds.
func (g *GradInput) Run(p *parallel.Pool, dx, dy, w, add, scratch []float32) {
	s := &g.shape
	if add != nil {
		if g.clear {
			panic("conv: this gradient cannot add")
		}
		s.check("add", add, s.N*s.D*s.H*s.W, s.SrcStride, s.C)
	}
	s.check("dx", dx, s.N*s.D*s.H*s.W, s.SrcStride, s.C)
	s.check("dy", dy, s.pixels(), s.DstStride, s.K)
	s.check("scratch", scratch, 1, 0, g.Scratch(p.Workers()))
	checkParams(s, w, nil)
	st := g.states.Get()
	if st == nil {
		st = &gradInputState{g: g}
		st.packBody, st.partBody, st.clearBody = st.packSome, st.someParts, st.clearSome
	}
	st.dx, st.dy, st.w, st.add = dx, dy, w, add
	scratch = onLine(scratch)
	st.packed, st.scratch = scratch[:g.packed], scratch[g.packed:]
	for i := range g.classes {
		c := &g.classes[i]
		st.class, st.dst = c, st.packed[c.w:][:c.n]
		p.For(c.kernel.packs(), 1, st.packBody)
	}
	if g.parts != nil {
		p.For(g.parts.count, 1, st.partBody)
	} else {
		if g.clear {
			p.For(s.N*s.D*s.H*s.W, 256, st.clearBody)
		}
		st.exec(p, dx, dy, add, st.scratch)
	}
	*st = gradInputState{g: g, packBody: st.packBody, partBody: st.partBody, clearBody: st.clearBody}
	g.states.Put(st)
}

// exec runs the classes with the packed weights.
func (st *gradInputState) exec(p *parallel.Pool, dx, dy, add, scratch []float32) {
	for i := range st.g.classes {
		c := &st.g.classes[i]
		c.kernel.exec(p, st.packed[c.w:][:c.n], dx, dy, add, scratch)
	}
}

// someParts computes the parts lo to hi of the batch.
func (st *gradInputState) someParts(worker, lo, hi int) {
	g, p := st.g, st.g.parts
	scratch := st.scratch[worker*g.perWorker():][:g.perWorker()]
	for i := lo; i < hi; i++ {
		dx, dy := part(st.dx, i, p.dst), part(st.dy, i, p.src)
		fetch(dy)
		to := dx
		if p.stage > 0 {
			to = onLine(scratch)[:len(dx)]
		}
		if g.clear {
			clearPixels(to, &g.part)
		}
		st.exec(p.single, to, dy, part(st.add, i, p.dst), scratch[p.stage:])
		if p.stage > 0 {
			stream(dx, to)
		}
	}
}

func (st *gradInputState) packSome(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		st.class.kernel.packPart(st.dst, st.w, &st.class.packing, i)
	}
}

func (st *gradInputState) clearSome(_, lo, hi int) {
	s := &st.g.shape
	one := *s
	one.N, one.D, one.H, one.W = 1, 1, 1, hi-lo
	clearPixels(st.dx[lo*s.SrcStride:], &one)
}

// clearPixels zeroes the input of s.
func clearPixels(v []float32, s *Shape) {
	for i := range s.N * s.D * s.H * s.W {
		clear(v[i*s.SrcStride:][:s.C])
	}
}
