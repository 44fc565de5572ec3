//go:build !purego

package conv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 winograd ../conv/winograd_arm64.s

func init() {
	if cpu.Has(cpu.NEON) {
		winograd8 = transforms{winogradInputNEON, winogradOutputNEON}
	}
}

//go:noescape
func winogradInputNEON(a *winogradArgs)

//go:noescape
func winogradOutputNEON(a *winogradArgs)
