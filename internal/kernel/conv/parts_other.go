//go:build !amd64 || purego

package conv

// streamSIMD copies src to dst around the caches, if it can.
func streamSIMD(_, _ []float32) bool { return false }
