package loopnest

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// Access counts the words that one operand moves at one level, all instances
// together.
type Access struct {
	// Reads are words that leave for the level below: operands to work on, or
	// partial sums to go on with.
	Reads float64
	// Fills are words that come from the level above.
	Fills float64
	// Updates are partial sums that come up from below, Drains those that
	// leave for the level above.
	Updates float64
	Drains  float64
}

// Result is what one layer takes under one mapping.
type Result struct {
	Access  [maxLevels][hardware.NumOperands]Access
	Compute float64 // cycles that the busiest element works
	Cycles  float64
	// PortCycles is the time of each level's ports, the slowest first limit.
	PortCycles [maxLevels]float64
	Bound      int // the level that limits the time, -1 for the array
	Active     float64
	Energy     float64 // pJ
	Wire       float64 // pJ of Energy spent on networks
}

// Evaluator evaluates mappings of one layer on one machine. It is not safe for
// concurrent use.
type Evaluator struct {
	layer *hardware.Layer
	m     *machine
	full  sizes
	macs  float64
	// rows and cols have the sizes and steps of the two windows.
	rows, cols window
	t          tiling
}

// NewEvaluator checks layer and architecture.
func NewEvaluator(a *Arch, l *hardware.Layer) (*Evaluator, error) {
	m, err := compile(a)
	if err != nil {
		return nil, err
	}
	return newEvaluator(m, l)
}

func newEvaluator(m *machine, l *hardware.Layer) (*Evaluator, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	if !l.HasMACs() {
		return nil, fmt.Errorf("layer %q (%s) has no multiply-accumulates to map", l.Name, l.Op)
	}
	e := &Evaluator{layer: l, m: m, macs: float64(l.MACs())}
	for d, n := range l.Size {
		e.full[d] = int64(n)
	}
	e.rows = window{sizeA: e.full[hardware.P], sizeB: e.full[hardware.R], stepA: int64(l.Stride[0]), stepB: int64(l.Dilation[0])}
	e.cols = window{sizeA: e.full[hardware.Q], sizeB: e.full[hardware.S], stepA: int64(l.Stride[1]), stepB: int64(l.Dilation[1])}
	return e, nil
}

// Evaluate counts what a mapping costs. It is an error if the mapping does not
// cover the layer, spreads wider than the array, or holds tiles that do not
// fit.
func (e *Evaluator) Evaluate(m *Mapping) (*Result, error) {
	if len(m.Levels) == len(e.m.stores) {
		v, err := e.m.variants[0].variant(m)
		if err != nil {
			return nil, err
		}
		e.m = v
	}
	if err := e.t.from(e.m, &e.full, m); err != nil {
		return nil, err
	}
	if l := e.overflow(&e.t); l >= 0 {
		return nil, fmt.Errorf("the tiles of level %s do not fit: %s", e.m.stores[l].name, e.describe(&e.t, l))
	}
	r := new(Result)
	e.evaluate(&e.t, r)
	return r, nil
}

// tileWords is the size of an operand's tile at level l.
func (e *Evaluator) tileWords(t *tiling, l int, o hardware.Operand) float64 {
	s := t.tile(l, &e.full)
	n := s[hardware.G]
	switch o {
	case hardware.Weights:
		return float64(n * s[hardware.K] * s[hardware.C] * s[hardware.R] * s[hardware.S])
	case hardware.Inputs:
		h := (s[hardware.P]-1)*e.rows.stepA + (s[hardware.R]-1)*e.rows.stepB + 1
		w := (s[hardware.Q]-1)*e.cols.stepA + (s[hardware.S]-1)*e.cols.stepB + 1
		return float64(n*s[hardware.N]*s[hardware.C]) * float64(h*w)
	}
	return float64(n * s[hardware.N] * s[hardware.K] * s[hardware.P] * s[hardware.Q])
}

// overflow returns the innermost level whose tiles do not fit, else -1.
func (e *Evaluator) overflow(t *tiling) int {
	for l := len(e.m.stores) - 1; l > 0; l-- {
		if !e.fits(t, l) {
			return l
		}
	}
	return -1
}

