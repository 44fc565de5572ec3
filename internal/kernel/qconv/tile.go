package qconv

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// tiled is the vector path of dense and grouped convolutions: an indirect
// integer matrix product over the pixels of a block and a panel of output
// channels. The strip of a block is filled once; then each panel of weights,
// which a first-level cache holds, passes over all tiles of the block.
type tiled struct {
	c       *Conv
	isa     *isa
	g       *strip
	offs    []int32 // of the pixels of a block, in the strip
	panels  []panel
	units   []unit
	steps   []int32   // [panel][step], offsets from a pixel
	weights []byte    // [panel], see packPanel
	bias    []int32   // [panel][width]
	scale   []float32 // [panel][width]
	padding []byte    // a strip line of zero points
	args    tileArgs  // the fields that never change
	jobs    jobs
}

// isa is what the vector path needs to know of an instruction set.
type isa struct {
	name  string
	rows  int  // most pixels of a tile
	lanes int  // int32 in a vector
	wide  int  // most vectors of channels of a tile
	vnni  bool // no step needs wide weights
	// simulate stands in for the assembly in tests of what the CPU lacks.
	simulate func(a *tileArgs, rows, vecs int)
}

// panel is a range of output channels computed together.
type panel struct {
	group, k0, n int // n channels from k0; less than the width only in groups below one vector
	vecs         int
	clean, wide  int // number of steps of each kind
	step, w, at  int // offsets into steps, weights, and bias and scale
}

// unit is a range of panels for one worker. Units never share a channel,
// though the panels of one may.
type unit struct{ lo, hi, k0, k1 int }

func newTiled(c *Conv, i *isa) *tiled {
	s := c.shape
	merge := mergeGroups(&s, i.lanes)
	groups := s.Groups / merge
	t := &tiled{c: c, isa: i, g: newStrip(s, s.C/groups, stripBytes)}
	t.offs = t.g.pixelOffsets()
	t.pack(groups, merge)
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

// pack lays out panels and their weights.
func (t *tiled) pack(groups, merge int) {
	s := &t.c.shape
	kg := s.K / groups
	runs, length := t.g.runOffsets(s.C / groups)
	for g := range groups {
		for _, p := range splitChannels(kg, t.isa.lanes, t.isa.wide) {
			p.group, p.k0 = g, p.k0+g*kg
			p.step, p.w, p.at = len(t.steps), len(t.weights), len(t.bias)
			u := unit{lo: len(t.panels), hi: len(t.panels) + 1, k0: p.k0, k1: p.k0 + p.n}
			if last := len(t.units) - 1; last >= 0 && t.units[last].k1 > p.k0 {
				t.units[last].hi, t.units[last].k1 = u.hi, u.k1
			} else {
				t.units = append(t.units, u)
			}
			t.packPanel(&p, groups, merge, runs, length)
			t.panels = append(t.panels, p)
		}
	}
}

// splitChannels cuts k channels into panels of lanes to wide*lanes. The last
// may overlap the one before rather than be partly empty.
func splitChannels(k, lanes, wide int) []panel {
	list := []panel{}
	at := 0
	for ; k-at >= lanes*wide; at += lanes * wide {
		list = append(list, panel{k0: at, n: lanes * wide, vecs: wide})
	}
	for at < k {
		vecs := (k - at + lanes - 1) / lanes
		switch {
		case k >= vecs*lanes:
			at = k - vecs*lanes
		case k > lanes:
			vecs-- // the channels left over overlap in the next round
		}
		n := min(k-at, vecs*lanes)
		list = append(list, panel{k0: at, n: n, vecs: vecs})
		at += n
	}
	return list
}

// packPanel lays out the weights of a panel: for each clean step [channel][4]
// int8, then for each wide step [even, odd][channel][2] int16. Steps that
// multiply only by zero are left out.
func (t *tiled) packPanel(p *panel, groups, merge int, runs []int32, length int) {
	quads := (length + 3) / 4
	dense := t.gather(p, groups, merge, len(runs), 4*quads)
	width := p.vecs * t.isa.lanes
	per := 4 * width
	zero, wide := make([]bool, len(runs)*quads), make([]bool, len(runs)*quads)
	for i := range zero {
		w := dense[i*per : (i+1)*per]
		zero[i] = !slices.ContainsFunc(w, nonzero)
		wide[i] = !t.isa.vnni && !fitsPairs(w)
	}
	offset := func(i int) int32 { return runs[i/quads] + int32(i%quads*4) }
	for i := range zero {
		if zero[i] || wide[i] {
			continue
		}
		// Weights beyond an int8 are the sum of those of several steps.
		for rest := dense[i*per : (i+1)*per]; slices.ContainsFunc(rest, nonzero); {
			p.clean++
			t.steps = append(t.steps, offset(i))
			for k, v := range rest {
				part := max(-128, min(127, v))
				t.weights = append(t.weights, byte(part))
				rest[k] -= part
			}
		}
	}
	for i := range zero {
		if zero[i] || !wide[i] {
			continue
		}
		p.wide++
		t.steps = append(t.steps, offset(i))
		for odd := range 2 {
			for j := range 2 * width {
				v := dense[i*per+2*j+odd]
				t.weights = append(t.weights, byte(v), byte(v>>8))
			}
		}
	}
	if len(t.steps) == p.step { // nothing but zeros
		t.steps, t.weights = append(t.steps, 0), append(t.weights, 0)
	}
}

func nonzero(v int16) bool { return v != 0 }

// fitsPairs reports whether the weights are int8 and no two neighbours can
// overflow an int16 when multiplied by uint8 values and added.
func fitsPairs(w []int16) bool {
	for i := 0; i < len(w); i += 2 {
		a, b := int(w[i]), int(w[i+1])
		if max(a, b) > 127 || max(a, 0)+max(b, 0) > 128 || min(a, 0)+min(b, 0) < -128 {
			return false
		}
	}
	return true
}

// gather returns the weights of a panel as [run][quad][channel][4], with its
// bias and scale appended to those of the panels before.
func (t *tiled) gather(p *panel, groups, merge, runs, length int) []int16 {
	s := &t.c.shape
	width := p.vecs * t.isa.lanes
	w := make([]int16, runs*length*width)
	cm, cg, kg, ntaps := s.C/groups, s.C/s.Groups, s.K/s.Groups, taps(s)
	perRun := ntaps / runs
	for j := range p.n {
		k := p.k0 + j
		t.bias = append(t.bias, t.c.bias[k])
		t.scale = append(t.scale, t.c.scale[k])
		inner := k / kg % merge // the true group within the merged one
		for tap := range ntaps {
			for c := range cg {
				x := tap%perRun*cm + inner*cg + c // within the run
				at := (tap/perRun*length/4+x/4)*width*4 + j*4 + x%4
				w[at] = t.c.w[(k*cg+c)*ntaps+tap]
			}
		}
	}
	for range width - p.n {
		t.bias = append(t.bias, 0)
		t.scale = append(t.scale, 0)
	}
	return w
}

func (t *tiled) name() string { return t.isa.name }

// scratch holds a strip for each worker and the tiles of narrow groups.
func (t *tiled) scratch(workers int) int { return workers*t.perWorker() + 64 }

func (t *tiled) perWorker() int { return t.g.bytes() + t.narrowBytes() }

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
	if w := pool.Workers(); w > 1 && t.g.blocks < 3*w {
		parts = min(len(t.units), (3*w+t.g.blocks-1)/t.g.blocks)
	}
	t.jobs.run(pool, t, job{src: src, o: o, scratch: align(scratch), parts: parts}, t.g.blocks*parts)
}

