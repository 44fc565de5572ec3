// Package engine runs graphs fast. Compile lowers a graph for concrete input
// shapes to a Program: a list of kernel calls over memory planned beforehand,
// with constants folded, batch normalisation folded into convolutions,
// activations, residual additions and requantization fused into the kernels
// that produce their input, and weights packed. Run executes it; in steady
// state it allocates nothing but the outputs it returns (RunInto: nothing).
//
// Between nodes activations are channels-last; the graph keeps ONNX's order,
// and the conversion happens at the borders. Results are the same for any
// number of workers; integer results are the same bits on every CPU.
package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
	"github.com/drawknife/drawknife/tensor"
)

// Options control compilation. The zero value is a good default.
type Options struct {
	// Shapes gives inputs concrete shapes by name. A dimension that stays
	// unknown becomes Batch if it is the first, else it is an error.
	Shapes map[string][]int
	// Batch is the size of the unknown first dimension of inputs; 0 means 1.
	Batch int
	// Threads is the number of workers; 0 means all CPUs.
	Threads int
	// NoTune leaves all that is chosen by timing at its default. Results are the
	// same; the plan is, too, only with it.
	NoTune bool
	// Variables names initializers that may change between runs (training):
	// they are read at every run, neither folded nor packed beforehand. A
	// program with variables must not be run by two goroutines at once.
	Variables []string
	// Keep names values that must be computed as the graph says, though they
	// are not outputs; Run returns them too. All keeps every one of them.
	Keep []string
	All  bool

	undivided bool // not to be computed in parts, being one
}

// Program is a graph compiled for concrete shapes. It is safe for concurrent
// use (see Options.Variables for the exception).
type Program struct {
	inputs, outputs []*buf
	names           [2][]string
	steps           []step
	arena           int
	variables       map[string]*tensor.Tensor
	pool            *parallel.Pool
	frames          reuse.List[frame]
	loops           int // bodies that a frame binds

	parts   *parts // nil if the batch is computed as a whole
	batches reuse.List[batch]
}

var pools struct {
	sync.Mutex
	by map[int]*parallel.Pool
}

// workers returns the process's pool of n workers; 0 means one per CPU.
func workers(n int) *parallel.Pool {
	pools.Lock()
	defer pools.Unlock()
	if p := pools.by[n]; p != nil {
		return p
	}
	if pools.by == nil {
		pools.by = map[int]*parallel.Pool{}
	}
	p := parallel.New(n)
	pools.by[n] = p
	return p
}

// Pool is the pool of workers that programs of that many threads use; 0 means
// one worker per CPU.
func Pool(threads int) *parallel.Pool { return workers(threads) }

