//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 gradient ../conv/gradient_arm64.s

func init() {
	gradSets = append(gradSets, gradSet{
		name: "neon", level: cpu.NEON,
		outer: []outerKernel{
			{8, 8, false, outerNEON8x8, 4}, {4, 8, false, outerNEON4x8, 4}, {2, 8, false, outerNEON2x8, 4}, {1, 8, false, outerNEON1x8, 4},
			{8, 4, false, outerNEON8x4, 4}, {4, 4, false, outerNEON4x4, 4}, {2, 4, false, outerNEON2x4, 4}, {1, 4, false, outerNEON1x4, 4},
			{8, 4, true, outerNEON8x4m, 4}, {4, 4, true, outerNEON4x4m, 4}, {2, 4, true, outerNEON2x4m, 4}, {1, 4, true, outerNEON1x4m, 4},
		},
		depthwise: depthwiseGradNEON, addRows: addRowsNEON, patches: copyPatchesPortable,
	})
}

//go:noescape
func outerNEON8x8(a *gradArgs)

//go:noescape
func outerNEON4x8(a *gradArgs)

//go:noescape
func outerNEON2x8(a *gradArgs)

//go:noescape
func outerNEON1x8(a *gradArgs)

//go:noescape
func outerNEON8x4(a *gradArgs)

//go:noescape
func outerNEON4x4(a *gradArgs)

//go:noescape
func outerNEON2x4(a *gradArgs)

//go:noescape
func outerNEON1x4(a *gradArgs)

//go:noescape
func outerNEON8x4m(a *gradArgs)

//go:noescape
func outerNEON4x4m(a *gradArgs)

//go:noescape
func outerNEON2x4m(a *gradArgs)

//go:noescape
func outerNEON1x4m(a *gradArgs)

//go:noescape
func depthwiseGradNEON(a *gradArgs)

//go:noescape
func addRowsNEON(a *gradArgs)
