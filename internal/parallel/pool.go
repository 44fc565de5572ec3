// Package parallel runs loops on a fixed set of workers.
//
// The partition of a loop never depends on timing, so results that do not
// depend on the partition are the same for any number of workers; kernels
// that reduce across iterations must fix their own order.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// spins is how often an idle worker polls for work before it sleeps, some
// tens of microseconds: the gaps between the kernels of one network are
// shorter than that, waking a sleeper is not.
const spins = 20_000

// Pool is a set of workers. The caller of For is worker 0, so a pool of one
// has no goroutines. For must not be called from inside a loop body.
type Pool struct {
	mu      sync.Mutex // one loop at a time
	workers int

	// state is the number of the current job in the upper half, the number of
	// workers that have joined it and not yet left in the lower one, with the
	// bit open set while a worker may still join. Workers that the operating
	// system is not running at the moment therefore delay nobody.
	state    atomic.Uint64
	shares   []share // of the chunks, one for each worker
	n, size  int
	body     func(worker, lo, hi int)
	panicked atomic.Pointer[any]

	sleepMu sync.Mutex
	wake    *sync.Cond
	asleep  atomic.Int32
	closed  atomic.Bool
}

// share is a range of consecutive chunks. A worker begins with its own, so that
// the same worker has the same part of the data in one loop after the other,
// in a cache of its own; then it helps the others.
type share struct {
	next atomic.Int64 // next chunk to hand out
	end  int64
	_    [112]byte // two cache lines: neighbours are fetched in pairs
}

const (
	open   = 1 << 31
	joined = open - 1
)

// New returns a pool of n workers; n < 1 means one for each CPU the process
// may use. Close it to end its goroutines.
func New(n int) *Pool {
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: n, shares: make([]share, n)}
	p.wake = sync.NewCond(&p.sleepMu)
	for w := 1; w < n; w++ {
		go p.work(w)
	}
	return p
}

// Workers is the number of workers, the caller included.
func (p *Pool) Workers() int { return p.workers }

// For calls body on consecutive ranges that cover [0, n). A range holds a
// multiple of grain iterations (but the last) and is never empty; worker is in
// [0, Workers()), and no two calls run at once with the same worker. For
// returns when all have ended. A panic of a body is raised again here.
func (p *Pool) For(n, grain int, body func(worker, lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	chunks := (n + grain - 1) / grain
	if p.workers == 1 || chunks == 1 {
		body(0, 0, n)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// A few chunks a worker even out their speeds without many hand-outs.
	per := max(1, chunks/(4*p.workers))
	p.n, p.size, p.body = n, per*grain, body
	handed := (n + p.size - 1) / p.size
	for w := range p.shares {
		p.shares[w].next.Store(int64(w * handed / p.workers))
		p.shares[w].end = int64((w + 1) * handed / p.workers)
	}
	p.state.Store((p.state.Load()>>32+1)<<32 | open)
	if p.asleep.Load() > 0 {
		p.sleepMu.Lock()
		p.wake.Broadcast()
		p.sleepMu.Unlock()
	}
	p.loop(0)
	// Nothing is left to hand out: close the job, then wait for those in it.
	for {
		s := p.state.Load()
		if p.state.CompareAndSwap(s, s&^open) {
			break
		}
	}
	// A worker that shares this CPU can only go on if it is let.
	for i := 0; p.state.Load()&joined != 0; i++ {
		if i > 1000 {
			yield()
			if i%16 == 0 { // it may be a goroutine that waits for this one's place
				runtime.Gosched()
			}
		}
	}
	p.body = nil
	if v := p.panicked.Swap(nil); v != nil {
		panic(*v)
	}
}

func (p *Pool) loop(worker int) {
	defer func() {
		if v := recover(); v != nil {
			boxed := any(v) // so that only a panic allocates
			p.panicked.Store(&boxed)
			for w := range p.shares { // hand out no more
				p.shares[w].next.Store(p.shares[w].end)
			}
		}
	}()
	for i := range p.workers {
		s := &p.shares[(worker+i)%p.workers]
		for {
			c := s.next.Add(1) - 1
			if c >= s.end {
				break
			}
			lo := int(c) * p.size
			p.body(worker, lo, min(lo+p.size, p.n))
		}
	}
}

func (p *Pool) work(worker int) {
	seen := uint64(0) // number of the last job joined or found closed
	for idle := 0; ; idle++ {
		s := p.state.Load()
		if s>>32 != seen {
			if s&open == 0 {
				seen = s >> 32
				continue
			}
			if p.state.CompareAndSwap(s, s+1) {
				seen, idle = s>>32, 0
				p.loop(worker)
				p.state.Add(^uint64(0))
			}
			continue
		}
		if p.closed.Load() {
			return
		}
		if idle < spins {
			if idle%256 == 255 {
				yield()
			}
			continue
		}
		p.sleep(seen)
		idle = 0
	}
}

// sleep waits until there is a job after the one seen.
func (p *Pool) sleep(seen uint64) {
	p.sleepMu.Lock()
	defer p.sleepMu.Unlock()
	p.asleep.Add(1) // before looking: For stores the state, then looks at asleep
	for p.state.Load()>>32 == seen && !p.closed.Load() {
		p.wake.Wait()
	}
	p.asleep.Add(-1)
}

// Close ends the workers. The pool must be idle and cannot be used afterwards.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.sleepMu.Lock()
	p.wake.Broadcast()
	p.sleepMu.Unlock()
}