// Compile lowers g. The graph itself is not changed; the program may refer to its
// constants, whose elements must not change while the program is in use.
func Compile(g *graph.Graph, o Options) (*Program, error) {
	lg := g.Clone()
	if err := bind(lg, o); err != nil {
		return nil, err
	}
	if m := partSize(lg, &o); m > 0 && m < lg.Inputs[0].Shape[0].Size {
		if p := inParts(g, lg, o, m); p != nil {
			return p, nil
		}
	}
	c := &compiler{
		g: lg, pool: workers(o.Threads), variables: map[string]bool{}, slots: map[*graph.Value]*slot{}, overs: map[*buf]bool{},
		done: map[*graph.Node]bool{}, keep: map[string]bool{}, wides: map[*graph.Node]*buf{},
	}
	p := &Program{pool: c.pool, variables: map[string]*tensor.Tensor{}}
	for _, name := range o.Variables {
		v := lg.Value(name)
		if v == nil || v.Data == nil {
			return nil, fmt.Errorf("engine: variable %q is not an initializer of the graph", name)
		}
		// A program owns its variables: they change in place.
		v.Data = v.Data.Clone()
		c.variables[name] = true
		p.variables[name] = v.Data
	}
	var extra []string
	for _, n := range lg.Nodes {
		for _, v := range n.Outputs {
			if v != nil && o.All && !v.IsOutput() {
				extra = append(extra, v.Name)
				c.keep[v.Name] = true
			}
		}
	}
	for _, name := range o.Keep {
		v := lg.Value(name)
		if v == nil {
			return nil, fmt.Errorf("engine: there is no value %q to keep", name)
		}
		if !c.keep[name] && !v.IsOutput() {
			extra = append(extra, name)
			c.keep[name] = true
		}
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	for i, v := range lg.Inputs {
		b := c.def(v, plain)
		b.place, b.off = inInput, i
		p.inputs = append(p.inputs, b)
		p.names[0] = append(p.names[0], v.Name)
	}
	for _, n := range lg.Nodes {
		if err := c.node(n); err != nil {
			return nil, err
		}
	}
	outputs := slices.Clone(lg.Outputs)
	for _, name := range extra { // preparing may have put another value in the place of one
		v := lg.Value(name)
		if v == nil {
			return nil, fmt.Errorf("engine: value %q, which was to be kept, is gone", name)
		}
		outputs = append(outputs, v)
	}
	for i, v := range outputs {
		p.outputs = append(p.outputs, c.output(v, i))
		p.names[1] = append(p.names[1], v.Name)
	}
	if c.err != nil {
		return nil, c.err
	}
	c.build()
	c.chains()
	p.steps = c.steps
	p.loops = c.loops
	p.arena = plan(p.steps)
	if len(o.Variables)+len(o.Keep) == 0 && !o.All && !o.NoTune {
		p.chooseAlone()
	}
	return p, nil
}

// bind makes every input's shape concrete and infers the rest.
func bind(g *graph.Graph, o Options) error {
	shapes := map[string][]int{}
	for name, s := range o.Shapes {
		shapes[name] = s
	}
	for _, v := range g.Inputs {
		if _, ok := shapes[v.Name]; ok {
			continue
		}
		if v.Shape == nil {
			return fmt.Errorf("engine: input %q has no declared shape: give one", v.Name)
		}
		s := v.Shape.Ints()
		if len(s) > 0 && s[0] < 0 {
			s[0] = max(o.Batch, 1)
		}
		for i, d := range s {
			if d < 0 {
				return fmt.Errorf("engine: input %q: dimension %d (%v) is open: give the input's shape", v.Name, i, v.Shape[i])
			}
		}
		shapes[v.Name] = s
	}
	return g.BindInputs(shapes)
}

// output makes v's value arrive in the caller's output i, in plain layout.
func (c *compiler) output(v *graph.Value, i int) *buf {
	b := c.use(v, plain)
	if r, at := b.root(); r.place == inArena && at == 0 && r.bytes == b.bytes {
		r.place, r.off = inOutput, i
		return b
	}
	out := c.temp(v.Name, b.dtype, b.shape, plain)
	out.place, out.off = inOutput, i
	c.emit(step{kernel: "copy", node: v.Producer(), in: []*buf{b}, out: []*buf{out}, run: func(x *frame) error {
		copy(x.raw(out), x.raw(b))
		return nil
	}})
	return out
}

// Inputs and Outputs name what Run takes and returns, in the graph's order.
func (p *Program) Inputs() []string { return p.names[0] }

// Outputs lists the outputs, then the values kept besides.
func (p *Program) Outputs() []string { return p.names[1] }

// InputShape is the shape that input i was compiled for.
func (p *Program) InputShape(i int) []int { return p.inputs[i].shape }

// ArenaBytes is the memory that one run needs for intermediate values.
func (p *Program) ArenaBytes() int { return p.arena }

// Variable returns the elements of a variable: changing them changes the
// next run.
func (p *Program) Variable(name string) *tensor.Tensor { return p.variables[name] }

// Run executes the program. Inputs are matched by name.
func (p *Program) Run(ctx context.Context, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	in := make([]*tensor.Tensor, len(p.inputs))
	for i, name := range p.names[0] {
		if in[i] = inputs[name]; in[i] == nil {
			return nil, fmt.Errorf("engine: input %q is missing", name)
		}
	}
	out := p.NewOutputs()
	if err := p.RunInto(ctx, in, out); err != nil {
		return nil, err
	}
	result := make(map[string]*tensor.Tensor, len(out))
	for i, t := range out {
		result[p.names[1][i]] = t
	}
	return result, nil
}

// NewOutputs allocates tensors that RunInto can fill.
func (p *Program) NewOutputs() []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(p.outputs))
	for i, b := range p.outputs {
		out[i] = tensor.New(b.dtype, b.shape...)
	}
	return out
}

