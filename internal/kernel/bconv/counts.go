package bconv

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// counted is the path by population counts of vectors: a product of binary
// matrices over the pixels of a block and panels of countLanes output channels,
// 32 input channels in a lane. Sums go down from half the number of products by
// one for each difference, so that a sum is half the result. Taps outside the
// input are computed as if their signs were negative, with first sums that make
// up for it; whole rows of them are left out.
type counted struct {
	c       *Conv
	g       *strip
	triple  bool       // steps take three taps at once
	nine    bool       // and those of three rows where all of them count
	offs    []int32    // of the pixels of a block, in the strip
	steps   []countJob // of a group of channels, from its first
	skips   bool       // rows of taps outside are left out
	panels  []countPanel
	weights []uint32 // [panel][step][word][channel]
	// Of the panels' channels: twice the factors and the summands, or the least
	// sums whose sign is positive.
	scale, bias []float32
	thresholds  []int32
	startAt     []int32 // of each output pixel, where its first sums lie in starts, in bytes
	starts      []int32 // [kind of pixel][panel][channel]
	args        countArgs
	spread
}

// countJob is a step: the place of a word and the bits of it that count.
type countJob struct {
	off  int32
	mask uint32
}

// countPanel is a range of output channels computed together: n from k0, of a
// group that begins base bytes into a pixel.
type countPanel struct{ base, k0, n int }

const (
	countLanes = 16 // output channels of a panel
	countRows  = 8  // most pixels of a tile
	planeBytes = 8320
	// modeWords is modeSigns for the last panel of a word, whose other bits it
	// clears.
	modeWords = 3
)

// countArgs is what the assembly reads; its layout is fixed (TestCountArgs).
type countArgs struct {
	base       unsafe.Pointer // the strip
	offs       unsafe.Pointer // offset of each pixel from base
	startAt    unsafe.Pointer // offset of the first sums of each pixel from start
	start      unsafe.Pointer
	steps      unsafe.Pointer
	count      int // number of steps
	w          unsafe.Pointer
	scale      unsafe.Pointer
	bias       unsafe.Pointer
	thresholds unsafe.Pointer
	dst        unsafe.Pointer // of the first pixel
	dstStride  int            // bytes between pixels
	add        unsafe.Pointer // alike, or nil
	addStride  int
	tiles      int // tiles to compute; the kernel counts it down
	mode       int // modeFloats, modeSigns or modeWords
	lanes      int // a bit for each channel that is stored as float
	lo, hi     float32

	offsLeft, startLeft, dstLeft, addLeft uintptr // of the assembly

	// For steps of three rows of taps, the bytes of the strip and of the weights
	// from one row to the next.
	rowStep, rowWeights int
}

// suitsCounts reports whether the path covers the convolution: whole octets of
// channels in a group, sums whose half is an integer, signs in whole panels.
func (c *Conv) suitsCounts() bool {
	s := &c.shape
	cg, kg := s.C/s.Groups, s.K/s.Groups
	switch {
	case cg%2 == 1, s.Groups > 1 && (cg%8 != 0 || c.p.ToSigns && kg%countLanes != 0), cg*taps(s) > 1<<20, taps(s) > 1<<8:
		return false
	}
	for k, v := range c.scale {
		if sum := float64(v) + float64(c.bias[k]) + float64(c.above[k]); c.p.ToSigns && (math.IsNaN(sum) || math.IsInf(sum, 0)) {
			return false // values must rise with the sums
		}
		if math.Abs(float64(v)) > math.MaxFloat32/2 && !math.IsInf(float64(v), 0) {
			return false // twice that is infinite
		}
	}
	return true
}

func newCounted(c *Conv) *counted {
	s := &c.shape
	t := &counted{c: c}
	t.skips = c.p.PadValue == 0 && padded(s) && s.T == 1
	f := t.form()
	// Triples read four planes of the strip's size. Both keep to the first-level cache.
	t.g = newStrip(*s, f, planeBytes-countSlack(f, s))
	t.triple = s.S == 3 && s.C/s.Groups%32 == 0 && t.g.bytes()+countSlack(f, s) <= planeBytes
	if !t.triple {
		t.g = newStrip(*s, f, 3*planeBytes)
	}
	// The exclusive ors of rows are worth making where many output channels read them.
	t.nine = t.triple && s.T == 1 && s.R == 3 && s.C/s.Groups >= 64 && s.K/s.Groups >= 64
	t.offs = t.g.pixelOffsets()
	t.plan()
	kg := s.K / s.Groups
	for g := range s.Groups {
		for k := 0; k < kg; k += countLanes {
			t.panels = append(t.panels, countPanel{base: g * (s.C / s.Groups / 8), k0: g*kg + k, n: min(countLanes, kg-k)})
		}
	}
	kinds := t.kinds()
	t.starts = make([]int32, len(kinds)*len(t.panels)*countLanes)
	for i := range t.panels {
		t.pack(i, kinds)
	}
	t.args.lo, t.args.hi = c.p.Min, c.p.Max
	t.spread = spread{worker: t, strip: t.g, units: len(t.panels), room: (t.g.bytes() + 63) &^ 63}
	if t.triple {
		t.room = 5 * planeBytes
	}
	return t
}

