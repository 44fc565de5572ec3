package qconv

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"
)

// AMX multiplies tiles: 16 pixels of 64 values by the weights of 16 channels, in
// 16 cycles. The weights lie as they do for VNNI, [four values][channel][4], but
// a run of taps is padded with zeros to whole steps of 64 values: what of the
// strip is read beyond the run is multiplied by these.
//
// The pixels of a tile lie a fixed distance apart, so that it is part of a line.
// All tiles of a block have the same number of pixels; the last of a line may
// overlap the one before.

// deepStep is the number of values of a step.
const deepStep = 64

// step is the number of values that the kernels multiply at once.
func (i *isa) step() int {
	if i.deep {
		return deepStep
	}
	return 4
}

// blocking is what the blocks of a shape are to be like.
func (i *isa) blocking(s *Shape, copies int) blocking {
	b := blocking{step: 4, copies: copies, budget: stripBytes}
	if i.deep {
		// Where all pixels are read whole, copyTail sees to what is read beyond.
		b.step = deepStep
		if s.Groups == 1 {
			b.step = 1
		}
		// Weights that do not stay in the caches are read once for each block.
		const heavy = 512 << 10
		if s.C*s.K*taps(s) > heavy {
			b.budget *= 4
		}
	}
	return b
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// spot is where a tile of pixels begins: in bytes in the strip, in pixels in
// the output of the block.
type spot struct{ src, dst int32 }

// tiling is how blocks of lines of so many cells are tiled.
type tiling struct {
	spots   []spot
	rows    int // pixels of a tile
	perLine int // tiles
	config  [64]uint8
}

// planTiles tiles full blocks, and those at the end of a line where they are
// shorter.
func (t *tiled) planTiles() {
	t.tiling[0] = t.tile(t.g.cells)
	if last := t.g.s.Q - (t.g.columns-1)*t.g.cells; last != t.g.cells {
		t.tiling[1] = t.tile(last)
	}
}

func (t *tiled) tile(cells int) tiling {
	n := (cells + t.isa.rows - 1) / t.isa.rows
	l := tiling{perLine: n, rows: (cells + n - 1) / n}
	for line := range t.g.planes * t.g.rows {
		for i := range n {
			at := min(i*l.rows, cells-l.rows)
			l.spots = append(l.spots, spot{t.offs[line*t.g.cells+at], int32(line*cells + at)})
		}
	}
	l.config[0] = 1 // palette
	for reg := range 8 {
		rows := l.rows
		if reg >= 6 { // weights
			rows = deepStep / 4
		}
		binary.LittleEndian.PutUint16(l.config[16+2*reg:], deepStep)
		l.config[48+reg] = uint8(rows)
	}
	return l
}

// tilingOf is how a block is tiled, and in how many tiles.
func (t *tiled) tilingOf(b *block) (l *tiling, n int) {
	l = &t.tiling[0]
	if b.cells != t.g.cells {
		l = &t.tiling[1]
	}
	return l, b.planes * b.rows * l.perLine
}

// deepTiles runs a panel over the pixels of a block.
func (t *tiled) deepTiles(a *tileArgs, b *block, vecs int) {
	l, n := t.tilingOf(b)
	a.pixel, a.rows, a.config = t.g.cellCols*t.g.pitch, l.rows, l.config
	first := min(a.first, n)
	t.runSpots(a, l.spots[:first], vecs)
	if first < n {
		a.base = unsafe.Pointer(&a.tail.copy)
		t.runSpots(a, a.tail.spots[:n-first], vecs)
	}
}

func (t *tiled) runSpots(a *tileArgs, spots []spot, vecs int) {
	pairs := len(spots) &^ 1
	if pairs > 0 {
		a.offs, a.tiles = unsafe.Pointer(&spots[0]), pairs
		t.isa.run(a, 2, vecs, true)
	}
	if pairs < len(spots) {
		a.offs, a.tiles = unsafe.Pointer(&spots[pairs]), 1
		t.isa.run(a, 1, vecs, true)
	}
}

// tailSpots is the most tiles of a line that may read beyond the input: the last
// step of a pixel reads less than 64 values too many, and tiles have nine pixels
// at least if there are two.
const tailSpots = 10

// tail is where such tiles begin in a copy of the input, and the copy, of any
// length.
type tail struct {
	spots [tailSpots]spot
	copy  [1]uint8
}

// copyTail copies the end of an input that is read in place for the tiles that
// would read beyond it.
func (t *tiled) copyTail(a *tileArgs, b *block, src []uint8, to []byte) {
	a.first = math.MaxInt
	if !t.g.direct {
		return
	}
	l, n := t.tilingOf(b)
	step := t.g.pitch
	reach := b.first*step + (l.rows-1)*step + roundUp(t.g.s.C, deepStep)
	first := n
	for first > 0 && reach+int(l.spots[first-1].src) > len(src) {
		first--
	}
	if first < n {
		end := (b.first+b.count-1)*step + t.g.s.C
		from := l.spots[first].src
		a.tail, a.first = (*tail)(unsafe.Pointer(&to[0])), first
		for i, s := range l.spots[first:n] {
			a.tail.spots[i] = spot{s.src - from, s.dst}
		}
		copy(to[unsafe.Offsetof(a.tail.copy):], src[b.first*step+int(from):end])
	}
}

// tailBytes is the room for such a copy.
func (t *tiled) tailBytes() int {
	if !t.isa.deep || !t.g.direct {
		return 0
	}
	pixels := 2*t.isa.rows + deepStep/t.g.pitch
	return (int(unsafe.Sizeof(tail{})) + pixels*t.g.pitch + 2*deepStep + 63) &^ 63
}

// deep reports whether steps of so many values pay. A step of four costs half a
// cycle for a pixel and 16 channels and one of 64 costs one, but what becomes of
// the sums costs more behind the latter: see BenchmarkDeep.
func (c *Conv) deep() bool {
	const leastPixels, gain, gainPointwise = 12, 14, 6
	s := &c.shape
	runs, length, least := taps(s), s.C, gain
	if runs == 1 {
		least = gainPointwise
	}
	if s.DilW == 1 { // the taps of a line follow each other
		runs, length = runs/s.S, length*s.S
	}
	quads, steps := runs*roundUp(length, 4)/4, runs*roundUp(length, deepStep)/deepStep
	return s.Groups == 1 && pixels(s) >= leastPixels && quads-2*steps >= least && c.fit(8)
}

// packDeep lays out the steps of a panel. Steps of zeros are left out.
func (t *tiled) packDeep(p *panel, dense []int8, runs []int32, quads int) {
	per := 4 * p.vecs * t.isa.lanes
	whole := deepStep / 4 * per
	for i, run := range runs {
		line := dense[i*quads*per:][:quads*per]
		for at := 0; at < quads; at += deepStep / 4 {
			step := line[at*per : min(at+deepStep/4, quads)*per]
			if slices.ContainsFunc(step, func(w int8) bool { return w != 0 }) {
				t.addDeep(p, run+int32(4*at), step, whole)
			}
		}
	}
	if p.count == 0 { // the kernels take one at least
		t.addDeep(p, runs[0], nil, whole)
	}
}

// addDeep adds a step, filled up with zeros.
func (t *tiled) addDeep(p *panel, offset int32, step []int8, whole int) {
	at := len(t.weights)
	t.weights = slices.Grow(t.weights, whole)[:at+whole]
	if len(step) > 0 {
		copy(t.weights[at:], asBytes(step))
	}
	clear(t.weights[at+len(step):])
	t.steps = append(t.steps, offset)
	p.count++
}
