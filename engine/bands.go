package engine

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/tensor"
)

// Values that a cache does not hold are not computed as a whole: the steps between
// them take turns, a band of rows each, and rows that two bands need are kept
// (Alwani et al., "Fused-layer CNN accelerators", MICRO 2016). Kernels and the order
// of their sums stay the same, and so do the bits.

const (
	// bandLink is the size from which on a value between two steps joins them.
	bandLink = 512 << 10 // bytes
	// bandWeights is how many times that value outweighs the weights of both
	// steps, which every band reads again.
	bandWeights = 4
	// bandStages is how many kernels a chain has at most. More divide the cache
	// into lower bands.
	bandStages = 3
)

// bandBytes is about what the values of a band may take: a part of a second-level
// cache, which holds a megabyte or more where there is AVX-512.
func bandBytes() int {
	if cpu.Best() >= cpu.AVX512 {
		return 768 << 10
	}
	return 384 << 10
}

// bandKernel computes some rows of an image; see conv.Conv.
type bandKernel interface {
	Shape() conv.Shape
	Scratch(workers int) int
	InputRows(lo, hi int) (first, last int)
	RunBand(dst, src, add, scratch []float32, lo, hi, from int)
}

// rowwise is how a step computes some rows of its output.
type rowwise struct {
	src, dst, add *buf
	weights       int                 // bytes
	kernel        func() bandKernel   // nil where all rows are computed at once
	unary         func(dst []float32) // in place, instead of a kernel
}

// stage is a kernel of a chain, and the unary operators after it.
type stage struct {
	shape   conv.Shape
	kernel  bandKernel
	add     *buf
	unaries []func(dst []float32)
	part    int // of the chain: the kernel; its unary operators follow
	row     int // floats of a row of the output
	keeps   int // rows of the output in the worker's memory; 0 for the last stage, whose output is the chain's
	at      int // where in the worker's memory
}

// chain is the run of steps that take turns.
type chain struct {
	src, dst *buf
	scratch  *buf
	stages   []stage
	images   int
	segments int // of an image: workers compute them apart
	height   int // rows of a band of the last output
	room     int // floats of a worker's memory, of which the first are scratch memory of the kernels
}

// chains joins steps whose values exceed the caches.
func (c *compiler) chains() {
	touched := map[*buf]int{} // by how many steps
	for i := range c.steps {
		for r := range c.steps[i].roots() {
			touched[r]++
		}
	}
	// link reports whether b alone reads what a computes, row by row.
	link := func(a, b *step) bool {
		if a.rows == nil || b.rows == nil {
			return false
		}
		from, to := a.rows.dst, b.rows.src
		r, at := from.root()
		s, sat := to.root()
		if b.rows.add != nil {
			if t, _ := b.rows.add.root(); t == r {
				return false
			}
		}
		return r == s && at == sat && from.step() == to.step() && r.place == inArena && touched[r] == 2
	}
	var out []step
	for i := 0; i < len(c.steps); {
		n := chainLength(c.steps[i:], link)
		if n > 1 {
			out = append(out, c.chain(c.steps[i:i+n]))
		} else {
			out = append(out, c.steps[i])
		}
		i += max(n, 1)
	}
	c.steps = out
}

// roots are the buffers that a step reads or writes.
func (s *step) roots() map[*buf]bool {
	m := map[*buf]bool{}
	for _, list := range [][]*buf{s.in, s.out, {s.scratch}} {
		for _, b := range list {
			if b != nil {
				r, _ := b.root()
				m[r] = true
			}
		}
	}
	return m
}

