package qconv

// strip is the geometry of the input a block of output pixels needs, copied
// into scratch memory with the padding written out, so that a kernel reaches
// any tap of any pixel by adding two offsets.
//
// A block is a rectangle of output rows and columns of one plane (image and
// output depth), or several whole planes. Its strip is laid out
// [planes][T][lines][cols][pitch]. Where the kernel is one tap wide, only the
// columns it meets are copied, and the same holds for lines.
type strip struct {
	s                   Shape // pointwise convolutions flattened to one long row
	direct              bool  // no strip: the input itself will do
	pitch               int   // elements from one pixel to the next
	planes, rows, cells int   // of a full block: planes, output rows, output columns
	lines, cols         int   // of the strip of a full block
	lineStep, colStep   int   // input pixels between them
	rowLines, cellCols  int   // strip lines and columns between output pixels
	bands, columns      int   // blocks of a plane, down and across
	blocks              int
	copies, size        int // of the strip, each with its own order of values; bytes of a copy
}

// stripBytes is the size to aim at of all copies of a strip: a small part of a
// second-level cache.
// blockPixels is the least number of pixels that repays reading the weights.
const (
	stripBytes  = 64 << 10
	blockPixels = 48
)

// blocking says what the blocks of a strip must be like.
type blocking struct {
	step   int  // channels of a group that the kernels read at once, at most 64
	copies int  // of the strip, each with its own order of values
	budget int  // bytes of all copies together, unless a block has few pixels
	alone  bool // a single worker computes all blocks
}

// newStrip plans the blocks of a shape. Kernels read whole steps of the perGroup
// channels of a group; where that is more, a strip has room for it after its
// last pixel and the input itself has not.
func newStrip(s Shape, perGroup int, b blocking) *strip {
	direct := false
	if pointwise(&s) {
		s.W *= s.N * s.D * s.H
		s.Q *= s.N * s.OD * s.P
		s.N, s.D, s.H, s.OD, s.P = 1, 1, 1, 1, 1
		direct = perGroup%b.step == 0 && b.copies == 1
	}
	g := &strip{s: s, direct: direct, pitch: s.C, lineStep: 1, colStep: 1, rowLines: s.StrideH, cellCols: s.StrideW, copies: b.copies}
	if s.R == 1 {
		g.lineStep, g.rowLines = s.StrideH, 1
	}
	if s.S == 1 {
		g.colStep, g.cellCols = s.StrideW, 1
		// Pixels a power of two apart would share a few lines of the cache.
		if s.C%512 == 0 {
			g.pitch += 64
		}
	}
	if direct {
		g.pitch = s.SrcStride
	}
	g.split(b)
	if !direct {
		g.size = (g.planes*g.s.T*g.lines*g.cols*g.pitch + 127) &^ 63
	}
	return g
}

// pointwise reports a convolution that reads each pixel once, in order.
func pointwise(s *Shape) bool {
	return taps(s) == 1 && s.OD == s.D && s.P == s.H && s.Q == s.W &&
		s.StrideD == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadD == 0 && s.PadH == 0 && s.PadW == 0
}

// split chooses the size of the blocks.
func (g *strip) split(b blocking) {
	s := &g.s
	size := func(rows, cells int) int { // bytes of the strip of one plane
		return s.T * ((rows-1)*g.rowLines + (s.R-1)*s.DilH + 1) * ((cells-1)*g.cellCols + (s.S-1)*s.DilW + 1) * g.pitch
	}
	fits := func(rows, cells int) bool {
		return rows*cells <= blockPixels || g.copies*size(rows, cells) <= b.budget
	}
	g.rows, g.cells, g.planes = s.P, s.Q, 1
	for g.rows > 1 && !fits(g.rows, g.cells) {
		g.rows--
	}
	for g.cells > 8 && !fits(g.rows, g.cells) {
		g.cells = (g.cells - 1) / 8 * 8
	}
	if !b.alone {
		g.share(s)
	}
	g.bands, g.columns = (s.P+g.rows-1)/g.rows, (s.Q+g.cells-1)/g.cells
	g.rows = (s.P + g.bands - 1) / g.bands // even out
	if g.columns > 1 {
		g.cells = ((s.Q+g.columns-1)/g.columns + 7) / 8 * 8
		g.columns = (s.Q + g.cells - 1) / g.cells
	}
	all := s.N * s.OD
	if g.bands == 1 && g.columns == 1 {
		for g.planes < all && fits((g.planes+1)*g.rows, g.cells) {
			g.planes++
		}
	}
	g.lines = (g.rows-1)*g.rowLines + (s.R-1)*s.DilH + 1
	g.cols = (g.cells-1)*g.cellCols + (s.S-1)*s.DilW + 1
	g.blocks = (all + g.planes - 1) / g.planes * g.bands * g.columns
}

// share makes the blocks of a single image small enough for several workers,
// as long as each keeps a useful number of pixels. Pointwise convolutions are
// one row and shared out by channels, which reads the weights only once.
func (g *strip) share(s *Shape) {
	const least, pixels = 4, 32 // blocks, and pixels of one
	if s.N*s.OD > 1 {
		return
	}
	for g.rows > 1 && (s.P+g.rows-1)/g.rows < least && (g.rows-1)*g.cells >= pixels {
		g.rows--
	}
}

