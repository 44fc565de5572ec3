package engine

import (
	"runtime"
	"sync"
	"sync/atomic"

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
	make func() kernel
}

// emitBuilt emits a step whose kernel is yet to be made: before the program
// first runs, and in any order. It returns the step's scratch memory, which may
// turn out to be empty.
func (c *compiler) emitBuilt(s step, elem int, make func() kernel) *buf {
	s.scratch = &buf{name: "scratch", dtype: tensor.Uint8}
	c.builds = append(c.builds, build{step: len(c.steps), elem: elem, make: make})
	c.emit(s)
	return s.scratch
}

// build makes all kernels.
func (c *compiler) build() {
	kernels := make([]kernel, len(c.builds))
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(kernels)) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(kernels); i = int(next.Add(1)) - 1 {
				kernels[i] = c.builds[i].make()
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