// chainLength is the number of steps from the first on that are worth joining.
func chainLength(steps []step, link func(a, b *step) bool) int {
	// group is the number of steps of a kernel and the unary operators after it.
	group := func(steps []step) int {
		if len(steps) == 0 || steps[0].rows == nil || steps[0].rows.kernel == nil || steps[0].rows.kernel() == nil {
			return 0
		}
		n := 1
		for n < len(steps) && steps[n].rows != nil && steps[n].rows.unary != nil && link(&steps[n-1], &steps[n]) {
			n++
		}
		return n
	}
	n := group(steps)
	if n == 0 || n > 1 && steps[0].rows.dst.bytes < bandLink {
		return 0
	}
	// ends are those of the groups that are worth joining, links the values after them.
	ends, links := []int{n}, []int{}
	for first := 0; ; {
		more := group(steps[n:])
		if more == 0 || !link(&steps[n-1], &steps[n]) {
			break
		}
		size := steps[n-1].rows.dst.bytes
		if size < bandLink || bandWeights*max(steps[first].rows.weights, steps[n].rows.weights) > size {
			break
		}
		first = n
		n += more
		ends, links = append(ends, n), append(links, size)
	}
	return ends[firstCut(links)]
}

// firstCut is the number of the link after which a run of groups is cut first, so
// that no part has more than bandStages groups and the links that are cut are small
// in all; len(links) if it stays whole.
func firstCut(links []int) int {
	n := len(links) + 1
	cost, cut := make([]int, n+1), make([]int, n+1) // of the groups from one on
	for i := n - 1; i >= 0; i-- {
		cost[i] = math.MaxInt
		for j := i + 1; j <= min(i+bandStages, n); j++ {
			c := cost[j]
			if j < n {
				c += links[j-1]
			}
			if c < cost[i] {
				cost[i], cut[i] = c, j
			}
		}
	}
	return cut[0] - 1
}

// chain joins steps.
func (c *compiler) chain(steps []step) step {
	ch := &chain{src: steps[0].rows.src, dst: steps[len(steps)-1].rows.dst, segments: 1}
	st := step{node: steps[0].node, parts: steps, in: []*buf{ch.src}, out: []*buf{ch.dst}}
	for i := range steps {
		s := &steps[i]
		st.macs += s.macs
		s.linked = [2]bool{i > 0, i < len(steps)-1}
		if s.rows.unary != nil {
			g := &ch.stages[len(ch.stages)-1]
			g.unaries = append(g.unaries, s.rows.unary)
			continue
		}
		k := s.rows.kernel()
		shape := k.Shape()
		ch.images = shape.N
		ch.stages = append(ch.stages, stage{kernel: k, shape: shape, add: s.rows.add, part: i, row: shape.Q * shape.DstStride})
		if s.rows.add != nil {
			st.in = append(st.in, s.rows.add)
		}
	}
	t := c.pool.Workers()
	last := &ch.stages[len(ch.stages)-1]
	if ch.images%t != 0 {
		ch.segments = min(t, last.shape.P)
	}
	ch.layOut()
	ch.scratch = &buf{name: "scratch", dtype: tensor.Uint8, bytes: 4 * ch.room * t}
	ch.scratch.shape = []int{ch.scratch.bytes}
	st.scratch = ch.scratch
	st.run = c.workerLoop(ch.images*ch.segments, 1, ch.work)
	return st
}

// layOut chooses the height of bands and lays out a worker's memory.
func (ch *chain) layOut() {
	last := len(ch.stages) - 1
	scratch := 0
	for i := range ch.stages {
		scratch = max(scratch, ch.stages[i].kernel.Scratch(1))
	}
	// Heights that three divides fill the tiles of the kernels well.
	for _, ch.height = range []int{48, 24, 12, 9, 6, 3, 2, 1} {
		for i := range ch.stages {
			ch.stages[i].keeps = 0
		}
		for seg := range ch.segments {
			ch.walk(seg, func(i, _, hi, keep int) {
				if s := &ch.stages[i]; i < last {
					s.keeps = max(s.keeps, hi-keep)
				}
			})
		}
		ch.room = scratch
		for i := range ch.stages[:last] {
			s := &ch.stages[i]
			s.at = ch.room
			ch.room += s.keeps * s.row
		}
		ch.room = alignUp(4*(ch.room+slack)) / 4
		if ch.height <= ch.stages[last].shape.P && 4*(ch.room-scratch) <= bandBytes() {
			break
		}
	}
}

