package qconv

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestSmallWeights checks weights of two to six bits with inputs of two to
// eight, spread evenly and extreme, at every level.
func TestSmallWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	one, three := parallel.New(1), parallel.New(3)
	defer one.Close()
	defer three.Close()
	list := []Shape{
		same(7, 64, 64, 3, 1, 1), same(6, 13, 20, 3, 2, 1), same(9, 32, 24, 1, 1, 1), same(5, 30, 40, 5, 1, 1),
		same(6, 32, 32, 3, 1, 2), same(6, 16, 16, 3, 1, 16), {N: 3, C: 70, K: 9}, {C: 64, K: 10},
		{C: 100, K: 70}, {N: 2, C: 30, K: 33}, {N: 4, C: 65, K: 130, SrcStride: 70}, {N: 3, C: 12, K: 64, DstStride: 90},
		{N: 1, H: 6, W: 6, C: 10, K: 16, R: 3, S: 3, P: 8, Q: 9, PadH: 3, PadW: 2, DstStride: 17, AddStride: 31},
		{N: 2, D: 5, H: 6, W: 7, C: 6, K: 9, T: 3, R: 3, S: 3, OD: 5, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1},
	}
	for range 20 {
		list = append(list, randomShape(rng))
	}
	for i, s := range list {
		bits, inBits := 2+i%5, []int{8, 4, 2}[i%3]
		pr := newProblem(rng, s)
		pr.p.Flip, pr.p.WeightZero, pr.p.SrcMax = 0, nil, uint8(1<<inBits-1)
		pr.p.SrcZero &= pr.p.SrcMax
		for j := range pr.src {
			if pr.src[j] &= pr.p.SrcMax; i%2 == 0 {
				pr.src[j] = pr.p.SrcMax
			}
		}
		limit := 1 << (bits - 1)
		for j := range pr.p.Weights {
			pr.p.Weights[j] = int8(rng.IntN(2*limit) - limit)
			if i%4 == 0 { // all of a channel have one sign
				pr.p.Weights[j] = int8(limit - 1 - j*pr.s.K/len(pr.p.Weights)%2*(2*limit-1))
			}
		}
		for _, l := range levels() {
			t.Run(fmt.Sprintf("%d/%v", i, l), func(t *testing.T) { pr.verify(t, l, []*parallel.Pool{one, three}) })
		}
	}
}

// TestSmallWeightsAreSeen checks which kernel runs and what it keeps.
func TestSmallWeightsAreSeen(t *testing.T) {
	if !cpu.Has(cpu.AVX2) {
		t.Skip("this CPU has no such kernel")
	}
	rng := rand.New(rand.NewPCG(15, 16))
	for _, c := range []struct {
		limit float64
		long  bool
		share int // of the weights, the bytes kept
	}{{1, true, 2}, {7, true, 2}, {15, true, 1}, {127, false, 0}} {
		pr := newProblem(rng, same(9, 64, 64, 3, 1, 1))
		pr.p.Flip, pr.p.WeightZero = 0, nil
		for i := range pr.p.Weights {
			pr.p.Weights[i] = int8(max(-c.limit, min(c.limit, c.limit/3*rng.NormFloat64())))
		}
		conv := newAt(cpu.AVX2, pr.s, pr.p)
		if got := strings.Contains(conv.Kernel(), "low-bit"); got != c.long {
			t.Errorf("weights up to %v take %s", c.limit, conv.Kernel())
		}
		if kept := len(conv.run.(*tiled).weights); c.long && kept != len(pr.p.Weights)/c.share {
			t.Errorf("weights up to %v: %d bytes for %d weights", c.limit, kept, len(pr.p.Weights))
		}
	}
}

// TestFewKeepBits checks that fully connected layers keep no more bits of their
// weights than these have.
func TestFewKeepBits(t *testing.T) {
	if !cpu.Has(cpu.VNNI) {
		t.Skip("this CPU has no such kernels")
	}
	rng := rand.New(rand.NewPCG(17, 18))
	for _, c := range []struct{ limit, share int }{{1, 4}, {3, 2}, {7, 2}, {8, 1}, {127, 1}} {
		pr := newProblem(rng, Shape{C: 64, K: 128})
		pr.p.Flip, pr.p.WeightZero = 0, nil
		for i := range pr.p.Weights {
			pr.p.Weights[i] = int8(rng.IntN(2*c.limit+1) - c.limit)
		}
		conv := newAt(cpu.VNNI, pr.s, pr.p)
		if kept := len(conv.run.(*tiled).weights); kept != len(pr.p.Weights)/c.share {
			t.Errorf("weights up to %d take %s: %d bytes for %d weights", c.limit, conv.Kernel(), kept, len(pr.p.Weights))
		}
	}
}
