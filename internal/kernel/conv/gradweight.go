package conv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// GradWeight computes the gradient of a convolution with respect to its
// weights and bias: for each kernel element a sum over pixels of outer
// products of the output's gradient and the input. A tile of the result stays
// in registers while a chunk of pixels streams by; see gradForm for what the
// vectors hold.
//
// Pixels are cut into slices, and sums over slices are added in a fixed order:
// the slices depend on the shape only, so the result has the same bits for any
// number of workers.
type GradWeight struct {
	shape    Shape
	set      *gradSet
	form     gradForm
	width    int // columns of the products: floats from one row of a sum to the next
	slices   int
	blocks   []gradBlock
	rest     *gradBlock // channels that do not go by whole lines
	images   int        // images of a chunk
	lines    int        // output lines of a chunk; all if images > 1
	chunks   int        // chunks of all images
	rowLo    [][2]int
	whole    [2]int // output columns where the kernel's whole width is inside
	states   reuse.List[gradWeightState]
	partials int // floats of one slice
	wise     int // channels of depthwise kernels that go by whole lines
	zeros    []float32
}

// gradForm says which products are computed at a time.
type gradForm int

const (
	// gradTaps: for each kernel element, output channels by input channels of
	// the pixel under it.
	gradTaps gradForm = iota
	// gradSwapped: the same, input channels by output channels.
	gradSwapped
	// gradLines: for each row of the kernel, output channels by the channels
	// of all pixels under it, which lie side by side. Pixels at the edges,
	// where some are missing, go by taps.
	gradLines
	// gradPatches: output channels by all input elements under the kernel,
	// which are copied side by side first.
	gradPatches
)

func (f gradForm) String() string {
	return [...]string{"taps", "swapped taps", "lines", "patches"}[f]
}

// gradBlock is the rows of the sums from first to first+n, which one unit of
// work computes.
type gradBlock struct {
	first, n int
	tiles    []gradTile
	edge     []gradTile // of single kernel elements, for gradLines
}

// gradTile is a tile of the sums.
type gradTile struct {
	run      func(*gradArgs)
	row      int // first channel of the rows' tensor
	src      int // first channel of the columns' tensor
	dst      int // first column
	channels int
}

const (
	gradFootprint = 1 << 14 // floats of both tensors in a chunk, about
	gradUnits     = 16      // units of work, about
	gradFloats    = 1 << 20 // limit of the partial sums of all slices
)

// NewGradWeight plans the gradient of the convolution s.
func NewGradWeight(s Shape) *GradWeight { return newGradWeight(tile.Best().Level, s) }

func newGradWeight(level cpu.Level, s Shape) *GradWeight {
	s = s.normal()
	g := &GradWeight{shape: s, set: gradSetFor(level)}
	g.whole = [2]int{0, s.Q}
	for q := range s.S {
		lo, hi := inside(s.Q, s.W, s.StrideW, q*s.DilW-s.PadW)
		g.rowLo = append(g.rowLo, [2]int{lo, hi})
		g.whole = [2]int{max(g.whole[0], lo), min(g.whole[1], hi)}
	}
	g.whole[1] = max(g.whole[0], g.whole[1])
	g.choose()
	lines := s.OD * s.P
	pixels := min(max(gradFootprint/(s.C+s.K), 64), 256)
	if g.form == gradPatches {
		pixels = min(max(gradFootprint/(g.width+s.K), 32), 256)
	}
	g.images, g.lines = 1, min(lines, max(1, pixels/s.Q))
	g.lines = (lines + g.positions() - 1) / g.positions() // all about as many
	if g.lines == lines {
		g.images = min(s.N, max(1, pixels/(lines*s.Q)))
	}
	g.chunks = g.positions() * g.groups()
	g.slices = max(1, min(gradUnits, gradFloats/g.partials, g.chunks))
	if g.wise = g.slidable(); g.wise > 0 {
		g.zeros = make([]float32, s.W*s.SrcStride)
		g.slices = min(gradUnits, s.N*s.P)
	}
	g.split((gradUnits + g.slices - 1) / g.slices)
	return g
}

