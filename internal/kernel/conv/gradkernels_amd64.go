//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . gradient -out ../conv/gradient_amd64.s -pkg conv

func init() {
	narrow := []outerKernel{
		{6, 8, false, outerAVX2x6x8}, {4, 8, false, outerAVX2x4x8}, {2, 8, false, outerAVX2x2x8}, {1, 8, false, outerAVX2x1x8},
		{6, 8, true, outerAVX2x6x8m}, {4, 8, true, outerAVX2x4x8m}, {2, 8, true, outerAVX2x2x8m}, {1, 8, true, outerAVX2x1x8m},
	}
	gradSets = append(gradSets,
		gradSet{
			name: "avx2", level: cpu.AVX2,
			outer: append([]outerKernel{
				{6, 16, false, outerAVX2x6x16}, {4, 16, false, outerAVX2x4x16}, {2, 16, false, outerAVX2x2x16}, {1, 16, false, outerAVX2x1x16},
			}, narrow...),
			depthwise: depthwiseGradAVX2, addRows: addRowsAVX2,
		},
		gradSet{
			name: "avx512", level: cpu.AVX512,
			outer: append([]outerKernel{
				{12, 32, false, outerAVX512x12x32}, {4, 32, false, outerAVX512x4x32}, {2, 32, false, outerAVX512x2x32}, {1, 32, false, outerAVX512x1x32},
				{12, 16, false, outerAVX512x12x16}, {4, 16, false, outerAVX512x4x16}, {2, 16, false, outerAVX512x2x16}, {1, 16, false, outerAVX512x1x16},
			}, narrow...),
			depthwise: depthwiseGradAVX512, addRows: addRowsAVX512,
		})
}

//go:noescape
func outerAVX2x6x16(a *gradArgs)

//go:noescape
func outerAVX2x6x8(a *gradArgs)

//go:noescape
func outerAVX2x6x8m(a *gradArgs)

//go:noescape
func outerAVX2x4x16(a *gradArgs)

//go:noescape
func outerAVX2x4x8(a *gradArgs)

//go:noescape
func outerAVX2x4x8m(a *gradArgs)

//go:noescape
func outerAVX2x2x16(a *gradArgs)

//go:noescape
func outerAVX2x2x8(a *gradArgs)

//go:noescape
func outerAVX2x2x8m(a *gradArgs)

//go:noescape
func outerAVX2x1x16(a *gradArgs)

//go:noescape
func outerAVX2x1x8(a *gradArgs)

//go:noescape
func outerAVX2x1x8m(a *gradArgs)

//go:noescape
func outerAVX512x12x32(a *gradArgs)

//go:noescape
func outerAVX512x12x16(a *gradArgs)

//go:noescape
func outerAVX512x4x32(a *gradArgs)

//go:noescape
func outerAVX512x4x16(a *gradArgs)

//go:noescape
func outerAVX512x2x32(a *gradArgs)

//go:noescape
func outerAVX512x2x16(a *gradArgs)

//go:noescape
func outerAVX512x1x32(a *gradArgs)

//go:noescape
func outerAVX512x1x16(a *gradArgs)

//go:noescape
func depthwiseGradAVX2(a *gradArgs)

//go:noescape
func depthwiseGradAVX512(a *gradArgs)

//go:noescape
func addRowsAVX2(a *gradArgs)

//go:noescape
func addRowsAVX512(a *gradArgs)
