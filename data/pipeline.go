package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// Pipeline carries out a Preprocess, and an Augment in training. It may be used
// by several goroutines at once and allocates nothing once it is warm.
type Pipeline struct {
	pre  Preprocess
	aug  Augment
	lut  [3][256]float32 // normalised values of a byte, by output channel
	pool sync.Pool       // of *workspace
}

// workspace is the memory of one goroutine inside a Pipeline.
type workspace struct {
	res    resampler
	jitter []uint8
	pcg    rand.PCG
	rng    *rand.Rand
}

// NewPipeline checks p and a and prepares their tables.
func NewPipeline(p Preprocess, a Augment) (*Pipeline, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := a.Validate(); err != nil {
		return nil, err
	}
	q := &Pipeline{pre: p, aug: a}
	for c := range q.lut {
		mean, std := at(p.Mean, c, 0), at(p.Std, c, 1)
		for v := range 256 {
			q.lut[c][v] = (float32(v) - mean) / std
		}
	}
	q.pool.New = func() any {
		w := new(workspace)
		w.rng = rand.New(&w.pcg)
		return w
	}
	return q, nil
}

// at is the value of channel c in a list of one for all or one a channel.
func at(v []float32, c int, empty float32) float32 {
	switch {
	case len(v) == 0:
		return empty
	case len(v) == 1:
		return v[0]
	case c < len(v):
		return v[c]
	}
	return empty
}

// Shape is the size of the prepared form of an h×w picture with c channels.
func (q *Pipeline) Shape(h, w, c int) (oc, oh, ow int, err error) {
	if oc, err = q.channels(c); err != nil {
		return 0, 0, 0, err
	}
	oh, ow = q.resized(h, w)
	if k := q.pre.Crop; k != [2]int{} {
		if k[0] > oh || k[1] > ow {
			return 0, 0, 0, fmt.Errorf("data: a crop of %dx%d out of %dx%d pixels; ask for a larger resize", k[0], k[1], oh, ow)
		}
		oh, ow = k[0], k[1]
	}
	if q.pre.Size != [2]int{} {
		oh, ow = q.pre.Size[0], q.pre.Size[1]
	}
	return oc, oh, ow, nil
}

func (q *Pipeline) channels(c int) (int, error) {
	oc := c
	switch q.pre.Color {
	case RGB, BGR:
		oc = 3
	case Gray:
		oc = 1
	}
	if oc != c && (c != 1 && c != 3) {
		return 0, fmt.Errorf("data: color %v from a picture with %d channels", q.pre.Color, c)
	}
	for _, v := range [2][]float32{q.pre.Mean, q.pre.Std} {
		if len(v) > 1 && len(v) != oc {
			return 0, fmt.Errorf("data: %d values of mean or std for %d channels; give one, or one a channel", len(v), oc)
		}
	}
	return oc, nil
}

// resized is the size of an h×w picture after Resize.
func (q *Pipeline) resized(h, w int) (int, int) {
	n := q.pre.Resize
	switch {
	case n == 0:
		return h, w
	case h <= w:
		return n, max(1, int(int64(n)*int64(w)/int64(h)))
	default:
		return max(1, int(int64(n)*int64(h)/int64(w))), n
	}
}

// Apply prepares one picture for evaluation: it fills dst, of the size that
// Shape gives, in the layout of the Preprocess.
func (q *Pipeline) Apply(dst []float32, s *Sample) error {
	w := q.pool.Get().(*workspace)
	defer q.pool.Put(w)
	return q.run(dst, s, w, nil)
}

// Train prepares one picture for training. The random changes depend on seed,
// epoch and index only.
func (q *Pipeline) Train(dst []float32, s *Sample, seed uint64, epoch, index int) error {
	w := q.pool.Get().(*workspace)
	defer q.pool.Put(w)
	w.pcg.Seed(mix(seed, uint64(epoch)), mix(uint64(index), streamAugment))
	return q.run(dst, s, w, w.rng)
}

