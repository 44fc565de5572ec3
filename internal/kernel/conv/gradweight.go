package conv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// GradWeight computes the gradient of a convolution with respect to its
// weights and bias: for each kernel element a sum over pixels of outer
// products of the output's gradient and the input. A tile of the result stays
// in registers while a chunk of pixels streams by.
//
// Pixels are cut into slices, and sums over slices are added in a fixed order:
// the slices depend on the shape only, so the result has the same bits for any
// number of workers.
type GradWeight struct {
	shape    Shape
	set      *gradSet
	slices   int
	blocks   []gradBlock
	images   int // images of a chunk
	lines    int // output lines of a chunk; all if images > 1
	chunks   int // chunks of all images
	rowLo    [][2]int
	states   reuse.List[gradWeightState]
	partials int // floats of one slice
}

// gradBlock is the output channels k to k+n, which one unit of work computes.
type gradBlock struct {
	k, n  int
	tiles []gradTile
}

// gradTile is a tile of the weights of one kernel element.
type gradTile struct {
	run      func(*gradArgs)
	k        int // first output channel
	src      int // first input channel
	dst      int // first input channel of the group
	channels int
}

const (
	gradPixels = 256     // pixels of a chunk, about
	gradUnits  = 16      // units of work, about
	gradFloats = 1 << 20 // limit of the partial sums of all slices
)

// NewGradWeight plans the gradient of the convolution s.
func NewGradWeight(s Shape) *GradWeight { return newGradWeight(tile.Best().Level, s) }

func newGradWeight(level cpu.Level, s Shape) *GradWeight {
	s = s.normal()
	g := &GradWeight{shape: s, set: gradSetFor(level)}
	lines := s.OD * s.P
	g.images, g.lines = 1, min(lines, max(1, gradPixels/s.Q))
	if g.lines == lines {
		g.images = min(s.N, max(1, gradPixels/(lines*s.Q)))
	}
	g.chunks = g.positions() * g.groups()
	taps := s.T * s.R * s.S
	g.partials = s.K*(s.C/s.Groups)*taps + s.K
	g.slices = max(1, min(gradUnits, gradFloats/g.partials, g.chunks))
	g.split((gradUnits + g.slices - 1) / g.slices)
	for q := range s.S {
		lo, hi := inside(s.Q, s.W, s.StrideW, q*s.DilW-s.PadW)
		g.rowLo = append(g.rowLo, [2]int{lo, hi})
	}
	return g
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

// split cuts the output channels into about n blocks and each into tiles.
func (g *GradWeight) split(n int) {
	s := &g.shape
	kg, cg := s.K/s.Groups, s.C/s.Groups
	if s.depthwise() {
		size := max((s.C/n+31)/32*32, 32)
		for k := 0; k < s.C; k += size {
			m := min(size, s.C-k)
			g.blocks = append(g.blocks, gradBlock{k, m, []gradTile{{run: g.set.depthwise, k: k, src: k, channels: m}}})
		}
		return
	}
	// Whole groups, or parts of one that are a multiple of all tile heights.
	groups, size := max(1, s.Groups/n), kg
	if s.Groups < n {
		per := (n + s.Groups - 1) / s.Groups
		size = max((kg/per+11)/12*12, 12)
	}
	for first := 0; first < s.Groups; first += groups {
		last := min(first+groups, s.Groups)
		if size >= kg {
			b := gradBlock{k: first * kg, n: (last - first) * kg}
			for i := first; i < last; i++ {
				b.tiles = append(b.tiles, g.tiles(i*kg, kg, i*cg)...)
			}
			g.blocks = append(g.blocks, b)
			continue
		}
		for k := 0; k < kg; k += size {
			m := min(size, kg-k)
			g.blocks = append(g.blocks, gradBlock{first*kg + k, m, g.tiles(first*kg+k, m, first*cg)})
		}
	}
}

// tiles covers n output channels from k on by the input channels of the group
// that starts at src.
func (g *GradWeight) tiles(k, n, src int) []gradTile {
	var list []gradTile
	cg := g.shape.C / g.shape.Groups
	for c := 0; c < cg; {
		width, masked := 0, false
		for _, o := range g.set.outer {
			if width == 0 && (o.cols <= cg-c || o.masked) {
				width, masked = o.cols, o.masked
			}
		}
		m := min(width, cg-c)
		for i := 0; i < n; {
			var best *outerKernel
			for j := range g.set.outer {
				o := &g.set.outer[j]
				if o.cols != width || o.masked != masked || o.rows > n-i {
					continue
				}
				// Eight rows are better cut 4+4 than 6+2.
				if best == nil || n-i == 8 && o.rows == 4 && best.rows < 8 {
					best = o
				}
			}
			list = append(list, gradTile{run: best.run, k: k + i, src: src + c, dst: c, channels: m})
			i += best.rows
		}
		c += m
	}
	return list
}

// Kernel names the kernels, for profiles.
func (g *GradWeight) Kernel() string {
	kind := "outer products"
	if g.shape.depthwise() {
		kind = "depthwise"
	}
	return fmt.Sprintf("weight gradient %s %s, %d slices x %d blocks", g.set.name, kind, g.slices, len(g.blocks))
}

// Scratch is the number of float32s that Run needs, with any number of workers.
func (g *GradWeight) Scratch(int) int { return g.slices * g.partials }

// gradWeightState is what one run needs besides the plan.
type gradWeightState struct {
	g                    *GradWeight
	dw, db, x, dy, parts []float32
	workers              []gradWorker
	body, reduceBody     func(worker, lo, hi int)
}

// gradWorker is the state of one worker: the pairs of pixels of each kernel
// element, and last those of the bias, for the chunk at position, images.
type gradWorker struct {
	args             gradArgs
	pairs            [][]int32
	position, images int
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
		st.body, st.reduceBody = st.work, st.reduce
	}
	for len(st.workers) < p.Workers() {
		st.workers = append(st.workers, gradWorker{pairs: make([][]int32, s.T*s.R*s.S+1)})
	}
	st.dw, st.db, st.x, st.dy, st.parts = dw, db, x, dy, scratch[:g.slices*g.partials]
	p.For(g.slices*len(g.blocks), 1, st.body)
	p.For(s.K, 1, st.reduceBody)
	st.dw, st.db, st.x, st.dy, st.parts = nil, nil, nil, nil, nil
	for i := range st.workers {
		st.workers[i].args = gradArgs{}
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
		for c := slice * g.chunks / g.slices; c < (slice+1)*g.chunks/g.slices; c++ {
			st.chunk(w, part, block, c)
		}
	}
}

