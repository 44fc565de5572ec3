package qconv

import (
	"sync"
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// job is one run of a convolution.
type job struct {
	src     []uint8
	o       output
	scratch []byte
	parts   int // ranges of channels that each block is split into

	by   tasker
	body func(worker, lo, hi int)
}

// tasker computes tasks of a job.
type tasker interface {
	tasks(j *job, worker, lo, hi int)
}

// jobs keeps jobs for the next run, so that a run allocates nothing.
type jobs struct{ pool sync.Pool }

func (js *jobs) run(p *parallel.Pool, by tasker, set job, tasks int) {
	j, _ := js.pool.Get().(*job)
	if j == nil {
		j = new(job)
		j.body = func(worker, lo, hi int) { j.by.tasks(j, worker, lo, hi) }
	}
	body := j.body
	*j = set
	j.by, j.body = by, body
	p.For(tasks, 1, body)
	*j = job{body: body}
	js.pool.Put(j)
}

// align drops the bytes before the first multiple of a cache line.
func align(b []byte) []byte {
	return b[-uintptr(unsafe.Pointer(unsafe.SliceData(b)))&63:]
}
