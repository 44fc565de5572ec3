//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . gradient -out ../conv/gradient_amd64.s -pkg conv

func init() {
	narrow := []outerKernel{
		{6, 8, false, outerAVX2x6x8, 8}, {4, 8, false, outerAVX2x4x8, 8}, {2, 8, false, outerAVX2x2x8, 8}, {1, 8, false, outerAVX2x1x8, 8},
		{6, 8, true, outerAVX2x6x8m, 8}, {4, 8, true, outerAVX2x4x8m, 8}, {2, 8, true, outerAVX2x2x8m, 8}, {1, 8, true, outerAVX2x1x8m, 8},
	}
	gradSets = append(gradSets,
		gradSet{
			name: "avx2", level: cpu.AVX2,
			outer: append([]outerKernel{
				{6, 16, false, outerAVX2x6x16, 8}, {4, 16, false, outerAVX2x4x16, 8}, {2, 16, false, outerAVX2x2x16, 8}, {1, 16, false, outerAVX2x1x16, 8},
			}, narrow...),
			depthwise: depthwiseGradAVX2, addRows: addRowsAVX2, patches: copyPatchesAVX2, lines: depthwiseLinesAVX2,
		},
		gradSet{
			name: "avx512", level: cpu.AVX512,
			outer: append([]outerKernel{
				{8, 48, false, outerAVX512x8x48, 16}, {4, 48, false, outerAVX512x4x48, 16}, {2, 48, false, outerAVX512x2x48, 16}, {1, 48, false, outerAVX512x1x48, 16},
				{12, 32, false, outerAVX512x12x32, 16}, {8, 32, false, outerAVX512x8x32, 16}, {6, 32, false, outerAVX512x6x32, 16}, {4, 32, false, outerAVX512x4x32, 16}, {2, 32, false, outerAVX512x2x32, 16}, {1, 32, false, outerAVX512x1x32, 16},
				{16, 16, false, outerAVX512x16x16, 16}, {12, 16, false, outerAVX512x12x16, 16}, {8, 16, false, outerAVX512x8x16, 16}, {4, 16, false, outerAVX512x4x16, 16}, {2, 16, false, outerAVX512x2x16, 16}, {1, 16, false, outerAVX512x1x16, 16},
			}, narrow...),
			depthwise: depthwiseGradAVX512, addRows: addRowsAVX512, patches: copyPatchesAVX2, lines: depthwiseLinesAVX512,
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
func outerAVX512x8x48(a *gradArgs)

//go:noescape
func outerAVX512x4x48(a *gradArgs)

//go:noescape
func outerAVX512x2x48(a *gradArgs)

//go:noescape
func outerAVX512x1x48(a *gradArgs)

//go:noescape
func outerAVX512x12x32(a *gradArgs)

//go:noescape
func outerAVX512x8x32(a *gradArgs)

//go:noescape
func outerAVX512x6x32(a *gradArgs)

//go:noescape
func outerAVX512x4x32(a *gradArgs)

//go:noescape
func outerAVX512x2x32(a *gradArgs)

//go:noescape
func outerAVX512x1x32(a *gradArgs)

//go:noescape
func outerAVX512x16x16(a *gradArgs)

//go:noescape
func outerAVX512x12x16(a *gradArgs)

//go:noescape
func outerAVX512x8x16(a *gradArgs)

//go:noescape
func outerAVX512x4x16(a *gradArgs)

//go:noescape
func outerAVX512x2x16(a *gradArgs)

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

//go:noescape
func copyPatchesAVX2(a *patchArgs)

//go:noescape
func depthwiseLinesAVX2(a *dwGradArgs)

//go:noescape
func depthwiseLinesAVX512(a *dwGradArgs)

// streamSIMD copies src to dst around the caches, if it can.
func streamSIMD(dst, src []float32) bool {
	streamAVX2(&dst[0], &src[0], len(dst))
	return true
}

//go:noescape
func streamAVX2(dst, src *float32, n int)
