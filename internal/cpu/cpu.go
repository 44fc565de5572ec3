// Package cpu says which instruction sets the kernels may use: what the CPU
// has, cut down by the environment variable DRAWKNIFE_CPU.
package cpu

import (
	"fmt"
	"os"
	"sync"
)

// Level is a rung of the ladder of instruction sets. A higher level includes
// the lower ones of the same architecture, but for AVXVNNI, which those of
// AVX-512 neither have nor need.
type Level int

// The levels. Portable is plain Go.
const (
	Portable Level = iota
	AVX2           // AVX2 and FMA
	AVXVNNI        // AVX2 and AVX-VNNI, VNNI for CPUs without AVX-512
	AVX512         // AVX-512 F, BW, DQ, VL
	VNNI           // AVX512 and VNNI
	VBMI           // VNNI and VBMI, VPOPCNTDQ
	AMX            // VBMI and tiles of bytes, which the kernel must have granted
	NEON
	DotProd // NEON and SDOT/UDOT
)

var names = map[Level]string{Portable: "portable", AVX2: "avx2", AVXVNNI: "avxvnni", AVX512: "avx512", VNNI: "vnni", VBMI: "vbmi", AMX: "amx", NEON: "neon", DotProd: "dotprod"}

func (l Level) String() string { return names[l] }

// Best is the highest level this process may use: DRAWKNIFE_CPU if set to one
// of portable, avx2, avxvnni, avx512, vnni, vbmi, amx, neon, dotprod (and the CPU has it), else
// what was detected. An unusable value falls back to what was detected; see
// Check.
func Best() Level { return best().level }

// Check reports a DRAWKNIFE_CPU value that this machine cannot honour.
func Check() error { return best().err }

// Has reports whether the CPU itself (whatever DRAWKNIFE_CPU says) has level l,
// so that tests can force every path it can run.
func Has(l Level) bool { return has(l) }

type choice struct {
	level Level
	err   error
}

var best = sync.OnceValue(func() choice { return choose(os.Getenv("DRAWKNIFE_CPU")) })

// choose is the choice for a value of DRAWKNIFE_CPU.
func choose(want string) choice {
	top := Portable
	for l := range names {
		if has(l) && l > top {
			top = l
		}
	}
	if want == "" {
		return choice{level: top}
	}
	for l, n := range names {
		if n != want {
			continue
		}
		if !has(l) {
			return choice{top, fmt.Errorf("DRAWKNIFE_CPU=%s: this CPU lacks it (it has %v)", want, top)}
		}
		return choice{level: l}
	}
	return choice{top, fmt.Errorf("DRAWKNIFE_CPU=%s: unknown level (portable, avx2, avxvnni, avx512, vnni, vbmi, amx, neon, dotprod)", want)}
}
