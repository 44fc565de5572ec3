package qvec

import (
	"math"

	"github.com/drawknife/drawknife/internal/parallel"
)

// PoolShape describes pooling of N channels-last volumes of D x H x W pixels
// of C channels by windows of T x R x S into OD x P x Q pixels. Strides,
// dilations and paddings are in pixels; SrcStride and DstStride are the
// distances of consecutive pixels in elements (0 stands for C).
type PoolShape struct {
	N, D, H, W, C             int
	T, R, S                   int
	OD, P, Q                  int
	StrideD, StrideH, StrideW int
	DilD, DilH, DilW          int
	PadD, PadH, PadW          int // before the first pixel
	SrcStride, DstStride      int
}

// AverageParams describes the scales of an average: the result is
//
//	v = float32(sum(q-ZeroX)) * M, M = float32(ScaleX/(ScaleY*count))
//
// with the sum in int32 and M computed in float64. Max 0 stands for 255.
type AverageParams struct {
	ScaleX, ScaleY float32
	ZeroX, ZeroY   uint8
	Min, Max       uint8
	// IncludePad counts the padded pixels of a window that lie before the
	// volume or less than PadEnd after it, as zeros; otherwise count is the
	// number of pixels inside.
	IncludePad                bool
	PadEndD, PadEndH, PadEndW int
}

func (p *AverageParams) multiplier(count int) float32 {
	return float32(float64(p.ScaleX) / (float64(p.ScaleY) * float64(count)))
}

// span is the part of a window inside [0, n): taps lo..hi-1 of k.
func span(start, k, dil, n int) (lo, hi int) {
	if start < 0 {
		lo = (-start + dil - 1) / dil
	}
	hi = k
	if last := start + (k-1)*dil; last >= n {
		hi = (n - start + dil - 1) / dil
	}
	return min(lo, k), max(hi, 0)
}

// window appends the offsets of the pixels inside the window of output pixel
// m, counted over the whole output.
func (s *PoolShape) window(offs []int, m int) []int {
	q, p, od, n := m%s.Q, m/s.Q%s.P, m/(s.Q*s.P)%s.OD, m/(s.Q*s.P*s.OD)
	d0, h0, w0 := od*s.StrideD-s.PadD, p*s.StrideH-s.PadH, q*s.StrideW-s.PadW
	tl, th := span(d0, s.T, s.DilD, s.D)
	rl, rh := span(h0, s.R, s.DilH, s.H)
	sl, sh := span(w0, s.S, s.DilW, s.W)
	for t := tl; t < th; t++ {
		for r := rl; r < rh; r++ {
			line := ((n*s.D+d0+t*s.DilD)*s.H + h0 + r*s.DilH) * s.W
			for c := sl; c < sh; c++ {
				offs = append(offs, (line+w0+c*s.DilW)*s.SrcStride)
			}
		}
	}
	return offs
}

// inner is the range of output columns whose windows lie within the width.
func (s *PoolShape) inner() (first, last int) {
	first = (s.PadW + s.StrideW - 1) / s.StrideW
	return first, min((s.W-1-(s.S-1)*s.DilW+s.PadW)/s.StrideW+1, s.Q)
}

func (s PoolShape) norm() PoolShape {
	if s.SrcStride == 0 {
		s.SrcStride = s.C
	}
	if s.DstStride == 0 {
		s.DstStride = s.C
	}
	for _, f := range []*int{&s.D, &s.T, &s.OD, &s.StrideD, &s.StrideH, &s.StrideW, &s.DilD, &s.DilH, &s.DilW} {
		*f = max(*f, 1)
	}
	return s
}

// Rows is the number of output rows, over images and depths: the range that
// MaxPoolRows and AveragePoolRows divide.
func (s *PoolShape) Rows() int { return s.N * max(s.OD, 1) * s.P }

// check panics if a window could lead beyond src.
func (s *PoolShape) check(src []uint8) {
	last := (s.N*s.D*s.H*s.W - 1) * s.SrcStride
	_ = src[last+s.C-1]
}

// fewTaps is the number of pixels of a window that need no memory of their own.
const fewTaps = 64

// MaxPool writes the greatest value of each window and channel. Scale and
// zero point do not change. A window without any pixel gives 0.
func MaxPool(pool *parallel.Pool, dst, src []uint8, shape PoolShape) {
	pool.For(shape.Rows(), 1, func(_, lo, hi int) { MaxPoolRows(shape, dst, src, lo, hi) })
}

// MaxPoolRows is MaxPool for the output rows [lo, hi).
func MaxPoolRows(shape PoolShape, dst, src []uint8, lo, hi int) {
	s := shape.norm()
	s.check(src)
	var few [fewTaps]int
	offs := few[:0]
	first, last := s.inner()
	for m := lo * s.Q; m < hi*s.Q; {
		// The columns whose windows lie within the width have the offsets of the first.
		offs = s.window(offs[:0], m)
		pixels := 1
		if m%s.Q == first {
			pixels = max(last-first, 1)
		}
		step := s.StrideW * s.SrcStride
		out := dst[m*s.DstStride : (m+pixels-1)*s.DstStride+s.C]
		if done := maxSIMD(out, src, offs, s.C, pixels, step, s.DstStride); done < s.C {
			for i := range pixels {
				maxTaps(out[i*s.DstStride+done:][:s.C-done], src[i*step+done:], offs)
			}
		}
		m += pixels
	}
}

