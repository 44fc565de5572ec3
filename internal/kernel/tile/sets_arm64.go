//go:build !purego

package tile

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 tile ../tile/tile_arm64.s

func init() {
	if cpu.Has(cpu.NEON) {
		transpose8 = transpose8NEON
	}
	sets = append(sets, &Set{
		Name: "neon", Level: cpu.NEON, Lanes: 4,
		Kernels: []Kernel{
			{"neon 12x4", 12, 4, tileNEON12x4, false},
			{"neon 8x8", 8, 8, tileNEON8x8, false},
			{"neon 6x12", 6, 12, tileNEON6x12, false},
		},
	})
}

//go:noescape
func tileNEON12x4(a *Args)

//go:noescape
func tileNEON8x8(a *Args)

//go:noescape
func tileNEON6x12(a *Args)

//go:noescape
func transpose8NEON(dst *float32, ldd int, src *float32, lds int)
