//go:build unix && !linux

package main

import (
	"runtime"
	"syscall"
)

// peakRSS is the most memory this process has had, in megabytes.
func peakRSS() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(u.Maxrss) / 1e6
	}
	return float64(u.Maxrss) / 1e3
}
