// Package reuse keeps the states of kernel runs, so that a run in steady state
// allocates nothing. Unlike a sync.Pool it is not emptied by the garbage
// collector, and lives and dies with the plan that owns it.
package reuse

import "sync"

// List is a list of idle objects. Its zero value is empty.
type List[T any] struct {
	mu   sync.Mutex
	idle []*T
}

// Get takes an object off the list, or returns nil if none is idle.
func (l *List[T]) Get() *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle)
	if n == 0 {
		return nil
	}
	v := l.idle[n-1]
	l.idle[n-1] = nil
	l.idle = l.idle[:n-1]
	return v
}

// Put gives an object back.
func (l *List[T]) Put(v *T) {
	l.mu.Lock()
	l.idle = append(l.idle, v)
	l.mu.Unlock()
}
