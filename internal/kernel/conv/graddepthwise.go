package conv

// dwGradArgs describes one call of the kernel of weight gradients of depthwise
// 3x3 convolutions: to Dst[t*Pitch/4+c], for each kernel element t of nine, it
// adds the sums of DY[c]*X[c] over the pixels of all lines. Channels counts
// down as the kernel works; it is a multiple of eight.
//
// The assembly knows this layout; TestGradArgsLayout guards it.
type dwGradArgs struct {
	Lines    []dwGradLine
	Dst      []float32
	Channels int
	Pitch    int // bytes from one kernel element's sums to the next's
	Pixels   int // of a line, at least 1 + Right
	Right    int // 1 if the last pixel lacks the right column, else 0
	Step     int // bytes from one pixel's input to the next's
	Column   int // bytes from one input pixel to the next
	DYStep   int

	at int // of the assembly
}

// dwGradLine is one line of output pixels: the input under the middle column
// of each kernel row at the first pixel, and the output's gradient. The column
// left of it is outside the image.
type dwGradLine struct {
	X  [3]*float32
	DY *float32
}

// dwGradFloats is the input and the gradients that a call should read, in floats.
const dwGradFloats = 1 << 13

// slidable is the number of channels that the kernel for whole lines takes; it
// needs a 3x3 kernel whose first column starts one pixel before the image and
// whose last pixel meets at least two columns.
func (g *GradWeight) slidable() int {
	s := &g.shape
	last := (s.Q - 1) * s.StrideW
	if g.set.lines == nil || !s.depthwise() || s.T*s.D*s.OD > 1 || s.PadD != 0 || s.R != 3 || s.S != 3 || s.DilW != 1 || s.PadW != 1 ||
		last >= s.W || s.Q < 2 {
		return 0
	}
	return s.C &^ 7
}

// slideLines adds the output lines lo to hi, counted over the images, to the
// sums of the channels that slidable tells.
func (st *gradWeightState) slideLines(w *gradWorker, part []float32, lo, hi int) {
	g, s := st.g, &st.g.shape
	a := &w.wise
	*a = dwGradArgs{
		Lines: w.lines, Dst: part, Pitch: 4 * s.C, Pixels: s.Q,
		Step: 4 * s.StrideW * s.SrcStride, Column: 4 * s.SrcStride, DYStep: 4 * s.DstStride,
	}
	if (s.Q-1)*s.StrideW+1 >= s.W {
		a.Right = 1
	}
	some := max(1, dwGradFloats/((s.W+s.Q)*s.C))
	for lo < hi {
		n := min(some, hi-lo)
		fetch(st.dy[lo*s.Q*s.DstStride : ((lo+n)*s.Q-1)*s.DstStride+s.C])
		if row, ok := s.inputRow((lo+n-1)/s.P, (lo+n-1)%s.P, s.R-1); ok {
			row += s.W
			from := min(max(row-n*s.StrideH*s.W, 0), row)
			fetch(st.x[from*s.SrcStride : (row-1)*s.SrcStride+s.C])
		}
		a.Lines = a.Lines[:0]
		for l := lo; l < lo+n; l++ {
			line := dwGradLine{DY: &st.dy[l*s.Q*s.DstStride]}
			for r := range line.X {
				line.X[r] = &g.zeros[0]
				if row, ok := s.inputRow(l/s.P, l%s.P, r); ok {
					line.X[r] = &st.x[row*s.SrcStride]
				}
			}
			a.Lines = append(a.Lines, line)
		}
		a.Channels = g.wise
		g.set.lines(a)
		lo += n
	}
	w.lines = a.Lines[:0]
}
