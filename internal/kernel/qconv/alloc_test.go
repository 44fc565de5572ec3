package qconv

import (
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestRunAllocatesNothing checks the vector paths in their steady state.
func TestRunAllocatesNothing(t *testing.T) {
	for _, l := range levels() {
		if l > cpu.Portable {
			t.Run(l.String(), func(t *testing.T) { runsWithoutAllocations(t, l) })
		}
	}
}

func runsWithoutAllocations(t *testing.T, level cpu.Level) {
	pool := parallel.New(1)
	defer pool.Close()
	rng := rand.New(rand.NewPCG(1, 9))
	for _, s := range []Shape{
		same(8, 16, 24, 3, 1, 1), same(8, 16, 16, 3, 1, 16), same(8, 5, 5, 1, 1, 1), same(8, 40, 24, 1, 1, 1), {C: 64, K: 20},
	} {
		pr := newProblem(rng, s)
		c := newAt(level, pr.s, pr.p)
		scratch, dst := make([]byte, c.Scratch(1)), make([]uint8, pixels(&pr.s)*pr.s.DstStride)
		if n := testing.AllocsPerRun(20, func() {
			c.Run(pool, dst, pr.src, scratch)
			c.RunAdd(pool, dst, pr.src, pr.add, pr.q, scratch)
		}); n >= 1 {
			t.Errorf("%s, %+v: %g allocations a run", c.Kernel(), s, n)
		}
	}
}
