//go:build purego || !(amd64 || arm64)

package bconv

import "github.com/drawknife/drawknife/internal/cpu"

// hasTiles reports whether the vector path runs at a level: at none.
func hasTiles(cpu.Level) bool { return false }

// hasPack and hasCount tell the same of packing and of counting differences.
func hasPack(cpu.Level, bool) bool { return false }

func hasCount(cpu.Level) bool { return false }

func countDifferences([]int32, []uint64, []uint64, []uint64) {}

// hasCounts reports whether the path by vectors of population counts runs at a
// level: at none.
func hasCounts(cpu.Level) bool { return false }

func runCounts(*countArgs, int, int) {}

func xorPlanes(*byte, int, int) {}

func xorRows(*byte, int, int) {}

func narrow([]byte, []uint64, int, int) int { return 0 }

func runTiles(cpu.Level, *tileArgs, int, int) {}

func hasWidest(cpu.Level) bool { return false }

func tileName(cpu.Level) string { return "" }

func packVector(cpu.Level, []uint64, []float32, []float32, int, int, int, int) {}

func expand([]uint16, []uint64, int, int, int) {}