// tasks computes tasks lo..hi-1 of a job.
func (t *tiled) tasks(j *job, worker, lo, hi int) {
	mine := j.scratch[worker*t.perWorker():][:t.perWorker()]
	filled := -1
	for task := lo; task < hi; task++ {
		b := t.g.block(task / j.parts)
		if filled != task/j.parts && !t.g.direct {
			t.g.fill(&b, copier{strip: mine, src: j.src, padding: t.padding})
			filled = task / j.parts
		}
		part := task % j.parts
		t.compute(&b, j.src, &j.o, mine, part*len(t.units)/j.parts, (part+1)*len(t.units)/j.parts)
	}
}

// compute runs the panels of units lo..hi-1 over a block.
func (t *tiled) compute(b *block, src []uint8, o *output, mine []byte, lo, hi int) {
	s := &t.c.shape
	a := t.args
	from := mine
	if t.g.direct {
		from = src[b.first*s.SrcStride:]
	}
	a.aim(o)
	cg := s.C / (t.panels[len(t.panels)-1].group + 1) // channels of a merged group
	for _, u := range t.units[lo:hi] {
		for i := u.lo; i < u.hi; i++ {
			p := &t.panels[i]
			a.base = unsafe.Pointer(&from[p.group*cg])
			a.steps, a.clean, a.wide = unsafe.Pointer(&t.steps[p.step]), p.clean, p.wide
			a.w = unsafe.Pointer(&t.weights[p.w])
			a.bias, a.scale = unsafe.Pointer(&t.bias[p.at]), unsafe.Pointer(&t.scale[p.at])
			at := b.first*s.DstStride + p.k0
			if p.n < t.isa.lanes {
				t.narrow(&a, b, o, mine[t.g.bytes():], at, p.n)
				continue
			}
			a.dst, a.dstStride = o.at(at), s.DstStride*a.elem
			t.tiles(&a, b.count, p.vecs)
		}
	}
	if o.add != nil {
		t.c.addBlock(o, b.first, b.count, t.units[lo].k0, t.units[hi-1].k1)
	}
}

// tiles runs a panel over count pixels.
func (t *tiled) tiles(a *tileArgs, count, vecs int) {
	a.offs = unsafe.Pointer(&t.offs[0])
	full := count / t.isa.rows
	if a.tiles = full; full > 0 {
		t.isa.run(a, t.isa.rows, vecs)
	}
	if rest := count % t.isa.rows; rest > 0 {
		done := full * t.isa.rows
		a.offs, a.dst, a.tiles = unsafe.Pointer(&t.offs[done]), unsafe.Add(a.dst, done*a.dstStride), 1
		t.isa.run(a, rest, vecs)
	}
}

// narrow computes a panel of fewer channels than a vector holds aside, and
// copies what is wanted.
func (t *tiled) narrow(a *tileArgs, b *block, o *output, aside []byte, at, n int) {
	a.dst, a.dstStride = unsafe.Pointer(&aside[0]), t.isa.lanes*a.elem
	t.tiles(a, b.count, 1)
	for m := range b.count {
		from := aside[m*t.isa.lanes*a.elem:]
		switch {
		case a.elem == 1:
			copy(o.u8[at:at+n], from)
		case o.i32 != nil:
			copy(o.i32[at:at+n], unsafe.Slice((*int32)(unsafe.Pointer(&from[0])), n))
		default:
			copy(o.f32[at:at+n], unsafe.Slice((*float32)(unsafe.Pointer(&from[0])), n))
		}
		at += t.c.shape.DstStride
	}
}
