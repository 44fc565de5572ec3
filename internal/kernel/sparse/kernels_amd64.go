//go:build !purego

package sparse

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . sparse -out ../sparse/sparse_amd64.s -pkg sparse

func init() {
	sets = append(sets, &kernels{
		name: "avx2", level: cpu.AVX2, square: 8, scalar: rowsAVX2x4x0,
		rows: [...]func(*stripArgs){nil, rowsAVX2x1x1, rowsAVX2x1x2, rowsAVX2x1x3, rowsAVX2x1x4,
			rowsAVX2x1x5, rowsAVX2x1x6, rowsAVX2x1x7, rowsAVX2x1x8},
		block: [...]func(*stripArgs){nil, blockAVX2x4x1, blockAVX2x4x2, blockAVX2x4x3},
		inOf:  panelInAVX2, outOf: panelOutAVX2,
	})
}

//go:noescape
func rowsAVX2x1x1(a *stripArgs)

//go:noescape
func rowsAVX2x1x2(a *stripArgs)

//go:noescape
func rowsAVX2x1x3(a *stripArgs)

//go:noescape
func rowsAVX2x1x4(a *stripArgs)

//go:noescape
func rowsAVX2x1x5(a *stripArgs)

//go:noescape
func rowsAVX2x1x6(a *stripArgs)

//go:noescape
func rowsAVX2x1x7(a *stripArgs)

//go:noescape
func rowsAVX2x1x8(a *stripArgs)

//go:noescape
func rowsAVX2x4x0(a *stripArgs)

//go:noescape
func blockAVX2x4x1(a *stripArgs)

//go:noescape
func blockAVX2x4x2(a *stripArgs)

//go:noescape
func blockAVX2x4x3(a *stripArgs)

//go:noescape
func panelInAVX2(a *inArgs)

//go:noescape
func panelOutAVX2(a *outArgs)
