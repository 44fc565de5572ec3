package conv

// Layers whose values exceed the caches are computed a band of rows after the
// other, all layers in turn, so that what one writes is still in the cache when
// the next reads it. The engine decides; here a convolution computes some rows.

// banded is an impl that computes some rows by themselves.
type banded interface {
	bands() bool
	band(dst, src, add, scratch []float32, lo, hi, from int)
}

// Bands reports whether RunBand works for this convolution.
func (c *Conv) Bands() bool {
	b, ok := c.impl.(banded)
	return ok && b.bands()
}

// RunBand computes the rows lo to hi-1 of the output of one image, with the same
// bits as Run, on the calling goroutine. The slices dst and add start at row lo
// of the output, src at row from of the input; src ends no earlier than the last
// row that is read. Scratch is that of one worker.
func (c *Conv) RunBand(dst, src, add, scratch []float32, lo, hi, from int) {
	s := c.shape
	first, last := c.InputRows(lo, hi)
	if lo < 0 || hi <= lo || hi > s.P || from > first {
		s.check("band", nil, 1, 0, 1)
	}
	s.check("src", src, (last-from)*s.W, s.SrcStride, s.C)
	s.check("dst", dst, (hi-lo)*s.Q, s.DstStride, s.K)
	if add != nil {
		s.check("add", add, (hi-lo)*s.Q, s.AddStride, s.K)
	}
	s.check("scratch", scratch, 1, 0, c.Scratch(1))
	c.impl.(banded).band(dst, src, add, scratch, lo, hi, from)
}

// Shape is the shape of the convolution, with the zeros that mean a default replaced.
func (c *Conv) Shape() Shape { return *c.shape }

// InputRows is the range of input rows that the output rows lo to hi-1 depend on; if
// they see padding alone, some row.
func (c *Conv) InputRows(lo, hi int) (first, last int) {
	s := c.shape
	first = lo*s.StrideH - s.PadH
	last = (hi-1)*s.StrideH - s.PadH + (s.R-1)*s.DilH + 1
	first = min(max(first, 0), s.H-1)
	return first, max(min(last, s.H), first+1)
}

func (d *dense) bands() bool {
	return d.mode != gather && d.place == nil && d.D == 1 && d.OD == 1 && d.T == 1
}

func (d *dense) band(dst, src, add, scratch []float32, lo, hi, from int) {
	st := d.state(1)
	st.set(nil, dst, src, add, scratch)
	st.first, st.shift, st.workers[0].filled = lo*d.Q, from*d.W*d.SrcStride, -1
	for first := lo * d.Q; first < hi*d.Q; first += d.block {
		st.block(0, first, min(d.block, hi*d.Q-first), 0, len(d.cols))
	}
	d.release(st)
}

func (d *depthwise) bands() bool {
	return d.field == nil && d.place == nil && d.D == 1 && d.OD == 1 && d.T == 1
}

func (d *depthwise) band(dst, src, add, scratch []float32, lo, hi, from int) {
	st := d.state(1)
	st.set(nil, dst, src, add, scratch)
	st.first, st.shift, st.chans = lo*d.Q, from*d.W*d.SrcStride, d.share(1)
	for _, rows := range d.rows {
		if rows.lo, rows.hi = max(rows.lo, lo), min(rows.hi, hi); rows.lo < rows.hi {
			st.rows(&st.workers[0], 0, 0, 0, rows)
		}
	}
	d.release(st)
}
