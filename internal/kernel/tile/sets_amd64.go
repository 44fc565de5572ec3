//go:build !purego

package tile

import "github.com/drawknife/drawknife/internal/cpu"

func init() {
	if cpu.Has(cpu.AVX2) {
		transpose8 = transpose8AVX2
	}
	sets = append(sets,
		&Set{
			Name: "avx2", Level: cpu.AVX2, Lanes: 8,
			Kernels: []Kernel{
				{"avx2 12x8", 12, 8, tileAVX2x12x8, false},
				{"avx2 6x16", 6, 16, tileAVX2x6x16, false},
				{"avx2 4x24", 4, 24, tileAVX2x4x24, false},
			},
			row: rowAVX2, dots: dotsAVX2, dotStep: 16,
		},
		&Set{
			Name: "avx512", Level: cpu.AVX512, Lanes: 16,
			Kernels: []Kernel{
				{"avx512 12x16", 12, 16, tileAVX512x12x16, true},
				{"avx512 12x32", 12, 32, tileAVX512x12x32, true},
				{"avx512 8x48", 8, 48, tileAVX512x8x48, true},
			},
			row: rowAVX512, dots: dotsAVX512, dotStep: 32,
		})
}

//go:noescape
func tileAVX2x12x8(a *Args)

//go:noescape
func tileAVX2x6x16(a *Args)

//go:noescape
func tileAVX2x4x24(a *Args)

//go:noescape
func tileAVX512x12x16(a *Args)

//go:noescape
func tileAVX512x12x32(a *Args)

//go:noescape
func tileAVX512x8x48(a *Args)

//go:noescape
func rowAVX2(sums, src, w *float32, k, stride int)

//go:noescape
func rowAVX512(sums, src, w *float32, k, stride int)

//go:noescape
func dotsAVX2(sums, src, w *float32, k, stride int)

//go:noescape
func dotsAVX512(sums, src, w *float32, k, stride int)

//go:noescape
func transpose8AVX2(dst *float32, ldd int, src *float32, lds int)