// choose takes the form that costs least.
func (g *GradWeight) choose() {
	s := &g.shape
	taps, cg, kg := s.T*s.R*s.S, s.C/s.Groups, s.K/s.Groups
	try := func(f gradForm, width, floats int, cost float64, best *float64) {
		if *best == 0 || cost < *best {
			*best = cost
			g.form, g.width, g.partials = f, width, floats+s.K
		}
	}
	best := 0.0
	if s.depthwise() {
		try(gradTaps, 1, s.C*taps, 1, &best)
		return
	}
	cost := func(rows, cols int) float64 { return g.set.cover(rows, cols, nil) }
	each := cost(kg, cg)
	try(gradTaps, cg, s.K*cg*taps, float64(taps*s.Groups)*each, &best)
	if s.Groups > 1 {
		return
	}
	try(gradSwapped, s.K, s.K*cg*taps, float64(taps)*cost(cg, kg), &best)
	if s.DilW != 1 || s.SrcStride != s.C {
		return
	}
	// Pixels that are whole, of those that are used at all, by the width.
	line := s.S * s.C
	if s.S > 1 && g.whole[1] > g.whole[0] {
		whole := float64(g.whole[1]-g.whole[0]) / float64(s.Q)
		rows := float64(s.T * s.R)
		try(gradLines, line, s.K*cg*taps, rows*(whole*cost(s.K, line)+(1-whole)*float64(s.S)*each), &best)
	}
	if s.T*s.D*s.OD > 1 || s.PadD != 0 {
		return
	}
	width := (taps*s.C + 15) / 16 * 16
	copying := float64(s.R) * (2 + 1.5*float64((line+7)/8))
	try(gradPatches, width, s.K*width, cost(s.K, width)+copying, &best)
}

// positions is the number of chunks of an image, groups the number of chunks
// over the images.
func (g *GradWeight) positions() int { return (g.shape.OD*g.shape.P + g.lines - 1) / g.lines }
func (g *GradWeight) groups() int    { return (g.shape.N + g.images - 1) / g.images }

// inside is the range of output positions o with 0 <= o*stride+off < n.
func inside(out, n, stride, off int) (lo, hi int) {
	lo = max(0, (-off+stride-1)/stride)
	if off > 0 {
		lo = 0
	}
	hi = 0
	if n-1-off >= 0 {
		hi = min(out, (n-1-off)/stride+1)
	}
	return lo, max(lo, hi)
}

// split cuts the rows of the sums into about n blocks and each into tiles.
func (g *GradWeight) split(n int) {
	s := &g.shape
	kg, cg := s.K/s.Groups, s.C/s.Groups
	if s.depthwise() {
		if g.wise > 0 {
			n = 1
			if g.wise < s.C {
				g.rest = &gradBlock{tiles: []gradTile{{run: g.set.depthwise, row: g.wise, src: g.wise, channels: s.C - g.wise}}}
			}
		}
		size := max((s.C/n+31)/32*32, 32)
		for k := 0; k < s.C; k += size {
			m := min(size, s.C-k)
			g.blocks = append(g.blocks, gradBlock{first: k, n: m, tiles: []gradTile{{run: g.set.depthwise, row: k, src: k, channels: m}}})
		}
		return
	}
	rows := s.K
	if g.form == gradSwapped {
		rows, kg = s.C, s.C
	}
	// Whole groups, or parts of one that are a multiple of the best tiles' heights.
	groups, size := max(1, s.Groups/n), kg
	if s.Groups < n {
		per := (n + s.Groups - 1) / s.Groups
		size = max((kg/per+23)/24*24, 24)
	}
	if size < kg {
		groups = 1
	}
	for first := 0; first < rows; first += groups * kg {
		for k := first; k < first+kg; k += size {
			b := gradBlock{first: k, n: min(size, first+kg-k)}
			if size >= kg {
				b.n = min(groups*kg, rows-first)
			}
			for r := k; r < k+b.n; r += kg {
				m, src := min(kg, k+b.n-r), r/kg*cg
				if g.form == gradSwapped {
					src = 0
				}
				g.set.cover(m, g.width, func(row, col, channels int, run func(*gradArgs)) {
					b.tiles = append(b.tiles, gradTile{run: run, row: r + row, src: src + col, dst: col, channels: channels})
				})
				if g.form == gradLines {
					g.set.cover(m, cg, func(row, col, channels int, run func(*gradArgs)) {
						b.edge = append(b.edge, gradTile{run: run, row: r + row, src: col, dst: col, channels: channels})
					})
				}
			}
			g.blocks = append(g.blocks, b)
		}
	}
}