// clear zeroes the block's part of a slice, [tap][K][C/Groups] and then [K].
func (st *gradWeightState) clear(part []float32, b *gradBlock) {
	s := &st.g.shape
	cg := s.C / s.Groups
	for t := range s.T * s.R * s.S {
		clear(part[(t*s.K+b.k)*cg:][:b.n*cg])
	}
	clear(part[len(part)-s.K+b.k:][:b.n])
}

// chunk adds one chunk of pixels to the block's sums.
func (st *gradWeightState) chunk(w *gradWorker, part []float32, b *gradBlock, c int) {
	g, s := st.g, &st.g.shape
	cg := s.C / s.Groups
	position, first := c/g.groups(), c%g.groups()*g.images
	st.list(w, position, min(g.images, s.N-first))
	x := st.x[first*s.D*s.H*s.W*s.SrcStride:]
	dy := st.dy[first*s.OD*s.P*s.Q*s.DstStride:]
	a := &w.args
	a.DstStride = cg
	taps := s.T * s.R * s.S
	for t := range taps {
		a.Pairs = w.pairs[t]
		for i := range b.tiles {
			tl := &b.tiles[i]
			a.X, a.DY = x[tl.src:], dy[tl.k:]
			a.Dst, a.Channels = part[(t*s.K+tl.k)*cg+tl.dst:], tl.channels
			tl.run(a)
		}
	}
	if st.db != nil {
		a.Pairs, a.Channels = w.pairs[taps], b.n
		a.X, a.DY, a.Dst = nil, dy[b.k:], part[len(part)-s.K+b.k:]
		g.set.addRows(a)
	}
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
	s := &st.g.shape
	out := (n*s.OD*s.P + l) * s.Q
	last := len(w.pairs) - 1
	for q := range s.Q {
		w.pairs[last] = append(w.pairs[last], 0, int32(4*(out+q)*s.DstStride))
	}
	for t := range s.T {
		z := l/s.P*s.StrideD - s.PadD + t*s.DilD
		for r := range s.R {
			y := l%s.P*s.StrideH - s.PadH + r*s.DilH
			if z < 0 || z >= s.D || y < 0 || y >= s.H {
				continue
			}
			row := ((n*s.D+z)*s.H + y) * s.W
			for e := range s.S {
				lo, hi := st.g.rowLo[e][0], st.g.rowLo[e][1]
				x := row + lo*s.StrideW - s.PadW + e*s.DilW
				list := w.pairs[(t*s.R+r)*s.S+e]
				for q := lo; q < hi; q++ {
					list = append(list, int32(4*x*s.SrcStride), int32(4*(out+q)*s.DstStride))
					x += s.StrideW
				}
				w.pairs[(t*s.R+r)*s.S+e] = list
			}
		}
	}
}

// reduce adds the slices of the output channels lo to hi, in order, and lays
// them out as weights.
func (st *gradWeightState) reduce(_, lo, hi int) {
	g, s := st.g, &st.g.shape
	cg, taps := s.C/s.Groups, s.T*s.R*s.S
	for k := lo; k < hi; k++ {
		dw := st.dw[k*cg*taps : (k+1)*cg*taps]
		for t := range taps {
			for i := range g.slices {
				part := st.parts[i*g.partials+(t*s.K+k)*cg:][:cg]
				at := t
				for _, v := range part {
					if i == 0 {
						dw[at] = v
					} else {
						dw[at] += v
					}
					at += taps
				}
			}
		}
		if st.db == nil {
			continue
		}
		sum := float32(0)
		for i := range g.slices {
			sum += st.parts[(i+1)*g.partials-s.K+k]
		}
		st.db[k] = sum
	}
}
