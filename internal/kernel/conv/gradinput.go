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
}

// gradClass is the pixels of one class.
type gradClass struct {
	dense     *dense
	depthwise *depthwise
	packing   packing
	w         int // start of its weights
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
	g := &GradInput{shape: s}
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
	s := &g.shape
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
	if s.depthwise() {
		c.depthwise = newDepthwise(set.Level, back, negInf, posInf)
		c.depthwise.place = at
		g.packed += len(c.depthwise.w)
	} else {
		c.dense = newDense(set, back, negInf, posInf)
		c.dense.place = at
		g.packed += len(c.dense.w)
	}
	g.classes = append(g.classes, c)
}

// Kernel names the kernels, for profiles.
func (g *GradInput) Kernel() string {
	if len(g.classes) == 0 {
		return "clear"
	}
	var i interface{ name() string } = g.classes[0].dense
	if d := g.classes[0].depthwise; d != nil {
		i = d
	}
	return fmt.Sprintf("input gradient, %d x %s", len(g.classes), i.name())
}

// Scratch is the number of float32s that Run needs with that many workers.
func (g *GradInput) Scratch(workers int) int {
	per := 0
	for _, c := range g.classes {
		if c.dense != nil {
			per = max(per, c.dense.scratch())
		} else {
			per = max(per, c.depthwise.scratch())
		}
	}
	return g.packed + line + workers*per
}

// gradInputState is what one run needs besides the plan.
type gradInputState struct {
	g          *GradInput
	class      *gradClass
	dx, w, dst []float32
	packBody   func(worker, lo, hi int)
	clearBody  func(worker, lo, hi int)
}

// Run computes dx, laid out as the input, from dy, laid out as the output,
// and the weights, [K][C/Groups][T][R][S]. It overwrites dx.
func (g *GradInput) Run(p *parallel.Pool, dx, dy, w, scratch []float32) {
	s := &g.shape
	s.check("dx", dx, s.N*s.D*s.H*s.W, s.SrcStride, s.C)
	s.check("dy", dy, s.pixels(), s.DstStride, s.K)
	s.check("scratch", scratch, 1, 0, g.Scratch(p.Workers()))
	checkParams(s, w, nil)
	st := g.states.Get()
	if st == nil {
		st = &gradInputState{g: g}
		st.packBody, st.clearBody = st.packSome, st.clearSome
	}
	st.dx, st.w = dx, w
	if g.clear {
		p.For(s.N*s.D*s.H*s.W, 256, st.clearBody)
	}
	scratch = onLine(scratch)
	packed, rest := scratch[:g.packed], scratch[g.packed:]
	for i := range g.classes {
		c := &g.classes[i]
		if c.depthwise != nil {
			st.dst = packed[c.w:][:len(c.depthwise.w)]
			c.depthwise.pack(st.dst, w, &c.packing)
			c.depthwise.exec(p, st.dst, dx, dy, nil, rest)
			continue
		}
		st.class, st.dst = c, packed[c.w:][:len(c.dense.w)]
		p.For(len(c.dense.cols), 1, st.packBody)
		c.dense.exec(p, st.dst, dx, dy, nil, rest)
	}
	st.class, st.dx, st.w, st.dst = nil, nil, nil, nil
	g.states.Put(st)
}

func (st *gradInputState) packSome(_, lo, hi int) {
	d := st.class.dense
	for i := lo; i < hi; i++ {
		d.pack(st.dst, st.w, &st.class.packing, &d.cols[i])
	}
}

func (st *gradInputState) clearSome(_, lo, hi int) {
	s := &st.g.shape
	for i := lo; i < hi; i++ {
		clear(st.dx[i*s.SrcStride:][:s.C])
	}
}
