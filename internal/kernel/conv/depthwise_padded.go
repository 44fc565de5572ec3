package conv

// A small image has few pixels that meet the whole kernel, so the kernels that
// slide would do little of it. Such an image is first copied, some channels at
// a time, into the middle of a field of zeros, where every pixel is like every
// other.

// padded is the size of that field in pixels.
type padded struct{ h, w int }

const (
	paddedChans  = 64      // channels of a copy
	paddedFloats = 1 << 15 // largest copy
)

// usePadded decides for or against the copy, and makes units of work of whole
// images by some channels if for.
func (d *depthwise) usePadded() {
	if d.slide == nil || d.D*d.OD*d.T > 1 || d.PadD != 0 || d.C < d.kernel.lanes {
		return
	}
	f := padded{h: (d.P-1)*d.StrideH + (d.R-1)*d.DilH + 1, w: ((d.Q+3)/4*4-1)*d.StrideW + d.S}
	if f.h*f.w*paddedChans > paddedFloats {
		return
	}
	whole := 0
	for _, y := range d.rows {
		for _, x := range d.cols {
			if y.k1-y.k0 == d.R && x.k1-x.k0 == d.S {
				whole += (y.hi - y.lo) * (x.hi - x.lo)
			}
		}
	}
	least := 0.5 // of the pixels that meet the whole kernel; wide kernels gain more by sliding
	if d.S > 3 {
		least = 0.75
	}
	if float64(whole) > least*float64(d.P*d.Q) {
		return
	}
	d.field = &f
}

// padded computes one unit: image n, channels from c on.
func (st *dwState) padded(w *dwWorker, field []float32, n, c int) {
	d := st.d
	all := min(st.chans, d.C-c)
	chans := all / d.kernel.lanes * d.kernel.lanes
	if chans > 0 {
		st.copyImage(field, n, c, chans)
		a := &w.args
		st.prepare(a, &rectangle{n, 0, c, chans, span{0, d.P, 0, d.R}, span{0, d.Q, 0, d.S}})
		a.Src, a.First = field, 0
		a.Step, a.LineStep = 4*d.StrideW*paddedChans, 4*d.StrideH*d.field.w*paddedChans
		a.ColStep, a.RowStep = 4*paddedChans, 4*d.DilH*d.field.w*paddedChans
		a.Rows, a.Pitch = d.R, 4*d.pitch
		d.slide(a)
	}
	if chans == all {
		return
	}
	for _, rows := range d.rows {
		for _, cols := range d.cols {
			st.byTaps(w, rectangle{n, 0, c + chans, all - chans, rows, cols})
		}
	}
}

// copyImage copies the channels c to c+chans of image n into the field, whose
// border is zero.
func (st *dwState) copyImage(field []float32, n, c, chans int) {
	d := st.d
	x0, x1 := max(0, -d.PadW), min(d.W, d.field.w-d.PadW)
	for y := max(0, -d.PadH); y < min(d.H, d.field.h-d.PadH) && x0 < x1; y++ {
		to := ((y+d.PadH)*d.field.w + x0 + d.PadW) * paddedChans
		from := ((n*d.H+y)*d.W+x0)*d.SrcStride + c
		if d.kernel.copy != nil {
			_, _ = field[to+(x1-x0-1)*paddedChans+chans-1], st.src[from+(x1-x0-1)*d.SrcStride+chans-1]
			d.kernel.copy(&field[to], &st.src[from], x1-x0, 4*chans, 4*paddedChans, 4*d.SrcStride)
			continue
		}
		for range x1 - x0 {
			copy(field[to:to+chans], st.src[from:])
			to += paddedChans
			from += d.SrcStride
		}
	}
}
