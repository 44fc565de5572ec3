//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . winograd -out ../conv/winograd_amd64.s -pkg conv

func init() {
	if cpu.Has(cpu.AVX2) {
		winograd8 = transforms{winogradInputAVX2, winogradOutputAVX2}
	}
	if cpu.Has(cpu.AVX512) {
		winograd16 = transforms{winogradInputAVX512, winogradOutputAVX512}
	}
}

//go:noescape
func winogradInputAVX512(a *winogradArgs)

//go:noescape
func winogradOutputAVX512(a *winogradArgs)

//go:noescape
func winogradInputAVX2(a *winogradArgs)

//go:noescape
func winogradOutputAVX2(a *winogradArgs)
