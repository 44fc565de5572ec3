package bconv

import "bytes"

// strip is the geometry of the input a block of output pixels needs, with the
// padding written out, in scratch memory: a kernel reaches any tap of any pixel
// by adding two offsets.
//
// A block is a range of output rows of one plane (image and output depth), or
// several whole planes. Its strip is laid out [planes][T][lines][cols][form.bytes].
type strip struct {
	s            Shape // pointwise convolutions as one plane
	form         form
	planes, rows int // of a full block
	lines, cols  int // of the strip of a full block
	bands        int // blocks of a plane
	blocks       int
	padding      []byte // a line of it
}

// form is the form of a pixel in a strip.
type form struct {
	bytes   int
	outside []byte // a pixel of padding
	// put writes consecutive pixels, and maybe stripSlack bytes more.
	put func(dst []byte, src []uint64, pixels int)
}

// blockPixels is the least number of pixels that repays reading the weights.
const blockPixels = 48

// newStrip plans strips of about so many bytes.
func newStrip(s Shape, f form, most int) *strip {
	if taps(&s) == 1 && s.OD == s.D && s.P == s.H && s.Q == s.W &&
		s.StrideD == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadD == 0 && s.PadH == 0 && s.PadW == 0 {
		s.H, s.P = s.N*s.D*s.H, s.N*s.OD*s.P
		s.N, s.D, s.OD = 1, 1, 1
	}
	g := &strip{s: s, form: f, planes: 1, rows: s.P}
	size := func(rows int) int { // bytes of the strip of a plane
		g.lines, g.cols = (rows-1)*s.StrideH+(s.R-1)*s.DilH+1, (s.Q-1)*s.StrideW+(s.S-1)*s.DilW+1
		return s.T * g.lines * g.cols * f.bytes
	}
	fits := func(rows, planes int) bool {
		return rows*planes*s.Q <= blockPixels || planes*size(rows) <= most
	}
	for g.rows > 1 && !fits(g.rows, 1) {
		g.rows--
	}
	// Enough blocks for several workers, if they keep enough pixels.
	for s.N*s.OD == 1 && g.rows > 1 && (s.P+g.rows-1)/g.rows < 4 && (g.rows-1)*s.Q >= blockPixels {
		g.rows--
	}
	g.bands = (s.P + g.rows - 1) / g.rows
	g.rows = (s.P + g.bands - 1) / g.bands // even out
	for g.bands == 1 && g.planes < s.N*s.OD && fits(g.rows, g.planes+1) {
		g.planes++
	}
	g.blocks = (s.N*s.OD + g.planes - 1) / g.planes * g.bands
	size(g.rows) // for lines and cols
	g.padding = bytes.Repeat(f.outside, g.cols)
	return g
}

// stripSlack is the room that filling and reading a strip need after its end.
const stripSlack = 16

// bytes is the size of a strip.
func (g *strip) bytes() int { return g.planes*g.s.T*g.lines*g.cols*g.form.bytes + stripSlack }

// pixelOffsets are the offsets in bytes of the pixels of a block, in order.
func (g *strip) pixelOffsets() []int32 {
	list := make([]int32, 0, g.planes*g.rows*g.s.Q)
	for pl := range g.planes {
		for r := range g.rows {
			for q := range g.s.Q {
				at := (pl*g.s.T*g.lines+r*g.s.StrideH)*g.cols + q*g.s.StrideW
				list = append(list, int32(at*g.form.bytes))
			}
		}
	}
	return list
}

// tapOffset is the offset in bytes of a tap from its pixel.
func (g *strip) tapOffset(tap int) int {
	s := &g.s
	t, r, c := tap/s.S/s.R, tap/s.S%s.R, tap%s.S
	return ((t*g.lines+r*s.DilH)*g.cols + c*s.DilW) * g.form.bytes
}

// block is one block: its output pixels first to first+count-1 of the
// flattened output, and where it stands.
type block struct{ plane, planes, row, rows, first, count int }

func (g *strip) block(i int) block {
	s := &g.s
	b := block{plane: i / g.bands * g.planes, row: i % g.bands * g.rows}
	b.planes = min(g.planes, s.N*s.OD-b.plane)
	b.rows = min(g.rows, s.P-b.row)
	b.first = (b.plane*s.P + b.row) * s.Q
	b.count = b.planes * b.rows * s.Q
	return b
}

// fill writes the strip of a block. Lines are written in order, as what follows
// the pixels of one is overwritten by what comes next.
func (g *strip) fill(dst []byte, src []uint64, b *block) {
	s := &g.s
	lines := (b.rows-1)*s.StrideH + (s.R-1)*s.DilH + 1
	words := Words(s.C)
	lo := min(g.cols, max(0, s.PadW)) // columns lo to hi-1 lie inside
	hi := max(lo, min(g.cols, s.W+s.PadW))
	for pl := range b.planes {
		n, od := (b.plane+pl)/s.OD, (b.plane+pl)%s.OD
		for t := range s.T {
			z := od*s.StrideD - s.PadD + t*s.DilD
			for l := range lines {
				y := b.row*s.StrideH - s.PadH + l
				line := dst[((pl*s.T+t)*g.lines+l)*g.cols*g.form.bytes:]
				if z < 0 || z >= s.D || y < 0 || y >= s.H || hi == lo {
					copy(line, g.padding)
					continue
				}
				copy(line, g.padding[:lo*g.form.bytes])
				from := ((n*s.D+z)*s.H+y)*s.W + lo - s.PadW
				g.form.put(line[lo*g.form.bytes:], src[from*words:(from+hi-lo)*words], hi-lo)
				copy(line[hi*g.form.bytes:], g.padding[:(g.cols-hi)*g.form.bytes])
			}
		}
	}
}
