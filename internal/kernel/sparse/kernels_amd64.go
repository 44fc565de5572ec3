//go:build !purego

package sparse

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . sparse -out ../sparse/sparse_amd64.s -pkg sparse

func init() {
	sets = append(sets, &kernels{
		name: "avx2", level: cpu.AVX2, lanes: 8, vecs: [methods]int{7, 3, 0}, depthBytes: 24 << 10, depthSteps: 8, together: 1, steps: 1, rates: &avx2Rates, scalar: rowsAVX2x4x0,
		rows: [...]func(*stripArgs){nil, rowsAVX2x1x1, rowsAVX2x1x2, rowsAVX2x1x3, rowsAVX2x1x4,
			rowsAVX2x1x5, rowsAVX2x1x6, rowsAVX2x1x7, rowsAVX2x1x8},
		block:  [...]func(*stripArgs){nil, blockAVX2x4x1, blockAVX2x4x2, blockAVX2x4x3, nil, nil, nil},
		copyIn: copier[inArgs]{8, panelInAVX2}, copyOut: []copier[outArgs]{{8, panelOutAVX2}},
	}, &kernels{
		name: "avx512", level: cpu.AVX512, lanes: 16, vecs: [methods]int{4, 6, 0}, depthBytes: 32 << 10, depthSteps: 4, together: 4, steps: 2, rates: &avx512Rates, scalar: rowsAVX2x4x0,
		rows: [...]func(*stripArgs){nil, rowsAVX512x4x1, rowsAVX512x4x2, rowsAVX512x4x3, rowsAVX512x4x4,
			rowsAVX512x4x5, rowsAVX512x4x6, nil, nil},
		block: [...]func(*stripArgs){nil, blockAVX512x4x1, blockAVX512x4x2, blockAVX512x4x3,
			blockAVX512x4x4, blockAVX512x4x5, blockAVX512x4x6},
		lanesRun: [...][lanePixels + 1]func(*laneArgs){
			{nil, lanes16AVX512x1, lanes16AVX512x2, lanes16AVX512x3, lanes16AVX512x4, lanes16AVX512x5, lanes16AVX512x6, lanes16AVX512x7, lanes16AVX512x8, lanes16AVX512x9, lanes16AVX512x10, lanes16AVX512x11, lanes16AVX512x12, lanes16AVX512x13, lanes16AVX512x14},
			{nil, lanes32AVX512x1, lanes32AVX512x2, lanes32AVX512x3, lanes32AVX512x4, lanes32AVX512x5, lanes32AVX512x6, lanes32AVX512x7, lanes32AVX512x8, lanes32AVX512x9, lanes32AVX512x10, lanes32AVX512x11, lanes32AVX512x12, lanes32AVX512x13, lanes32AVX512x14},
		},
		copyIn: copier[inArgs]{4, panelInAVX512}, copyOut: []copier[outArgs]{{16, panelOutAVX512}, {8, panelOutAVX2}},
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

//go:noescape
func rowsAVX512x4x1(a *stripArgs)

//go:noescape
func rowsAVX512x4x2(a *stripArgs)

//go:noescape
func rowsAVX512x4x3(a *stripArgs)

//go:noescape
func rowsAVX512x4x4(a *stripArgs)

//go:noescape
func rowsAVX512x4x5(a *stripArgs)

//go:noescape
func rowsAVX512x4x6(a *stripArgs)

//go:noescape
func blockAVX512x4x1(a *stripArgs)

//go:noescape
func blockAVX512x4x2(a *stripArgs)

//go:noescape
func blockAVX512x4x3(a *stripArgs)

//go:noescape
func blockAVX512x4x4(a *stripArgs)

//go:noescape
func blockAVX512x4x5(a *stripArgs)

//go:noescape
func blockAVX512x4x6(a *stripArgs)

//go:noescape
func panelInAVX512(a *inArgs)

//go:noescape
func panelOutAVX512(a *outArgs)

//go:noescape
func lanes16AVX512x1(a *laneArgs)

//go:noescape
func lanes16AVX512x2(a *laneArgs)

//go:noescape
func lanes16AVX512x3(a *laneArgs)

//go:noescape
func lanes16AVX512x4(a *laneArgs)

//go:noescape
func lanes16AVX512x5(a *laneArgs)

//go:noescape
func lanes16AVX512x6(a *laneArgs)

//go:noescape
func lanes16AVX512x7(a *laneArgs)

//go:noescape
func lanes16AVX512x8(a *laneArgs)

//go:noescape
func lanes16AVX512x9(a *laneArgs)

//go:noescape
func lanes16AVX512x10(a *laneArgs)

//go:noescape
func lanes16AVX512x11(a *laneArgs)

//go:noescape
func lanes16AVX512x12(a *laneArgs)

//go:noescape
func lanes16AVX512x13(a *laneArgs)

//go:noescape
func lanes16AVX512x14(a *laneArgs)

//go:noescape
func lanes32AVX512x1(a *laneArgs)

//go:noescape
func lanes32AVX512x2(a *laneArgs)

//go:noescape
func lanes32AVX512x3(a *laneArgs)

//go:noescape
func lanes32AVX512x4(a *laneArgs)

//go:noescape
func lanes32AVX512x5(a *laneArgs)

//go:noescape
func lanes32AVX512x6(a *laneArgs)

//go:noescape
func lanes32AVX512x7(a *laneArgs)

//go:noescape
func lanes32AVX512x8(a *laneArgs)

//go:noescape
func lanes32AVX512x9(a *laneArgs)

//go:noescape
func lanes32AVX512x10(a *laneArgs)

//go:noescape
func lanes32AVX512x11(a *laneArgs)

//go:noescape
func lanes32AVX512x12(a *laneArgs)

//go:noescape
func lanes32AVX512x13(a *laneArgs)

//go:noescape
func lanes32AVX512x14(a *laneArgs)
