//go:build amd64 && !purego && !linux

package cpu

// tilesGranted is false where how to ask for tiles is not known.
func tilesGranted() bool { return false }
