package data

import (
	"fmt"
	"math"
)

// Resampling is separable and in fixed point: first along the rows, then along
// the columns, each time rounded to a byte. The weights are those of Pillow's
// resize (its filter stretched by the scale when shrinking, sampled at pixel
// centres, normalised, 22 fractional bits), because published weights were
// trained and measured on its pictures; the results are equal byte for byte.
const weightBits = 22

// taps is a resampling of one axis: output i is the sum of ksize inputs from
// first[i] with the weights at weights[i*ksize:].
type taps struct {
	in, out int
	filter  Interpolation
	ksize   int
	first   []int32
	count   []int32
	weights []int32
	work    []float64
}

// set computes the weights of resizing in pixels to out.
func (t *taps) set(in, out int, filter Interpolation) {
	if t.in == in && t.out == out && t.filter == filter {
		return
	}
	t.in, t.out, t.filter = in, out, filter
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := filter.support() * stretch
	t.ksize = 2*int(math.Ceil(support)) + 1
	t.first, t.count = sized(t.first, out), sized(t.count, out)
	t.weights, t.work = sized(t.weights, out*t.ksize), sized(t.work, t.ksize)
	for i := range out {
		center := (float64(i) + 0.5) * scale
		lo := max(int(center-support+0.5), 0)
		n := min(int(center+support+0.5), in) - lo
		sum := 0.0
		for k := range n {
			t.work[k] = filter.at((float64(k+lo) - center + 0.5) / stretch)
			sum += t.work[k]
		}
		w := t.weights[i*t.ksize:][:t.ksize]
		clear(w)
		for k := range n {
			v := t.work[k]
			if sum != 0 {
				v /= sum
			}
			w[k] = int32(math.Round(v * (1 << weightBits)))
		}
		t.first[i], t.count[i] = int32(lo), int32(n)
	}
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// support is the half width of the filter.
func (i Interpolation) support() float64 {
	switch i {
	case Bicubic:
		return 2
	case Box:
		return 0.5
	}
	return 1
}

// at is the filter's value at distance x.
func (i Interpolation) at(x float64) float64 {
	switch i {
	case Bicubic:
		const a = -0.5
		if x = math.Abs(x); x < 1 {
			return ((a+2)*x-(a+3))*x*x + 1
		} else if x < 2 {
			return (((x-5)*x+8)*x - 4) * a
		}
		return 0
	case Box:
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	}
	return max(1-math.Abs(x), 0)
}

// view is a rectangle of a picture: row y starts at pix[y*stride].
type view struct {
	pix     []uint8
	h, w, c int
	stride  int
}

func (s *Sample) view() view { return view{s.Pix, s.H, s.W, s.C, s.W * s.C} }

// crop is the h×w rectangle whose corner is (y, x).
func (v view) crop(y, x, h, w int) view {
	v.pix = v.pix[y*v.stride+x*v.c:]
	v.h, v.w = h, w
	return v
}

// resampler resizes pictures with memory of its own.
type resampler struct {
	rows, cols taps
	mid        []uint8
	acc        []int32
	out        [2][]uint8 // results of two resamplings in a row
}

// resize computes the h×w rectangle at (y, x) of v resized to full[0]×full[1].
// The result is in the resampler's memory, slot which.
func (r *resampler) resize(v view, full [2]int, filter Interpolation, y, x, h, w, which int) view {
	r.cols.set(v.w, full[1], filter)
	r.rows.set(v.h, full[0], filter)
	// Only these rows of the source are needed.
	y0 := int(r.rows.first[y])
	y1 := y0
	for i := y; i < y+h; i++ {
		y1 = max(y1, int(r.rows.first[i]+r.rows.count[i]))
	}
	src := view{v.pix[y0*v.stride:], y1 - y0, v.w, v.c, v.stride}
	if v.w != full[1] {
		r.mid = sized(r.mid, src.h*w*v.c)
		dst := view{r.mid, src.h, w, v.c, w * v.c}
		if v.c == 3 {
			r.cols.rows3(dst, src, x)
		} else {
			r.cols.rows1(dst, src, x)
		}
		src = dst
	} else {
		src = src.crop(0, x, src.h, w)
	}
	if v.h == full[0] {
		return src.crop(y-y0, 0, h, w)
	}
	r.out[which] = sized(r.out[which], h*w*v.c)
	r.acc = sized(r.acc, w*v.c)
	dst := view{r.out[which], h, w, v.c, w * v.c}
	r.rows.columns(dst, src, y, y0, r.acc)
	return dst
}

// rows3 resamples along the rows of a picture of three channels; output column
// 0 of dst is column x of the whole result.
func (t *taps) rows3(dst, src view, x int) {
	for y := range src.h {
		in := src.pix[y*src.stride:][:src.w*3]
		out := dst.pix[y*dst.stride:][:dst.w*3]
		for i := range dst.w {
			n := int(t.count[x+i])
			w := t.weights[(x+i)*t.ksize:][:n]
			p := in[3*int(t.first[x+i]):][:3*n]
			s0, s1, s2 := int32(1<<(weightBits-1)), int32(1<<(weightBits-1)), int32(1<<(weightBits-1))
			for _, wk := range w {
				if len(p) < 3 {
					break
				}
				s0 += int32(p[0]) * wk
				s1 += int32(p[1]) * wk
				s2 += int32(p[2]) * wk
				p = p[3:]
			}
			o := out[3*i : 3*i+3 : 3*i+3]
			o[0], o[1], o[2] = toByte(s0), toByte(s1), toByte(s2)
		}
	}
}

// rows1 is rows3 for one channel.
func (t *taps) rows1(dst, src view, x int) {
	for y := range src.h {
		in := src.pix[y*src.stride:][:src.w]
		out := dst.pix[y*dst.stride:][:dst.w]
		for i := range out {
			n := int(t.count[x+i])
			w := t.weights[(x+i)*t.ksize:][:n]
			p := in[t.first[x+i]:][:n]
			s := int32(1 << (weightBits - 1))
			for k, wk := range w {
				s += int32(p[k]) * wk
			}
			out[i] = toByte(s)
		}
	}
}

// columns resamples along the columns: row 0 of dst is row y of the whole
// result, row 0 of src is row y0 of the whole source.
func (t *taps) columns(dst, src view, y, y0 int, acc []int32) {
	for i := range dst.h {
		n := int(t.count[y+i])
		w := t.weights[(y+i)*t.ksize:][:n]
		for j := range acc {
			acc[j] = 1 << (weightBits - 1)
		}
		row := (int(t.first[y+i]) - y0) * src.stride
		k := 0
		for ; k+1 < n; k += 2 {
			a := src.pix[row+k*src.stride:][:len(acc)]
			b := src.pix[row+(k+1)*src.stride:][:len(acc)]
			wa, wb := w[k], w[k+1]
			for j := range acc {
				acc[j] += int32(a[j])*wa + int32(b[j])*wb
			}
		}
		if k < n {
			a := src.pix[row+k*src.stride:][:len(acc)]
			for j := range acc {
				acc[j] += int32(a[j]) * w[k]
			}
		}
		out := dst.pix[i*dst.stride:][:len(acc)]
		for j, v := range acc {
			out[j] = toByte(v)
		}
	}
}

// toByte takes the fraction off and clamps.
func toByte(v int32) uint8 {
	v >>= weightBits
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return uint8(v)
}

// ResizeImage sets dst to src resized to h×w. The two must not be the same.
func ResizeImage(dst, src *Sample, h, w int, filter Interpolation) error {
	if h < 1 || w < 1 || h > MaxSide || w > MaxSide {
		return fmt.Errorf("data: resize to %dx%d", h, w)
	}
	if src.Pix == nil {
		return fmt.Errorf("data: only 8-bit pictures can be resized")
	}
	var r resampler
	v := r.resize(src.view(), [2]int{h, w}, filter, 0, 0, h, w, 0)
	pix := dst.alloc(h, w, src.C)
	for y := range h {
		copy(pix[y*w*src.C:][:w*src.C], v.pix[y*v.stride:])
	}
	dst.Label = src.Label
	return nil
}