// Kernel names the kernels, for profiles.
func (g *GradWeight) Kernel() string {
	kind := "outer products by " + g.form.String()
	if g.shape.depthwise() {
		kind = "depthwise"
		if g.wise > 0 {
			kind = "depthwise by lines"
		}
	}
	return fmt.Sprintf("weight gradient %s %s, %d slices x %d blocks", g.set.name, kind, g.slices, len(g.blocks))
}

// Scratch is the number of float32s that Run needs, with any number of workers.
func (g *GradWeight) Scratch(int) int { return g.slices * g.partials }

// gradWeightState is what one run needs besides the plan.
type gradWeightState struct {
	g                          *GradWeight
	dw, db, x, dy, parts       []float32
	workers                    []gradWorker
	body, sumBody, arrangeBody func(worker, lo, hi int)
}

// gradWorker is the state of one worker: the lists of pairs of pixels for the
// chunk at position, images. There is one for each kernel element; gradLines
// has first one for each row of the kernel; gradPatches has but one. The last
// is that of the bias.
type gradWorker struct {
	args             gradArgs
	pairs            [][]int32
	position, images int
	patches, field   []float32 // of gradPatches
	patch            patchArgs
	wise             dwGradArgs
	lines            []dwGradLine
}

// lists is the number of lists of pairs.
func (g *GradWeight) lists() int {
	s := &g.shape
	switch g.form {
	case gradLines:
		return s.T*s.R*(1+s.S) + 1
	case gradPatches:
		return 2
	}
	return s.T*s.R*s.S + 1
}

// Run computes dw, [K][C/Groups][T][R][S], and db, [K], from the input x and
// the gradient of the output dy, both channels-last. It overwrites dw and db;
// db may be nil.
func (g *GradWeight) Run(p *parallel.Pool, dw, db, x, dy, scratch []float32) {
	s := &g.shape
	s.check("x", x, s.N*s.D*s.H*s.W, s.SrcStride, s.C)
	s.check("dy", dy, s.pixels(), s.DstStride, s.K)
	s.check("scratch", scratch, 1, 0, g.Scratch(p.Workers()))
	checkParams(s, dw, db)
	st := g.states.Get()
	if st == nil {
		st = &gradWeightState{g: g}
		st.body, st.sumBody, st.arrangeBody = st.work, st.sum, st.arrange
	}
	for len(st.workers) < p.Workers() {
		w := gradWorker{pairs: make([][]int32, g.lists())}
		if g.form == gradPatches {
			w.patches = aligned(g.images*g.lines*s.Q*g.width + patchSlack)
			rows, pitch := g.field(g.lines)
			w.field = make([]float32, rows*pitch*s.C)
		}
		st.workers = append(st.workers, w)
	}
	st.dw, st.db, st.x, st.dy, st.parts = dw, db, x, dy, scratch[:g.slices*g.partials]
	p.For(g.slices*len(g.blocks), 1, st.body)
	p.For(g.partials, 4096, st.sumBody)
	p.For(s.K, max(1, 4096/(g.partials/s.K)), st.arrangeBody)
	st.dw, st.db, st.x, st.dy, st.parts = nil, nil, nil, nil, nil
	for i := range st.workers {
		w := &st.workers[i]
		w.args, w.patch, w.wise = gradArgs{}, patchArgs{}, dwGradArgs{}
		clear(w.lines[:cap(w.lines)])
	}
	g.states.Put(st)
}

