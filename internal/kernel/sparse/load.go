package sparse

import "unsafe"

// loader copies inputs to panels.
type loader struct {
	*geometry
	k     *kernels
	zero  []float32 // C zeros
	args  *inArgs
	src   []float32
	panel []float32
}

// load fills the rows lo to hi of the panel for block b: rows of a flat one,
// images of one of planes.
func (l *loader) load(b block, lo, hi int) {
	clear(l.panel[l.zeroAt()/4:][:l.zeros()])
	switch {
	case l.vecs == 0:
		l.single()
	case l.planes:
		l.images(b, lo, hi)
	default:
		for lo < hi {
			// The rows of one kernel element, few enough that what the vectors
			// of the block share stays in the cache.
			tap := lo / l.C
			n := min((tap+1)*l.C, lo+loadRows, hi) - lo
			l.flat(b, tap/l.S, tap%l.S, lo-tap*l.C, n)
			lo += n
		}
	}
}

// loadRows is the number of rows of a flat panel that are filled together.
const loadRows = 96

// pixel returns the address of channel c of an input pixel, that of a zero
// outside of the image.
func (l *loader) pixel(n, y, x, c int) unsafe.Pointer {
	if uint(y) >= uint(l.H) || uint(x) >= uint(l.W) {
		return unsafe.Pointer(&l.zero[0])
	}
	return unsafe.Pointer(&l.src[((n*l.H+y)*l.W+x)*l.SrcStride+c])
}

// put copies so many channels of the pixels in args to the panel, from
// float at on.
func (l *loader) put(at, ld, channels int) {
	l.args.Dst, l.args.Ld, l.args.Chans = l.panel[at:], ld, channels
	l.k.in(l.args)
}

// single copies the inputs of the only pixel.
func (l *loader) single() {
	at := 0
	for r := range l.R {
		for s := range l.S {
			p := l.pixel(0, r*l.DilH-l.PadH, s*l.DilW-l.PadW, 0)
			copy(l.panel[at:], unsafe.Slice((*float32)(p), l.C))
			at += l.C
		}
	}
}

// flat fills n rows of a flat panel, of kernel element r, s and the channels
// from c on.
func (l *loader) flat(b block, r, s, c, n int) {
	row := (r*l.S+s)*l.C + c
	for at := 0; at < l.lanes*b.vecs; at += l.lanes {
		first := b.first + at
		if left := b.cols - at; l.direct() && left >= l.lanes {
			from := first*l.SrcStride + c
			for i := range l.lanes {
				l.args.Src[i] = unsafe.Pointer(&l.src[from])
				from += l.SrcStride
			}
		} else {
			l.patch(first, left, r, s, c)
		}
		l.put(row*l.pitch+at, l.pitch, n)
	}
}

// direct reports whether output pixel i is computed from input pixel i alone.
func (l *loader) direct() bool { return oneToOne(&l.Shape) }

// patch points args at what kernel element r, s reads for the pixels from
// first on, of which left are in the block.
func (l *loader) patch(first, left, r, s, c int) {
	n, p, q := first/(l.P*l.Q), first/l.Q%l.P, first%l.Q
	for i := range l.lanes {
		if i >= left {
			l.args.Src[i] = unsafe.Pointer(&l.zero[0])
			continue
		}
		l.args.Src[i] = l.pixel(n, p*l.StrideH-l.PadH+r*l.DilH, q*l.StrideW-l.PadW+s*l.DilW, c)
		if q++; q == l.Q {
			q = 0
			if p++; p == l.P {
				p, n = 0, n+1
			}
		}
	}
}

// images fills the images lo to hi of a panel of planes.
func (l *loader) images(b block, lo, hi int) {
	first := lo * l.plane
	for i := range l.lanes {
		l.args.Src[i] = unsafe.Pointer(&l.zero[0])
	}
	for at := 0; at < slack; at += l.lanes {
		l.put(first+at, l.plane, hi-lo)
	}
	for row := range b.rows - 1 + reach(l.R, l.DilH) {
		y := b.p - l.PadH + row
		for at := 0; at < l.pitch; at += l.lanes {
			x := b.q + at - l.origin
			for i := range l.lanes {
				l.args.Src[i] = l.pixel(b.image, y, x+i, lo)
			}
			l.put(first+slack+row*l.pitch+at, l.plane, hi-lo)
		}
	}
}
