package engine

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// kernel is what a step runs whose weights are packed when the program is made.
type kernel interface {
	Kernel() string
	Scratch(workers int) int // elements, of a size that the kind of kernel has
}

// plainKernel is named by its step and needs no scratch memory.
type plainKernel struct{}

func (plainKernel) Kernel() string  { return "" }
func (plainKernel) Scratch(int) int { return 0 }

// build makes the kernel of a step. Packing weights takes most of the time of a
// compilation, so all kernels are made at its end, several at a time.
type build struct {
	step int
	elem int // bytes of an element of scratch memory
	pack func() kernel
}

// emitBuilt emits the step of n, whose kernel is yet to be made: before the program
// first runs, and in any order. It returns the step's scratch memory, which may
// turn out to be empty.
func (c *compiler) emitBuilt(n *graph.Node, s step, elem int, pack func() kernel) *buf {
	s.node, s.scratch = n, &buf{name: "scratch", dtype: tensor.Uint8}
	c.builds = append(c.builds, build{step: len(c.steps), elem: elem, pack: pack})
	c.emit(s)
	return s.scratch
}

// build makes all kernels.
func (c *compiler) build() {
	kernels := make([]kernel, len(c.builds))
	var next atomic.Int64
	weights := c.packedOnly()
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(kernels)) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(kernels); i = int(next.Add(1)) - 1 {
				kernels[i] = c.builds[i].pack()
				c.builds[i].pack = nil // and what it holds
				weights.release(c.steps[c.builds[i].step].node)
			}
		})
	}
	done.Wait()
	for i, k := range kernels {
		b := c.builds[i]
		s := &c.steps[b.step]
		s.kernel = k.Kernel() + s.kernel
		bytes := b.elem * k.Scratch(c.pool.Workers())
		s.scratch.shape, s.scratch.bytes = []int{bytes}, bytes
	}
	c.builds = nil
}

// packed are the constants that nothing but kernels yet to be made read, with
// the numbers of nodes that do. Folding has made most of them; once packed they
// would only take memory.
type packed struct {
	mu      sync.Mutex
	readers map[*graph.Value]int
	bytes   int // released since garbage was last collected
}

func (c *compiler) packedOnly() *packed {
	p := &packed{readers: map[*graph.Value]int{}}
	for _, b := range c.builds {
		for _, v := range c.steps[b.step].node.Inputs {
			if v != nil && v.Data != nil && !v.IsOutput() && !c.variables[v.Name] {
				p.readers[v]++
			}
		}
	}
	for v, n := range p.readers {
		if len(v.Uses()) != n {
			delete(p.readers, v)
		}
	}
	return p
}

// release counts n as a reader that is done.
func (p *packed) release(n *graph.Node) {
	const much = 32 << 20 // bytes that are worth collecting
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range n.Inputs {
		switch p.readers[v] {
		case 0:
			continue
		case 1:
			p.bytes += v.Data.NBytes()
			v.Data = nil
		}
		p.readers[v]--
	}
	if p.bytes >= much {
		p.bytes = 0
		runtime.GC()
	}
}
