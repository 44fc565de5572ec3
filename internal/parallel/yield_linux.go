package parallel

import "golang.org/x/sys/unix"

// yield lets another thread of this CPU run, if there is one that waits.
//
// It is not inlined because a call is where a goroutine may be stopped: the
// system call is not, so that a loop of nothing else can keep a garbage
// collection waiting for seconds, and with it the worker that the loop waits for.
//
//go:noinline
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