func (e *Evaluator) fits(t *tiling, l int) bool {
	s := &e.m.stores[l]
	bits := 0.0
	for o := range hardware.Operand(hardware.NumOperands) {
		if !s.held[o] {
			continue
		}
		n := e.tileWords(t, l, o)
		if n > s.words[o] {
			return false
		}
		if math.IsInf(s.words[o], 1) {
			bits += n * s.bits[o]
		}
	}
	return bits <= s.shared
}

func (e *Evaluator) describe(t *tiling, l int) string {
	s := &e.m.stores[l]
	text, total := "", 0.0
	for o := range hardware.Operand(hardware.NumOperands) {
		if !s.held[o] {
			continue
		}
		n := e.tileWords(t, l, o)
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%.0f words of %v", n, o)
		if !math.IsInf(s.words[o], 1) {
			text += fmt.Sprintf(" of %.0f", s.words[o])
		} else {
			total += n * s.bits[o]
		}
	}
	if !math.IsInf(s.shared, 1) {
		text += fmt.Sprintf("; together %.0f of %.0f usable bytes", total/8, s.shared/8)
	}
	return text
}

// cut is where reuse ends for a tile: the loops of level that are in mask, and
// all levels outside, bring it anew. loop is the innermost of these that the
// operand depends on. A cut at level -1 means that the tile is brought once.
type cut struct {
	level int
	mask  uint8
	loop  hardware.Dim
}

var relevance = func() (r [hardware.NumOperands]uint8) {
	for o := range hardware.Operand(hardware.NumOperands) {
		for d := range hardware.Dim(numDims) {
			if o.Relevant(d) {
				r[o] |= 1 << d
			}
		}
	}
	return r
}()

// reuse walks outwards from the tile that level child holds.
func (t *tiling) reuse(o hardware.Operand, child int) cut {
	for l := child - 1; l >= 0; l-- {
		for i := t.ordered[l] - 1; i >= 0; i-- {
			d := t.order[l][i]
			if relevance[o]&(1<<d) == 0 || t.trips[l][d] == 1 {
				continue
			}
			mask := uint8(0)
			for _, x := range t.order[l][:i+1] {
				mask |= 1 << x
			}
			return cut{l, mask, d}
		}
	}
	return cut{level: -1}
}

// copies counts how often tiles at level child repeat because of loop d, which
// the operand does not depend on. Loops in space from level shared inwards
// count once.
func (t *tiling) copies(d hardware.Dim, full int64, c cut, child, shared int) int64 {
	if t.exact[d] {
		n := int64(1)
		for l := range child {
			if l < c.level || l == c.level && c.mask&(1<<d) != 0 {
				n *= t.trips[l][d]
			}
			if l < shared {
				n *= t.spread[l][d]
			}
		}
		return n
	}
	p := pieces{full: 1, size: full}
	for l := range child {
		if l < c.level || l == c.level && c.mask&(1<<d) != 0 {
			p.all(t.inner[l][d])
		} else {
			p.first(t.inner[l][d])
		}
		if l < shared {
			p.all(t.below[l][d])
		} else {
			p.first(t.below[l][d])
		}
	}
	return p.count()
}

// flow is what moves between a level that holds an operand and the next one
// inwards that does, or the multipliers.
type flow struct {
	sent     float64 // words that leave the outer one
	received float64 // words that arrive at the inner one's instances
}

