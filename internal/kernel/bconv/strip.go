package bconv

// strip is the geometry of the input a block of output pixels needs, with the
// padding written out, as offsets of tables (uint16) in scratch memory: a kernel
// reaches any tap of any pixel by adding two offsets.
//
// A block is a range of output rows of one plane (image and output depth), or
// several whole planes. Its strip is laid out [planes][T][lines][cols][octets].
type strip struct {
	s            Shape // pointwise convolutions as one plane
	octets       int   // groups of eight channels of a pixel
	planes, rows int   // of a full block
	lines, cols  int   // of the strip of a full block
	bands        int   // blocks of a plane
	blocks       int
	padding      []uint16 // a line of it
}

// stripBytes is the size to aim at, so that the strip, the tables and some
// weights stay in a first- or second-level cache. blockPixels is the least
// number of pixels that repays reading the weights.
const (
	stripBytes  = 32 << 10
	blockPixels = 48
)

func newStrip(s Shape, padValue int) *strip {
	if taps(&s) == 1 && s.OD == s.D && s.P == s.H && s.Q == s.W &&
		s.StrideD == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadD == 0 && s.PadH == 0 && s.PadW == 0 {
		s.H, s.P = s.N*s.D*s.H, s.N*s.OD*s.P
		s.N, s.D, s.OD = 1, 1, 1
	}
	g := &strip{s: s, octets: (s.C + 7) / 8, planes: 1, rows: s.P}
	size := func(rows int) int { // bytes of the strip of a plane
		g.lines, g.cols = (rows-1)*s.StrideH+(s.R-1)*s.DilH+1, (s.Q-1)*s.StrideW+(s.S-1)*s.DilW+1
		return 2 * s.T * g.lines * g.cols * g.octets
	}
	fits := func(rows, planes int) bool {
		return rows*planes*s.Q <= blockPixels || planes*size(rows) <= stripBytes
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
	g.padding = make([]uint16, g.cols*g.octets)
	for i := range g.padding {
		switch full := s.C - i%g.octets*8; {
		case padValue == 0:
			g.padding[i] = zeroSigns * tableBytes
		case padValue > 0:
			g.padding[i] = uint16(uint8(0xff>>max(0, 8-full))) * tableBytes
		}
	}
	return g
}

// slack is the room, in elements, that filling a strip needs after its end.
const slack = 8

// elements is the size of a strip.
func (g *strip) elements() int { return g.planes*g.s.T*g.lines*g.cols*g.octets + slack }

// pixelOffsets are the offsets in bytes of the pixels of a block, in order.
func (g *strip) pixelOffsets() []int32 {
	list := make([]int32, 0, g.planes*g.rows*g.s.Q)
	for pl := range g.planes {
		for r := range g.rows {
			for q := range g.s.Q {
				at := (pl*g.s.T*g.lines+r*g.s.StrideH)*g.cols + q*g.s.StrideW
				list = append(list, int32(2*at*g.octets))
			}
		}
	}
	return list
}

// tapOffset is the offset in bytes of a tap from its pixel.
func (g *strip) tapOffset(tap int) int {
	s := &g.s
	t, r, c := tap/s.S/s.R, tap/s.S%s.R, tap%s.S
	return 2 * ((t*g.lines+r*s.DilH)*g.cols + c*s.DilW) * g.octets
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
func (g *strip) fill(dst []uint16, src []uint64, b *block) {
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
				line := dst[((pl*s.T+t)*g.lines+l)*g.cols*g.octets:]
				if z < 0 || z >= s.D || y < 0 || y >= s.H || hi == lo {
					copy(line, g.padding)
					continue
				}
				copy(line, g.padding[:lo*g.octets])
				from := ((n*s.D+z)*s.H+y)*s.W + lo - s.PadW
				expand(line[lo*g.octets:], src[from*words:(from+hi-lo)*words], hi-lo, words, g.octets)
				copy(line[hi*g.octets:], g.padding[:(g.cols-hi)*g.octets])
			}
		}
	}
}
