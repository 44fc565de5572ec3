//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . winograd -out ../conv/winograd_amd64.s -pkg conv

func init() {
	if cpu.Has(cpu.AVX2) {
		winogradInput, winogradOutput = winogradInputAVX2, winogradOutputAVX2
	}
}

//go:noescape
func winogradInputAVX2(a *winogradArgs)

//go:noescape
func winogradOutputAVX2(a *winogradArgs)
