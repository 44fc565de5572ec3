package bconv

import (
	"encoding/binary"
	"math"
	"sync"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

// tiled is the path by tables: a product of binary matrices over the pixels of a
// block and panels of output channels.
type tiled struct {
	c       *Conv
	level   cpu.Level
	g       *strip
	offs    []int32 // of the pixels of a block, in the strip
	steps   []int32 // offsets of the octets of a group of channels, from its first
	panels  []panel
	units   []unit
	weights []byte // [panel][step][vector][half][channel]
	// Of the panels' channels: factors and summands, or the largest numbers of
	// matches whose sign is negative.
	scale, bias []float32
	thresholds  []int16
	args        tileArgs // the fields that never change
	spread
}

// panel is a range of output channels computed together.
type panel struct {
	base  int // offset in bytes of the first octet of its group
	k0, n int // n channels from k0
	vecs  int // vectors of lanes channels
	w, at int // offsets into weights, and into scale, bias, thresholds
}

// unit is a range of panels for one worker. Units never share a channel,
// though the panels of one may.
type unit struct{ lo, hi int }

// tableStripBytes is the size of a strip to aim at, so that it, the tables and
// some weights stay in a first- or second-level cache.
const tableStripBytes = 32 << 10

const (
	lanes      = 16 // output channels of a vector
	wide       = 2  // most vectors of a panel, but where there are wider ones
	widest     = 4  // then
	tileRows   = 6  // most pixels of a tile
	tableBytes = 32 // of the two tables for the signs of an octet
	zeroSigns  = 256
)

// tables holds, for the signs of each octet, the number of matches of its lower
// half with each combination of four signs, then those of its upper half.
// What follows is for padding by zeros: two matches each.
var tables = sync.OnceValue(func() []byte {
	b := make([]byte, (zeroSigns+1)*tableBytes+63)
	b = b[-uintptr(unsafe.Pointer(&b[0]))&63:]
	for octet := range zeroSigns + 1 {
		for half := range 2 {
			for w := range 16 {
				n := 2
				if octet < zeroSigns {
					n = 4 - popcount4(octet>>(4*half)&15^w)
				}
				b[octet*tableBytes+16*half+w] = byte(n)
			}
		}
	}
	return b
})

func popcount4(v int) int { return v&1 + v>>1&1 + v>>2&1 + v>>3 }

// tileArgs is what the assembly reads; its layout is fixed (TestTileArgs).
type tileArgs struct {
	base       unsafe.Pointer // the strip
	offs       unsafe.Pointer // offset of each pixel from base
	steps      unsafe.Pointer // offset of each step from a pixel
	count      int            // number of steps
	w          unsafe.Pointer
	scale      unsafe.Pointer
	bias       unsafe.Pointer
	thresholds unsafe.Pointer
	dst        unsafe.Pointer // of the first pixel
	dstStride  int            // bytes between pixels
	add        unsafe.Pointer // alike, or nil
	addStride  int
	tiles      int // tiles to compute; the kernel counts it down
	table      unsafe.Pointer
	mode       int // modeFloats or modeSigns

	left                 int // of the assembly
	offsAt, dstAt, addAt uintptr

	shift  [16]int16
	lo, hi [8]float32
	sums   [tileRows][widest * lanes]uint16 // of the assembly
}

const (
	modeFloats = 0
	modeSigns  = 2
)

// suitsTiles reports whether the vector path covers the convolution: groups of
// whole octets, sums of 16 bits, and, where a channel is left over in the last
// octet, no padding by zeros, as half a match cannot be counted.
func (c *Conv) suitsTiles() bool {
	s := &c.shape
	octets := (s.C/s.Groups + 7) / 8
	switch {
	case s.Groups > 1 && (s.C/s.Groups%8 != 0 || c.p.ToSigns && s.K/s.Groups%(wide*lanes) != 0),
		8*octets*taps(s) > math.MaxInt16,
		s.C%2 == 1 && c.p.PadValue == 0 && padded(s):
		return false
	}
	if c.p.ToSigns { // values must rise with the sums
		for k, v := range c.scale {
			if sum := float64(v) + float64(c.bias[k]) + float64(c.above[k]); math.IsNaN(sum) || math.IsInf(sum, 0) {
				return false
			}
		}
	}
	return true
}

func newTiled(c *Conv, level cpu.Level) *tiled {
	s := &c.shape
	t := &tiled{c: c, level: level, g: newStrip(*s, tableForm(s, c.p.PadValue), tableStripBytes)}
	t.offs = t.g.pixelOffsets()
	octets := (s.C/s.Groups + 7) / 8
	for tap := range taps(s) {
		for o := range octets {
			t.steps = append(t.steps, int32(t.g.tapOffset(tap)+2*o))
		}
	}
	t.split()
	for i := range t.panels {
		t.pack(&t.panels[i], octets)
	}
	a := &t.args
	a.steps, a.count, a.table = unsafe.Pointer(&t.steps[0]), len(t.steps), unsafe.Pointer(&tables()[0])
	for i := range a.shift {
		a.shift[i] = int16(t.bias0())
	}
	for i := range a.lo {
		a.lo[i], a.hi[i] = c.p.Min, c.p.Max
	}
	t.spread = spread{worker: t, strip: t.g, units: len(t.units), room: t.stripBytes() + t.asideBytes()}
	return t
}

// tableForm is a pixel as offsets of tables (uint16), one for each octet of
// channels.
func tableForm(s *Shape, padValue int) form {
	octets, words := (s.C+7)/8, Words(s.C)
	f := form{bytes: 2 * octets, put: func(dst []byte, src []uint64, pixels int) {
		expand(as16(dst), src, pixels, words, octets)
	}}
	for i := range octets {
		at := uint16(0)
		switch full := s.C - 8*i; {
		case padValue == 0:
			at = zeroSigns * tableBytes
		case padValue > 0:
			at = uint16(uint8(0xff>>max(0, 8-full))) * tableBytes
		}
		f.outside = binary.NativeEndian.AppendUint16(f.outside, at)
	}
	return f
}

// bias0 is what a sum is less than twice its number of matches: the number of
// products, those of the channels that fill up an octet included. Half of
// these match and half do not, one that is left over matches.
func (t *tiled) bias0() int {
	s := &t.c.shape
	octets := (s.C/s.Groups + 7) / 8
	return 8*octets*taps(s) + s.C/s.Groups%2*taps(s)
}

// split cuts the output channels into panels. For floats the last panel of a
// group may overlap the one before rather than be partly empty; signs are
// stored in whole panels.
func (t *tiled) split() {
	s := &t.c.shape
	kg := s.K / s.Groups
	for g := range s.Groups {
		for at := 0; at < kg; {
			p := panel{base: g * (s.C / s.Groups / 8) * 2, k0: at, vecs: wide}
			rest := kg - at
			if rest >= widest*lanes && hasWidest(t.level) {
				p.vecs = widest
			} else if rest <= lanes || rest < wide*lanes && kg < wide*lanes && !t.c.p.ToSigns {
				p.vecs = 1
			}
			p.n = min(kg-at, p.vecs*lanes)
			overlap := p.n < p.vecs*lanes && kg >= p.vecs*lanes && !t.c.p.ToSigns
			if overlap {
				p.k0, p.n = kg-p.vecs*lanes, p.vecs*lanes
			}
			at = p.k0 + p.n
			p.k0 += g * kg
			t.panels = append(t.panels, p)
			if n := len(t.panels); overlap && n > 1 && len(t.units) > 0 {
				t.units[len(t.units)-1].hi = n
			} else {
				t.units = append(t.units, unit{n - 1, n})
			}
		}
	}
}

// pack lays out the weights of a panel and what its epilogue reads.
func (t *tiled) pack(p *panel, octets int) {
	s := &t.c.shape
	cg, n, width := s.C/s.Groups, taps(s), p.vecs*lanes
	p.w, p.at = len(t.weights), len(t.scale)
	t.weights = append(t.weights, make([]byte, 2*width*n*octets)...)
	w := t.weights[p.w:]
	for j := range width {
		scale, bias, threshold, flip := float32(0), float32(0), int16(math.MaxInt16), false
		if j < p.n {
			scale, bias = t.c.scale[p.k0+j], t.c.bias[p.k0+j]
			if flip = t.c.p.ToSigns && scale < 0; flip {
				scale = -scale
			}
			threshold = t.threshold(scale, bias, t.c.above[p.k0+j])
		}
		t.scale, t.bias = append(t.scale, scale), append(t.bias, bias)
		t.thresholds = append(t.thresholds, threshold)
		if j >= p.n {
			continue
		}
		signs := t.c.p.Signs[(p.k0+j)*cg*n:][:cg*n]
		for c := range 8 * octets {
			for tap := range n {
				// Beyond the channels every second weight matches.
				up := (c-cg)%2 == 1
				if c < cg {
					up = signs[c*n+tap] > 0 != flip
				}
				if up {
					step := tap*octets + c/8
					w[step*2*width+j/lanes*2*lanes+c/4%2*lanes+j%lanes] |= 1 << (c % 4)
				}
			}
		}
	}
}

// threshold is the largest number of matches with a result below above, for a
// scale that is not negative.
func (t *tiled) threshold(scale, bias, above float32) int16 {
	lo, hi := -1, 8*len(t.steps) // below at lo, not at hi+1
	for lo < hi {
		m := (lo + hi + 1) / 2
		if v := float32(float32(2*m-t.bias0())*scale) + bias; v >= above {
			hi = m - 1
		} else {
			lo = m
		}
	}
	return int16(lo)
}

func (t *tiled) name() string { return tileName(t.level) }

func (t *tiled) stripBytes() int { return (t.g.bytes() + 63) &^ 63 }

// aside reports whether the floats of a panel are computed aside, after the
// strip in a worker's memory.
func (t *tiled) aside(p *panel) bool { return p.n < p.vecs*lanes && !t.c.p.ToSigns }

func (t *tiled) asideBytes() int {
	if !t.aside(&t.panels[len(t.panels)-1]) {
		return 0
	}
	return len(t.offs) * 4 * lanes
}

func (t *tiled) prepare([]byte) {}

// compute runs the panels of units over a block.
func (t *tiled) compute(b block, o *output, mine []byte, from, to int) {
	s := &t.c.shape
	panels := t.panels[t.units[from].lo:t.units[to-1].hi]
	a := t.args
	for i := range panels {
		p := &panels[i]
		a.base, a.w = unsafe.Pointer(&mine[p.base]), unsafe.Pointer(&t.weights[p.w])
		switch {
		case o.signs != nil:
			words := Words(s.K)
			t.signs(&a, p, o.signs[b.first*words:][:b.count*words], b.count)
			continue
		case t.aside(p):
			t.narrow(&a, p, &b, o, mine[t.stripBytes():])
			continue
		}
		a.dst, a.dstStride = unsafe.Pointer(&o.f32[b.first*s.DstStride+p.k0]), 4*s.DstStride
		if o.add != nil {
			a.add, a.addStride = unsafe.Pointer(&o.add[b.first*s.AddStride+p.k0]), 4*s.AddStride
		}
		t.floats(&a, p, b.count)
	}
}

func (t *tiled) floats(a *tileArgs, p *panel, count int) {
	a.mode, a.scale, a.bias = modeFloats, unsafe.Pointer(&t.scale[p.at]), unsafe.Pointer(&t.bias[p.at])
	t.tiles(a, count, p.vecs)
}

// narrow computes a panel of fewer channels than a vector holds aside, copies
// what is wanted and finishes it.
func (t *tiled) narrow(a *tileArgs, p *panel, b *block, o *output, aside []byte) {
	s := &t.c.shape
	a.dst, a.dstStride = unsafe.Pointer(&aside[0]), 4*p.vecs*lanes
	lo, hi := a.lo, a.hi
	if o.add != nil {
		for i := range a.lo {
			a.lo[i], a.hi[i] = float32(math.Inf(-1)), float32(math.Inf(1))
		}
	}
	t.floats(a, p, b.count)
	a.lo, a.hi = lo, hi
	values := as32(aside)
	for m := range b.count {
		to := o.f32[(b.first+m)*s.DstStride+p.k0:][:p.n]
		copy(to, values[m*p.vecs*lanes:])
		if o.add == nil {
			continue
		}
		for i, v := range o.add[(b.first+m)*s.AddStride+p.k0:][:p.n] {
			to[i] = t.c.clamp(to[i] + v)
		}
	}
}

// signs computes the signs of a panel for count pixels of dst. The last panel
// clears the bits after its own.
func (t *tiled) signs(a *tileArgs, p *panel, dst []uint64, count int) {
	words := Words(t.c.shape.K)
	a.mode, a.thresholds = modeSigns, unsafe.Pointer(&t.thresholds[p.at])
	a.dst, a.dstStride = unsafe.Add(unsafe.Pointer(&dst[0]), p.k0/8), 8*words
	t.tiles(a, count, p.vecs)
	end := (p.k0 + p.vecs*lanes) / 8
	if p.k0+p.n < t.c.shape.K || end == 8*words {
		return
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 8*len(dst))
	for m := range count { // byte by byte: the others may be being written
		clear(bytes[8*words*m:][end : 8*words])
	}
}

// tiles runs a panel over count pixels, in tiles of nearly the same size.
func (t *tiled) tiles(a *tileArgs, count, vecs int) {
	n := (count + tileRows - 1) / tileRows
	rows := (count + n - 1) / n
	large := count - (rows-1)*n
	a.offs, a.tiles = unsafe.Pointer(&t.offs[0]), large
	runTiles(t.level, a, rows, vecs)
	if done := large * rows; done < count {
		a.offs, a.tiles = unsafe.Pointer(&t.offs[done]), n-large
		a.dst = unsafe.Add(a.dst, done*a.dstStride)
		if a.add != nil {
			a.add = unsafe.Add(a.add, done*a.addStride)
		}
		runTiles(t.level, a, rows-1, vecs)
	}
}
