package sparse

import (
	"math"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// By lanes, the lanes of a vector are output channels, and pixels stay where
// they are. A step looks at a window of the inputs of a pixel: each lane chooses
// one of them by a permutation, each its own, and multiplies it by its weight.
// The windows of all pixels are at the same place, so that a step's choice and
// weights serve a tile of pixels. Nothing is transposed; but lanes wait for each
// other where the next weight of one is beyond the window.

const (
	laneGroup  = 16 // output channels of a group: lanes of a vector of sums
	laneUnit   = 16 // what the place of a window is a multiple of
	lanePixels = 14 // most pixels of a tile
)

// laneWindows are the numbers of inputs that there may be to choose from. Of
// more, fewer lanes wait; a step with fewer is quicker.
var laneWindows = [...]int{16, 32}

// laneArgs describes one call of a kernel: tiles of pixels, by groups of output
// channels. The assembly knows the layout; TestArgsLayout guards it.
type laneArgs struct {
	Src                       unsafe.Pointer // the first pixel, or the strip where it starts
	Dst                       unsafe.Pointer
	Add                       unsafe.Pointer // or nil
	SrcStep, DstStep, AddStep int            // bytes from pixel to pixel
	Tiles, Groups             int
	Last                      int            // mask of the output channels of the last group
	At                        unsafe.Pointer // [step]int32, the place of the window in bytes
	Index                     unsafe.Pointer // [step][lane]uint8
	Weights                   unsafe.Pointer // [step][lane]float32
	Bias                      unsafe.Pointer // [group][lane]float32
	Counts                    unsafe.Pointer // [group]int32, steps
	Clamp                     int            // 1 if there are limits
	Min, Max                  float32

	// Of the assembly, meaningless between calls.
	biasAt, countAt, dstAt, addAt, tileDst, tileAdd uintptr
	groupsLeft                                      int

	Twice int // 1 if the output channels of the last group have two lanes, 8 apart
}

// lanesConv computes a convolution by lanes.
type lanesConv struct {
	strip
	window int        // which of laneWindows
	whole  conv.Shape // the shape before the strip made one row of it
	laneStream
	k        *kernels
	min, max float32
	tile     int // pixels
	parts    int // units of work that a block is split into, by output channels
	states   reuse.List[laneState]
}

// laneStream is the weights as the kernels read them. Each slice goes over all
// groups.
type laneStream struct {
	at      []int32
	index   []uint8
	weights []float32
	bias    []float32
	counts  []int32
	first   []int // step of each group, and of the end
}

func newLanes(k *kernels, s conv.Shape, p conv.Params) *lanesConv {
	c := &lanesConv{k: k, whole: s, min: p.Min, max: p.Max}
	c.tile = tilePixels(&s)
	c.strip = newStrip(s, c.tile)
	_, c.window = laneCost(k.rates, &c.strip, p.Weights)
	c.pack(p)
	c.parts = min(max(1, wantedUnits/c.blocks), c.groups())
	return c
}

// tilePixels is the number of pixels of a tile: so few that their inputs stay in
// the first-level cache while the output channels pass.
func tilePixels(s *conv.Shape) int {
	const bytes = 36 << 10
	return max(4, min(lanePixels, bytes/(4*s.C)))
}

func (c *lanesConv) groups() int { return ceilDiv(c.K, laneGroup) }

// pack lays out the weights.
func (c *lanesConv) pack(p conv.Params) {
	c.bias = onLine(make([]float32, laneGroup*c.groups()+line))[:laneGroup*c.groups()]
	copy(c.bias, p.Bias)
	// About as much memory as the estimate says: layers may be large.
	room := int(laneSteps(&c.strip, laneWindows[c.window], p.Weights)*1.05) + 64
	c.at, c.index = make([]int32, 0, room), make([]uint8, 0, room*laneGroup)
	c.weights = onLine(make([]float32, room*laneGroup+line))[:0]
	var rows laneRows
	for g := range c.groups() {
		rows.gather(&c.strip, p.Weights, g)
		c.first = append(c.first, len(c.at))
		steps := rows.schedule(laneWindows[c.window], c.limit(laneWindows[c.window]), func(at int, lane, index int, w float32) {
			if lane == 0 {
				c.at = append(c.at, int32(4*at))
			}
			c.index, c.weights = append(c.index, uint8(index)), append(c.weights, w)
		})
		c.counts = append(c.counts, int32(steps))
	}
	c.first = append(c.first, len(c.at))
	if len(c.at) > room { // moved, to anywhere
		c.weights = append(onLine(make([]float32, len(c.weights)+line))[:0], c.weights...)
	}
}

// laneRows is the weights of the output channels of a group, with their places
// in floats.
type laneRows struct {
	list, left [laneGroup][]weight
	lanes      int // of different output channels: lane i takes those of i%lanes
}

// twice reports whether so many output channels leave so few to the last group
// that they have two lanes each.
func twice(channels int) bool { return (channels-1)%laneGroup < laneGroup/2 }

// gather reads the rows of group i.
func (r *laneRows) gather(g *strip, w []float32, i int) {
	r.lanes = laneGroup
	if (i+1)*laneGroup >= g.K && twice(g.K) {
		r.lanes = laneGroup / 2
	}
	for lane := range r.list {
		r.list[lane] = r.list[lane][:0]
		if k := i*laneGroup + lane; k < g.K {
			r.list[lane] = g.row(r.list[lane], w, k)
		}
	}
}

// row appends the non-zero weights of output channel k, in the order of their
// places in the strip.
func (g *strip) row(to []weight, w []float32, k int) []weight {
	taps := g.R * g.S
	w = w[k*g.C*taps:][:g.C*taps]
	for t := range taps {
		at := g.tap(t/g.S, t%g.S)
		for c := range g.C {
			if v := w[c*taps+t]; v != 0 {
				to = append(to, weight{at + c, v})
			}
		}
	}
	return to
}

// schedule finds the steps of a group and returns their number: always the
// foremost window that some lane still waits for. It passes the lanes of each
// step in order: the place of the window, the input in it and the weight. A lane
// that has none multiplies the input that another lane needs by zero. Windows
// are no further than limit.
func (r *laneRows) schedule(window, limit int, emit func(at, lane, index int, w float32)) int {
	r.left = r.list
	for steps := 0; ; steps++ {
		foremost := math.MaxInt
		for _, l := range r.left {
			if len(l) > 0 {
				foremost = min(foremost, l[0].at)
			}
		}
		if foremost == math.MaxInt {
			return steps
		}
		at := max(0, min(foremost/laneUnit*laneUnit, limit))
		for lane := range laneGroup {
			w, l := weight{at: foremost}, r.left[lane%r.lanes]
			if len(l) > 0 && l[0].at < at+window {
				w, r.left[lane%r.lanes] = l[0], l[1:]
			}
			if emit != nil {
				emit(at, lane, w.at-at, w.v)
			}
		}
	}
}

// laneSteps is the number of steps of all groups, estimated from some.
func laneSteps(g *strip, window int, w []float32) float64 {
	const sample = 6
	groups := ceilDiv(g.K, laneGroup)
	n := min(groups, sample)
	var rows laneRows
	steps := 0
	for i := range n {
		rows.gather(g, w, i*groups/n)
		steps += rows.schedule(window, g.limit(window), nil)
	}
	return float64(steps) * float64(groups) / float64(n)
}

// laneCost is the least time of all steps for a pixel, and with which window.
func laneCost(r *rates, g *strip, w []float32) (least float64, window int) {
	least = math.Inf(1)
	for i, n := range laneWindows {
		if t := laneSteps(g, n, w) * r.lanes[i]; t < least {
			least, window = t, i
		}
	}
	return least, window
}

// perWorker is room for a strip.
func (c *lanesConv) perWorker() int { return lines(c.floats()) }

func (c *lanesConv) exec(p *parallel.Pool, dst, src, add, scratch []float32) {
	st := c.begin(p.Workers(), dst, src, add, scratch)
	p.For(c.blocks*c.parts, 1, st.body)
	c.end(st)
}

// begin returns the state of a run.
func (c *lanesConv) begin(workers int, dst, src, add, scratch []float32) *laneState {
	st := c.states.Get()
	if st == nil {
		st = &laneState{c: c}
		st.body = st.work
	}
	if len(st.args) < workers {
		st.args = make([]laneArgs, workers)
	}
	st.dst, st.src, st.add, st.scratch = dst, src, add, scratch
	return st
}

// end keeps the state for the next run.
func (c *lanesConv) end(st *laneState) {
	st.dst, st.src, st.add, st.scratch = nil, nil, nil, nil
	clear(st.args)
	c.states.Put(st)
}

func (c *lanesConv) bands() bool { return true }

func (c *lanesConv) band(dst, src, add, scratch []float32, lo, hi, from int) {
	st := c.begin(1, dst, src, add, scratch)
	a := st.worker(0)
	if s := &c.whole; oneToOne(s) {
		st.src = src[(lo-from)*s.W*s.SrcStride:]
		for at, n := 0, (hi-lo)*s.Q; at < n; at += c.wide {
			b := cells{rows: 1, col: at, cells: min(c.wide, n-at), first: at}
			st.block(a, &b, scratch, 0, 0, c.groups(), true)
		}
	} else {
		for row := lo; row < hi; row += c.rows {
			for col := 0; col < c.Q; col += c.wide {
				b := cells{row: row, rows: min(c.rows, hi-row), col: col, cells: min(c.wide, c.Q-col), first: (row-lo)*c.Q + col}
				st.block(a, &b, scratch, from, 0, c.groups(), true)
			}
		}
	}
	c.end(st)
}

// laneState is what one run needs besides the plan.
type laneState struct {
	c                      *lanesConv
	dst, src, add, scratch []float32
	args                   []laneArgs
	body                   func(worker, lo, hi int)
}

// work computes the units lo to hi: each is a block of pixels by a share of the
// output channels.
func (st *laneState) work(id, lo, hi int) {
	c, a := st.c, st.worker(id)
	mine := st.scratch[id*c.perWorker():][:c.perWorker()]
	filled := -1
	for u := lo; u < hi; u++ {
		i, part := u/c.parts, u%c.parts
		b := c.blockAt(i)
		st.block(a, &b, mine, 0, part*c.groups()/c.parts, (part+1)*c.groups()/c.parts, i != filled)
		filled = i
	}
}

// worker readies the arguments of a worker.
func (st *laneState) worker(id int) *laneArgs {
	c, a := st.c, &st.args[id]
	*a = laneArgs{SrcStep: 4 * c.pitch * c.cellCols, DstStep: 4 * c.DstStride, AddStep: 4 * c.AddStride, Min: c.min, Max: c.max}
	if c.min > negInf || c.max < posInf {
		a.Clamp = 1
	}
	return a
}

// block computes the groups of output channels lo to hi of a block; room is for
// its strip, which is to be filled first, or not. The input begins with row from.
func (st *laneState) block(a *laneArgs, b *cells, room []float32, from, lo, hi int, fill bool) {
	c := st.c
	if c.direct {
		room = st.src[b.first*c.SrcStride:]
	} else if fill {
		c.fill(c.k, b, room, st.src, from)
	}
	st.unit(a, b, room, lo, hi)
}

// unit computes the groups of output channels lo to hi of a block, some of them
// at a time, so that their weights stay in the second-level cache meanwhile.
func (st *laneState) unit(a *laneArgs, b *cells, from []float32, lo, hi int) {
	const bytes = 256 << 10
	c := st.c
	for lo < hi {
		end := lo + 1
		for end < hi && 5*laneGroup*(c.first[end+1]-c.first[lo]) <= bytes {
			end++
		}
		a.Groups, a.Last, a.Twice = end-lo, 1<<laneGroup-1, 0
		if left := c.K - (end-1)*laneGroup; left < laneGroup {
			a.Last = 1<<left - 1
			if twice(c.K) {
				a.Twice = 1
			}
		}
		step := c.first[lo]
		a.At, a.Index = unsafe.Pointer(unsafe.SliceData(c.at[step:])), unsafe.Pointer(unsafe.SliceData(c.index[step*laneGroup:]))
		a.Weights = unsafe.Pointer(unsafe.SliceData(c.weights[step*laneGroup:]))
		a.Bias, a.Counts = unsafe.Pointer(&c.bias[lo*laneGroup]), unsafe.Pointer(&c.counts[lo])
		for r := range b.rows {
			st.row(a, b.first+r*c.Q, b.cells, from[r*c.rowLines*c.cols*c.pitch:], lo*laneGroup)
		}
		lo = end
	}
}

// row computes n pixels from output pixel first on, in tiles of nearly the same
// size, which read from, for the output channels from k on.
func (st *laneState) row(a *laneArgs, first, n int, from []float32, k int) {
	c := st.c
	tiles := ceilDiv(n, c.tile)
	size := ceilDiv(n, tiles)
	large := n - (size-1)*tiles
	for at := 0; at < n; size-- {
		a.Tiles = large
		a.Src = unsafe.Pointer(&from[at*c.cellCols*c.pitch])
		a.Dst, a.Add = unsafe.Pointer(&st.dst[(first+at)*c.DstStride+k]), nil
		if st.add != nil {
			a.Add = unsafe.Pointer(&st.add[(first+at)*c.AddStride+k])
		}
		c.k.lanesRun[c.window][size](a)
		at += large * size
		large = tiles - large
	}
}

// portableLanes computes tiles of rows pixels.
func portableLanes(a *laneArgs, rows int) {
	counts := unsafe.Slice((*int32)(a.Counts), a.Groups)
	steps := 0
	for _, n := range counts {
		steps += int(n)
	}
	at, index := unsafe.Slice((*int32)(a.At), steps), unsafe.Slice((*uint8)(a.Index), laneGroup*steps)
	weights, bias := unsafe.Slice((*float32)(a.Weights), laneGroup*steps), unsafe.Slice((*float32)(a.Bias), laneGroup*len(counts))
	for i := range a.Tiles * rows {
		src := unsafe.Add(a.Src, i*a.SrcStep)
		step := 0
		for g := range a.Groups {
			out := [laneGroup]float32(bias[g*laneGroup:])
			for range counts[g] {
				for lane := range out {
					e := step*laneGroup + lane
					out[lane] += weights[e] * *(*float32)(unsafe.Add(src, int(at[step])+4*int(index[e])))
				}
				step++
			}
			channels := laneGroup
			if g == a.Groups-1 {
				for i := range laneGroup / 2 * a.Twice {
					out[i] += out[i+laneGroup/2]
				}
				for channels = 0; a.Last>>channels != 0; channels++ {
				}
			}
			if a.Add != nil {
				add := unsafe.Slice((*float32)(unsafe.Add(a.Add, i*a.AddStep+4*g*laneGroup)), channels)
				for j, v := range add {
					out[j] += v
				}
			}
			if a.Clamp != 0 {
				clamp(out[:channels], a.Min, a.Max)
			}
			copy(unsafe.Slice((*float32)(unsafe.Add(a.Dst, i*a.DstStep+4*g*laneGroup)), channels), out[:])
		}
	}
}