// slack are the floats that a depthwise kernel may read past a buffer's end.
const slack = 1 << 10

// walk visits the bands of a segment: for each the stages in turn, with the rows lo
// to hi-1 of the output that are to be computed, and the first row that is still
// needed.
func (ch *chain) walk(segment int, visit func(stage, lo, hi, keep int)) {
	var next, want [bandStages]int // the rows up to which each output is, and is to be, computed
	last := len(ch.stages) - 1
	rows := ch.stages[last].shape.P
	end := (segment + 1) * rows / ch.segments
	next[last] = segment * rows / ch.segments
	for i := last; i > 0; i-- {
		next[i-1], _ = ch.stages[i].kernel.InputRows(next[i], next[i]+1)
	}
	for next[last] < end {
		want[last] = min(next[last]+ch.height, end)
		for i := last; i > 0; i-- {
			_, want[i-1] = ch.stages[i].kernel.InputRows(want[i]-1, want[i])
		}
		for i := range ch.stages {
			if want[i] <= next[i] {
				continue
			}
			keep := next[i]
			if i < last {
				first, _ := ch.stages[i+1].kernel.InputRows(next[i+1], next[i+1]+1)
				keep = min(keep, first)
			}
			visit(i, next[i], want[i], keep)
			next[i] = want[i]
		}
	}
}

// work computes the segments lo to hi-1.
func (ch *chain) work(x *frame, worker, lo, hi int) {
	mem := f32(x, ch.scratch)[worker*ch.room:][:ch.room]
	in, out := f32(x, ch.src), f32(x, ch.dst)
	for u := lo; u < hi; u++ {
		image := u / ch.segments
		var origin [bandStages]int // first row in the memory of each stage
		ch.walk(u%ch.segments, func(i, lo, hi, keep int) {
			start := x.clock.start()
			s := &ch.stages[i]
			var dst []float32
			if s.keeps == 0 {
				dst = out[(image*s.shape.P+lo)*s.row:]
			} else {
				own := mem[s.at:][:s.keeps*s.row]
				if lo == keep {
					origin[i] = lo
				} else if hi-origin[i] > s.keeps {
					copy(own, own[(keep-origin[i])*s.row:(lo-origin[i])*s.row])
					origin[i] = keep
				}
				dst = own[(lo-origin[i])*s.row:]
			}
			var src []float32
			from := 0
			if i == 0 {
				src = in[image*s.shape.H*s.shape.W*s.shape.SrcStride:]
			} else {
				src, from = mem[ch.stages[i-1].at:], origin[i-1]
			}
			var add []float32
			if s.add != nil {
				add = f32(x, s.add)[(image*s.shape.P+lo)*s.shape.Q*s.shape.AddStride:]
			}
			s.kernel.RunBand(dst, src, add, mem, lo, hi, from)
			start = x.clock.lap(s.part, start)
			for j, f := range s.unaries {
				f(dst[:(hi-lo)*s.row])
				start = x.clock.lap(s.part+1+j, start)
			}
		})
	}
}

// clock adds up how long the parts of a chain take, on all workers together. A nil
// clock does not run.
type clock []atomic.Int64

func (c clock) start() time.Time {
	if c == nil {
		return time.Time{}
	}
	return time.Now()
}

func (c clock) lap(part int, start time.Time) time.Time {
	if c == nil {
		return start
	}
	now := time.Now()
	c[part].Add(int64(now.Sub(start)))
	return now
}

// share divides a time among the parts as the clock says.
func (c clock) share(took time.Duration) []time.Duration {
	total := int64(0)
	for i := range c {
		total += c[i].Load()
	}
	parts := make([]time.Duration, len(c))
	for i := range c {
		parts[i] = time.Duration(float64(took) * float64(c[i].Load()) / float64(max(total, 1)))
	}
	return parts
}
