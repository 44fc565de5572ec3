package conv

import (
	"fmt"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// winograd computes a 3x3 convolution of stride 1 by Winograd's minimal
// filtering F(4x4, 3x3): Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", 2015. Each 4x4 square of outputs takes 36 instead of 144
// multiplications a channel; they are done as 36 matrix products over all
// squares.
//
// The sums pass through numbers larger than the result, so the error grows:
// it stays below 1e-5 of the sum of the magnitudes of an output's products
// (a third of that is typical), against 2e-6 for the direct convolution.
type winograd struct {
	Shape
	set            *tile.Set
	input, output  func(*winogradArgs)
	min, max       float32
	across, down   int // squares of an image
	block          int // squares of a pass, at most
	vPlane, mPlane int // floats from one plane of inputs, of products, to the next
	apart          bool
	cols           []column
	width, depth   int // padded output channels; floats of the weights of one product
	w, bias, zero  []float32
	states         reuse.List[winogradState]
}

// winogradArgs describes one call of a transform, of one square: the input
// transform reads the 36 pixels at Pixels and writes Chans channels to 36
// planes at Dst, the output transform reads the planes at Src and writes the
// first Rows x Cols of 4x4 pixels at Dst. Chans is a multiple of the channels at a time.
//
// The assembly knows this layout; TestWinogradArgsLayout guards it.
type winogradArgs struct {
	Pixels            [36]unsafe.Pointer
	Tmp               [36 * 8]float32
	Src, Dst, Bias    []float32
	Add               []float32 // nil for none; may be Dst itself
	Plane             int       // floats from one plane to the next
	Chans             int
	Rows, Cols        int
	Line, Pixel       int // floats from one line and pixel of Dst to the next
	AddLine, AddPixel int
	Min, Max          float32
	Wide              [37 * 16]float32 // Tmp of vectors of sixteen, and room to align it
}

// transforms are those of an input and an output square.
type transforms struct{ input, output func(*winogradArgs) }

// The transforms, eight and sixteen channels at a time; nil where there is no assembly
// for them.
var winograd8, winograd16 transforms

// winogradFits tells if the transforms apply and are likely to pay: enough
// channels to outweigh them, squares that fill the image well, and weights
// (four times their size when transformed) that are used often enough.
func winogradFits(set *tile.Set, s *Shape) bool {
	if winograd8.input == nil || set == tile.Portable || s.T*s.D*s.OD > 1 || s.PadD != 0 || s.R != 3 || s.S != 3 ||
		s.StrideH*s.StrideW*s.DilH*s.DilW*s.Groups > 1 {
		return false
	}
	squares := s.N * ((s.P + 3) / 4) * ((s.Q + 3) / 4)
	full := float64(s.pixels()) / float64(16*squares)
	return s.C%8 == 0 && s.K%8 == 0 && s.C >= 32 && s.K >= 32 && full > 0.6 && squares >= 12
}

// winogradFloats bounds the planes of a pass, and ownFloats the transformed
// weights with which each worker computes squares of its own: it reads all
// weights, but nothing that another worker wrote in the pass, and none waits for
// another.
const (
	winogradFloats = 1 << 19
	ownFloats      = 1 << 18
)

// winogradApart tells if each worker computes squares of its own.
func winogradApart(set *tile.Set, s *Shape) bool {
	k := 0
	for _, kn := range set.Columns(s.K) {
		k += kn.Cols
	}
	return 36*k*s.C <= ownFloats
}

func newWinograd(set *tile.Set, s Shape, lo, hi float32) *winograd {
	w := &winograd{Shape: s, set: set, min: lo, max: hi, across: (s.Q + 3) / 4, down: (s.P + 3) / 4}
	w.input, w.output = winograd8.input, winograd8.output
	if set.Level >= cpu.AVX512 && winograd16.input != nil {
		if s.C%16 == 0 {
			w.input = winograd16.input
		}
		if s.K%16 == 0 {
			w.output = winograd16.output
		}
	}
	k := 0
	for _, kn := range set.Columns(s.K) {
		w.cols = append(w.cols, column{kernel: kn, k: k, n: min(kn.Cols, s.K-k), w: k * s.C})
		k += kn.Cols
	}
	w.width, w.depth = k, k*s.C
	w.w, w.bias, w.zero = aligned(36*w.depth), aligned(k), aligned(max(s.C, tile.MaxCols))
	w.apart = winogradApart(set, &s)
	w.block = min(max(winogradFloats/(36*(s.C+k))/tile.RowStep, 1)*tile.RowStep, 4*tile.RowStep)
	w.block = min(w.block, w.squares())
	w.vPlane, w.mPlane = planeStep(w.block*s.C), planeStep(w.block*k)
	return w
}

func (w *winograd) name() string {
	return fmt.Sprintf("conv %s winograd 4x4", w.cols[0].kernel.Name)
}

// squares is the number of squares of all images.
func (w *winograd) squares() int { return w.N * w.across * w.down }

func (w *winograd) planes() int { return 36 * (w.vPlane + w.mPlane) }

// planeStep is n floats and at most a few more, so that the same place of 36 planes
// is not in the same few sets of the first cache.
func planeStep(n int) int {
	n = (n + line - 1) / line * line
	if n%(8*line) == 0 {
		n += line
	}
	return n
}

// scratch is room for the planes of the passes of a worker that computes apart.
func (w *winograd) scratch() int {
	if w.apart {
		return w.planes() + line
	}
	return 0
}

// fixedScratch is room for the planes of a pass that the workers share.
func (w *winograd) fixedScratch() int {
	if w.apart {
		return 0
	}
	return w.planes() + line
}

// setWeights transforms and packs weights and bias.
func (w *winograd) setWeights(weights, bias []float32) {
	f := w.forward()
	for i := range w.cols {
		w.packPart(w.w, weights, &f, i)
	}
	clear(w.bias)
	copy(w.bias, bias)
}

func (w *winograd) packed() int { return 36 * w.depth }
func (w *winograd) packs() int  { return len(w.cols) }

// packPart transforms and packs the weights of a column, [36][column][C][kernel
// columns].
func (w *winograd) packPart(dst, weights []float32, p *packing, part int) {
	c := &w.cols[part]
	var g [9]float32
	var u [36]float32
	taps := [9]int(p.taps)
	for ch := range w.C {
		for j := range c.n {
			from := weights[(c.k+j)*p.out+ch*p.in:]
			for t, at := range taps {
				g[t] = from[at]
			}
			transformWeights(&u, &g)
			at := c.w + ch*c.kernel.Cols + j
			for _, v := range u {
				dst[at] = v
				at += w.depth
			}
		}
	}
}

// transformWeights computes u = GgG' for the 3x3 kernel g, first the columns and
// then the rows. (Results go through registers: to load together what was stored
// one by one takes longer than to compute it.)
func transformWeights(u *[36]float32, g *[9]float32) {
	var half [18]float32
	for j := range 3 {
		half[j], half[3+j], half[6+j], half[9+j], half[12+j], half[15+j] = transform3(g[j], g[3+j], g[6+j])
	}
	for i := range 6 {
		u[6*i], u[6*i+1], u[6*i+2], u[6*i+3], u[6*i+4], u[6*i+5] = transform3(half[3*i], half[3*i+1], half[3*i+2])
	}
}

// transform3 multiplies a vector by G.
func transform3(a, b, c float32) (_, _, _, _, _, _ float32) {
	outer, inner := (a+c)*(1./6), b*(1./6)
	far, twice := a*(1./24)+c*(1./6), b*(1./12)
	return a * (1. / 4), -outer - inner, inner - outer, far + twice, far - twice, c
}

// winogradState is what one run needs besides the plan.
type winogradState struct {
	w                                      *winograd
	weights, dst, src, add, scratch        []float32
	pass                                   winogradPass // that the workers share
	count                                  int          // squares of a pass of a worker's own
	workers                                []winogradWorker
	inputBody, mulBody, outBody, apartBody func(worker, lo, hi int)
}

// winogradPass is a number of squares that are computed together.
type winogradPass struct {
	v, m         []float32 // planes of inputs, [36][block][C], and of products, [36][block][width]
	first, count int
}

type winogradWorker struct {
	tile tile.Args
	args winogradArgs
	base [4 * tile.RowStep]int
}

// pass is one in planes at the start of scratch.
func (w *winograd) pass(scratch []float32) winogradPass {
	planes := onLine(scratch)
	return winogradPass{v: planes[:36*w.vPlane], m: planes[36*w.vPlane : w.planes()]}
}

// exec runs the convolution with the packed weights weights; nil means its own.
func (w *winograd) exec(p *parallel.Pool, weights, dst, src, add, scratch []float32) {
	st := w.states.Get()
	if st == nil {
		st = &winogradState{w: w}
		st.inputBody = func(worker, lo, hi int) { st.transformInputs(&st.pass, worker, lo, hi) }
		st.mulBody = func(worker, lo, hi int) { st.multiply(&st.pass, worker, lo, hi) }
		st.outBody = func(worker, lo, hi int) { st.transformOutputs(&st.pass, worker, lo, hi) }
		st.apartBody = st.computeApart
	}
	if n := p.Workers(); len(st.workers) < n {
		st.workers = make([]winogradWorker, n)
	}
	if st.weights = weights; weights == nil {
		st.weights = w.w
	}
	st.dst, st.src, st.add, st.scratch = dst, src, add, scratch
	if squares := w.squares(); w.apart {
		passes := (squares + w.block - 1) / w.block
		passes = min((passes+p.Workers()-1)/p.Workers()*p.Workers(), squares)
		st.count = (squares + passes - 1) / passes
		p.For((squares+st.count-1)/st.count, 1, st.apartBody)
	} else {
		st.pass = w.pass(scratch)
		for st.pass.first = 0; st.pass.first < squares; st.pass.first += w.block {
			st.pass.count = min(w.block, squares-st.pass.first)
			p.For(st.pass.count, 4, st.inputBody)
			p.For(36, 1, st.mulBody)
			p.For(st.pass.count, 4, st.outBody)
		}
	}
	st.weights, st.dst, st.src, st.add, st.scratch, st.pass = nil, nil, nil, nil, nil, winogradPass{}
	for i := range st.workers {
		st.workers[i].tile, st.workers[i].args = tile.Args{}, winogradArgs{}
	}
	w.states.Put(st)
}

// computeApart computes passes lo to hi of st.count squares.
func (st *winogradState) computeApart(worker, lo, hi int) {
	w := st.w
	pass := w.pass(st.scratch[worker*w.scratch():])
	for i := lo; i < hi; i++ {
		pass.first = i * st.count
		pass.count = min(st.count, w.squares()-pass.first)
		st.transformInputs(&pass, worker, 0, pass.count)
		st.multiply(&pass, worker, 0, 36)
		st.transformOutputs(&pass, worker, 0, pass.count)
	}
}

// square is image, first line and first column of square i.
func (w *winograd) square(i int) (n, p, q int) {
	n, i = i/(w.across*w.down), i%(w.across*w.down)
	return n, i / w.across * 4, i % w.across * 4
}

func (st *winogradState) transformInputs(p *winogradPass, worker, lo, hi int) {
	w := st.w
	a := &st.workers[worker].args
	a.Plane, a.Chans = w.vPlane, w.C
	for i := lo; i < hi; i++ {
		n, y0, x0 := w.square(p.first + i)
		for y := range 6 {
			iy := y0 + y - w.PadH
			row := a.Pixels[6*y : 6*y+6]
			ix := x0 - w.PadW
			if iy >= 0 && iy < w.H && ix >= 0 && ix+6 <= w.W { // most of a large map
				pixels := st.src[((n*w.H+iy)*w.W+ix)*w.SrcStride:][:5*w.SrcStride+1]
				for x := range row {
					row[x] = unsafe.Add(unsafe.Pointer(&pixels[0]), 4*w.SrcStride*x)
				}
				continue
			}
			for x := range row {
				ix := ix + x
				if iy < 0 || iy >= w.H || ix < 0 || ix >= w.W {
					row[x] = unsafe.Pointer(&w.zero[0])
				} else {
					row[x] = unsafe.Pointer(&st.src[((n*w.H+iy)*w.W+ix)*w.SrcStride])
				}
			}
		}
		a.Dst = p.v[i*w.C:]
		w.input(a)
	}
}

// multiply computes the products lo to hi of the 36.
func (st *winogradState) multiply(p *winogradPass, worker, lo, hi int) {
	w := st.w
	ws := &st.workers[worker]
	for i := range ws.base {
		ws.base[i] = 0
		if i < p.count {
			ws.base[i] = 4 * i * w.C
		}
	}
	ws.tile = tile.Args{Bias: w.zero, Zero: w.zero, DstStride: w.width, Base: ws.base[:], Taps: oneTap, Run: w.C, Rows: p.count, Min: negInf, Max: posInf}
	a := &ws.tile
	for e := lo; e < hi; e++ {
		a.Src = p.v[e*w.vPlane:]
		for i := range w.cols {
			c := &w.cols[i]
			at := e*w.depth + c.w
			a.W, a.Next, a.Dst = st.weights[at:], st.next(at, c), p.m[e*w.mPlane+c.k:]
			c.kernel.Run(a)
		}
	}
}

// next is the weights that are read after those at at, of column c.
func (st *winogradState) next(at int, c *column) []float32 {
	n := st.w.C * c.kernel.Cols
	return st.weights[at+n : min(at+2*n, len(st.weights))]
}

func (st *winogradState) transformOutputs(p *winogradPass, worker, lo, hi int) {
	w := st.w
	a := &st.workers[worker].args
	a.Plane, a.Chans, a.Bias, a.Min, a.Max = w.mPlane, w.K, w.bias, w.min, w.max
	a.Line, a.Pixel = w.Q*w.DstStride, w.DstStride
	a.AddLine, a.AddPixel = w.Q*w.AddStride, w.AddStride
	for i := lo; i < hi; i++ {
		n, y0, x0 := w.square(p.first + i)
		out := (n*w.P+y0)*w.Q + x0
		a.Src, a.Dst = p.m[i*w.width:], st.dst[out*w.DstStride:]
		a.Add = nil
		if st.add != nil {
			a.Add = st.add[out*w.AddStride:]
		}
		a.Rows, a.Cols = w.P-y0, w.Q-x0
		w.output(a)
	}
}