// RunInto executes the program on inputs in the order of Inputs, into outputs
// made by NewOutputs. Between kernels it looks whether ctx has ended.
func (p *Program) RunInto(ctx context.Context, in, out []*tensor.Tensor) error {
	if err := p.check(in, out); err != nil {
		return err
	}
	if p.parts != nil {
		return p.runParts(ctx, in, out)
	}
	x := p.frame(ctx, in, out)
	defer p.release(x)
	return p.runSteps(x)
}

// runSteps runs all steps on a frame.
func (p *Program) runSteps(x *frame) error {
	for i := range p.steps {
		if err := p.run(&p.steps[i], x); err != nil {
			return fmt.Errorf("engine: %v: %w", p.steps[i].node, err)
		}
		if i&15 == 0 && x.ctx.Err() != nil {
			return x.ctx.Err()
		}
	}
	return nil
}

// run runs one step on a frame.
func (p *Program) run(s *step, x *frame) error {
	x.pool = p.pool
	if s.alone {
		x.pool = one
	}
	return s.run(x)
}

// newFrame allocates the memory of one run.
func (p *Program) newFrame() *frame {
	return &frame{arena: alignedBytes(p.arena), ext: [2][][]byte{make([][]byte, len(p.inputs)), make([][]byte, len(p.outputs))},
		loops: make([]func(int, int, int), p.loops)}
}

// release gives a frame back for the next run, without the caller's tensors.
func (p *Program) release(x *frame) {
	x.ctx = nil
	clear(x.ext[0])
	clear(x.ext[1])
	p.frames.Put(x)
}

// frame is a frame for a run on tensors that have been checked.
func (p *Program) frame(ctx context.Context, in, out []*tensor.Tensor) *frame {
	x := p.frames.Get()
	if x == nil {
		x = p.newFrame()
	}
	x.ctx = ctx
	share(x.ext[0], in, 0, 1)
	share(x.ext[1], out, 0, 1)
	return x
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// StepTime is one row of a profile.
type StepTime struct {
	Node   string        // name of the node (the first of those fused)
	Op     string        // its operator
	Kernel string        // kernel chosen
	Alone  bool          // left to one worker: sharing it would take longer
	Banded bool          // takes turns with its neighbours, which keep in the cache what they share
	Shape  []int         // of the first output
	Time   time.Duration // median over the runs
	Min    time.Duration // shortest of the runs
	MACs   int64         // multiply-accumulates
	Bytes  int64         // read and written; of Banded steps without what they share
}

// Steps describes the plan, without times.
func (p *Program) Steps() []StepTime {
	if p.parts != nil {
		rows := p.parts.p.Steps()
		for i := range rows {
			rows[i].MACs *= int64(p.parts.n)
			rows[i].Bytes *= int64(p.parts.n)
		}
		return rows
	}
	var rows []StepTime
	for i := range p.steps {
		s := &p.steps[i]
		for j := range s.parts {
			r := s.parts[j].row()
			r.Banded, r.Alone = true, s.alone
			rows = append(rows, r)
		}
		if s.parts == nil {
			rows = append(rows, s.row())
		}
	}
	return rows
}

// row describes the step.
func (s *step) row() StepTime {
	r := StepTime{Kernel: s.kernel, Alone: s.alone, MACs: s.macs}
	if s.node != nil {
		r.Node, r.Op = s.node.Name, s.node.Op
	}
	for _, b := range s.out {
		if !s.linked[1] || b != s.rows.dst {
			r.Bytes += b.traffic()
		}
	}
	for _, b := range s.in {
		if !s.linked[0] || b != s.rows.src {
			r.Bytes += b.traffic()
		}
	}
	if len(s.out) > 0 {
		r.Shape = s.out[0].shape
	}
	return r
}
