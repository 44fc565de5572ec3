//go:build !linux

package parallel

import "runtime"

func yield() { runtime.Gosched() }