// run does the work; rng is nil for evaluation.
func (q *Pipeline) run(dst []float32, s *Sample, w *workspace, rng *rand.Rand) error {
	oc, oh, ow, err := q.Shape(s.H, s.W, s.C)
	if err != nil {
		return err
	}
	if len(dst) != oc*oh*ow {
		return fmt.Errorf("data: a %dx%dx%d picture becomes %dx%dx%d, which is not %d numbers; all pictures of a batch must have one size: set resize and crop",
			s.H, s.W, s.C, oc, oh, ow, len(dst))
	}
	var g geometry
	if rng != nil {
		g = q.aug.geometry(rng, oh, ow)
	}
	if s.Float != nil {
		if oh != s.H || ow != s.W {
			return fmt.Errorf("data: pictures of numbers cannot be resized or cropped (%dx%d to %dx%d)", s.H, s.W, oh, ow)
		}
		if oc != s.C {
			return fmt.Errorf("data: pictures of numbers cannot change their %d channels to %d", s.C, oc)
		}
		return q.placeFloats(dst, s, g)
	}
	if len(s.Pix) != s.H*s.W*s.C || (s.C != 1 && s.C != 3) {
		return fmt.Errorf("data: a picture of %d bytes is not %dx%dx%d", len(s.Pix), s.H, s.W, s.C)
	}
	var v view
	if rng != nil && q.aug.RandomCrop > 0 {
		v = q.aug.randomCrop(s.view(), w, rng, oh, ow, q.pre.Interpolation)
	} else {
		v = q.fit(s.view(), w)
	}
	if rng != nil && q.aug.Jitter > 0 {
		v = q.aug.jitter(v, w, rng)
	}
	q.place(dst, v, oc, g)
	return nil
}

// fit carries out Resize, Crop and Size.
func (q *Pipeline) fit(v view, w *workspace) view {
	full := [2]int{v.h, v.w}
	full[0], full[1] = q.resized(v.h, v.w)
	y, x, ch, cw := 0, 0, full[0], full[1]
	if k := q.pre.Crop; k != [2]int{} {
		y, x = middle(full[0], k[0]), middle(full[1], k[1])
		ch, cw = k[0], k[1]
	}
	if full == [2]int{v.h, v.w} {
		v = v.crop(y, x, ch, cw)
	} else {
		v = w.res.resize(v, full, q.pre.Interpolation, y, x, ch, cw, 0)
	}
	if s := q.pre.Size; s != [2]int{} && s != [2]int{v.h, v.w} {
		v = w.res.resize(v, s, q.pre.Interpolation, 0, 0, s[0], s[1], 1)
	}
	return v
}

// middle is the margin before a centred crop, rounded as torchvision does
// (halves to even).
func middle(full, crop int) int { return int(math.RoundToEven(float64(full-crop) / 2)) }

// geometry is what augmentation does to the position of pixels.
type geometry struct {
	dy, dx   int // the output is shifted by this much; what comes from outside is black
	flip     bool
	cut      bool
	cy0, cy1 int // rows and
	cx0, cx1 int // columns that are 0
}

// columns is the range of output columns that have a source, the source of
// column 0 and its direction.
func (g geometry) columns(w int) (lo, hi, origin, step int) {
	lo, hi = max(0, -g.dx), min(w, w-g.dx)
	origin, step = g.dx, 1
	if g.flip { // mirrored after the shift
		lo, hi = w-hi, w-lo
		origin, step = w-1+g.dx, -1
	}
	return lo, max(lo, hi), origin, step
}

// place writes the normalised pixels of v to dst.
func (q *Pipeline) place(dst []float32, v view, oc int, g geometry) {
	lo, hi, origin, step := g.columns(v.w)
	plane := v.h * v.w
	for y := range v.h {
		sy := y + g.dy
		if sy < 0 || sy >= v.h {
			q.black(dst, oc, v.h, v.w, y, 0, v.w)
			continue
		}
		row := v.pix[sy*v.stride:][:v.w*v.c]
		q.black(dst, oc, v.h, v.w, y, 0, lo)
		q.black(dst, oc, v.h, v.w, y, hi, v.w)
		from := origin + lo*step
		switch {
		case oc == 1 && v.c == 1:
			out := dst[y*v.w:][:v.w]
			l := &q.lut[0]
			for x := lo; x < hi; x++ {
				out[x] = l[row[from]]
				from += step
			}
		case oc == 1:
			out := dst[y*v.w:][:v.w]
			l := &q.lut[0]
			for x := lo; x < hi; x++ {
				out[x] = l[luma(row[3*from], row[3*from+1], row[3*from+2])]
				from += step
			}
		case q.pre.Layout == HWC:
			q.placeHWC(dst[y*v.w*3:][:v.w*3], row, v.c, lo, hi, from, step)
		default:
			a, b, c := dst[y*v.w:][:v.w], dst[plane+y*v.w:][:v.w], dst[2*plane+y*v.w:][:v.w]
			q.placeCHW(a, b, c, row, v.c, lo, hi, from, step)
		}
	}
	if g.cut {
		for y := g.cy0; y < g.cy1; y++ {
			q.zero(dst, oc, v.h, v.w, y, g.cx0, g.cx1)
		}
	}
}

