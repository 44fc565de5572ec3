//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 depthwise ../conv/depthwise_arm64.s

func init() {
	dwKernels = append(dwKernels, dwKernel{"neon", cpu.NEON, 4, depthwiseNEON, nil, map[[2]int]func(*dwArgs){
		{3, 1}: depthwiseNEONw3s1, {3, 2}: depthwiseNEONw3s2,
		{5, 1}: depthwiseNEONw5s1, {5, 2}: depthwiseNEONw5s2,
		{7, 1}: depthwiseNEONw7s1, {7, 2}: depthwiseNEONw7s2,
	}})
}

//go:noescape
func depthwiseNEON(a *dwArgs)

//go:noescape
func depthwiseNEONw3s1(a *dwArgs)

//go:noescape
func depthwiseNEONw3s2(a *dwArgs)

//go:noescape
func depthwiseNEONw5s1(a *dwArgs)

//go:noescape
func depthwiseNEONw5s2(a *dwArgs)

//go:noescape
func depthwiseNEONw7s1(a *dwArgs)

//go:noescape
func depthwiseNEONw7s2(a *dwArgs)
