package qconv

import (
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// pack lays out panels and their weights.
func (t *tiled) pack(groups, merge int) {
	s := &t.c.shape
	kg := s.K / groups
	for g := range groups {
		for _, p := range splitChannels(kg, t.isa.lanes, t.isa.wide) {
			p.base, p.k0 = int32(g*s.C/groups), p.k0+g*kg
			u := unit{lo: len(t.panels), hi: len(t.panels) + 1, k0: p.k0, k1: p.k0 + p.n}
			if last := len(t.units) - 1; last >= 0 && t.units[last].k1 > p.k0 {
				t.units[last].hi, t.units[last].k1 = u.hi, u.k1
			} else {
				t.units = append(t.units, u)
			}
			t.panels = append(t.panels, p)
		}
	}
	const least = 1 << 14 // weights that are worth another goroutine
	n := max(1, min(runtime.GOMAXPROCS(0), len(t.panels), len(t.c.p.Weights)/least))
	parts := make([]tiled, n)
	var own []byte // the weights themselves, where their size is known before
	if t.wholeBytes() {
		own = make([]byte, t.values(t.panels, groups))
	}
	var done sync.WaitGroup
	for i := range parts {
		lo, hi := i*len(t.panels)/n, (i+1)*len(t.panels)/n
		parts[i] = tiled{c: t.c, isa: t.isa, g: t.g, panels: t.panels[lo:hi], nibbles: t.nibbles, packer: packers.Get().(*packer)}
		if own != nil {
			at, size := t.values(t.panels[:lo], groups), t.values(t.panels[lo:hi], groups)
			parts[i].weights = own[at : at : at+size]
		}
		done.Go(func() { parts[i].packPanels(groups, merge) })
	}
	done.Wait()
	t.gatherParts(parts, own)
	for i := range parts {
		pk := parts[i].packer
		if own != nil {
			parts[i].weights = pk.packed.weights
		}
		pk.packed = parts[i].panelData
		packers.Put(pk)
	}
}

// values is the most weights that panels hold where each is there once.
func (t *tiled) values(panels []panel, groups int) int {
	runs, length := t.g.runOffsets(t.c.shape.C / groups)
	step, n := t.isa.step(), 0
	for i := range panels {
		n += panels[i].vecs * t.isa.lanes * len(runs) * roundUp(length, step)
	}
	return n
}

// gatherParts moves the panels of all parts together, weights within own if they
// are there.
func (t *tiled) gatherParts(parts []tiled, own []byte) {
	var steps, weights, width int
	for i := range parts {
		part := &parts[i]
		for j := range part.panels {
			p := &part.panels[j]
			p.step, p.w, p.at = p.step+steps, p.w+weights, p.at+width
		}
		steps, weights, width = steps+len(part.steps), weights+len(part.weights), width+len(part.bias)
	}
	t.steps, t.weights = make([]int32, 0, steps), own[:0]
	if own == nil {
		t.weights = make([]byte, 0, weights)
	}
	t.bias, t.scale = make([]int32, 0, width), make([]float32, 0, width)
	for i := range parts {
		part := &parts[i]
		t.steps, t.weights = append(t.steps, part.steps...), append(t.weights, part.weights...)
		t.bias, t.scale = append(t.bias, part.bias...), append(t.scale, part.scale...)
	}
	if 4*len(t.weights) < 3*cap(t.weights) { // steps of zeros were left out
		t.weights = slices.Clone(t.weights)
	}
}

// packPanels lays out the weights of the panels there are.
func (t *tiled) packPanels(groups, merge int) {
	runs, length := t.g.runOffsets(t.c.shape.C / groups)
	old := &t.packer.packed
	if t.weights == nil {
		t.weights = slices.Grow(old.weights[:0], t.values(t.panels, groups))
	}
	t.panelData = panelData{steps: old.steps[:0], weights: t.weights, bias: old.bias[:0], scale: old.scale[:0]}
	t.packer.orders = t.g.copies
	for i := range t.panels {
		p := &t.panels[i]
		p.step, p.w, p.at = len(t.steps), len(t.weights), len(t.bias)
		t.packPanel(p, groups, merge, runs, length)
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
	for ; wide > 2 && k-at >= lanes; at += lanes { // there are kernels for all and for one
		list = append(list, panel{k0: at, n: lanes, vecs: 1})
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

// packPanel lays out the weights of a panel. Steps that multiply only by zero
// are left out.
func (t *tiled) packPanel(p *panel, groups, merge int, runs []int32, length int) {
	quads := (length + 3) / 4
	if t.wholeBytes() {
		per := len(t.c.p.Weights) / t.c.shape.K
		t.packer.bytes = gather(t, p, groups, merge, len(runs), 4*quads, t.packer.bytes, func(k int) []int8 { return t.c.p.Weights[k*per:][:per] })
		if t.isa.deep {
			t.packDeep(p, t.packer.bytes, runs, quads)
		} else {
			t.packBytes(p, t.packer.bytes, runs, quads)
		}
	} else {
		dense := gather(t, p, groups, merge, len(runs), 4*quads, t.packer.dense, func(k int) []int16 {
			t.packer.row = t.c.channel(k, t.packer.row)
			return t.packer.row
		})
		t.packer.dense = dense
		switch {
		case t.isa.long:
			t.packLong(p, dense)
		case t.isa.deep: // only where all weights fit bytes
			t.packer.bytes = resize(t.packer.bytes, len(dense))
			narrowed(asBytes(t.packer.bytes), dense)
			t.packDeep(p, t.packer.bytes, runs, quads)
		case t.isa.blocks:
			t.packBlocks(p, dense, runs, quads)
		case t.isa.vnni:
			t.packDots(p, dense, runs, quads)
		default:
			t.packGroups(p, dense, runs, quads)
		}
	}
	if t.isa.vnni && len(t.steps) == p.step { // nothing but zeros
		t.steps, t.weights = append(t.steps, 0), append(t.weights, 0)
	}
}

// wholeBytes reports whether the kernels read weights as they are given: a byte
// each, in steps of four values.
func (t *tiled) wholeBytes() bool {
	return t.isa.vnni && !t.isa.blocks && (t.isa.bits == 0 || t.isa.bits == 8) && t.c.plain()
}

// packDots lays out steps of int32 sums: their offsets, and for each
// [channel][4] int8. Weights beyond an int8 are the sum of those of several
// steps. Where weights have fewer bits in memory, the bytes of a step hold
// those of as many steps as they have room for, the first in the topmost bits.
func (t *tiled) packDots(p *panel, dense []int16, runs []int32, quads int) {
	per := 4 * p.vecs * t.isa.lanes
	bits, together := 8, 1
	if t.isa.bits != 0 {
		bits, together = t.isa.bits, 8/t.isa.bits
	}
	n := 0 // steps
	for i := range len(runs) * quads {
		if bits == 8 {
			at := len(t.weights)
			t.weights = slices.Grow(t.weights, per)[:at+per]
			any, fit := narrowed(t.weights[at:], dense[i*per:])
			if fit && any {
				t.steps = append(t.steps, runs[i/quads]+int32(i%quads*4))
				n++
				continue
			}
			t.weights = t.weights[:at]
		}
		for rest := dense[i*per : (i+1)*per]; slices.ContainsFunc(rest, nonzero); n++ {
			t.steps = append(t.steps, runs[i/quads]+int32(i%quads*4))
			if n%together == 0 {
				t.weights = append(t.weights, make([]byte, per)...)
			}
			to, shift := t.weights[len(t.weights)-per:], 8-bits*(1+n%together)
			for k, v := range rest {
				part := max(-1<<(bits-1), min(1<<(bits-1)-1, v))
				to[k] |= byte(part) << (8 - bits) >> (8 - bits - shift)
				rest[k] -= part
			}
		}
	}
	for ; n%together != 0; n++ {
		t.steps = append(t.steps, 0) // by weights of zero
	}
	p.count = n / together
}

// packBytes lays out steps as packDots does, of weights that are bytes.
func (t *tiled) packBytes(p *panel, dense []int8, runs []int32, quads int) {
	per := 4 * p.vecs * t.isa.lanes
	for i := range len(runs) * quads {
		step := dense[i*per:][:per]
		if slices.ContainsFunc(step, func(w int8) bool { return w != 0 }) {
			t.steps = append(t.steps, runs[i/quads]+int32(i%quads*4))
			t.weights = append(t.weights, asBytes(step)...)
			p.count++
		}
	}
}

// narrowed copies weights, a multiple of four, to bytes, and reports whether there is
// any but zero and whether all fit.
func narrowed(to []byte, from []int16) (any, fit bool) {
	const half, top, high = 0x0080_0080_0080_0080, 0x8000_8000_8000_8000, 0xff00_ff00_ff00_ff00
	var all, over uint64
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&from[0])), len(to)/4)
	for i, v := range words {
		all |= v
		// v + 128 in each quarter, which a byte holds where v fits an int8.
		over |= (v&^top + half) ^ v&top
		v &^= high
		v = (v | v>>8) & 0x0000_ffff_0000_ffff
		binary.LittleEndian.PutUint32(to[4*i:], uint32(v|v>>16))
	}
	return all != 0, over&high == 0
}

func nonzero(v int16) bool { return v != 0 }

// packGroups lays out the header of a panel and its groups of steps of int16
// sums, larger ones first: for each the offsets of its steps, and for each step
// [channel][4] int8.
func (t *tiled) packGroups(p *panel, dense []int16, runs []int32, quads int) {
	pk := t.packer
	offsets := make([]int32, 0, len(runs)*quads)
	for _, run := range runs {
		for i := range quads {
			offsets = append(offsets, p.base+run+int32(4*i))
		}
	}
	pk.add(offsets, dense)
	list := pk.group(pixels(&t.c.shape) >= groupPixels)
	var counts [groupSteps]int32
	size := headSize
	for i := range list {
		if n := list[i].n; n > 0 {
			counts[n-1]++
			size += int(n) * (4 + stepWeights)
		}
	}
	channel := p.k0
	if p.n < t.isa.lanes {
		channel = 0 // the output lies alone
	}
	t.weights = resize(t.weights, p.w+size)
	putHeader(t.weights[p.w:], counts, channel, t.bias[p.at:], t.scale[p.at:])
	to := t.weights[p.w+headSize:]
	for n := groupSteps; n >= 1; n-- {
		for i := range list {
			if int(list[i].n) == n {
				to = t.packGroup(to, list[i].steps[:n])
			}
		}
	}
}

// packGroup writes a group and returns what is left of the memory.
func (t *tiled) packGroup(to []byte, members []member) []byte {
	pk := t.packer
	for _, m := range members {
		binary.LittleEndian.PutUint32(to, uint32(pk.offsets[m.step]+m.order*int32(t.g.size)))
		to = to[4:]
	}
	for _, m := range members {
		w, order := (*[stepWeights]int8)(pk.w[m.step*stepWeights:]), &orders[m.order]
		for i := 0; i < stepWeights; i += 4 {
			to[i], to[i+1], to[i+2], to[i+3] = byte(w[i]), byte(w[i+order[1]&3]), byte(w[i+order[2]&3]), byte(w[i+order[3]&3])
		}
		to = to[stepWeights:]
	}
	return to
}

// gather returns the weights of a panel as [run][quad][channel][4], with its
// bias and scale appended to those of the panels before. It reads those of a
// channel by channel, and writes to the memory of w if they fit there.
func gather[T int8 | int16](t *tiled, p *panel, groups, merge, runs, length int, w []T, channel func(k int) []T) []T {
	s := &t.c.shape
	width := p.vecs * t.isa.lanes
	w = resize(w, runs*length*width)
	clear(w)
	cm, cg, kg, ntaps := s.C/groups, s.C/s.Groups, s.K/s.Groups, taps(s)
	perRun := ntaps / runs
	for j := range p.n {
		k := p.k0 + j
		t.bias = append(t.bias, t.c.bias[k])
		t.scale = append(t.scale, t.c.scale[k])
		inner := k / kg % merge // the true group within the merged one
		row := channel(k)
		for tap := range ntaps {
			from, x := row[tap:], tap%perRun*cm+inner*cg // within the run
			to := w[tap/perRun*length*width+j*4:]
			if ntaps == 1 && x%4 == 0 {
				quads(to[x*width:], from[:cg], 4*width)
				continue
			}
			for c := range cg {
				to[(x+c)/4*4*width+(x+c)%4] = from[c*ntaps]
			}
		}
	}
	for range width - p.n {
		t.bias = append(t.bias, 0)
		t.scale = append(t.scale, 0)
	}
	return w
}

// quads copies the elements of from to each four of to, stride elements apart.
func quads[T int8 | int16](to, from []T, stride int) {
	for ; len(from) > 4; from = from[4:] {
		*(*[4]T)(to) = [4]T(from)
		to = to[stride:]
	}
	copy(to, from)
}

// copies is the number of copies of the strip, one for each of the orders,
// that is worth making: several where many steps would exceed the bounds of a
// group in the order of the input, as a sample of the weights tells, and each
// value is multiplied often enough.
func (c *Conv) copies(perGroup int) int {
	const sample, least = 1 << 14, 1.5
	s := &c.shape
	if perGroup%4 != 0 || pixels(s) < groupPixels {
		return 1
	}
	cg, ntaps := s.C/s.Groups, taps(s)
	pairs, over := 0, 0
	var row []int16
	for k := 0; k < s.K; k += 1 + len(c.p.Weights)/sample/2 {
		row = c.channel(k, row)
		for i := range cg / 2 * ntaps {
			at := i/ntaps*2*ntaps + i%ntaps
			a, b := row[at], row[at+ntaps]
			pairs++
			if max(a, 0)+max(b, 0) > 127 || min(a, 0)+min(b, 0) < -127 {
				over++
			}
		}
	}
	share := 1 - math.Pow(1-float64(over)/float64(max(pairs, 1)), stepWeights/2)
	uses := float64(s.K/s.Groups) / 8 * float64(ntaps) / float64(s.StrideH*s.StrideW)
	if share*uses < least {
		return 1
	}
	return len(orders)
}