// placeCHW writes columns lo … hi−1 of one row to three planes.
func (q *Pipeline) placeCHW(a, b, c []float32, row []uint8, ch, lo, hi, from, step int) {
	la, lb, lc := &q.lut[0], &q.lut[1], &q.lut[2]
	if q.pre.Color == BGR {
		a, c, la, lc = c, a, lc, la
	}
	off1, off2 := 0, 0
	if ch == 3 {
		off1, off2 = 1, 2
	}
	p, dp := from*ch, step*ch
	a, b, c = a[lo:hi], b[lo:hi], c[lo:hi]
	for x := range a {
		a[x], b[x], c[x] = la[row[p]], lb[row[p+off1]], lc[row[p+off2]]
		p += dp
	}
}

// placeHWC writes columns lo … hi−1 of one row to interleaved pixels.
func (q *Pipeline) placeHWC(out []float32, row []uint8, ch, lo, hi, from, step int) {
	off := [3]int{0, 1, 2}
	if q.pre.Color == BGR {
		off = [3]int{2, 1, 0}
	}
	if ch == 1 {
		off = [3]int{}
	}
	p, dp := from*ch, step*ch
	for x := lo; x < hi; x++ {
		for k := range 3 {
			out[3*x+k] = q.lut[k][row[p+off[k]]]
		}
		p += dp
	}
}

// zero clears columns lo … hi−1 of row y in every channel.
func (q *Pipeline) zero(dst []float32, c, h, w, y, lo, hi int) {
	if lo >= hi {
		return
	}
	if q.pre.Layout == HWC {
		clear(dst[(y*w+lo)*c : (y*w+hi)*c])
		return
	}
	for k := range c {
		clear(dst[(k*h+y)*w+lo : (k*h+y)*w+hi])
	}
}

// black fills columns lo … hi−1 of row y with what a pixel of value 0 becomes.
func (q *Pipeline) black(dst []float32, c, h, w, y, lo, hi int) {
	for k := range c {
		v := q.lut[k][0]
		if q.pre.Layout == HWC {
			for x := lo; x < hi; x++ {
				dst[(y*w+x)*c+k] = v
			}
			continue
		}
		row := dst[(k*h+y)*w:][:w]
		for x := lo; x < hi; x++ {
			row[x] = v
		}
	}
}

// luma is the gray value of a pixel by ITU-R BT.601 in 16-bit fixed point.
func luma(r, g, b uint8) uint8 {
	return uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 1<<15) >> 16)
}

// placeFloats is place for pictures of numbers.
func (q *Pipeline) placeFloats(dst []float32, s *Sample, g geometry) error {
	if len(s.Float) != s.C*s.H*s.W {
		return fmt.Errorf("data: a picture of %d numbers is not %dx%dx%d", len(s.Float), s.C, s.H, s.W)
	}
	lo, hi, origin, step := g.columns(s.W)
	for k := range s.C {
		mean, std := at(q.pre.Mean, k, 0), at(q.pre.Std, k, 1)
		from := k
		if q.pre.Color == BGR && s.C == 3 {
			from = 2 - k
		}
		for y := range s.H {
			i, di := (k*s.H+y)*s.W, 1
			if q.pre.Layout == HWC {
				i, di = y*s.W*s.C+k, s.C
			}
			for x := range s.W {
				dst[i+x*di] = -mean / std
			}
			if sy := y + g.dy; sy >= 0 && sy < s.H {
				row := s.Float[(from*s.H+sy)*s.W:][:s.W]
				for x := lo; x < hi; x++ {
					dst[i+x*di] = (row[origin+x*step] - mean) / std
				}
			}
			if g.cut && y >= g.cy0 && y < g.cy1 {
				for x := g.cx0; x < g.cx1; x++ {
					dst[i+x*di] = 0
				}
			}
		}
	}
	return nil
}
