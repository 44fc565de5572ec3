//go:build !purego

package bconv

import "github.com/drawknife/drawknife/internal/cpu"

// toBytes is toBytesPortable.
func toBytes(dst []uint8, src []uint64) {
	if !cpu.Has(cpu.AVX512) || len(src) == 0 {
		toBytesPortable(dst, src)
		return
	}
	_ = dst[64*len(src)-1]
	toBytesAVX512(&dst[0], &src[0], len(src))
}

// toBytesAVX512 does so for at least one word.
//
//go:noescape
func toBytesAVX512(dst *uint8, src *uint64, words int)
