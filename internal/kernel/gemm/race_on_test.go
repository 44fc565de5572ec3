//go:build race

package gemm

// raceEnabled: the race detector makes sync.Pool forget at random.
const raceEnabled = true
