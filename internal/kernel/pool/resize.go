package pool

import (
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Axis is one resampled axis: output o is the sum over t < Taps of
// Weight[o*Taps+t] times input Index[o*Taps+t]. An output whose first index
// is negative lies outside the image and gets the fill value. One tap of
// weight 1 is nearest-neighbour sampling, two linear, four cubic; whoever
// makes the tables decides about coordinates, exclusion and antialiasing.
type Axis struct {
	In, Out, Taps int
	Index         []int32
	Weight        []float32
}

// Whole is the axis that changes nothing.
func Whole(n int) Axis {
	a := Axis{In: n, Out: n, Taps: 1, Index: make([]int32, n), Weight: make([]float32, n)}
	for i := range n {
		a.Index[i], a.Weight[i] = int32(i), 1
	}
	return a
}

// outside tells whether output o has no input.
func (a *Axis) outside(o int) bool { return a.Index[o*a.Taps] < 0 }

// tap returns input and weight of tap t of output o.
func (a *Axis) tap(o, t int) (int, float32) { return int(a.Index[o*a.Taps+t]), a.Weight[o*a.Taps+t] }

// Resize resamples n channels-last images of c channels along depth, height
// and width (Whole(1) for the depth of planar images); src is [n, d.In, h.In,
// w.In, c], dst [n, d.Out, h.Out, w.Out, c].
func Resize(p *parallel.Pool, n, c int, d, h, w Axis, fill float32, dst, src []float32) {
	p.For(n*d.Out*h.Out, 1, func(_, lo, hi int) { ResizeRows(c, &d, &h, &w, fill, dst, src, lo, hi) })
}

// ResizeRows is Resize for the output rows [lo, hi) of n*d.Out*h.Out. It does
// not allocate.
func ResizeRows(c int, d, h, w *Axis, fill float32, dst, src []float32, lo, hi int) {
	for row := lo; row < hi; row++ {
		y, z, i := row%h.Out, row/h.Out%d.Out, row/h.Out/d.Out
		image := src[i*d.In*h.In*w.In*c:][:d.In*h.In*w.In*c]
		line := dst[row*w.Out*c:][:w.Out*c]
		if d.outside(z) || h.outside(y) {
			vec.Fill(line, fill)
			continue
		}
		for x := range w.Out {
			pixel := line[x*c:][:c]
			if w.outside(x) {
				vec.Fill(pixel, fill)
				continue
			}
			sample(pixel, image, d, h, w, z, y, x)
		}
	}
}

// sample computes one output pixel.
func sample(pixel, image []float32, d, h, w *Axis, z, y, x int) {
	c := len(pixel)
	first := true
	for i := range d.Taps {
		zi, zw := d.tap(z, i)
		for j := range h.Taps {
			yi, yw := h.tap(y, j)
			for k := range w.Taps {
				xi, xw := w.tap(x, k)
				src := image[((zi*h.In+yi)*w.In+xi)*c:][:c]
				weight := zw * yw * xw
				switch {
				case !first:
					if weight != 0 {
						vec.Axpy(weight, src, pixel)
					}
				case weight == 1:
					copy(pixel, src)
				default:
					vec.Scale(weight, pixel, src)
				}
				first = false
			}
		}
	}
}

// ResizeGrad is the gradient of Resize: it sends each dy back to the pixels
// it was made of, with the same weights. Images are worked on in parallel.
func ResizeGrad(p *parallel.Pool, n, c int, d, h, w Axis, dx, dy []float32) {
	in, out := d.In*h.In*w.In*c, d.Out*h.Out*w.Out
	p.For(n, 1, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			image := dx[i*in:][:in]
			clear(image)
			for o := range out {
				x, y, z := o%w.Out, o/w.Out%h.Out, o/w.Out/h.Out
				if !d.outside(z) && !h.outside(y) && !w.outside(x) {
					scatter(dy[(i*out+o)*c:][:c], image, &d, &h, &w, z, y, x)
				}
			}
		}
	})
}

func scatter(pixel, image []float32, d, h, w *Axis, z, y, x int) {
	c := len(pixel)
	for i := range d.Taps {
		zi, zw := d.tap(z, i)
		for j := range h.Taps {
			yi, yw := h.tap(y, j)
			for k := range w.Taps {
				xi, xw := w.tap(x, k)
				vec.Axpy(zw*yw*xw, pixel, image[((zi*h.In+yi)*w.In+xi)*c:][:c])
			}
		}
	}
}

// DepthToSpace moves blocks of channels to pixels: src is [n, h, w, c*b*b],
// dst [n, h*b, w*b, c]. The channel is split (block row, block column, c), or
// with crd (c, block row, block column), as ONNX's modes DCR and CRD.
func DepthToSpace(p *parallel.Pool, n, h, w, c, b int, crd bool, dst, src []float32) {
	depthSpace(p, n, h, w, c, b, crd, func(deep, flat, step int) {
		for k := range c {
			dst[flat+k] = src[deep+k*step]
		}
	})
}

// SpaceToDepth undoes DepthToSpace: src is [n, h*b, w*b, c], dst [n, h, w,
// c*b*b]. ONNX's SpaceToDepth is the form without crd.
func SpaceToDepth(p *parallel.Pool, n, h, w, c, b int, crd bool, dst, src []float32) {
	depthSpace(p, n, h, w, c, b, crd, func(deep, flat, step int) {
		for k := range c {
			dst[deep+k*step] = src[flat+k]
		}
	})
}

// depthSpace calls move for each pixel of the flat image: its offset there,
// the offset of its first channel in the deep image and the step between
// channels there.
func depthSpace(p *parallel.Pool, n, h, w, c, b int, crd bool, move func(deep, flat, step int)) {
	deepC := c * b * b
	p.For(n*h*b, 1, func(_, lo, hi int) {
		for row := lo; row < hi; row++ {
			y, i := row%b, row/b // i counts rows of the deep image
			for x := range w * b {
				block := y*b + x%b
				deep := (i*w + x/b) * deepC
				flat := (row*w*b + x) * c
				if crd {
					move(deep+block, flat, b*b)
				} else {
					move(deep+block*c, flat, 1)
				}
			}
		}
	})
}
