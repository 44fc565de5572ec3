package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// A batch of images whose intermediate values exceed the caches is computed in
// parts that do not, one after the other or side by side: the program then
// reads and writes memory hardly more than for a single image.

// cacheBytes is what the intermediate values of a part may take: a share of a
// last-level cache.
const cacheBytes = 4 << 20

// partSize is the number of images to compute at a time, n for all.
func partSize(g *graph.Graph, o *Options) int {
	if o.undivided || len(g.Inputs) == 0 || len(o.Variables) > 0 || len(o.Keep) > 0 || o.All {
		return 0
	}
	shape, ok := concrete(g.Inputs[0])
	if !ok || len(shape) == 0 || shape[0] < 2 || !separable(g, shape[0]) {
		return 0
	}
	n := shape[0]
	c := g.Cost()
	one := c.PeakActivationBytes / int64(n)
	// Weights that outweigh what is read and written are better used for many
	// images at once.
	if c.PeakActivationBytes <= cacheBytes || c.WeightBytes > (c.ReadBytes+c.WriteBytes)/int64(n) {
		return n
	}
	// Every part reads all weights: it may outgrow the cache where they are many.
	most := max(cacheBytes, c.WeightBytes/2)
	part := 1
	for m := 2; m < n && int64(m)*one <= most; m++ {
		if n%m == 0 {
			part = m
		}
	}
	return part
}

// parts computes a program part by part.
type parts struct {
	p     *Program // of one part
	n     int
	apart bool // whether workers compute parts of their own; otherwise they share each
}

// inParts compiles g, which was bound as lg to a whole batch, for parts of m
// images. It returns nil if they do not add up to the same thing.
func inParts(g, lg *graph.Graph, o Options, m int) *Program {
	n := lg.Inputs[0].Shape.Ints()[0]
	count := n / m
	pool := workers(o.Threads)
	whole := &Program{pool: pool, variables: map[string]*tensor.Tensor{}}
	inner := Options{Shapes: map[string][]int{}, Threads: o.Threads, NoTune: o.NoTune, undivided: true}
	for _, v := range lg.Inputs {
		s := v.Shape.Ints()
		if s[0] != n {
			return nil
		}
		inner.Shapes[v.Name] = append([]int{m}, s[1:]...)
		whole.inputs = append(whole.inputs, &buf{name: v.Name, dtype: v.Type, shape: s})
	}
	t := pool.Workers()
	apart := t == 1 || count%t == 0 || count >= 4*t
	if apart {
		inner.Threads = 1
	}
	p, err := Compile(g, inner)
	if err != nil {
		return nil
	}
	for i, v := range lg.Outputs {
		s, ok := concrete(v)
		b := p.outputs[i]
		if !ok || len(s) != len(b.shape) || b.shape[0] != m || !equalInts(s[1:], b.shape[1:]) {
			return nil
		}
		whole.outputs = append(whole.outputs, &buf{name: v.Name, dtype: b.dtype, shape: s})
	}
	whole.names = p.names
	whole.arena = p.arena
	if apart {
		whole.arena *= min(t, count)
	}
	whole.parts = &parts{p: p, n: count, apart: apart}
	return whole
}

// batch is the state of one run of all parts.
type batch struct {
	parts   *parts
	ctx     context.Context
	in, out []*tensor.Tensor
	body    func(worker, lo, hi int)
	mu      sync.Mutex
	err     error
}

func (p *Program) runParts(ctx context.Context, in, out []*tensor.Tensor) error {
	b := p.batches.Get()
	if b == nil {
		b = &batch{parts: p.parts}
		b.body = b.run
	}
	b.ctx, b.in, b.out, b.err = ctx, in, out, nil
	if p.parts.apart {
		p.pool.For(p.parts.n, 1, b.body)
	} else {
		b.run(0, 0, p.parts.n)
	}
	err := b.err
	b.ctx, b.in, b.out, b.err = nil, nil, nil, nil
	p.batches.Put(b)
	return err
}

// run computes parts lo to hi-1.
func (b *batch) run(_, lo, hi int) {
	p := b.parts.p
	x := p.frame(b.ctx, nil, nil)
	defer p.release(x)
	for i := lo; i < hi; i++ {
		share(x.ext[0], b.in, i, b.parts.n)
		share(x.ext[1], b.out, i, b.parts.n)
		if err := p.runSteps(x); err != nil {
			b.mu.Lock()
			if b.err == nil {
				b.err = err
			}
			b.mu.Unlock()
			return
		}
	}
}

// share sets each slice to part i of n of a tensor.
func share(to [][]byte, from []*tensor.Tensor, i, n int) {
	for j, t := range from {
		all := t.Bytes()
		size := len(all) / n
		to[j] = all[i*size : (i+1)*size]
	}
}

// check compares the tensors of a run with what the program was compiled for.
func (p *Program) check(in, out []*tensor.Tensor) error {
	if len(in) != len(p.inputs) || len(out) != len(p.outputs) {
		return fmt.Errorf("engine: %d inputs and %d outputs, the program has %d and %d", len(in), len(out), len(p.inputs), len(p.outputs))
	}
	for side, bufs := range [2][]*buf{p.inputs, p.outputs} {
		t := in
		if side == 1 {
			t = out
		}
		for i, b := range bufs {
			if t[i].DType != b.dtype || !equalInts(t[i].Shape, b.shape) {
				return fmt.Errorf("engine: %q is %v, the program was compiled for %v%v", p.names[side][i], t[i], b.dtype, b.shape)
			}
		}
	}
	return nil
}
