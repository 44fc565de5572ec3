//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . depthwise -out ../conv/depthwise_amd64.s -pkg conv

func init() {
	dwKernels = append(dwKernels,
		dwKernel{"avx2", cpu.AVX2, 8, depthwiseAVX2, copyPixelsAVX2, map[[2]int]func(*dwArgs){
			{3, 1}: depthwiseAVX2w3s1, {3, 2}: depthwiseAVX2w3s2,
			{5, 1}: depthwiseAVX2w5s1, {5, 2}: depthwiseAVX2w5s2,
			{7, 1}: depthwiseAVX2w7s1, {7, 2}: depthwiseAVX2w7s2,
		}},
		dwKernel{"avx512", cpu.AVX512, 16, depthwiseAVX512, copyPixelsAVX512, map[[2]int]func(*dwArgs){
			{3, 1}: depthwiseAVX512w3s1, {3, 2}: depthwiseAVX512w3s2,
			{5, 1}: depthwiseAVX512w5s1, {5, 2}: depthwiseAVX512w5s2,
			{7, 1}: depthwiseAVX512w7s1, {7, 2}: depthwiseAVX512w7s2,
		}})
}

//go:noescape
func depthwiseAVX2(a *dwArgs)

//go:noescape
func depthwiseAVX2w3s1(a *dwArgs)

//go:noescape
func depthwiseAVX2w3s2(a *dwArgs)

//go:noescape
func depthwiseAVX2w5s1(a *dwArgs)

//go:noescape
func depthwiseAVX2w5s2(a *dwArgs)

//go:noescape
func depthwiseAVX2w7s1(a *dwArgs)

//go:noescape
func depthwiseAVX2w7s2(a *dwArgs)

//go:noescape
func depthwiseAVX512(a *dwArgs)

//go:noescape
func depthwiseAVX512w3s1(a *dwArgs)

//go:noescape
func depthwiseAVX512w3s2(a *dwArgs)

//go:noescape
func depthwiseAVX512w5s1(a *dwArgs)

//go:noescape
func depthwiseAVX512w5s2(a *dwArgs)

//go:noescape
func depthwiseAVX512w7s1(a *dwArgs)

//go:noescape
func depthwiseAVX512w7s2(a *dwArgs)

//go:noescape
func copyPixelsAVX2(dst, src *float32, pixels, bytes, dstStep, srcStep int)

//go:noescape
func copyPixelsAVX512(dst, src *float32, pixels, bytes, dstStep, srcStep int)
