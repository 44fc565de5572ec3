//go:build race

package conv

// raceEnabled: the race detector makes sync.Pool forget at random.
const raceEnabled = true
