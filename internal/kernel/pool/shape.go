// Package pool holds the kernels that move a window over a channels-last
// image, [N, D, H, W, C]: pooling and its gradients, global pooling, and
// resampling. Planar images have a depth of one. Each output element is
// computed by one call in a fixed order, so results do not depend on the
// number of workers.
//
// The portable Go code defines each result; AVX2 and NEON versions, generated
// by ../_asm/pool.go and ../_asm/arm64/pool.go, give the same bits for maxima and agree to rounding for
// sums.
package pool

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . pool -out ../pool/pool_amd64.s -stubs ../pool/pool_stubs_amd64.go -pkg pool

// level selects the implementation; tests set it to run every one.
var level = cpu.Best()

// Shape describes a pooling. D, H, W are the source's depth, height and
// width, OD, P, Q the destination's, T, R, S the window's. A zero D, OD, T,
// stride or dilation counts as one. SrcStride and DstStride are the elements
// from one pixel to the next, C if zero.
//
// The P and Q given decide about ceiling mode: windows may start before the
// end of the padded image and reach beyond it. CountPad lets padded cells
// count in the divisor of an average; cells beyond the padded image (beyond
// H+PadHEnd) never count.
type Shape struct {
	N, D, H, W, C             int
	T, R, S                   int
	OD, P, Q                  int
	StrideD, StrideH, StrideW int
	DilD, DilH, DilW          int
	PadD, PadH, PadW          int
	PadDEnd, PadHEnd, PadWEnd int
	SrcStride, DstStride      int
	CountPad                  bool
}

// axis is one dimension of a pooling.
type axis struct{ in, out, size, stride, dil, pad, padEnd int }

// geometry is a Shape with its defaults filled in.
type geometry struct {
	n, c               int
	d, h, w            axis
	srcPixel, dstPixel int
	countPad           bool
}

func (s Shape) geometry() geometry {
	one := func(v int) int { return max(v, 1) }
	g := geometry{
		n: s.N, c: s.C, srcPixel: s.SrcStride, dstPixel: s.DstStride, countPad: s.CountPad,
		d: axis{one(s.D), one(s.OD), one(s.T), one(s.StrideD), one(s.DilD), s.PadD, s.PadDEnd},
		h: axis{s.H, s.P, s.R, one(s.StrideH), one(s.DilH), s.PadH, s.PadHEnd},
		w: axis{s.W, s.Q, s.S, one(s.StrideW), one(s.DilW), s.PadW, s.PadWEnd},
	}
	if g.srcPixel == 0 {
		g.srcPixel = s.C
	}
	if g.dstPixel == 0 {
		g.dstPixel = s.C
	}
	return g
}

// taps returns the first source index that window o covers inside the image
// and how many taps, dil apart, fall inside.
func (a *axis) taps(o int) (first, n int) {
	start := o*a.stride - a.pad
	lo := 0
	if start < 0 {
		lo = (-start + a.dil - 1) / a.dil
	}
	hi := a.size
	if last := a.in - 1 - start; last < (a.size-1)*a.dil {
		hi = 0
		if last >= 0 {
			hi = last/a.dil + 1
		}
	}
	return start + lo*a.dil, max(0, hi-lo)
}

// padded counts the taps of window o inside the padded image. Windows start
// at its first cell or later.
func (a *axis) padded(o int) int {
	room := a.in + a.pad + a.padEnd - o*a.stride
	return max(0, min(a.size, (room+a.dil-1)/a.dil))
}

// windows returns the outputs [lo, hi) whose windows may cover source index
// i; with dilation a window in the range may pass over it (see covers).
func (a *axis) windows(i int) (lo, hi int) {
	reach := (a.size - 1) * a.dil
	if first := i + a.pad - reach; first > 0 {
		lo = (first + a.stride - 1) / a.stride
	}
	return lo, min(a.out, (i+a.pad)/a.stride+1)
}

// covers tells whether a window o given by windows has a tap on index i.
func (a *axis) covers(o, i int) bool { return a.dil == 1 || (i+a.pad-o*a.stride)%a.dil == 0 }

// window is the part of a window inside the source image.
type window struct {
	at         int // offset of its first pixel in the source
	kd, kh, kw int // taps along each axis, inside the image
	sd, sh, sw int // elements from tap to tap
}

// counts is the number of taps of window o that count in an average.
func (a *axis) counts(o int, padded bool) int {
	start := o*a.stride - a.pad
	switch {
	case start >= 0 && start+(a.size-1)*a.dil < a.in:
		return a.size
	case padded:
		return a.padded(o)
	}
	_, n := a.taps(o)
	return n
}

// inverse is the factor of the average of a window.
func (g *geometry) inverse(od, p, q int) float32 {
	n := g.d.counts(od, g.countPad) * g.h.counts(p, g.countPad) * g.w.counts(q, g.countPad)
	if n == 0 {
		return 0
	}
	return 1 / float32(n)
}

// empty tells whether no tap is inside the image.
func (w *window) empty() bool { return w.kd*w.kh*w.kw == 0 }

// cursor walks over the output pixels of a range of rows.
type cursor struct {
	g        *geometry
	row, hi  int    // rows, counted over images, depths and heights
	od, p, q int    // depth, row and column of the pixel
	at       int    // number of the pixel
	win      window // its window
	first    int    // offset of the first row of the window
}

// outputs returns a cursor before the first pixel of rows [lo, hi).
func (g *geometry) outputs(lo, hi int) cursor {
	return cursor{g: g, row: lo - 1, hi: hi, q: g.w.out - 1}
}

// next moves to the next pixel and tells whether there is one.
func (c *cursor) next() bool {
	g := c.g
	c.q++
	c.at++
	if c.q >= g.w.out {
		c.row++
		if c.row >= c.hi || g.w.out <= 0 {
			return false
		}
		c.newRow()
	}
	fw, kw := g.w.taps(c.q)
	c.win.at, c.win.kw = c.first+fw*g.srcPixel, kw
	return true
}

// run is a number of output pixels side by side with windows alike, and how
// many elements their results and their windows lie apart.
type run struct{ n, c, dstStep, srcStep int }

// run is the longest run of whole windows that begins with the cursor's pixel;
// of that pixel alone if its window is not whole.
func (c *cursor) run() run {
	g, a := c.g, &c.g.w
	r := run{1, g.c, g.dstPixel, a.stride * g.srcPixel}
	if c.win.kw == a.size {
		room := a.in - 1 - (a.size-1)*a.dil + a.pad // where the last whole window starts, from the padding's begin
		r.n = max(1, min(a.out-1, room/a.stride)-c.q+1)
	}
	return r
}

// skip passes over n more pixels of the row.
func (c *cursor) skip(n int) { c.q, c.at = c.q+n, c.at+n }

// newRow finds what the windows of a row have in common.
func (c *cursor) newRow() {
	g := c.g
	c.q, c.at = 0, c.row*g.w.out
	c.p = c.row % g.h.out
	c.od = c.row / g.h.out % g.d.out
	n := c.row / g.h.out / g.d.out
	fd, kd := g.d.taps(c.od)
	fh, kh := g.h.taps(c.p)
	line := g.w.in * g.srcPixel
	plane := g.h.in * line
	c.first = (n*g.d.in+fd)*plane + fh*line
	c.win = window{
		kd: kd, kh: kh,
		sd: g.d.dil * plane, sh: g.h.dil * line, sw: g.w.dil * g.srcPixel,
	}
}

// rows is the number of output rows.
func (g *geometry) rows() int { return g.n * g.d.out * g.h.out }
