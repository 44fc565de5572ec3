package sparse

import (
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// panelConv computes a convolution with panels.
type panelConv struct {
	geometry
	packed
	k        *kernels
	min, max float32
	zero     []float32
	units    int // units of work that a block is split into, by output channels
	states   reuse.List[state]
}

func newPanel(k *kernels, m method, nonzero int, s conv.Shape, p conv.Params) *panelConv {
	c := &panelConv{k: k, min: p.Min, max: p.Max, zero: make([]float32, s.C)}
	c.geometry = newGeometry(s, k.lanes, k.vecs[m])
	c.packed = pack(k, &c.geometry, m == byBlocks, nonzero, p)
	c.units = min(max(1, wantedUnits/c.blocks), len(c.groups))
	return c
}

// perWorker is room for a panel and for the sums of a unit, and those of one
// output channel more, which fills up strips.
func (c *panelConv) perWorker() int {
	return lines(c.panel()) + lines((c.unitGroups()*groupOutput+1)*c.pitchOut())
}

// unitGroups is the most groups of output channels of a unit of work.
func (c *panelConv) unitGroups() int { return ceilDiv(len(c.groups), c.units) }

// pitchOut is the distance of the sums of two output channels.
func (c *panelConv) pitchOut() int { return max(c.lanes*c.vecs, 1) }

func (c *panelConv) exec(p *parallel.Pool, dst, src, add, scratch []float32) {
	st := c.begin(p.Workers(), dst, src, add, scratch)
	p.For(c.blocks*c.units, 1, st.body)
	c.end(st)
}

// begin returns the state of a run.
func (c *panelConv) begin(workers int, dst, src, add, scratch []float32) *state {
	st := c.states.Get()
	if st == nil {
		st = &state{c: c}
		st.body = st.work
	}
	if len(st.workers) < workers {
		st.workers = make([]worker, workers)
	}
	st.dst, st.src, st.add, st.scratch = dst, src, add, scratch
	return st
}

// end keeps the state for the next run.
func (c *panelConv) end(st *state) {
	st.dst, st.src, st.add, st.scratch = nil, nil, nil, nil
	clear(st.workers)
	c.states.Put(st)
}

func (c *panelConv) bands() bool { return c.vecs > 0 && oneToOne(&c.Shape) }

func (c *panelConv) band(dst, src, add, scratch []float32, lo, hi, from int) {
	st := c.begin(1, dst, src[(lo-from)*c.W*c.SrcStride:], add, scratch)
	w, n := st.worker(0), (hi-lo)*c.Q
	all := ceilDiv(n, c.lanes)
	blocks := ceilDiv(all, c.vecs)
	for i := range blocks {
		first, end := i*all/blocks, (i+1)*all/blocks
		w.block, w.loaded = block{first: c.lanes * first, rows: 1, cols: min(c.lanes*end, n) - c.lanes*first, vecs: end - first}, 0
		for part := range c.units {
			st.part(w, part)
		}
	}
	c.end(st)
}

// state is what one run needs besides the plan.
type state struct {
	c                      *panelConv
	dst, src, add, scratch []float32
	workers                []worker
	body                   func(worker, lo, hi int)
}

// worker is the state of one worker of a run.
type worker struct {
	loader
	strip  stripArgs
	in     inArgs
	out    outArgs
	sums   []float32
	block  block
	loaded int // rows of the panel that are those of the block
}

// work computes the units lo to hi: each is a block of pixels by a share of
// the output channels.
func (st *state) work(id, lo, hi int) {
	c, w := st.c, st.worker(id)
	block := -1
	for u := lo; u < hi; u++ {
		if i := u / c.units; i != block {
			block, w.loaded = i, 0
			w.block = c.blockAt(i)
		}
		st.part(w, u%c.units)
	}
}

// part computes a share of the output channels of the worker's block.
func (st *state) part(w *worker, i int) {
	n := len(st.c.groups)
	st.unit(w, i*n/st.c.units, (i+1)*n/st.c.units)
}

// worker readies a worker.
func (st *state) worker(id int) *worker {
	c, w := st.c, &st.workers[id]
	mine := st.scratch[id*c.perWorker():][:c.perWorker()]
	size := lines(c.panel())
	w.loader = loader{geometry: &c.geometry, k: c.k, zero: c.zero, args: &w.in, src: st.src, panel: mine[:size]}
	w.strip, w.sums = stripArgs{Panel: mine[:size]}, mine[size:]
	w.out = outArgs{Ld: c.pitchOut(), DstStride: c.DstStride, AddStride: c.AddStride, Min: c.min, Max: c.max}
	return w
}

// unit computes the groups of output channels lo to hi of the worker's block,
// depth by depth of the panel, so that what is read of it stays in the
// first-level cache meanwhile.
func (st *state) unit(w *worker, lo, hi int) {
	c := st.c
	a, run := &w.strip, c.kernel(c.k, w.block.vecs)
	a.Min, a.Max, a.More, a.Clamp = c.min, c.max, 0, 0
	all, _ := c.panelRows()
	for d, first := 0, 0; first < all; d, first = d+1, first+c.depth {
		if first >= w.loaded {
			w.loaded = min(first+c.depth, all)
			w.load(w.block, first, w.loaded)
		}
		last := first+c.depth >= all
		if last && st.add == nil && (c.min > negInf || c.max < posInf) {
			a.Clamp = 1
		}
		for g := lo; g < hi; g++ {
			a.Stream, a.Strips = c.stream[c.groups[g].at[d]:], c.groups[g].strips
			a.Out = w.sums[(g-lo)*groupOutput*c.pitchOut():]
			run(a)
			if last {
				st.store(w, g)
			}
		}
		a.More = 1
	}
}

// store copies the sums of output group g to the pixels of the worker's block.
func (st *state) store(w *worker, g int) {
	c, a, b := st.c, &w.out, &w.block
	k := g * groupOutput
	a.Chans = min(groupOutput, c.K-k)
	for i := range b.rows {
		pixel := b.first + i*c.Q
		a.Src, a.Pixels = w.strip.Out[i*c.pitch:], b.cols
		a.Dst = st.dst[pixel*c.DstStride+k:]
		if st.add != nil {
			a.Add = st.add[pixel*c.AddStride+k:]
		}
		if c.vecs == 0 {
			portableOut(a, 0)
		} else {
			c.k.out(a)
		}
	}
}