// countSlack is what xorPlanes reads past the end of a strip.
func countSlack(f form, s *Shape) int { return 64 + 2*f.bytes*s.DilW }

// form is a pixel as bytes of eight channels.
func (t *counted) form() form {
	s := &t.c.shape
	size, words := (s.C+7)/8, Words(s.C)
	f := form{bytes: size, outside: make([]byte, size)}
	if t.c.p.PadValue > 0 {
		for c := range s.C {
			f.outside[c/8] |= 1 << (c % 8)
		}
	}
	f.put = func(dst []byte, src []uint64, pixels int) {
		if size == 8*words {
			copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(src))), 8*len(src)))
			return
		}
		first := 0
		if words == 1 {
			first = narrow(dst, src, pixels, size)
		}
		for i, v := range src[first*words : pixels*words] {
			binary.LittleEndian.PutUint64(dst[(first+i/words)*size+i%words*8:], v)
		}
	}
	return f
}

// plan lists the steps, tap by tap or, where the taps of a row lie side by side,
// row by row.
func (t *counted) plan() {
	s := &t.c.shape
	cg := s.C / s.Groups
	taps, span := s.S, (cg+7)/8
	if s.DilW == 1 && s.Groups == 1 {
		taps, span = 1, span*s.S
	}
	if t.triple {
		taps, span = 1, cg/8
	}
	for row := range s.T * s.R {
		for tap := range taps {
			at := t.g.tapOffset(row*s.S + tap)
			for i := 0; i < span; i += 4 {
				mask := uint32(math.MaxUint32) >> max(0, 32-8*(span-i))
				t.steps = append(t.steps, countJob{int32(at + i), mask})
			}
		}
	}
}

// wordsOfStep is the number of weights of a channel in a step.
func (t *counted) wordsOfStep() int {
	if t.triple {
		return 4
	}
	return 1
}

// pack lays out the weights of a panel and what goes with them.
func (t *counted) pack(panel int, kinds [][]tapState) {
	s, p := &t.c.shape, &t.panels[panel]
	cg, n := s.C/s.Groups, taps(s)
	pixel := t.g.form.bytes
	if s.Groups > 1 {
		pixel = cg / 8
	}
	size := t.wordsOfStep() * countLanes
	at := len(t.weights)
	t.weights = append(t.weights, make([]uint32, len(t.steps)*size)...)
	line := make([]byte, s.S*pixel+stripSlack) // of a row of taps
	for j := range countLanes {
		scale, bias, threshold := float32(0), float32(0), int32(math.MaxInt32)
		if j >= p.n {
			t.scale, t.bias, t.thresholds = append(t.scale, scale), append(t.bias, bias), append(t.thresholds, threshold)
			continue
		}
		k := p.k0 + j
		scale, bias = 2*t.c.scale[k], t.c.bias[k]
		flip := t.c.p.ToSigns && scale < 0
		if flip {
			scale = -scale
		}
		t.scale, t.bias = append(t.scale, scale), append(t.bias, bias)
		t.thresholds = append(t.thresholds, t.threshold(scale, bias, t.c.above[k]))
		signs := t.c.p.Signs[k*cg*n:][:cg*n]
		positive := make([]int, n) // weights of each tap
		for row := range s.T * s.R {
			clear(line)
			for i := range s.S {
				tap := row*s.S + i
				for c := range cg {
					if signs[c*n+tap] > 0 != flip {
						line[i*pixel+c/8] |= 1 << (c % 8)
						positive[tap]++
					}
				}
			}
			t.packRow(t.weights[at+row*len(t.steps)/(s.T*s.R)*size:], line, pixel, j)
		}
		for i, kind := range kinds {
			t.starts[(i*len(t.panels)+panel)*countLanes+j] = int32(cg*n/2 - missed(kind, positive, cg))
		}
	}
}

