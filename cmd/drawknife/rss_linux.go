package main

import (
	"bytes"
	"fmt"
	"os"
)

// peakRSS is the most memory this process has had, in megabytes. What getrusage
// says includes the process that started this one.
func peakRSS() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib float64
	if _, err := fmt.Sscan(string(rest[:min(len(rest), 40)]), &kib); err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}