// work computes the units lo to hi: each is one block of one slice.
func (st *gradWeightState) work(worker, lo, hi int) {
	g := st.g
	w := &st.workers[worker]
	w.images = 0
	for u := lo; u < hi; u++ {
		slice, block := u/len(g.blocks), &g.blocks[u%len(g.blocks)]
		part := st.parts[slice*g.partials:][:g.partials]
		st.clear(part, block)
		if g.wise > 0 && st.db == nil {
			lines := g.shape.N * g.shape.P
			st.slideLines(w, part, slice*lines/g.slices, (slice+1)*lines/g.slices)
			if block = g.rest; block == nil {
				continue
			}
		}
		for c := slice * g.chunks / g.slices; c < (slice+1)*g.chunks/g.slices; c++ {
			st.chunk(w, part, block, c)
		}
	}
}

// sums is the number of matrices of sums in a slice, and the rows of each.
func (g *GradWeight) sums() (count, rows int) {
	s := &g.shape
	switch g.form {
	case gradSwapped:
		return s.T * s.R * s.S, s.C
	case gradLines:
		return s.T * s.R, s.K
	case gradPatches:
		return 1, s.K
	}
	return s.T * s.R * s.S, s.K
}

// clear zeroes the block's part of a slice: its rows of each matrix, and the
// bias, which the first block sums.
func (st *gradWeightState) clear(part []float32, b *gradBlock) {
	g := st.g
	count, rows := g.sums()
	for i := range count {
		clear(part[(i*rows+b.first)*g.width:][:b.n*g.width])
	}
	if b.first == 0 {
		clear(part[len(part)-g.shape.K:])
	}
}

// chunk adds one chunk of pixels to the block's sums.
func (st *gradWeightState) chunk(w *gradWorker, part []float32, b *gradBlock, c int) {
	g, s := st.g, &st.g.shape
	position, first := c/g.groups(), c%g.groups()*g.images
	images := min(g.images, s.N-first)
	st.list(w, position, images)
	x := st.x[first*s.D*s.H*s.W*s.SrcStride:]
	dy := st.dy[first*s.OD*s.P*s.Q*s.DstStride:]
	fetch(dy[position*g.lines*s.Q*s.DstStride : min(len(dy), (((images-1)*s.P*s.OD+min((position+1)*g.lines, s.P*s.OD))*s.Q-1)*s.DstStride+s.K)])
	if g.form != gradPatches {
		lo, hi := g.inputLines(position)
		fetch(x[lo*s.W*s.SrcStride : min(len(x), ((images-1)*s.D*s.H+hi)*s.W*s.SrcStride)])
	}
	rows, cols := dy, x
	switch g.form {
	case gradSwapped:
		rows, cols = x, dy
	case gradPatches:
		st.gather(w, x, position, images)
		cols = w.patches
	}
	a := &w.args
	a.DstStride = g.width
	add := func(list int, tiles []gradTile, dst []float32) {
		if a.Pairs = w.pairs[list]; len(a.Pairs) == 0 {
			return
		}
		for i := range tiles {
			tl := &tiles[i]
			a.X, a.DY = cols[tl.src:], rows[tl.row:]
			a.Dst, a.Channels = dst[tl.row*g.width+tl.dst:], tl.channels
			tl.run(a)
		}
	}
	count, height := g.sums()
	for i := range count {
		dst := part[i*height*g.width:]
		add(i, b.tiles, dst)
		if g.form == gradLines {
			for e := range s.S {
				add(count+i*s.S+e, b.edge, dst[e*s.C:])
			}
		}
	}
	if st.db != nil && b.first == 0 {
		a.Pairs, a.Channels = w.pairs[len(w.pairs)-1], s.K
		a.X, a.DY, a.Dst = nil, dy, part[len(part)-s.K:]
		g.set.addRows(a)
	}
}

// inputLines is the range of lines of an input image that the chunks at a
// position read.
func (g *GradWeight) inputLines(position int) (lo, hi int) {
	s := &g.shape
	lo, hi = s.D*s.H, 0
	for _, l := range []int{position * g.lines, min((position+1)*g.lines, s.OD*s.P) - 1} {
		for u := range s.T * s.R {
			if row, ok := s.inputRow(0, l, u); ok {
				lo, hi = min(lo, row/s.W), max(hi, row/s.W+1)
			}
		}
	}
	return min(lo, hi), hi
}

