//go:build purego || !(amd64 || arm64)

package qconv

import "github.com/drawknife/drawknife/internal/cpu"

// isaFor is the vector path for a level: none.
func isaFor(cpu.Level) *isa { return nil }

func (i *isa) run(*tileArgs, int, int, bool) {}

func reorder([]byte) {}

func multiplyVector(*tileArgs) {}

func measureSteps(w []int8, loads []load, states []uint8, src []int16, orders int) {
	measurePortable(w, loads, states, src, orders)
}

var dwKernels []dwKernel

type dwFunc func(*tileArgs)

func (f dwFunc) run(*tileArgs) {}
