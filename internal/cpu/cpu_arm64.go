//go:build arm64 && !purego

package cpu

import "golang.org/x/sys/cpu"

func has(l Level) bool {
	switch l {
	case Portable:
		return true
	case NEON:
		return cpu.ARM64.HasASIMD
	case DotProd:
		return cpu.ARM64.HasASIMD && cpu.ARM64.HasASIMDDP
	}
	return false
}