// flow counts the words that cross from level parent to level child; child may
// be the number of levels, which is the multipliers: nothing is kept there.
func (e *Evaluator) flow(t *tiling, o hardware.Operand, parent, child int) flow {
	c := cut{level: child - 1, mask: 0xff}
	slides := false
	if child < len(e.m.stores) {
		c = t.reuse(o, child)
		slides = o == hardware.Inputs && c.level >= 0 && c.loop >= hardware.P
	}
	shared := child
	if e.multicast(o, parent, child) {
		shared = parent
	}
	full := &e.full
	switch o {
	case hardware.Weights:
		n := float64(full[hardware.G] * full[hardware.K] * full[hardware.C] * full[hardware.R] * full[hardware.S])
		return e.times(t, n, n, c, child, shared, hardware.N, hardware.P, hardware.Q)
	case hardware.Outputs:
		n := float64(full[hardware.G] * full[hardware.N] * full[hardware.K] * full[hardware.P] * full[hardware.Q])
		return e.times(t, n, n, c, child, shared, hardware.C, hardware.R, hardware.S)
	}
	n := float64(full[hardware.G] * full[hardware.N] * full[hardware.C])
	received := e.windowWords(t, c, slides, &t.below[child-1])
	sent := received
	if shared == parent && e.m.stores[parent].windows && e.adjacent(t, parent, child) {
		sent = min(sent, e.windowWords(t, c, slides, &t.inner[parent]))
	}
	return e.times(t, n*sent, n*received, c, child, shared, hardware.K)
}

// multicast reports whether the networks between two levels deliver a word to
// several instances at once, or add their partial sums.
func (e *Evaluator) multicast(o hardware.Operand, parent, child int) bool {
	for l := parent; l < child; l++ {
		if !e.m.stores[l].multicast[o] {
			return false
		}
	}
	return true
}

// adjacent reports whether no loop in time over a window lies between the
// loops in space of the levels from parent to child.
func (e *Evaluator) adjacent(t *tiling, parent, child int) bool {
	for l := parent + 1; l < child; l++ {
		if t.trips[l][hardware.P]*t.trips[l][hardware.Q]*t.trips[l][hardware.R]*t.trips[l][hardware.S] != 1 {
			return false
		}
	}
	return true
}

// times multiplies words by the copies along loops that they do not depend on.
func (e *Evaluator) times(t *tiling, sent, received float64, c cut, child, shared int, loops ...hardware.Dim) flow {
	for _, d := range loops {
		if e.full[d] == 1 {
			continue
		}
		r := t.copies(d, e.full[d], c, child, child)
		s := r
		if shared != child {
			s = t.copies(d, e.full[d], c, child, shared)
		}
		sent, received = sent*float64(s), received*float64(r)
	}
	return flow{sent, received}
}

// windowWords adds up the input positions of all tiles of the size given.
func (e *Evaluator) windowWords(t *tiling, c cut, slides bool, tile *sizes) float64 {
	one := func(w window, a, b hardware.Dim) int64 {
		w.tileA, w.tileB = tile[a], tile[b]
		if !slides || c.loop != a && c.loop != b {
			return w.words()
		}
		if c.loop == b {
			w = window{w.sizeB, w.sizeA, w.stepB, w.stepA, w.tileB, w.tileA}
		}
		return w.slid(t.tile(c.level, &e.full)[c.loop], max(t.inner[c.level][c.loop], w.tileA))
	}
	return float64(one(e.rows, hardware.P, hardware.R)) * float64(one(e.cols, hardware.Q, hardware.S))
}

// evaluate fills in r. It does not allocate.
func (e *Evaluator) evaluate(t *tiling, r *Result) {
	levels := len(e.m.stores)
	for l := range levels {
		r.Access[l] = [hardware.NumOperands]Access{}
	}
	r.Energy, r.Wire = e.macs*e.m.mac, 0
	for o := range hardware.Operand(hardware.NumOperands) {
		holders := e.m.holders[o]
		for i, parent := range holders {
			child := levels
			if i+1 < len(holders) {
				child = holders[i+1]
			}
			f := e.flow(t, o, parent, child)
			received := f.received
			if o != hardware.Outputs {
				r.Access[parent][o].Reads = f.sent
				if child < levels {
					r.Access[child][o].Fills = f.received
				}
			} else {
				received += e.partialSums(t, f, parent, child, r)
			}
			for l := parent; l < child; l++ {
				r.Wire += received * e.m.stores[l].wire
			}
		}
	}
	for l := range levels {
		s := &e.m.stores[l]
		for o := range r.Access[l] {
			r.Energy += s.energy(hardware.Operand(o), &r.Access[l][o])
		}
	}
	e.latency(t, r)
	r.Energy += r.Wire + e.m.leakage(r.Cycles)
}