// packRow lays out channel j's weights of a row of taps, which are pixel bytes
// each.
func (t *counted) packRow(w []uint32, line []byte, pixel, j int) {
	s := &t.c.shape
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(line[at:]) }
	if t.triple {
		for i := 0; i < pixel; i += 4 {
			x, y, z := word(i), word(pixel+i), word(2*pixel+i)
			for n, v := range []uint32{x, x ^ y, x ^ z, x ^ y ^ z} {
				w[(i+n)*countLanes+j] = v
			}
		}
		return
	}
	perRow := len(t.steps) / (s.T * s.R)
	first := t.steps[0].off
	for i, step := range t.steps[:perRow] {
		// A tap's place in the strip differs from that in line by its dilation.
		at := int(step.off - first)
		tap := 0
		if stride := t.g.form.bytes * s.DilW; s.DilW > 1 || s.Groups > 1 {
			tap, at = at/stride, at%stride
		}
		w[i*countLanes+j] = word(tap*pixel+at) & step.mask
	}
}

// tapState is what becomes of a tap of a pixel.
type tapState byte

const (
	inside  tapState = iota
	outside          // computed, as if all signs were negative
	skipped          // outside, and not computed
)

// missed is by how much the differences that are computed for a kind of pixel
// fall short of half its outside products.
func missed(kind []tapState, positive []int, channels int) int {
	n := 0
	for tap, state := range kind {
		if state == inside {
			continue
		}
		n += channels / 2
		if state == outside {
			n -= positive[tap]
		}
	}
	return n
}

// kinds lists the states of taps that there are, and says where each output
// pixel finds its first sums.
func (t *counted) kinds() [][]tapState {
	s := &t.c.shape
	t.startAt = make([]int32, pixels(s))
	if t.c.p.PadValue != 0 || !padded(s) {
		return [][]tapState{make([]tapState, taps(s))}
	}
	var list [][]tapState
	seen := map[string]int32{}
	state := make([]byte, taps(s))
	for m := range t.startAt[:s.OD*s.P*s.Q] {
		q, y, z := m%s.Q, m/s.Q%s.P, m/s.Q/s.P
		for tap := range state {
			iz, iy, ix := z*s.StrideD-s.PadD+tap/s.S/s.R*s.DilD, y*s.StrideH-s.PadH+tap/s.S%s.R*s.DilH, q*s.StrideW-s.PadW+tap%s.S*s.DilW
			switch {
			case t.skips && (iy < 0 || iy >= s.H):
				state[tap] = byte(skipped)
			case iz < 0 || iz >= s.D || iy < 0 || iy >= s.H || ix < 0 || ix >= s.W:
				state[tap] = byte(outside)
			default:
				state[tap] = byte(inside)
			}
		}
		at, ok := seen[string(state)]
		if !ok {
			at = int32(4 * len(list) * len(t.panels) * countLanes)
			seen[string(state)] = at
			kind := make([]tapState, len(state))
			for i, v := range state {
				kind[i] = tapState(v)
			}
			list = append(list, kind)
		}
		t.startAt[m] = at
	}
	for n := 1; n < s.N; n++ {
		copy(t.startAt[n*s.OD*s.P*s.Q:], t.startAt[:s.OD*s.P*s.Q])
	}
	return list
}

