package conv

import (
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// A small image of few channels is first copied into a frame of zeros: next to a
// patch for each pixel whose window leaves the image, one copy costs little, and
// the kernels then need not ask which taps fall outside.

// framed is a convolution of framed images.
type framed struct {
	impl   // without padding
	given  Shape
	within Shape // the inner one
	size   int   // floats of the frames of all images
	fixed  int   // floats of scratch besides, whatever the number of workers
	states reuse.List[frameState]
}

// frames reports whether the images of s had better be framed. It weighs cycles,
// roughly: a row of a patch takes two calls, a row of the frame two and its copy.
func (s *Shape) frames(set *tile.Set) bool {
	const most = 32 << 10 // floats of an image that no cache minds
	if set == tile.Portable || s.H*s.W*s.C > most || s.D*s.OD*s.T > 1 || s.Groups > 1 || s.C > 4 || s.S == 1 || s.S > s.W || s.DilW > 1 || s.R > tile.MaxTaps ||
		s.SrcStride != s.C || s.PadH < 0 || s.PadW < 0 || s.PadW >= s.S {
		return false
	}
	edges := 0
	for q := range s.Q {
		if x := q*s.StrideW - s.PadW; x < 0 || x+s.S > s.W {
			edges++
		}
	}
	const call, floats = 12, 8 // cycles; floats copied in one
	patches := edges * s.P * s.R * 2 * call
	return patches > s.H*(2*call+s.W*s.C/floats)
}

// frame is s without padding, of images as large as it takes.
func (s Shape) frame() Shape {
	s.H = (s.P-1)*s.StrideH + (s.R-1)*s.DilH + 1
	s.W = (s.Q-1)*s.StrideW + s.S
	s.PadH, s.PadW = 0, 0
	return s
}

func newFramed(set *tile.Set, s Shape, p Params) *framed {
	f := &framed{given: s, within: s.frame()}
	inner := newWith(set, f.within, p)
	f.impl, f.fixed = inner.impl, inner.fixed
	f.size = s.N * f.within.H * f.within.W * s.C
	return f
}

// fixedScratch is room for the frames and for what the convolution of them shares.
func (f *framed) fixedScratch() int { return f.size + f.fixed }

// frameState is what one run needs.
type frameState struct {
	f           *framed
	frames, src []float32
	body        func(worker, lo, hi int)
}

func (f *framed) exec(p *parallel.Pool, w, dst, src, add, scratch []float32) {
	st := f.states.Get()
	if st == nil {
		st = &frameState{f: f}
		st.body = st.copy
	}
	st.frames, st.src = scratch[:f.size], src
	p.For(f.given.N, 1, st.body)
	f.impl.exec(p, w, dst, st.frames, add, scratch[f.size:])
	st.frames, st.src = nil, nil
	f.states.Put(st)
}

// copy frames the images lo to hi-1.
func (st *frameState) copy(_, lo, hi int) {
	s, in := &st.f.given, &st.f.within
	pitch, left := in.W*s.C, s.PadW*s.C
	n := min(s.W*s.C, pitch-left)
	for i := lo; i < hi; i++ {
		to, from := st.frames[i*in.H*pitch:][:in.H*pitch], st.src[i*s.H*s.W*s.C:]
		for y := range in.H {
			row := to[y*pitch:][:pitch]
			if y < s.PadH || y >= s.PadH+s.H {
				clear(row)
				continue
			}
			clear(row[:left])
			copy(row[left:left+n], from[(y-s.PadH)*s.W*s.C:])
			clear(row[left+n:])
		}
	}
}
