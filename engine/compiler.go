package engine

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
	"github.com/drawknife/drawknife/tensor"
)

// step is one kernel call of a plan.
type step struct {
	node    *graph.Node
	kernel  string // what the profile calls it
	in, out []*buf
	scratch *buf
	macs    int64
	run     func(x *frame) error
	alone   bool // one worker is quicker than all; see alone.go

	rows   *rowwise // nil if all of the output is computed at once
	parts  []step   // of a chain; see bands.go
	linked [2]bool  // of a part: its input, its output stays in the cache
}

// slot holds the buffers of one value, by layout.
type slot struct {
	bufs [2]*buf
	// wide is the value's place among the channels of a wider buffer, if that
	// is where it was computed.
	wide *buf
	// force, if set, emits the step that computes the value: a value whose
	// only readers turn out to be fused away is never computed.
	force func() error
	// gating is what the value is the product of, as long as force is set.
	gating *gating
	// flipped holds the uint8 form of an int8 value.
	flipped *slot
	signs   []signs // of a value that binary convolutions read
}

// compiler lowers a graph to steps. A lowering asks for its inputs in the
// layout it wants (use), which converts them at most once, declares its
// outputs (def), and emits a step.
type compiler struct {
	g         *graph.Graph
	pool      *parallel.Pool
	variables map[string]bool
	slots     map[*graph.Value]*slot
	done      map[*graph.Node]bool
	steps     []step
	quant     quantizer
	wides     map[*graph.Node]*buf      // outputs of Concat nodes that exist already
	unrolled  map[*graph.Value][2]int   // see unroll
	above     map[*graph.Node][]float32 // see absorbShift
	builds    []build                   // kernels yet to be made
	overs     map[*buf]bool             // see over
	loops     int                       // loop bodies that a frame binds
	keep      map[string]bool           // values that must stay observable under their own name
	err       error
}

// lowering emits the steps of one node.
type lowering func(c *compiler, n *graph.Node) error

var lowerings = map[string]lowering{}

// lower registers the lowering of operators of one domain.
func lower(domain string, f lowering, ops ...string) {
	for _, op := range ops {
		key := domain + "\x00" + op
		if lowerings[key] != nil {
			panic("engine: operator lowered twice: " + op)
		}
		lowerings[key] = f
	}
}

// constant returns the elements of v if they are fixed at compile time.
func (c *compiler) constant(v *graph.Value) *tensor.Tensor {
	if v == nil || v.Data == nil || c.variables[v.Name] {
		return nil
	}
	return v.Data
}

// known reports whether v's buffer exists already or is fixed, so that a
// fused kernel may read it now.
func (c *compiler) known(v *graph.Value) bool {
	return v.Data != nil || c.slots[v] != nil
}

func (c *compiler) slot(v *graph.Value) *slot {
	s := c.slots[v]
	if s == nil {
		s = &slot{}
		c.slots[v] = s
	}
	return s
}

// fail remembers the first error of a lowering.
func (c *compiler) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// use returns v's buffer in layout l, converting it if need be. Tensors of
// fewer than three dimensions have one layout only.
func (c *compiler) use(v *graph.Value, l layout) *buf {
	s := c.slot(v)
	if s.bufs[plain] == nil && s.bufs[channelsLast] == nil {
		switch {
		case s.wide != nil:
			c.gatherWide(v, s)
		case s.force != nil:
			if !c.forced(s) {
				return c.def(v, l)
			}
		case v.Data != nil:
			s.bufs[plain] = c.constBuf(v.Name, v.Data)
		default:
			c.fail(fmt.Errorf("engine: value %q is read before it is computed", v.Name))
			return c.def(v, l)
		}
	}
	if b := s.bufs[l]; b != nil {
		return b
	}
	b := c.relayout(s.bufs[1-l], l)
	s.bufs[l] = b
	return b
}

