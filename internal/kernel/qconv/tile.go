package qconv

import (
	"bytes"
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// tiled is the vector path of dense and grouped convolutions: an indirect
// integer matrix product over the pixels of a block and a panel of output
// channels. The strip of a block is filled once; then each panel of weights,
// which a first-level cache holds, passes over all tiles of the block.
type tiled struct {
	c      *Conv
	isa    *isa
	g      *strip
	offs   []int32   // of the pixels of a block, in the strip
	tiling [2]tiling // with deep: of full blocks, and of the last of a line
	panels []panel
	units  []unit
	panelData
	padding  []byte   // a strip line of zero points
	args     tileArgs // the fields that never change
	together int      // panels to compute of each tile before the next tile
	packer   *packer  // while packing
	offsets  []int32  // for weights of a few bits, the steps of all panels
	nibbles  bool     // and whether each has four bits in memory
	jobs     jobs
}

// isa is what the vector path needs to know of an instruction set.
type isa struct {
	name  string
	rows  int  // most pixels of a tile
	lanes int  // int32 in a vector
	wide  int  // most vectors of channels of a tile
	vnni  bool // every step is a sum of int32
	vex   bool // with vnni: by AVX-VNNI, but for layers of one pixel, which stay with AVX2
	// line is the most pixels of a tile of one vector whose pixels lie a fixed
	// distance apart, 0 without kernels for that.
	line int
	// small is the set of kernels for weights of a few bits, if there are any.
	// long says that these are they, unpack that of nibbles to int8.
	small  *isa
	long   bool
	unpack func(dst, src *byte, n int)
	// few are the kernels for layers of a few pixels, by the bits of their
	// weights.
	few [9]*isa
	// bits is how many bits a weight has in memory: see packDots.
	bits int
	// blocks says that the kernels of the steps read sixteen values at once
	// where they can: see packBlocks.
	blocks bool
	// deep says that a step multiplies 64 values, and a tile has up to rows
	// pixels of a line: see amx.go.
	deep bool
	// shallow are the kernels where such steps do not pay.
	shallow *isa
	// simulate stands in for the assembly in tests of what the CPU lacks.
	simulate func(a *tileArgs, rows, vecs int, line bool)
}

// panel is a range of output channels computed together.
type panel struct {
	base        int32 // offset of the first channel of its group
	k0, n       int   // n channels from k0; less than the width only in groups below one vector
	vecs        int
	count       int // with vnni, number of steps
	blocks      int // number of steps of sixteen values, not counted by count
	step, w, at int // offsets into steps, weights, and bias and scale
}

// unit is a range of panels for one worker. Units never share a channel,
// though the panels of one may.
type unit struct{ lo, hi, k0, k1 int }

func newTiled(c *Conv, i *isa) *tiled {
	s := c.shape
	merge := mergeGroups(&s, i.lanes)
	groups := s.Groups / merge
	copies := 1
	if !i.vnni && !i.long {
		copies = c.copies(s.C / groups)
	}
	b := i.blocking(&s, copies)
	b.alone = c.p.Workers == 1
	t := &tiled{c: c, isa: i, g: newStrip(s, s.C/groups, b)}
	t.offs = t.g.pixelOffsets()
	if i.deep {
		t.planTiles()
	}
	if i.long {
		t.offsets, t.nibbles = t.shared(groups), c.nibble()
	}
	t.pack(groups, merge)
	t.together = t.panelsTogether()
	t.padding = bytes.Repeat([]byte{c.p.SrcZero}, t.g.cols*t.g.pitch)
	t.args = newArgs(&c.p)
	return t
}

// mergeGroups is the number of groups to compute as one, the weights between
// them zero, so that each has a vector of output channels.
func mergeGroups(s *Shape, lanes int) int {
	kg := s.K / s.Groups
	for m := 1; m < s.Groups; m++ {
		if s.Groups%m == 0 && kg*m >= lanes {
			return m
		}
	}
	return s.Groups
}

// panelsTogether is the number of panels that pass over a tile before the next
// tile: as many as a part of the first-level cache holds.
func (t *tiled) panelsTogether() int {
	const part = 256 << 10
	if t.isa.vnni || t.isa.long || t.panels[0].n < t.isa.lanes {
		return 1
	}
	return max(1, part*len(t.panels)/len(t.weights))
}

func (t *tiled) name() string { return t.isa.name }

// scratch holds a strip for each worker and the tiles of narrow groups.
func (t *tiled) scratch(workers int) int { return workers*t.perWorker() + 64 }

func (t *tiled) perWorker() int {
	return t.g.bytes() + t.narrowBytes() + t.smallBytes() + t.tailBytes()
}

// narrowBytes is the room for the output of one block of a panel that is
// narrower than a vector.
func (t *tiled) narrowBytes() int {
	if t.panels[0].n >= t.isa.lanes {
		return 0
	}
	return (len(t.offs)*t.isa.lanes*4 + 63) &^ 63
}

func (t *tiled) exec(pool *parallel.Pool, src []uint8, o output, scratch []byte) {
	// Blocks are the tasks; where they are too few, so are ranges of channels.
	parts := 1
	switch w := pool.Workers(); {
	case w > 1 && len(t.weights) > t.heavy():
		parts = min(len(t.units), w)
	case w > 1 && t.g.blocks < w:
		parts = min(len(t.units), (w+t.g.blocks-1)/t.g.blocks)
	}
	t.jobs.run(pool, t, job{src: src, o: o, scratch: align(scratch), parts: parts}, t.g.blocks*parts)
}

// heavy is how many bytes of weights are worth being read by one worker each,
// though every worker then reads the whole input.
func (t *tiled) heavy() int {
	s := &t.c.shape
	return max(64<<10, s.N*s.D*s.H*s.W*s.C)
}

// tasks computes tasks lo..hi-1 of a job.
func (t *tiled) tasks(j *job, worker, lo, hi int) {
	mine := j.scratch[worker*t.perWorker():][:t.perWorker()]
	a := &j.args[worker]
	*a = t.args
	a.aim(&j.o)
	// All blocks of a part follow each other.
	part, at := lo/t.g.blocks, lo%t.g.blocks
	b := t.g.block(at)
	for left := hi - lo; left > 0; part, at = part+1, 0 {
		first, last := part*len(t.units)/j.parts, (part+1)*len(t.units)/j.parts
		n := min(left, t.g.blocks-at)
		for i := range n {
			if !t.g.direct && (i > 0 || t.g.blocks > 1 || left == hi-lo) {
				t.g.fill(&b, copier{strip: mine, src: j.src, padding: t.padding})
				if t.g.copies > 1 {
					reorder(mine[:t.g.bytes()])
				}
			}
			t.compute(a, &b, j.src, &j.o, mine, first, last)
			t.g.next(&b)
		}
		left -= n
	}
}

// compute runs the panels of units lo..hi-1 over a block.
func (t *tiled) compute(a *tileArgs, b *block, src []uint8, o *output, mine []byte, lo, hi int) {
	s := &t.c.shape
	from := mine
	if t.g.direct {
		from = src[b.first*s.SrcStride:]
	}
	if t.isa.deep {
		t.copyTail(a, b, src, mine[t.g.bytes()+t.narrowBytes():])
	}
	end := t.units[hi-1].hi
	for i := t.units[lo].lo; i < end; {
		p := &t.panels[i]
		a.base = unsafe.Pointer(&from[0])
		a.w, a.chunks = unsafe.Pointer(&t.weights[p.w]), min(t.together, end-i)
		at := b.first * s.DstStride
		if t.isa.vnni || t.isa.long {
			a.base = unsafe.Pointer(&from[p.base])
			a.steps, a.count, a.blocks = unsafe.Pointer(&t.steps[p.step]), p.count, p.blocks
			a.bias, a.scale = unsafe.Pointer(&t.bias[p.at]), unsafe.Pointer(&t.scale[p.at])
			at += p.k0
			a.next, a.nextEnd = t.after(i)
		}
		if t.isa.long {
			t.aimSmall(a, p, mine[t.g.bytes():])
		}
		if p.n < t.isa.lanes {
			t.narrow(a, b, o, mine[t.g.bytes():], b.first*s.DstStride+p.k0, p.n)
		} else {
			a.dst, a.dstStride = o.at(at), s.DstStride*a.elem
			t.tiles(a, b, p.vecs)
		}
		i += a.chunks
	}
	if o.add != nil {
		t.c.addBlock(o, b.first, b.count, t.units[lo].k0, t.units[hi-1].k1)
	}
}

// after is where the weights of the panel after panel i begin and end.
func (t *tiled) after(i int) (from, to uintptr) {
	if i+1 == len(t.panels) {
		at := uintptr(unsafe.Pointer(&t.weights[t.panels[i].w]))
		return at, at
	}
	end := len(t.weights)
	if i+2 < len(t.panels) {
		end = t.panels[i+2].w
	}
	first := t.panels[i+1].w
	at := uintptr(unsafe.Pointer(&t.weights[first]))
	return at, at + uintptr(end-first)
}

// tiles runs a panel over the pixels of a block.
func (t *tiled) tiles(a *tileArgs, b *block, vecs int) {
	if t.isa.deep {
		t.deepTiles(a, b, vecs)
		return
	}
	if vecs > 1 || b.cells <= t.isa.rows || t.isa.line == 0 {
		t.even(a, 0, b.count, t.isa.rows, vecs, false)
		return
	}
	a.pixel = t.g.cellCols * t.g.pitch
	if b.cells%t.isa.line == 0 { // all at once
		t.even(a, 0, b.count, t.isa.line, 1, true)
		return
	}
	dst := a.dst
	for at := 0; at < b.count; at += b.cells {
		a.dst = unsafe.Add(dst, at*a.dstStride)
		t.even(a, at, b.cells, t.isa.line, 1, true)
	}
}

// even runs a panel over count pixels from first on, in tiles of nearly the same
// size, at most most.
func (t *tiled) even(a *tileArgs, first, count, most, vecs int, line bool) {
	n := int(uint32(count+most-1) / uint32(most)) // 32 bits, for long divisions take long
	rows := int(uint32(count+n-1) / uint32(n))
	large := count - (rows-1)*n
	a.offs, a.tiles = unsafe.Pointer(&t.offs[first]), large
	t.isa.run(a, rows, vecs, line)
	if done := large * rows; done < count {
		a.offs, a.dst, a.tiles = unsafe.Pointer(&t.offs[first+done]), unsafe.Add(a.dst, done*a.dstStride), n-large
		t.isa.run(a, rows-1, vecs, line)
	}
}

// narrow computes a panel of fewer channels than a vector holds aside, and
// copies what is wanted.
func (t *tiled) narrow(a *tileArgs, b *block, o *output, aside []byte, at, n int) {
	a.dst, a.dstStride = unsafe.Pointer(&aside[0]), t.isa.lanes*a.elem
	t.tiles(a, b, 1)
	if a.elem == 1 {
		narrowBytes(o.u8[at:], aside, b.count, n, t.c.shape.DstStride, t.isa.lanes)
		return
	}
	for m := range b.count {
		from := aside[m*t.isa.lanes*a.elem:]
		if o.i32 != nil {
			copy(o.i32[at:at+n], unsafe.Slice((*int32)(unsafe.Pointer(&from[0])), n))
		} else {
			copy(o.f32[at:at+n], unsafe.Slice((*float32)(unsafe.Pointer(&from[0])), n))
		}
		at += t.c.shape.DstStride
	}
}

// narrowBytes copies the first n bytes of rows, less than 16 of them.
func narrowBytes(dst, src []uint8, rows, n, dstStep, srcStep int) {
	_, _ = dst[(rows-1)*dstStep+n-1], src[(rows-1)*srcStep+n-1]
	d, s := unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0])
	for i := range rows {
		if i > 0 {
			d, s = unsafe.Add(d, dstStep), unsafe.Add(s, srcStep)
		}
		switch {
		case n == 8:
			*(*[8]byte)(d) = *(*[8]byte)(s)
		case n > 8: // the last eight overlap the first
			*(*[8]byte)(d) = *(*[8]byte)(s)
			*(*[8]byte)(unsafe.Add(d, n-8)) = *(*[8]byte)(unsafe.Add(s, n-8))
		case n >= 4:
			*(*[4]byte)(d) = *(*[4]byte)(s)
			*(*[4]byte)(unsafe.Add(d, n-4)) = *(*[4]byte)(unsafe.Add(s, n-4))
		default:
			copy(unsafe.Slice((*byte)(d), n), unsafe.Slice((*byte)(s), n))
		}
	}
}
