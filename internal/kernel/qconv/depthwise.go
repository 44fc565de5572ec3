package qconv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// depthwise is the vector path of depthwise convolutions of the common kernel
// sizes: eight to 64 channels in lanes, several pixels at a time, from a strip.
type depthwise struct {
	c       *Conv
	g       *strip
	several []*dwKernel // for tiles of several pixels, larger ones first
	single  *dwKernel
	weights []byte // [chunk]: pairs or quads of taps, bias, scale; see pack
	lanes   int    // channels of a chunk
	chunks  int
	padding []byte
	args    tileArgs
	jobs    jobs
}

// dwKernel is a kernel of r x s taps for tiles of neighbouring pixels, stride
// columns apart (0: any), and that many channels.
type dwKernel struct {
	r, s, stride, pixels, channels int
	level                          cpu.Level // the first that has its instructions
	f                              dwFunc
}

// quad reports whether the kernel multiplies the bytes of up to four lines at
// once; the others multiply pairs of int16.
func (k *dwKernel) quad() bool { return k.channels >= 32 }

// runs reports whether level, of the same architecture, has the kernel's
// instructions.
func (k *dwKernel) runs(level cpu.Level) bool {
	if k.level == cpu.AVXVNNI { // AVX-512 does not include it
		return level == cpu.AVXVNNI
	}
	return level >= k.level
}

// laneOrders are the orders of a chunk's channels in the lanes of the kernels.
var laneOrders = map[int][]int{
	8:  {0, 1, 2, 3, 4, 5, 6, 7},
	16: {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15},
	32: quadLanes(32),
	64: quadLanes(64),
}

// quadLanes is the order in which unpacking bytes to dwords in lanes of sixteen
// leaves n channels.
func quadLanes(n int) []int {
	order := make([]int, n)
	for j := range order {
		quarter, at := j/(n/4), j%(n/4)
		order[j] = at/4*16 + quarter*4 + at%4
	}
	return order
}

// dwStripBytes is the size of a strip to aim at; depthwise kernels read it
// once, so it may fill a good part of a second-level cache.
const dwStripBytes = 128 << 10

// newDepthwise returns nil for shapes it does not cover.
func newDepthwise(c *Conv, level cpu.Level) *depthwise {
	s := &c.shape
	if s.Groups != s.C || s.K != s.C || s.T != 1 || s.C < 8 {
		return nil
	}
	d := &depthwise{c: c}
	quads := c.fit(8) // weights less their zero points may exceed a byte
	for i := range dwKernels {
		k := &dwKernels[i]
		if k.r == s.R && k.s == s.S && k.channels <= s.C && k.runs(level) && (!k.quad() || quads) {
			d.lanes = max(d.lanes, k.channels)
		}
	}
	for i := range dwKernels {
		k := &dwKernels[i]
		switch {
		case k.r != s.R || k.s != s.S || k.channels != d.lanes || !k.runs(level):
		case k.stride == 0:
			d.single = k
		case k.stride == s.StrideW && s.DilW == 1:
			d.several = append(d.several, k)
		}
	}
	if d.single == nil {
		return nil
	}
	d.g = newStrip(*s, s.C, blocking{step: 4, copies: 1, budget: dwStripBytes, alone: c.p.Workers == 1})
	d.padding = bytes.Repeat([]byte{c.p.SrcZero}, d.g.cols*d.g.pitch)
	d.args = newArgs(&c.p)
	d.pack()
	return d
}

// start is the first channel of a chunk; the last may overlap the one before.
func (d *depthwise) start(chunk int) int { return min(d.lanes*chunk, d.c.shape.C-d.lanes) }

// pack lays out what each chunk needs, channels in the order of the lanes: taps,
// bias, scale. Taps are pairs, [channel][2] int16, by pairs of lines, then pairs
// of columns of an odd last line; or quads, [channel][4] int8, of up to four
// lines.
func (d *depthwise) pack() {
	s := &d.c.shape
	d.chunks = (s.C + d.lanes - 1) / d.lanes
	lanes := laneOrders[d.lanes]
	order := binary.LittleEndian
	w := make([]int16, 0, len(d.c.p.Weights))
	for k := range s.K {
		w = append(w, d.c.channel(k, w[len(w):])...)
	}
	for chunk := range d.chunks {
		k0 := d.start(chunk)
		if d.single.quad() {
			d.packQuads(w, k0)
		} else {
			d.packPairs(w, k0)
		}
		for _, k := range lanes {
			d.weights = order.AppendUint32(d.weights, uint32(d.c.bias[k0+k]))
		}
		for _, k := range lanes {
			d.weights = order.AppendUint32(d.weights, math.Float32bits(d.c.scale[k0+k]))
		}
	}
}