// maxTaps writes the greatest of the taps at offs, a channel for each of dst.
func maxTaps(dst, src []uint8, offs []int) {
	clear(dst)
	for _, at := range offs {
		px := src[at : at+len(dst)]
		for i, v := range px {
			dst[i] = max(dst[i], v)
		}
	}
}

// sumGroup is the number of channels summed at a time.
const sumGroup = 64

// AveragePool writes the mean of each window and channel, on a new scale.
func AveragePool(pool *parallel.Pool, dst, src []uint8, shape PoolShape, a AverageParams) {
	pool.For(shape.Rows(), 1, func(_, lo, hi int) { AveragePoolRows(shape, dst, src, a, lo, hi) })
}

// AveragePoolRows is AveragePool for the output rows [lo, hi).
func AveragePoolRows(shape PoolShape, dst, src []uint8, a AverageParams, lo, hi int) {
	s := shape.norm()
	s.check(src)
	a.Max = top(a.Max)
	var few [fewTaps]int
	var buf [sumGroup]int32
	offs := few[:0]
	first, last := s.inner()
	for m := lo * s.Q; m < hi*s.Q; m++ {
		src := src
		if q := m % s.Q; q > first && q < last { // the offsets of the first
			src = src[(q-first)*s.StrideW*s.SrcStride:]
		} else {
			offs = s.window(offs[:0], m)
		}
		count := len(offs)
		if a.IncludePad {
			count = s.padded(&a, m)
		}
		out := dst[m*s.DstStride : m*s.DstStride+s.C]
		for c := 0; c < s.C; c += sumGroup {
			sums := buf[:min(sumGroup, s.C-c)]
			sum(sums, src[c:], offs)
			a.finish(out[c:c+len(sums)], sums, len(offs), count)
		}
	}
}

// padded counts the pixels of a window within the padded volume.
func (s *PoolShape) padded(a *AverageParams, m int) int {
	q, p, od := m%s.Q, m/s.Q%s.P, m/(s.Q*s.P)%s.OD
	one := func(start, k, dil, n int) int {
		lo, hi := span(start, k, dil, n)
		return hi - lo
	}
	return one(od*s.StrideD, s.T, s.DilD, s.D+s.PadD+a.PadEndD) *
		one(p*s.StrideH, s.R, s.DilH, s.H+s.PadH+a.PadEndH) *
		one(q*s.StrideW, s.S, s.DilW, s.W+s.PadW+a.PadEndW)
}

// sum adds up the pixels at offs, a channel for each of sums.
func sum(sums []int32, src []uint8, offs []int) {
	done := sumSIMD(sums, src, offs)
	if done == len(sums) {
		return
	}
	clear(sums[done:])
	for _, at := range offs {
		px := src[at : at+len(sums)]
		for i := done; i < len(px); i++ {
			sums[i] += int32(px[i])
		}
	}
}

func (p *AverageParams) finish(dst []uint8, sums []int32, inside, count int) {
	m := p.multiplier(max(count, 1))
	off := int32(inside) * int32(p.ZeroX)
	for i := averageSIMD(dst, sums, off, m, p); i < len(sums); i++ {
		dst[i] = Round(float32(sums[i]-off)*m, p.ZeroY, p.Min, p.Max)
	}
}

// GlobalAverage writes the mean over hw pixels of each of n images and c
// channels, on a new scale. Consecutive pixels of src are stride elements
// apart (0 stands for c); dst is n x c. The padding fields of a are ignored.
func GlobalAverage(pool *parallel.Pool, dst, src []uint8, n, hw, c, stride int, a AverageParams) {
	g := NewGlobal(n, hw, c, stride, a)
	pool.For(g.Tasks(), 1, func(_, lo, hi int) { g.Run(dst, src, lo, hi) })
}

// Global is a GlobalAverage prepared for many runs.
type Global struct {
	n, c, stride int
	offs         []int // of the pixels of an image
	a            AverageParams
}

// NewGlobal prepares GlobalAverage.
func NewGlobal(n, hw, c, stride int, a AverageParams) *Global {
	if stride == 0 {
		stride = c
	}
	if int64(hw)*255 > math.MaxInt32 {
		panic("qvec: GlobalAverage: the int32 sums of so many pixels can overflow")
	}
	a.Max = top(a.Max)
	offs := make([]int, hw)
	for i := range offs {
		offs[i] = i * stride
	}
	return &Global{n: n, c: c, stride: stride, offs: offs, a: a}
}

func (g *Global) groups() int { return (g.c + sumGroup - 1) / sumGroup }

// Tasks is the range that Run divides.
func (g *Global) Tasks() int { return g.n * g.groups() }

// Run computes the tasks [lo, hi). It does not allocate.
func (g *Global) Run(dst, src []uint8, lo, hi int) {
	hw := len(g.offs)
	_ = src[(g.n*hw-1)*g.stride+g.c-1] // no offset leads beyond
	var buf [sumGroup]int32
	for task := lo; task < hi; task++ {
		c0 := task % g.groups() * sumGroup
		sums := buf[:min(sumGroup, g.c-c0)]
		sum(sums, src[task/g.groups()*hw*g.stride+c0:], g.offs)
		o := task/g.groups()*g.c + c0
		g.a.finish(dst[o:o+len(sums)], sums, hw, hw)
	}
}
