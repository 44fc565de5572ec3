package qvec

// Rows says how the rows of a matrix of bytes lie: how many there are, and how far
// the first bytes of two rows are apart in what is read and in what is written.
type Rows struct{ N, SrcStep, DstStep int }

// ScaleShift writes clamp(roundHalfEven(q*scale + shift), lo, hi) of each byte q
// of src to dst, with a scale and a shift for each of the len(scale) channels of
// a row. A NaN becomes lo. dst and src do not overlap.
//
// With sx, zx the grid of src, sy, zy that of dst and y = x·a + b between them, as
// in batch normalization, scale is a·sx/sy and shift (b - a·sx·zx)/sy + zy
// (see [Rescale]): what dequantizing, scaling, shifting and quantizing gives, but
// for values within rounding of half a step.
func ScaleShift(dst, src []uint8, r Rows, scale, shift []float32, lo, hi uint8) {
	c := len(scale)
	if r.N <= 0 || c == 0 {
		return
	}
	shift = shift[:c]
	dst, src = dst[:(r.N-1)*r.DstStep+c], src[:(r.N-1)*r.SrcStep+c]
	l, h := float32(lo), float32(hi)
	n := scaleShiftSIMD(dst, src, r, scale, shift, l, h)
	if n == c {
		return
	}
	for i := range r.N {
		d, s := dst[i*r.DstStep:][:c], src[i*r.SrcStep:][:c]
		for j := n; j < c; j++ {
			v := float32(float32(s[j])*scale[j]) + shift[j]
			if !(v > l) {
				v = l
			}
			if v > h {
				v = h
			}
			d[j] = uint8(float32(v+magic) - magic)
		}
	}
}

// Rescale turns a factor and a summand of real numbers, for each channel, into
// those of bytes that [ScaleShift] takes.
func Rescale(a, b []float32, scaleX float32, zeroX uint8, scaleY float32, zeroY uint8) (scale, shift []float32) {
	scale, shift = make([]float32, len(a)), make([]float32, len(a))
	for i := range a {
		f := float64(a[i]) * float64(scaleX)
		scale[i] = float32(f / float64(scaleY))
		shift[i] = float32((float64(b[i])-f*float64(zeroX))/float64(scaleY) + float64(zeroY))
	}
	return scale, shift
}
