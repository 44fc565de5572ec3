//go:build amd64 && !purego

package cpu

import "golang.org/x/sys/cpu"

func has(l Level) bool {
	x := &cpu.X86
	switch l {
	case Portable:
		return true
	case AVX2:
		return x.HasAVX2 && x.HasFMA
	case AVXVNNI:
		return has(AVX2) && x.HasAVXVNNI
	case AVX512:
		return x.HasAVX2 && x.HasFMA && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL
	case VNNI:
		return has(AVX512) && x.HasAVX512VNNI
	case VBMI:
		return has(VNNI) && x.HasAVX512VPOPCNTDQ && x.HasAVX512VBMI
	case AMX:
		return has(VBMI) && x.HasAMXTile && x.HasAMXInt8 && tilesGranted()
	}
	return false
}
