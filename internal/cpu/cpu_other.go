//go:build purego || !(amd64 || arm64)

package cpu

func has(l Level) bool { return l == Portable }
