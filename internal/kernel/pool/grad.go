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
		g.outputs(lo, hi, func(win window, at int) {
			d, ix := dst[at*g.dstPixel:][:g.c], index[at*g.c:][:g.c]
			vec.Fill(d, float32(math.Inf(-1)))
			if win.cells == 0 {
				for c := range ix {
					ix[c] = -1
				}
				return
			}
			image := at / (g.d.out * g.h.out * g.w.out) * g.pixels()
			first := int32(win.at/g.srcPixel - image)
			for c := range ix {
				ix[c] = first
			}
			for k := range win.kd {
				for i := range win.kh {
					for j := range win.kw {
						o := win.at + k*win.sd + i*win.sh + j*win.sw
						maxIndex(d, ix, src[o:], int32(o/g.srcPixel-image))
					}
				}
			}
		})
	})
}

// pixels is the number of source pixels of an image.
func (g *geometry) pixels() int { return g.d.in * g.h.in * g.w.in }

// maxIndex updates maxima and their places with the elements of pixel at.
func maxIndex(dst []float32, index []int32, src []float32, at int32) {
	src, index = src[:len(dst)], index[:len(dst)]
	if maxIndexSIMD(dst, index, src, at) {
		return
	}
	for c, v := range src {
		if v > dst[c] || (v != v && dst[c] == dst[c]) {
			dst[c], index[c] = v, at
		}
	}
}

// inputs calls body for each source pixel of rows [lo, hi), counted over
// images, depths and heights.
func (g *geometry) inputs(lo, hi int, body func(n, d, h, w int)) {
	for row := lo; row < hi; row++ {
		h := row % g.h.in
		d := row / g.h.in % g.d.in
		n := row / g.h.in / g.d.in
		for w := range g.w.in {
			body(n, d, h, w)
		}
	}
}

// covering calls body for each output whose window has a tap on source pixel
// (n, d, h, w).
func (g *geometry) covering(n, d, h, w int, body func(od, p, q, at int)) {
	d0, d1 := g.d.windows(d)
	h0, h1 := g.h.windows(h)
	w0, w1 := g.w.windows(w)
	for od := d0; od < d1; od++ {
		if !g.d.covers(od, d) {
			continue
		}
		for p := h0; p < h1; p++ {
			if !g.h.covers(p, h) {
				continue
			}
			at := ((n*g.d.out+od)*g.h.out + p) * g.w.out
			for q := w0; q < w1; q++ {
				if g.w.covers(q, w) {
					body(od, p, q, at+q)
				}
			}
		}
	}
}

// MaxGrad sends each dy back to the source pixel that index names: dx = sum
// of the dy whose maximum was there. dx has the layout of the source, dy that
// of the destination.
func MaxGrad(p *parallel.Pool, s Shape, dx, dy []float32, index []int32) {
	g := s.geometry()
	p.For(g.n*g.d.in*g.h.in, 1, func(_, lo, hi int) {
		g.inputs(lo, hi, func(n, d, h, w int) {
			pixel := (d*g.h.in+h)*g.w.in + w
			x := dx[(n*g.pixels()+pixel)*g.srcPixel:][:g.c]
			clear(x)
			g.covering(n, d, h, w, func(_, _, _, at int) {
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
		g.inputs(lo, hi, func(n, d, h, w int) {
			pixel := (d*g.h.in+h)*g.w.in + w
			x := dx[(n*g.pixels()+pixel)*g.srcPixel:][:g.c]
			clear(x)
			g.covering(n, d, h, w, func(od, p, q, at int) {
				win := g.window(n, od, p, q)
				vec.Axpy(win.inverse(), dy[at*g.dstPixel:][:g.c], x)
			})
		})
	})
}