// forced computes the value of s after all.
func (c *compiler) forced(s *slot) bool {
	force := s.force
	s.force = nil
	if err := force(); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// any returns v's buffer in whatever layout it has, channels-last preferred.
func (c *compiler) any(v *graph.Value) *buf {
	if c.isLast(v) || c.slots[v] != nil && c.slots[v].bufs[channelsLast] != nil {
		return c.use(v, channelsLast)
	}
	return c.use(v, plain)
}

// isLast reports whether v is at hand in channels-last layout where the two
// layouts differ. It is for those who are about to read v.
func (c *compiler) isLast(v *graph.Value) bool {
	s := c.slots[v]
	if s != nil && s.bufs[plain] == nil && s.bufs[channelsLast] == nil && s.force != nil {
		c.forced(s)
	}
	return s != nil && (s.bufs[channelsLast] != nil || s.wide != nil) && s.bufs[plain] == nil
}

func (c *compiler) constBuf(name string, t *tensor.Tensor) *buf {
	return &buf{name: name, dtype: t.DType, shape: t.Shape, bytes: t.NBytes(), place: inConst, data: t.Bytes()}
}

// relayout gives the other layout of b: for nothing where they coincide, at
// compile time for constants, by a step otherwise.
func (c *compiler) relayout(b *buf, l layout) *buf {
	out := &buf{name: b.name, dtype: b.dtype, shape: b.shape, layout: l, bytes: b.bytes}
	if sameInBothLayouts(b.shape) {
		out.of = b
		return out
	}
	n, ch, spatial := b.channels()
	size := b.dtype.Bits() / 8
	if size != 4 && size != 1 {
		c.fail(fmt.Errorf("engine: value %q: no layout change for %v", b.name, b.dtype))
	}
	rows, cols := ch, spatial // of the matrix to transpose
	if l == plain {
		rows, cols = spatial, ch
	}
	jobs := vec.SwapJobs(n, rows, cols)
	convert := func(dst, src []byte, lo, hi int) {
		if size == 4 {
			vec.Swap(as[float32](dst), as[float32](src), rows, cols, lo, hi)
		} else {
			vec.SwapOf(dst, src, rows, cols, lo, hi)
		}
	}
	if r, at := b.root(); r.place == inConst && !c.variables[r.name] {
		out.place = inConst
		out.data = alignedBytes(max(b.bytes, 1))[:b.bytes]
		convert(out.data, r.data[at:at+b.bytes], 0, jobs)
		return out
	}
	c.emit(step{kernel: "to-" + l.String(), in: []*buf{b}, out: []*buf{out}, run: c.loop(jobs, 1, func(x *frame, lo, hi int) {
		convert(x.raw(out), x.raw(b), lo, hi)
	})})
	return out
}

// def declares v's buffer in layout l, to be written by the step emitted next.
func (c *compiler) def(v *graph.Value, l layout) *buf {
	shape, ok := concrete(v)
	if !ok {
		c.fail(fmt.Errorf("engine: value %q: its shape %v is not known before the run", v.Name, v.Shape))
		shape = []int{0}
	}
	if len(shape) < 3 {
		l = plain
	}
	b := c.temp(v.Name, v.Type, shape, l)
	c.slot(v).bufs[l] = b
	return b
}

// temp declares a buffer that belongs to no value.
func (c *compiler) temp(name string, d tensor.DType, shape []int, l layout) *buf {
	n, ok := tensor.NumElements(shape)
	if !ok || d.Bits() == 0 {
		c.fail(fmt.Errorf("engine: value %q: %v of shape %v cannot be stored", name, d, shape))
		n = 0
	}
	return &buf{name: name, dtype: d, shape: shape, layout: l, bytes: (n*d.Bits() + 7) / 8}
}

// scratch declares memory that lives during one step only.
func (c *compiler) scratch(bytes int) *buf {
	if bytes == 0 {
		return nil
	}
	return &buf{name: "scratch", dtype: tensor.Uint8, shape: []int{bytes}, bytes: bytes}
}

// alias makes v a view of b's memory with v's own shape.
func (c *compiler) alias(v *graph.Value, b *buf, l layout) *buf {
	shape, ok := concrete(v)
	if !ok {
		c.fail(fmt.Errorf("engine: value %q: its shape %v is not known before the run", v.Name, v.Shape))
		return b
	}
	out := &buf{name: v.Name, dtype: b.dtype, shape: shape, layout: l, bytes: b.bytes, of: b}
	c.slot(v).bufs[l] = out
	return out
}

// loop is the run function of a step that is one parallel loop of n
// iterations.
func (c *compiler) loop(n, grain int, body func(x *frame, lo, hi int)) func(x *frame) error {
	return c.workerLoop(n, grain, func(x *frame, _, lo, hi int) { body(x, lo, hi) })
}

// workerLoop is a loop whose body knows its worker. The body is bound to each frame
// once, so that running it allocates nothing.
func (c *compiler) workerLoop(n, grain int, body func(x *frame, worker, lo, hi int)) func(x *frame) error {
	id := c.loops
	c.loops++
	return func(x *frame) error {
		f := x.loops[id]
		if f == nil {
			f = func(worker, lo, hi int) { body(x, worker, lo, hi) }
			x.loops[id] = f
		}
		x.pool.For(n, grain, f)
		return nil
	}
}

func (c *compiler) emit(s step) { c.steps = append(c.steps, s) }

// isEmpty reports whether v, which is computed, has no elements.
func isEmpty(v *graph.Value) bool {
	if v == nil || v.Data != nil {
		return false
	}
	shape, ok := concrete(v)
	return ok && slices.Contains(shape, 0)
}

// node lowers n unless a fused kernel has covered it already.
func (c *compiler) node(n *graph.Node) error {
	if c.done[n] {
		return nil
	}
	c.done[n] = true
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		if _, ok := concrete(v); !ok {
			return n.Errorf("engine: value %q: its shape %v is not known before the run", v.Name, v.Shape)
		}
	}
	mark := len(c.steps)
	f := lowerings[n.Domain+"\x00"+n.Op]
	if f == nil || slices.ContainsFunc(n.Inputs, isEmpty) || slices.ContainsFunc(n.Outputs, isEmpty) {
		f = fallback // kernels need elements to work on
	}
	if err := f(c, n); err != nil {
		return err
	}
	if c.err != nil {
		return n.Errorf("%w", c.err)
	}
	for i := mark; i < len(c.steps); i++ {
		if c.steps[i].node == nil {
			c.steps[i].node = n
		}
	}
	return nil
}

// as reinterprets bytes as elements of T.
func as[T any](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(zero)))
}