// packPairs lays out the taps of the chunk that starts at channel k0 by pairs.
func (d *depthwise) packPairs(w []int16, k0 int) {
	s := &d.c.shape
	pair := func(r0, c0, r1, c1 int) {
		for _, k := range laneOrders[d.lanes] {
			k += k0
			for _, rc := range [][2]int{{r0, c0}, {r1, c1}} {
				v := int16(0)
				if rc[1] < s.S {
					v = w[(k*s.R+rc[0])*s.S+rc[1]]
				}
				d.weights = binary.LittleEndian.AppendUint16(d.weights, uint16(v))
			}
		}
	}
	for r := 0; r+1 < s.R; r += 2 {
		for c := range s.S {
			pair(r, c, r+1, c)
		}
	}
	if s.R%2 == 1 {
		for c := 0; c < s.S; c += 2 {
			pair(s.R-1, c, s.R-1, c+1)
		}
	}
}

// packQuads lays out the taps of the chunk that starts at channel k0 by quads.
func (d *depthwise) packQuads(w []int16, k0 int) {
	s := &d.c.shape
	for r0 := 0; r0 < s.R; r0 += 4 {
		for col := range s.S {
			for _, k := range laneOrders[d.lanes] {
				for r := r0; r < r0+4; r++ {
					v := int16(0)
					if r < s.R {
						v = w[((k0+k)*s.R+r)*s.S+col]
					}
					d.weights = append(d.weights, byte(v))
				}
			}
		}
	}
}

func (d *depthwise) name() string {
	return fmt.Sprintf("%v depthwise %dx%d", d.single.level, d.single.r, d.single.s)
}

func (d *depthwise) scratch(workers int) int { return workers*d.g.bytes() + 64 }

func (d *depthwise) exec(pool *parallel.Pool, src []uint8, o output, scratch []byte) {
	d.jobs.run(pool, d, job{src: src, o: o, scratch: align(scratch)}, d.g.blocks)
}

func (d *depthwise) tasks(j *job, worker, lo, hi int) {
	mine := j.scratch[worker*d.g.bytes():][:d.g.bytes()]
	a := &j.args[worker]
	*a = d.args
	a.aim(&j.o)
	a.w = unsafe.Pointer(&d.weights[0])
	a.chunks, a.lastStep = d.chunks, d.c.shape.C-d.lanes-d.lanes*(d.chunks-2)
	a.pixel = d.g.pitch * d.c.shape.DilW
	a.dstStride = d.c.shape.DstStride * a.elem
	b := d.g.block(lo)
	for range hi - lo {
		d.g.fill(&b, copier{strip: mine, src: j.src, padding: d.padding})
		d.compute(a, &b, &j.o, mine)
		if j.o.add != nil {
			d.c.addBlock(&j.o, b.first, b.count, 0, d.c.shape.K)
		}
		d.g.next(&b)
	}
}

// compute runs the rows of a block.
func (d *depthwise) compute(a *tileArgs, b *block, o *output, mine []byte) {
	s, g := &d.c.shape, d.g
	pitch := g.cols * g.pitch
	for row := range b.planes * b.rows {
		line := row/b.rows*g.lines + row%b.rows*g.rowLines
		last := line + (s.R-1)*s.DilH
		d.row(a, o, mine[line*pitch:(last+1)*pitch], b.cells, (b.first+row*b.cells)*s.DstStride)
	}
}

// row computes one row of cells pixels from the lines of the strip that it needs, to
// element at of the output. The last tile overlaps the one before where the row is no
// multiple of the smallest tile.
func (d *depthwise) row(a *tileArgs, o *output, from []byte, cells, at int) {
	done := 0
	for _, k := range d.several {
		if n := (cells - done) / k.pixels; n > 0 {
			d.tiles(k, a, o, from, at, done, n)
			done += n * k.pixels
		}
	}
	switch last := len(d.several) - 1; {
	case done == 0:
		d.tiles(d.single, a, o, from, at, 0, cells)
	case cells-done == 1: // a tile would do most of it again
		d.tiles(d.single, a, o, from, at, done, 1)
	case done < cells:
		d.tiles(d.several[last], a, o, from, at, cells-d.several[last].pixels, 1)
	}
}

// tiles computes that many tiles from a cell of a row on.
func (d *depthwise) tiles(k *dwKernel, a *tileArgs, o *output, from []byte, at, cell, tiles int) {
	s, g := &d.c.shape, d.g
	line := unsafe.Pointer(&from[cell*g.cellCols*g.pitch])
	for r := range s.R {
		a.lines[r] = line
		if r+1 < s.R {
			line = unsafe.Add(line, s.DilH*g.cols*g.pitch)
		}
	}
	a.dst = o.at(at + cell*s.DstStride)
	a.tileStep, a.tiles = k.pixels*g.cellCols*g.pitch, tiles
	k.f.run(a)
}
