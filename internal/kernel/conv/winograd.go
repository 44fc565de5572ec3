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
	set           *tile.Set
	input, output func(*winogradArgs)
	min, max      float32
	across, down  int // squares of an image
	block         int // squares of a pass
	cols          []column
	width, depth  int // padded output channels; floats of the weights of one product
	w, bias, zero []float32
	states        reuse.List[winogradState]
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

// winogradFloats bounds the planes of a pass.
const winogradFloats = 1 << 19

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
	w.block = min(max(winogradFloats/(36*(s.C+k))/tile.RowStep, 1)*tile.RowStep, 4*tile.RowStep)
	return w
}

func (w *winograd) name() string {
	return fmt.Sprintf("conv %s winograd 4x4", w.cols[0].kernel.Name)
}

// squares is the number of squares of all images.
func (w *winograd) squares() int { return w.N * w.across * w.down }

func (w *winograd) planes() int { return 36 * w.block * (w.C + w.width) }

// scratch is zero a worker: see fixedScratch.
func (w *winograd) scratch() int { return 0 }

// fixedScratch is room for the planes of a pass, which the workers share.
func (w *winograd) fixedScratch() int { return w.planes() + line }

// setWeights transforms and packs the weights, [36][column][C][kernel columns].
func (w *winograd) setWeights(weights, bias []float32) {
	for i := range w.cols {
		c := &w.cols[i]
		for j := range c.n {
			for ch := range w.C {
				u := transformWeights(weights[((c.k+j)*w.C+ch)*9:][:9])
				for e, v := range u {
					w.w[e*w.depth+c.w+ch*c.kernel.Cols+j] = v
				}
			}
		}
	}
	clear(w.bias)
	copy(w.bias, bias)
}

// transformWeights computes GgG' for the 3x3 kernel g, first the columns and
// then the rows.
func transformWeights(g []float32) (u [36]float32) {
	var half [6][3]float32
	for j := range 3 {
		v := transform3(g[j], g[3+j], g[6+j])
		for i := range 6 {
			half[i][j] = v[i]
		}
	}
	for i := range 6 {
		v := transform3(half[i][0], half[i][1], half[i][2])
		copy(u[6*i:], v[:])
	}
	return u
}

// transform3 multiplies a vector by G.
func transform3(a, b, c float32) [6]float32 {
	outer, inner := (a+c)*(1./6), b*(1./6)
	far, twice := a*(1./24)+c*(1./6), b*(1./12)
	return [6]float32{a * (1. / 4), -outer - inner, inner - outer, far + twice, far - twice, c}
}

// winogradState is what one run needs besides the plan.
type winogradState struct {
	w                           *winograd
	dst, src, add               []float32
	v, m                        []float32 // planes of inputs, [36][block][C], and of products, [36][block][width]
	first, count                int       // squares of the pass
	workers                     []winogradWorker
	inputBody, mulBody, outBody func(worker, lo, hi int)
}

type winogradWorker struct {
	tile tile.Args
	args winogradArgs
	base [4 * tile.RowStep]int
}

func (w *winograd) exec(p *parallel.Pool, _, dst, src, add, scratch []float32) {
	st := w.states.Get()
	if st == nil {
		st = &winogradState{w: w}
		st.inputBody, st.mulBody, st.outBody = st.transformInputs, st.multiply, st.transformOutputs
	}
	if n := p.Workers(); len(st.workers) < n {
		st.workers = make([]winogradWorker, n)
	}
	planes := onLine(scratch)
	st.v, st.m = planes[:36*w.block*w.C], planes[36*w.block*w.C:w.planes()]
	st.dst, st.src, st.add = dst, src, add
	for st.first = 0; st.first < w.squares(); st.first += w.block {
		st.count = min(w.block, w.squares()-st.first)
		p.For(st.count, 4, st.inputBody)
		p.For(36, 1, st.mulBody)
		p.For(st.count, 4, st.outBody)
	}
	st.dst, st.src, st.add, st.v, st.m = nil, nil, nil, nil, nil
	for i := range st.workers {
		st.workers[i].tile, st.workers[i].args = tile.Args{}, winogradArgs{}
	}
	w.states.Put(st)
}

// square is image, first line and first column of square i.
func (w *winograd) square(i int) (n, p, q int) {
	n, i = i/(w.across*w.down), i%(w.across*w.down)
	return n, i / w.across * 4, i % w.across * 4
}

func (st *winogradState) transformInputs(worker, lo, hi int) {
	w := st.w
	a := &st.workers[worker].args
	a.Plane, a.Chans = w.block*w.C, w.C
	for i := lo; i < hi; i++ {
		n, p, q := w.square(st.first + i)
		for y := range 6 {
			iy := p + y - w.PadH
			row := a.Pixels[6*y : 6*y+6]
			for x := range row {
				ix := q + x - w.PadW
				if iy < 0 || iy >= w.H || ix < 0 || ix >= w.W {
					row[x] = unsafe.Pointer(&w.zero[0])
				} else {
					row[x] = unsafe.Pointer(&st.src[((n*w.H+iy)*w.W+ix)*w.SrcStride])
				}
			}
		}
		a.Dst = st.v[i*w.C:]
		w.input(a)
	}
}

// multiply computes the products lo to hi of the 36.
func (st *winogradState) multiply(worker, lo, hi int) {
	w := st.w
	ws := &st.workers[worker]
	for i := range ws.base {
		ws.base[i] = 0
		if i < st.count {
			ws.base[i] = 4 * i * w.C
		}
	}
	for e := lo; e < hi; e++ {
		for i := range w.cols {
			c := &w.cols[i]
			at := e*w.depth + c.w
			ws.tile = tile.Args{
				Src: st.v[e*w.block*w.C:], W: w.w[at:], Next: w.next(at, c), Bias: w.zero, Zero: w.zero,
				Dst: st.m[e*w.block*w.width+c.k:], DstStride: w.width,
				Base: ws.base[:], Taps: oneTap, Run: w.C, Rows: st.count,
				Min: negInf, Max: posInf,
			}
			c.kernel.Run(&ws.tile)
		}
	}
}

// next is the weights that are read after those at at, of column c.
func (w *winograd) next(at int, c *column) []float32 {
	n := w.C * c.kernel.Cols
	return w.w[at+n : min(at+2*n, len(w.w))]
}

func (st *winogradState) transformOutputs(worker, lo, hi int) {
	w := st.w
	a := &st.workers[worker].args
	a.Plane, a.Chans, a.Bias, a.Min, a.Max = w.block*w.width, w.K, w.bias, w.min, w.max
	a.Line, a.Pixel = w.Q*w.DstStride, w.DstStride
	a.AddLine, a.AddPixel = w.Q*w.AddStride, w.AddStride
	for i := lo; i < hi; i++ {
		n, p, q := w.square(st.first + i)
		out := (n*w.P+p)*w.Q + q
		a.Src, a.Dst = st.m[i*w.width:], st.dst[out*w.DstStride:]
		a.Add = nil
		if st.add != nil {
			a.Add = st.add[out*w.AddStride:]
		}
		a.Rows, a.Cols = w.P-p, w.Q-q
		w.output(a)
	}
}
