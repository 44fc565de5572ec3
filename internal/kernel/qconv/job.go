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

	args []tileArgs // a worker's

	by   tasker
	body func(worker, lo, hi int)
}

// tasker computes tasks of a job.
type tasker interface {
	tasks(j *job, worker, lo, hi int)
}

// jobs keeps jobs for the next run, so that a run allocates nothing.
type jobs struct {
	mu   sync.Mutex
	free []*job
}

func (js *jobs) get() *job {
	var j *job
	js.mu.Lock()
	if n := len(js.free); n > 0 {
		j = js.free[n-1]
		js.free = js.free[:n-1]
	}
	js.mu.Unlock()
	if j != nil {
		return j
	}
	j = new(job)
	j.body = func(worker, lo, hi int) { j.by.tasks(j, worker, lo, hi) }
	return j
}

func (js *jobs) put(j *job) {
	js.mu.Lock()
	js.free = append(js.free, j)
	js.mu.Unlock()
}

func (js *jobs) run(p *parallel.Pool, by tasker, set job, tasks int) {
	j := js.get()
	set.by, set.body, set.args = by, j.body, j.args
	if len(set.args) < p.Workers() {
		set.args = make([]tileArgs, p.Workers())
	}
	*j = set
	p.For(tasks, 1, j.body)
	clear(j.args)
	*j = job{body: j.body, args: j.args} // let go of the slices
	js.put(j)
}

// align drops the bytes before the first multiple of a cache line.
func align(b []byte) []byte {
	return b[-uintptr(unsafe.Pointer(unsafe.SliceData(b)))&63:]
}
