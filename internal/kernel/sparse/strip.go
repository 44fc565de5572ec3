package sparse

import "github.com/drawknife/drawknife/internal/kernel/conv"

// strip is the geometry of the input that a block of output pixels needs,
// copied to scratch memory with the padding written out, so that every kernel
// element of every pixel is reached by adding two offsets. A pointwise
// convolution needs no copy.
type strip struct {
	conv.Shape              // a pointwise convolution as one long row
	direct             bool // no strip: the input itself will do
	pitch              int  // floats from one pixel to the next
	rows, wide         int  // of a full block: output rows and columns
	lines, cols        int  // of the strip of a full block
	lineStep, colStep  int  // input pixels between them
	rowLines, cellCols int  // strip lines and columns between output pixels
	bands, columns     int  // blocks of an image, down and across
	blocks             int
}

// stripFloats is the size to aim at.
const stripFloats = 32 << 10

// newStrip plans the blocks of a shape, whose rows are computed in tiles.
func newStrip(s conv.Shape, tile int) strip {
	g := strip{Shape: s, lineStep: 1, colStep: 1, rowLines: s.StrideH, cellCols: s.StrideW}
	g.pitch = ceilDiv(s.C, laneUnit) * laneUnit
	if g.pitch%512 == 0 {
		g.pitch += laneUnit // pixels a power of two apart share a few lines of the cache
	}
	if oneToOne(&s) {
		g.W, g.Q = s.N*s.H*s.W, s.N*s.P*s.Q
		g.N, g.H, g.P = 1, 1, 1
		if g.direct = s.C >= laneWindows[len(laneWindows)-1] && s.SrcStride%laneUnit == 0; g.direct {
			g.pitch = s.SrcStride
		}
	}
	if s.R == 1 {
		g.lineStep, g.rowLines = s.StrideH, 1
	}
	if s.S == 1 {
		g.colStep, g.cellCols = s.StrideW, 1
	}
	g.split(tile)
	return g
}

// oneToOne reports whether output pixel i is computed from input pixel i alone.
func oneToOne(s *conv.Shape) bool {
	return s.R*s.S == 1 && s.StrideH*s.StrideW == 1 && s.PadH == 0 && s.PadW == 0 && s.P == s.H && s.Q == s.W
}

// split chooses the size of the blocks.
func (g *strip) split(tile int) {
	size := func(rows, wide int) int {
		return ((rows-1)*g.rowLines + reach(g.R, g.DilH)) * ((wide-1)*g.cellCols + reach(g.S, g.DilW)) * g.pitch
	}
	g.rows, g.wide = g.P, g.Q
	for g.rows > 1 && size(g.rows, g.wide) > stripFloats {
		g.rows--
	}
	for g.wide > tile && size(g.rows, g.wide) > stripFloats {
		g.wide = ceilDiv(g.wide-tile, tile) * tile
	}
	// Enough blocks to share out, as long as they are worth it.
	for g.rows > 1 && g.N*ceilDiv(g.P, g.rows) < wantedUnits && (g.rows-1)*g.wide >= 2*lanePixels {
		g.rows--
	}
	for g.P == 1 && g.wide > 2*tile && g.N*ceilDiv(g.Q, g.wide) < wantedUnits {
		g.wide = ceilDiv(g.wide-tile, tile) * tile
	}
	g.bands, g.columns = ceilDiv(g.P, g.rows), ceilDiv(g.Q, g.wide)
	g.blocks = g.N * g.bands * g.columns
	g.lines = (g.rows-1)*g.rowLines + reach(g.R, g.DilH)
	g.cols = (g.wide-1)*g.cellCols + reach(g.S, g.DilW)
}

// floats is the size of a strip, with what the last window may read past its
// end.
func (g *strip) floats() int {
	if g.direct {
		return 0
	}
	return g.lines*g.cols*g.pitch + laneWindows[len(laneWindows)-1]
}

// tap is the place of kernel element r, s in the strip of a pixel.
func (g *strip) tap(r, s int) int { return (r*g.DilH*g.cols + s*g.DilW) * g.pitch }

// limit is the last place of a window.
func (g *strip) limit(window int) int {
	if g.direct {
		return g.C - window
	}
	return g.tap(g.R-1, g.S-1) + g.pitch
}

// cells is a block: output rows, or parts of them, from pixel first on.
type cells struct {
	image, row, rows, col, cells int
	first                        int
}

func (g *strip) blockAt(i int) cells {
	per := g.bands * g.columns
	b := cells{image: i / per, row: i % per / g.columns * g.rows, col: i % g.columns * g.wide}
	b.rows, b.cells = min(g.rows, g.P-b.row), min(g.wide, g.Q-b.col)
	b.first = (b.image*g.P+b.row)*g.Q + b.col
	return b
}

// fill copies what block b needs; src begins with row first of the input.
func (g *strip) fill(k *kernels, b *cells, to, src []float32, first int) {
	lines := (b.rows-1)*g.rowLines + reach(g.R, g.DilH)
	cols := (b.cells-1)*g.cellCols + reach(g.S, g.DilW)
	x0 := b.col*g.StrideW - g.PadW
	lo := min(cols, max(0, ceilDiv(-x0, g.colStep))) // columns lo..hi-1 lie inside
	hi := max(lo, min(cols, ceilDiv(g.W-x0, g.colStep)))
	if x0 >= g.W {
		hi = lo
	}
	for l := range lines {
		y := b.row*g.StrideH - g.PadH + l*g.lineStep
		at := l * g.cols * g.pitch
		if y < 0 || y >= g.H || lo == hi {
			clear(to[at:][:cols*g.pitch])
			continue
		}
		clear(to[at:][:lo*g.pitch])
		clear(to[at+hi*g.pitch:][:(cols-hi)*g.pitch])
		from := ((b.image*g.H+y-first)*g.W + x0 + lo*g.colStep) * g.SrcStride
		k.move(to[at+lo*g.pitch:], g.pitch, src[from:], g.SrcStride*g.colStep, hi-lo, g.C)
	}
}

// move copies pixels of so many channels, which are a number of floats apart.
func (k *kernels) move(to []float32, toStep int, from []float32, fromStep, pixels, channels int) {
	if toStep == channels && fromStep == channels {
		copy(to[:pixels*channels], from)
		return
	}
	for range pixels - 1 {
		copy(to[:channels], from)
		to, from = to[toStep:], from[fromStep:]
	}
	copy(to[:channels], from)
}