// partialSums books what goes up and what comes down again. It returns the
// words that come down to the child's instances.
func (e *Evaluator) partialSums(t *tiling, f flow, parent, child int, r *Result) float64 {
	firstSent, firstReceived := 0.0, 0.0
	if !e.m.arch.Overheads.ReadFirst {
		firstSent, firstReceived = e.firsts(t, parent), e.firsts(t, child)
	}
	up := &r.Access[parent][hardware.Outputs]
	up.Updates, up.Reads = f.sent, max(0, f.sent-firstSent)
	down := max(0, f.received-firstReceived)
	if child < len(e.m.stores) {
		low := &r.Access[child][hardware.Outputs]
		low.Drains, low.Fills = f.received, down
	}
	return down
}

// firsts counts the outputs of all instances of a level, each once.
func (e *Evaluator) firsts(t *tiling, level int) float64 {
	n := float64(e.full[hardware.G] * e.full[hardware.N] * e.full[hardware.K] * e.full[hardware.P] * e.full[hardware.Q])
	for _, d := range [...]hardware.Dim{hardware.C, hardware.R, hardware.S} {
		if e.full[d] > 1 {
			n *= float64(t.copies(d, e.full[d], cut{level: -1}, level, level))
		}
	}
	return n
}

// steps is the time of the busiest element: every loop in time, the first
// piece of every loop in space.
func (e *Evaluator) steps(t *tiling) float64 {
	n := 1.0
	for d := range hardware.Dim(numDims) {
		if e.full[d] == 1 {
			continue
		}
		if t.exact[d] {
			for l := range e.m.stores {
				n *= float64(t.trips[l][d])
			}
			continue
		}
		p := pieces{full: 1, size: e.full[d]}
		for l := range e.m.stores {
			p.all(t.inner[l][d])
			p.first(t.below[l][d])
		}
		n *= float64(p.count())
	}
	return n
}

// latency is the longest of the array's time and every port's.
func (e *Evaluator) latency(t *tiling, r *Result) {
	r.Compute = e.steps(t)
	r.Cycles, r.Bound = r.Compute, -1
	serial, instances := 0.0, 1.0
	for l := range e.m.stores {
		s := &e.m.stores[l]
		var in, out float64
		for o := range r.Access[l] {
			a := &r.Access[l][o]
			out += a.Reads + a.Drains
			in += a.Fills + a.Updates
		}
		port := max(out/s.readBW, in/s.writeBW) / instances
		r.PortCycles[l] = port
		if s.single {
			serial += e.transfers(l, r) / instances
		} else if port > r.Cycles {
			r.Cycles, r.Bound = port, l
		}
		for d, n := range t.spread[l] {
			if e.full[d] > 1 {
				instances *= float64(n)
			}
		}
	}
	r.Active = instances
	r.Cycles += serial + e.m.arch.Overheads.LayerCycles
	if e.m.arch.Overheads.Fill {
		r.Cycles += e.fill(t)
	}
}

// transfers is the time in which a single-buffered level is filled and
// drained.
func (e *Evaluator) transfers(l int, r *Result) float64 {
	s, n := &e.m.stores[l], 0.0
	for o := range r.Access[l] {
		n += r.Access[l][o].Fills/s.writeBW + r.Access[l][o].Drains/s.readBW
	}
	return n
}

// fill is the time before the first multiplication and after the last: tiles
// pass the ports on their way, with nothing to hide behind.
func (e *Evaluator) fill(t *tiling) float64 {
	n := 0.0
	for o := range hardware.Operand(hardware.NumOperands) {
		holders := e.m.holders[o]
		for i := 1; i < len(holders); i++ {
			outer := &e.m.stores[holders[i-1]]
			bw := outer.readBW
			if o == hardware.Outputs {
				bw = outer.writeBW
			}
			n += e.tileWords(t, holders[i], o) / bw
		}
	}
	return n
}
