package conv

// patchSlack is how far beyond a patch the kernel that copies it may write.
const patchSlack = 8

// patchArgs describes one call of the kernel that copies patches: Rows runs of
// Width floats, from Src to Dst, for each of Pixels pixels. It may overwrite
// up to patchSlack-1 floats behind each run, but not runs that come later.
//
// The assembly knows this layout; TestGradArgsLayout guards it.
type patchArgs struct {
	Src, Dst         []float32
	Pixels, Rows     int
	Width            int
	SrcPixel, SrcRow int // bytes
	DstPixel, DstRow int
}

func copyPatchesPortable(a *patchArgs) {
	for i := range a.Pixels {
		for r := range a.Rows {
			copy(a.Dst[(i*a.DstPixel+r*a.DstRow)/4:][:a.Width], a.Src[(i*a.SrcPixel+r*a.SrcRow)/4:])
		}
	}
}

// gather copies what is under the kernel at the pixels of a chunk to
// w.patches, one row of g.width floats for each. It first copies the lines of
// the input between zeros, where every pixel is like every other. The kernel
// is flat.
func (st *gradWeightState) gather(w *gradWorker, x []float32, position, images int) {
	g, s := st.g, &st.g.shape
	lo := position * g.lines
	hi := min(lo+g.lines, s.P)
	rows, pitch := g.field(hi - lo)
	top, left := lo*s.StrideH-s.PadH, -s.PadW
	x0, x1 := max(0, left), min(s.W, left+pitch)
	at := 0
	for n := range images {
		for r := range rows {
			line := w.field[r*pitch*s.C:][:pitch*s.C]
			if y := top + r; y < 0 || y >= s.H || x0 >= x1 {
				clear(line)
			} else {
				copy(line[(x0-left)*s.C:], x[((n*s.H+y)*s.W+x0)*s.C:][:(x1-x0)*s.C])
			}
		}
		for l := range hi - lo {
			w.patch = patchArgs{
				Src: w.field[l*s.StrideH*pitch*s.C:], Dst: w.patches[at:],
				Pixels: s.Q, Rows: s.R, Width: s.S * s.C,
				SrcPixel: 4 * s.StrideW * s.C, SrcRow: 4 * s.DilH * pitch * s.C,
				DstPixel: 4 * g.width, DstRow: 4 * s.S * s.C,
			}
			g.set.patches(&w.patch)
			at += s.Q * g.width
		}
	}
}

// field is the size of the copy of the input, in pixels, for some output lines.
func (g *GradWeight) field(lines int) (rows, pitch int) {
	s := &g.shape
	return (lines-1)*s.StrideH + (s.R-1)*s.DilH + 1, (s.Q-1)*s.StrideW + s.S
}
