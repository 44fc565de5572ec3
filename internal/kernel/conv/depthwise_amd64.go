//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . depthwise -out ../conv/depthwise_amd64.s -pkg conv

func init() {
	dwKernels = append(dwKernels,
		dwKernel{"avx2", cpu.AVX2, depthwiseAVX2},
		dwKernel{"avx512", cpu.AVX512, depthwiseAVX512})
}

//go:noescape
func depthwiseAVX2(a *dwArgs)

//go:noescape
func depthwiseAVX512(a *dwArgs)