// threshold is the least sum with a result of at least above, for a scale that
// is not negative.
func (t *counted) threshold(scale, bias, above float32) int32 {
	half := t.c.shape.C / t.c.shape.Groups * taps(&t.c.shape) / 2
	lo, hi := -half, half+1 // not below lo, at hi if at all
	for lo < hi {
		m := lo + (hi-lo)/2
		if v := float32(float32(m)*scale) + bias; v >= above {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return int32(lo)
}

func (t *counted) name() string {
	if t.triple {
		return "avx512 popcount 3x8x16"
	}
	return "avx512 popcount 8x16"
}

func (t *counted) prepare(mine []byte) {
	if t.triple {
		xorPlanes(&mine[0], (t.g.bytes()+63)/64, t.g.form.bytes*t.c.shape.DilW)
	}
	if t.nine {
		xorRows(&mine[3*planeBytes], (t.g.bytes()-2*t.rowStep()+63)/64, t.rowStep())
	}
}

// rowStep is the bytes of the strip from one row of taps to the next.
func (t *counted) rowStep() int { return int(t.g.tapOffset(t.c.shape.S) - t.g.tapOffset(0)) }

// compute runs panels over a block.
func (t *counted) compute(b block, o *output, mine []byte, from, to int) {
	s := &t.c.shape
	a := t.args
	words := Words(s.K)
	a.mode, a.dstStride, a.addStride = modeFloats, 4*s.DstStride, 4*s.AddStride
	if o.signs != nil {
		a.mode, a.dstStride = modeSigns, 8*words
	}
	if t.nine {
		a.rowStep, a.rowWeights = t.rowStep(), len(t.steps)/s.R*t.wordsOfStep()*countLanes*4
	}
	for i := from; i < to; i++ {
		p := &t.panels[i]
		a.base, a.start = unsafe.Pointer(&mine[p.base]), unsafe.Pointer(&t.starts[i*countLanes])
		a.scale, a.bias = unsafe.Pointer(&t.scale[i*countLanes]), unsafe.Pointer(&t.bias[i*countLanes])
		if o.signs != nil && p.k0+p.n == s.K && p.k0%64 == 0 {
			a.mode = modeWords
		}
		a.thresholds, a.lanes = unsafe.Pointer(&t.thresholds[i*countLanes]), 1<<p.n-1
		for row, rows := 0, b.planes*b.rows; row < rows; {
			lo, hi := t.tapRows(&b, row)
			next := row + 1
			for ; next < rows; next++ {
				if l, h := t.tapRows(&b, next); l != lo || h != hi {
					break
				}
			}
			t.aim(&a, i, lo, hi)
			words := t.wordsAtOnce()
			if t.nine && hi-lo == s.R {
				words = 9
				a.count /= s.R
			}
			t.pixels(&a, &b, o, p, words, row*t.g.s.Q, next*t.g.s.Q)
			row = next
		}
		if end := p.k0/countLanes + 1; a.mode == modeSigns && p.k0+p.n == s.K && end < 4*words {
			clearAfter(o.signs[b.first*words:][:b.count*words], words, 2*end)
		}
	}
}

// clearAfter clears the bytes from end on of each pixel: byte by byte, as the
// others may be being written.
func clearAfter(signs []uint64, words, end int) {
	list := unsafe.Slice((*byte)(unsafe.Pointer(&signs[0])), 8*len(signs))
	for at := 0; at < len(list); at += 8 * words {
		clear(list[at+end : at+8*words])
	}
}

// tapRows are the rows of taps to compute for a row of a block's output.
func (t *counted) tapRows(b *block, row int) (lo, hi int) {
	s := &t.g.s
	if !t.skips {
		return 0, s.T * s.R
	}
	y := (b.row+row%b.rows)*s.StrideH - s.PadH
	hi = s.R
	for lo < hi && y+lo*s.DilH < 0 {
		lo++
	}
	for lo < hi && y+(hi-1)*s.DilH >= s.H {
		hi--
	}
	return lo, hi
}

// aim points a at the steps and weights of panel i for rows lo to hi-1 of taps.
func (t *counted) aim(a *countArgs, i, lo, hi int) {
	perRow := len(t.steps) / (t.c.shape.T * t.c.shape.R)
	a.count = (hi - lo) * perRow
	if a.count == 0 {
		lo = 0
	}
	a.steps = unsafe.Pointer(&t.steps[lo*perRow])
	a.w = unsafe.Pointer(&t.weights[(i*len(t.steps)+lo*perRow)*t.wordsOfStep()*countLanes])
}

// wordsAtOnce is the number of words that a step multiplies.
func (t *counted) wordsAtOnce() int {
	if t.triple {
		return 3
	}
	return 1
}

// pixels computes pixels lo to hi-1 of a block, in tiles of nearly the same
// size, by steps of so many words.
func (t *counted) pixels(a *countArgs, b *block, o *output, p *countPanel, words, lo, hi int) {
	s := &t.c.shape
	n := (hi - lo + countRows - 1) / countRows
	rows := (hi - lo + n - 1) / n
	large := hi - lo - (rows-1)*n
	for _, part := range [2]struct{ tiles, rows int }{{large, rows}, {n - large, rows - 1}} {
		if part.tiles == 0 || part.rows == 0 {
			continue
		}
		a.offs, a.startAt, a.tiles = unsafe.Pointer(&t.offs[lo]), unsafe.Pointer(&t.startAt[b.first+lo]), part.tiles
		switch {
		case o.signs != nil:
			a.dst = unsafe.Add(unsafe.Pointer(&o.signs[(b.first+lo)*Words(s.K)]), p.k0/8)
		default:
			a.dst = unsafe.Pointer(&o.f32[(b.first+lo)*s.DstStride+p.k0])
			if o.add != nil {
				a.add = unsafe.Pointer(&o.add[(b.first+lo)*s.AddStride+p.k0])
			}
		}
		runCounts(a, part.rows, words)
		lo += part.tiles * part.rows
	}
}
