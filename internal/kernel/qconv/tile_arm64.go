//go:build !purego

package qconv

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run ./arm64 qconv ../qconv/kernels_arm64.s

var (
	neon = isa{name: "neon 4x8", rows: 4, lanes: 4, wide: 2, vnni: true, blocks: true}
	dot  = isa{name: "dotprod 8x8", rows: 8, lanes: 4, wide: 2, vnni: true, blocks: true}
)

// isaFor is the vector path for a level, nil for none.
func isaFor(l cpu.Level) *isa {
	switch {
	case l >= cpu.DotProd:
		return &dot
	case l >= cpu.NEON:
		return &neon
	}
	return nil
}

// run computes a.tiles tiles of so many pixels by so many vectors of channels.
func (i *isa) run(a *tileArgs, rows, vecs int, _ bool) {
	switch {
	case i == &dot && vecs == 2:
		qtileDot8(a, rows)
	case i == &dot:
		qtileDot4(a, rows)
	case vecs == 2:
		qtileNEON8(a, rows)
	default:
		qtileNEON4(a, rows)
	}
}

// reorder and multiplyVector serve kernels that this architecture does not have.
func reorder([]byte) {}

func multiplyVector(*tileArgs) {}

func measureSteps(w []int8, loads []load, states []uint8, src []int16, orders int) {
	measurePortable(w, loads, states, src, orders)
}

// dwFunc is a depthwise kernel.
type dwFunc func(*tileArgs)

func (f dwFunc) run(a *tileArgs) { f(a) }

// dwKernels lists the depthwise kernels, larger tiles first: tiles of several
// pixels for their stride, and of one pixel for any.
var dwKernels = []dwKernel{
	{3, 3, 1, 8, 8, cpu.NEON, dwtileNEON3x3s1p8},
	{3, 3, 1, 4, 8, cpu.NEON, dwtileNEON3x3s1p4},
	{3, 3, 2, 4, 8, cpu.NEON, dwtileNEON3x3s2p4},
	{3, 3, 0, 1, 8, cpu.NEON, dwtileNEON3x3s1p1},
	{5, 5, 1, 4, 8, cpu.NEON, dwtileNEON5x5s1p4},
	{5, 5, 2, 4, 8, cpu.NEON, dwtileNEON5x5s2p4},
	{5, 5, 0, 1, 8, cpu.NEON, dwtileNEON5x5s1p1},
	{7, 7, 1, 4, 8, cpu.NEON, dwtileNEON7x7s1p4},
	{7, 7, 0, 1, 8, cpu.NEON, dwtileNEON7x7s1p1},
}

//go:noescape
func qtileDot8(a *tileArgs, rows int)

//go:noescape
func qtileDot4(a *tileArgs, rows int)

//go:noescape
func qtileNEON8(a *tileArgs, rows int)

//go:noescape
func qtileNEON4(a *tileArgs, rows int)

//go:noescape
func dwtileNEON3x3s1p8(a *tileArgs)

//go:noescape
func dwtileNEON3x3s1p4(a *tileArgs)

//go:noescape
func dwtileNEON3x3s2p4(a *tileArgs)

//go:noescape
func dwtileNEON3x3s1p1(a *tileArgs)

//go:noescape
func dwtileNEON5x5s1p4(a *tileArgs)

//go:noescape
func dwtileNEON5x5s2p4(a *tileArgs)

//go:noescape
func dwtileNEON5x5s1p1(a *tileArgs)

//go:noescape
func dwtileNEON7x7s1p4(a *tileArgs)

//go:noescape
func dwtileNEON7x7s1p1(a *tileArgs)
