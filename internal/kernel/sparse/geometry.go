package sparse

import "github.com/drawknife/drawknife/internal/kernel/conv"

// geometry says which pixels are computed together (a block) and how the
// inputs they need lie in a panel, whose vectors run along the pixels.
//
// A flat panel has a row for each kernel element and input channel, with the
// input of every pixel of the block. A panel of planes, for kernels of several
// elements and stride 1, has a small image for each channel, which each kernel
// element reads at another place: fewer floats, but not on vector boundaries.
type geometry struct {
	conv.Shape
	lanes  int // pixels of a vector
	planes bool
	vecs   int // most vectors of a block; 0 if there is one pixel
	pitch  int // floats of a row: of the panel if it is flat, of an image if not
	blocks int

	// Of planes.
	origin               int  // place of the first column of a block in a row
	plane                int  // floats of an image
	tileRows             int  // most rows of a block
	joined               bool // whether vectors run on from a row to the next
	rowBlocks, colBlocks int
}

// slack is the zeros before an image, where its first row looks for the
// padding to its left: a cache line, so that images stay on vector boundaries.
const slack = line

// rowUnit is what the length of an image's rows is a multiple of.
const rowUnit = 8

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func (g *geometry) ceilLanes(n int) int { return ceilDiv(n, g.lanes) * g.lanes }

// pixels is the number of output pixels of the batch.
func (g *geometry) pixels() int { return g.N * g.P * g.Q }

// reach is the number of elements that a kernel of so many spans.
func reach(kernel, dilation int) int { return (kernel-1)*dilation + 1 }

// newGeometry plans blocks of at most vecs vectors of so many lanes. s is
// complete (see normal).
func newGeometry(s conv.Shape, lanes, vecs int) geometry {
	g := geometry{Shape: s, lanes: lanes}
	if g.pixels() == 1 {
		g.pitch, g.blocks = 1, 1
		return g
	}
	g.vecs = min(vecs, ceilDiv(g.pixels(), lanes))
	g.pitch = lanes * g.vecs
	g.blocks = ceilDiv(ceilDiv(g.pixels(), lanes), g.vecs)
	if s.R*s.S > 1 && s.StrideH == 1 && s.StrideW == 1 {
		if p := newPlanes(s, lanes, vecs); p.plane < s.R*s.S*lanes*p.vecs {
			return p
		}
	}
	return g
}

// newPlanes plans panels of planes.
func newPlanes(s conv.Shape, lanes, vecs int) geometry {
	g := geometry{Shape: s, lanes: lanes, planes: true}
	wide, across := reach(s.S, s.DilW), ceilDiv(s.Q, lanes)
	full := ceilDiv(max(s.W+max(s.PadW, 0), s.Q+wide-1-s.PadW), rowUnit) * rowUnit
	if across <= vecs && s.PadW <= slack && full <= 2*lanes*across {
		// Whole rows: the zeros after one are those before the next, and a vector
		// may reach over several.
		g.pitch, g.colBlocks = full, 1
		g.tileRows, g.vecs = 1, across
		if rows := min(vecs*lanes/full, s.P); rows > 1 && full >= s.Q && rows*across >= ceilDiv(rows*full, lanes) {
			g.tileRows, g.vecs, g.joined = rows, ceilDiv(rows*full, lanes), true
		}
	} else {
		g.colBlocks = ceilDiv(across, vecs)
		g.vecs = ceilDiv(across, g.colBlocks)
		g.tileRows, g.origin = 1, s.PadW
		g.pitch = g.ceilLanes(lanes*g.vecs + wide - 1)
	}
	g.rowBlocks = ceilDiv(s.P, g.tileRows)
	g.blocks = s.N * g.rowBlocks * g.colBlocks
	g.plane = slack + (g.tileRows-1+reach(s.R, s.DilH))*g.pitch
	return g
}

// inputs is the number of inputs of an output.
func (g *geometry) inputs() int { return g.C * g.R * g.S }

// panelRows is the number of rows of a panel, or of its images, and the floats
// of one.
func (g *geometry) panelRows() (rows, floats int) {
	if g.planes {
		return g.C, g.plane
	}
	return g.inputs(), g.pitch
}

// panel is the number of floats of a panel, with what is read past its end
// where the result is dropped, and the zeros of zeroAt.
func (g *geometry) panel() int { return g.zeroAt()/4 + g.zeros() }

// zeros is the number of zeros at zeroAt.
func (g *geometry) zeros() int { return max(g.lanes*g.vecs, 1) }

// zeroAt is the place, in bytes, of zeros for as many pixels as a block has.
func (g *geometry) zeroAt() int {
	if g.planes {
		return 4 * (g.C*g.plane + reach(g.S, g.DilW) + g.lanes)
	}
	return 4 * g.inputs() * g.pitch
}

// at is the place in the panel, in bytes, of the inputs that meet kernel
// element r, s of channel c.
func (g *geometry) at(c, r, s int) int {
	if g.planes {
		return 4 * (c*g.plane + slack + r*g.DilH*g.pitch + s*g.DilW - g.PadW + g.origin)
	}
	return 4 * g.pitch * ((r*g.S+s)*g.C + c)
}

// block is a set of pixels that are computed together: rows of the output, or
// parts of them, of the same length. The first row's pixels are the first
// lanes of the vectors, the next row's start pitch lanes later.
type block struct {
	image, p, q int // where it starts; of a flat one only first says so
	first       int // number of the first pixel
	rows, cols  int
	vecs        int
}

// blockAt returns block i.
func (g *geometry) blockAt(i int) block {
	if g.vecs == 0 {
		return block{rows: 1, cols: 1}
	}
	if !g.planes {
		all := ceilDiv(g.pixels(), g.lanes)
		from, to := i*all/g.blocks, (i+1)*all/g.blocks
		return block{first: g.lanes * from, rows: 1, cols: min(g.lanes*to, g.pixels()) - g.lanes*from, vecs: to - from}
	}
	b := block{image: i / (g.rowBlocks * g.colBlocks)}
	i %= g.rowBlocks * g.colBlocks
	row, col := i/g.colBlocks, i%g.colBlocks
	b.p = row * g.P / g.rowBlocks
	b.rows = (row+1)*g.P/g.rowBlocks - b.p
	across := ceilDiv(g.Q, g.lanes)
	from, to := col*across/g.colBlocks, (col+1)*across/g.colBlocks
	b.q = g.lanes * from
	b.cols = min(g.lanes*to, g.Q) - b.q
	b.vecs = to - from
	if g.joined {
		b.vecs = ceilDiv(b.rows*g.pitch, g.lanes)
	}
	b.first = (b.image*g.P+b.p)*g.Q + b.q
	return b
}