// list makes the lists of pairs of a chunk, unless they are those of the last.
func (st *gradWeightState) list(w *gradWorker, position, images int) {
	if w.images == images && w.position == position {
		return
	}
	w.position, w.images = position, images
	g, s := st.g, &st.g.shape
	lo := position * g.lines
	hi := min(lo+g.lines, s.OD*s.P)
	for t := range w.pairs {
		w.pairs[t] = w.pairs[t][:0]
	}
	for n := range images {
		for l := lo; l < hi; l++ {
			st.listLine(w, n, l)
		}
	}
}

// listLine appends the pairs of output line l of image n of the chunk.
func (st *gradWeightState) listLine(w *gradWorker, n, l int) {
	g, s := st.g, &st.g.shape
	out := (n*s.OD*s.P + l) * s.Q
	last := len(w.pairs) - 1
	for q := range s.Q {
		at := int32(4 * (out + q) * s.DstStride)
		w.pairs[last] = append(w.pairs[last], 0, at)
		if g.form == gradPatches {
			w.pairs[0] = append(w.pairs[0], int32(4*len(w.pairs[0])/2*g.width), at)
		}
	}
	if g.form == gradPatches {
		return
	}
	// pairs appends those of columns lo to hi with kernel element e of a row.
	pairs := func(to, row, e, lo, hi int) {
		list := w.pairs[to]
		x := row + lo*s.StrideW - s.PadW + e*s.DilW
		for q := lo; q < hi; q++ {
			at, dy := int32(4*x*s.SrcStride), int32(4*(out+q)*s.DstStride)
			if g.form == gradSwapped {
				at, dy = dy, at
			}
			list = append(list, at, dy)
			x += s.StrideW
		}
		w.pairs[to] = list
	}
	for u := range s.T * s.R {
		row, ok := s.inputRow(n, l, u)
		if !ok {
			continue
		}
		if g.form != gradLines {
			for e := range s.S {
				pairs(u*s.S+e, row, e, g.rowLo[e][0], g.rowLo[e][1])
			}
			continue
		}
		pairs(u, row, 0, g.whole[0], g.whole[1])
		for e := range s.S {
			to := s.T*s.R + u*s.S + e
			pairs(to, row, e, g.rowLo[e][0], min(g.whole[0], g.rowLo[e][1]))
			pairs(to, row, e, max(g.whole[1], g.rowLo[e][0]), g.rowLo[e][1])
		}
	}
}

// inputRow is the first pixel of the input row under row u of the kernel, of
// its T*R, at output line l of image n, if that is inside the image.
func (s *Shape) inputRow(n, l, u int) (pixel int, ok bool) {
	z := l/s.P*s.StrideD - s.PadD + u/s.R*s.DilD
	y := l%s.P*s.StrideH - s.PadH + u%s.R*s.DilH
	if z < 0 || z >= s.D || y < 0 || y >= s.H {
		return 0, false
	}
	return ((n*s.D+z)*s.H + y) * s.W, true
}

// sum adds the slices of the floats lo to hi, in order, to the first.
func (st *gradWeightState) sum(_, lo, hi int) {
	g := st.g
	for i := 1; i < g.slices; i++ {
		vec.Binary(vec.Add, st.parts[lo:hi], st.parts[lo:hi], st.parts[i*g.partials:][lo:hi])
	}
}

// arrange lays the sums of the output channels lo to hi out as weights.
func (st *gradWeightState) arrange(_, lo, hi int) {
	g, s := st.g, &st.g.shape
	cg, taps := s.C/s.Groups, s.T*s.R*s.S
	byK, byC := g.width, 1
	if g.form == gradSwapped {
		byK, byC = 1, g.width
	}
	for t := range taps {
		first := t * s.K * cg
		switch g.form {
		case gradLines:
			first = t/s.S*s.K*g.width + t%s.S*cg
		case gradPatches:
			first = t * cg
		}
		for k := lo; k < hi; k++ {
			dw, from := st.dw[k*cg*taps+t:], st.parts[first+k*byK:]
			for c := range cg {
				dw[c*taps] = from[c*byC]
			}
		}
	}
	if st.db != nil {
		copy(st.db[lo:hi], st.parts[g.partials-s.K+lo:])
	}
}
