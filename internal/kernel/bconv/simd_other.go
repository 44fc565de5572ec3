//go:build purego || !amd64

package bconv

import "github.com/drawknife/drawknife/internal/cpu"

// hasTiles reports whether the vector path runs at a level: at none.
func hasTiles(cpu.Level) bool { return false }

func runTiles(*tileArgs, int, int) {}

func packVector([]uint64, []float32, int, int, int, int) {}

func expand([]uint16, []uint64, int, int, int) {}
