package pool

import (
	"math"

	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// MaxWithIndex is Max that also tells where each maximum was found: index has
// C elements for each output pixel, each the number of the source pixel
// within its image, (d*H+h)*W+w, the first of equals, or -1 where a window
// has no cell inside the image.
func MaxWithIndex(p *parallel.Pool, s Shape, dst, src []float32, index []int32) {
	g := s.geometry()
	p.For(g.rows(), 1, func(_, lo, hi int) {
		for o := g.outputs(lo, hi); o.next(); {
			win, at := &o.win, o.at
			d, ix := dst[at*g.dstPixel:][:g.c], index[at*g.c:][:g.c]
			if win.empty() {
				vec.Fill(d, float32(math.Inf(-1)))
				for c := range ix {
					ix[c] = -1
				}
				continue
			}
			image := at / (g.d.out * g.h.out * g.w.out) * g.pixels()
			where := place{row: int32(g.h.dil * g.w.in), column: int32(g.w.dil)}
			for k := range win.kd {
				first := win.at + k*win.sd
				where.first = int32(first/g.srcPixel - image)
				maxIndexWindow(d, ix, src[first:], win, k == 0, where)
			}
		}
	})
}

// pixels is the number of source pixels of an image.
func (g *geometry) pixels() int { return g.d.in * g.h.in * g.w.in }

// place numbers the pixels of one plane of a window: the first one, and what
// a row and a column add.
type place struct{ first, row, column int32 }

// maxIndexWindow takes the maxima of one plane of a window, and of what dst
// holds unless first, and their pixels.
func maxIndexWindow(dst []float32, index []int32, src []float32, win *window, first bool, at place) {
	if maxIndexSIMD(dst, index, src, win, first, at) {
		return
	}
	if first {
		for c := range dst {
			dst[c], index[c] = float32(math.Inf(-1)), at.first
		}
	}
	for i := range win.kh {
		for j := range win.kw {
			x := src[i*win.sh+j*win.sw:][:len(dst)]
			pixel := at.first + int32(i)*at.row + int32(j)*at.column
			for c, v := range x {
				if v > dst[c] || (v != v && dst[c] == dst[c]) {
					dst[c], index[c] = v, pixel
				}
			}
		}
	}
}

// reach is the range of outputs whose windows may cover a source pixel.
type reach struct{ d0, d1, h0, h1, w0, w1 int }

// inputs calls body for each source pixel of rows [lo, hi), counted over
// images, depths and heights.
func (g *geometry) inputs(lo, hi int, body func(n, d, h, w int, r reach)) {
	var r reach
	for row := lo; row < hi; row++ {
		h := row % g.h.in
		d := row / g.h.in % g.d.in
		n := row / g.h.in / g.d.in
		r.d0, r.d1 = g.d.windows(d)
		r.h0, r.h1 = g.h.windows(h)
		for w := range g.w.in {
			r.w0, r.w1 = g.w.windows(w)
			body(n, d, h, w, r)
		}
	}
}

// covering calls body for each output of r whose window has a tap on source
// pixel (n, d, h, w).
func (g *geometry) covering(n, d, h, w int, r reach, body func(od, p, q, at int)) {
	for od := r.d0; od < r.d1; od++ {
		if !g.d.covers(od, d) {
			continue
		}
		for p := r.h0; p < r.h1; p++ {
			if !g.h.covers(p, h) {
				continue
			}
			at := ((n*g.d.out+od)*g.h.out + p) * g.w.out
			for q := r.w0; q < r.w1; q++ {
				if g.w.covers(q, w) {
					body(od, p, q, at+q)
				}
			}
		}
	}
}

// Disjoint reports whether MaxGradOf computes the gradient: the windows do not
// overlap.
func (s Shape) Disjoint() bool {
	g := s.geometry()
	return hasGradWindows() && g.d.size == 1 && g.h.dil*g.w.dil == 1 && g.h.stride >= g.h.size && g.w.stride >= g.w.size
}

// MaxGradOf is MaxGrad of the indices that MaxWithIndex finds in src, of windows
// that are disjoint: each is looked at once.
func MaxGradOf(p *parallel.Pool, s Shape, dx, dy, src []float32) {
	g := s.geometry()
	covered := g.d.out == g.d.in && g.d.pad+g.h.pad+g.w.pad == 0 && g.h.stride == g.h.size && g.w.stride == g.w.size &&
		g.h.out*g.h.size >= g.h.in && g.w.out*g.w.size >= g.w.in
	if !covered {
		p.For(g.n*g.pixels(), 256, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				clear(dx[i*g.srcPixel:][:g.c])
			}
		})
	}
	p.For(g.rows(), max(1, 16384/max(1, g.h.stride*g.w.in*g.c)), func(_, lo, hi int) {
		for o := g.outputs(lo, hi); o.next(); {
			if o.win.empty() {
				continue
			}
			row := o.run()
			at := o.win.at
			maxGradWindows(dx[at:], dy[o.at*g.dstPixel:], src[at:], &o.win, &row)
			o.skip(row.n - 1)
		}
	})
}

// maxGradWindows sends each dy of a run of windows to the first greatest pixel
// of its window, zero to the others.
func maxGradWindows(dx, dy, src []float32, win *window, row *run) {
	if maxGradWindowsSIMD(dx, dy, src, win, row) {
		return
	}
	for n := range row.n {
		for c := range row.c {
			first := n*row.srcStep + c
			best, where := float32(math.Inf(-1)), first
			for i := range win.kh {
				for j := range win.kw {
					at := first + i*win.sh + j*win.sw
					if v := src[at]; v > best || (v != v && best == best) {
						best, where = v, at
					}
					dx[at] = 0
				}
			}
			dx[where] = dy[n*row.dstStep+c]
		}
	}
}

// MaxGrad sends each dy back to the source pixel that index names: dx = sum
// of the dy whose maximum was there. dx has the layout of the source, dy that
// of the destination.
func MaxGrad(p *parallel.Pool, s Shape, dx, dy []float32, index []int32) {
	g := s.geometry()
	p.For(g.n*g.d.in*g.h.in, 1, func(_, lo, hi int) {
		g.inputs(lo, hi, func(n, d, h, w int, r reach) {
			pixel := (d*g.h.in+h)*g.w.in + w
			x := dx[(n*g.pixels()+pixel)*g.srcPixel:][:g.c]
			clear(x)
			g.covering(n, d, h, w, r, func(_, _, _, at int) {
				addWhere(x, dy[at*g.dstPixel:][:g.c], index[at*g.c:][:g.c], int32(pixel))
			})
		})
	})
}

// addWhere adds to dx the dy whose index is at.
func addWhere(dx, dy []float32, index []int32, at int32) {
	if addWhereSIMD(dx, dy, index, at) {
		return
	}
	for c, i := range index {
		if i == at {
			dx[c] += dy[c]
		}
	}
}

// AverageGrad is the gradient of Average: dx = sum of dy over the windows
// that cover the pixel, each divided by its count.
func AverageGrad(p *parallel.Pool, s Shape, dx, dy []float32) {
	g := s.geometry()
	p.For(g.n*g.d.in*g.h.in, 1, func(_, lo, hi int) {
		g.inputs(lo, hi, func(n, d, h, w int, r reach) {
			pixel := (d*g.h.in+h)*g.w.in + w
			x := dx[(n*g.pixels()+pixel)*g.srcPixel:][:g.c]
			clear(x)
			g.covering(n, d, h, w, r, func(od, p, q, at int) {
				vec.Axpy(g.inverse(od, p, q), dy[at*g.dstPixel:][:g.c], x)
			})
		})
	})
}