// bytes is the size of all copies of a strip, each rounded up to cache lines,
// with room for reads past its end.
func (g *strip) bytes() int { return g.copies * g.size }

// pixelOffsets are the offsets in bytes of the pixels of a block, in order.
func (g *strip) pixelOffsets() []int32 {
	list := []int32{}
	for pl := range g.planes {
		for r := range g.rows {
			for c := range g.cells {
				at := (pl*g.s.T*g.lines+r*g.rowLines)*g.cols + c*g.cellCols
				list = append(list, int32(at*g.pitch))
			}
		}
	}
	return list
}

// runOffsets are the offsets in bytes of the runs of consecutive elements that
// the kernel multiplies, and their number of elements. Without groups, the
// taps of a line follow each other.
func (g *strip) runOffsets(perGroup int) (offs []int32, length int) {
	s := &g.s
	taps, length := s.S, perGroup
	if s.DilW == 1 && perGroup == s.C && g.pitch == s.C {
		taps, length = 1, s.S*s.C
	}
	for t := range s.T {
		for r := range s.R {
			for c := range taps {
				at := (t*g.lines+r*s.DilH)*g.cols + c*s.DilW
				offs = append(offs, int32(at*g.pitch))
			}
		}
	}
	return offs, length
}

// block is one block: its output pixels first..first+count-1 of the
// flattened output, and where it stands.
type block struct {
	plane, planes, row, rows, cell, cells int
	first, count                          int
}

func (g *strip) block(i int) block {
	per := g.bands * g.columns
	b := block{plane: i / per * g.planes, row: i % per / g.columns * g.rows, cell: i % g.columns * g.cells}
	g.measure(&b)
	return b
}

// next makes of a block the one after it, without the divisions of block, which
// take long on some processors. After the last it begins again.
func (g *strip) next(b *block) {
	b.cell += g.cells
	if b.cell >= g.s.Q {
		b.cell = 0
		b.row += g.rows
	}
	if b.row >= g.s.P {
		b.row = 0
		b.plane += g.planes
	}
	if b.plane >= g.s.N*g.s.OD {
		b.plane = 0
	}
	g.measure(b)
}

// measure completes a block that begins somewhere.
func (g *strip) measure(b *block) {
	s := &g.s
	b.planes = min(g.planes, s.N*s.OD-b.plane)
	b.rows = min(g.rows, s.P-b.row)
	b.cells = min(g.cells, s.Q-b.cell)
	b.first = (b.plane*s.P+b.row)*s.Q + b.cell
	b.count = b.planes * b.rows * b.cells
}

// copier copies input into a strip.
type copier struct {
	strip   []byte
	src     []uint8
	padding []byte // a line of zero points
}

func (c *copier) pad(at, n int) { copy(c.strip[at:], c.padding[:n]) }

// pixels copies n pixels that start at an element of the source.
func (g *strip) pixels(c *copier, at, from, n int) {
	step, ch := g.s.SrcStride*g.colStep, g.s.C
	if step == ch && g.pitch == ch {
		copy(c.strip[at:at+n*ch], c.src[from:])
		return
	}
	for range n {
		copy(c.strip[at:at+ch], c.src[from:])
		at, from = at+g.pitch, from+step
	}
}

// fill visits the lines of the strip of a block.
func (g *strip) fill(b *block, f copier) {
	s := &g.s
	lines := (b.rows-1)*g.rowLines + (s.R-1)*s.DilH + 1
	cols := (b.cells-1)*g.cellCols + (s.S-1)*s.DilW + 1
	x0 := b.cell*s.StrideW - s.PadW
	lo := min(cols, max(0, steps(-x0, g.colStep))) // columns lo..hi-1 lie inside
	hi := max(lo, min(cols, steps(s.W-x0, g.colStep)))
	if x0 >= s.W {
		hi = lo
	}
	for pl := range b.planes {
		n, od := b.plane+pl, 0
		if s.OD > 1 {
			n, od = n/s.OD, n%s.OD
		}
		for t := range s.T {
			z := od*s.StrideD - s.PadD + t*s.DilD
			begun := false // the columns before lo are written
			for l := range lines {
				y := b.row*s.StrideH - s.PadH + l*g.lineStep
				at := ((pl*s.T+t)*g.lines + l) * g.cols * g.pitch
				if z < 0 || z >= s.D || y < 0 || y >= s.H || hi == lo {
					f.pad(at, cols*g.pitch)
					begun = false
					continue
				}
				if lo > 0 && !begun {
					f.pad(at, lo*g.pitch)
				}
				from := (((n*s.D+z)*s.H+y)*s.W + x0 + lo*g.colStep) * s.SrcStride
				g.pixels(&f, at+lo*g.pitch, from, hi-lo)
				// The columns after hi and those of the next line before lo adjoin.
				after := cols - hi
				if begun = cols == g.cols && l+1 < lines; begun {
					after += lo
				}
				if after > 0 {
					f.pad(at+hi*g.pitch, after*g.pitch)
				}
			}
		}
	}
}

// steps is how many steps of that size reach n.
func steps(n, size int) int {
	if size == 1 {
		return n
	}
	return (n + size - 1) / size
}
