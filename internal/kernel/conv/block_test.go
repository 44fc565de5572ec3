package conv

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestBlocks computes layers of few output channels in blocks of every number of
// pixels there is, whether or not it would be chosen.
func TestBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, set := range tile.Sets()[1:] {
		chosen := 0
		for _, s := range []Shape{
			{N: 2, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2},
			{N: 1, H: 33, W: 49, C: 3, K: 5, R: 3, S: 3, P: 17, Q: 24, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
			{N: 1, H: 9, W: 20, C: 2, K: 3, R: 3, S: 5, P: 7, Q: 18, PadH: 0, PadW: 1},
			{N: 1, H: 12, W: 24, C: 8, K: 3, R: 3, S: 3, P: 12, Q: 24, PadH: 1, PadW: 1, SrcStride: 11},
		} {
			p := newProblem(rng, s)
			n := s.normal()
			if blockPixels(set, &n) > 1 {
				chosen++
			}
			made := 0
			for pixels := 2; n.blockable(set, pixels); pixels++ {
				if n.Q%pixels != 0 {
					continue
				}
				made++
				b := newBlocked(set, n, pixels, p.Min, p.Max)
				b.setWeights(p.Weights, p.Bias)
				var first []float32
				for _, workers := range []int{1, 3} {
					pool := parallel.New(workers)
					got := make([]float32, n.pixels()*n.K)
					b.exec(pool, nil, got, p.src, p.add, make([]float32, workers*b.scratch()))
					pool.Close()
					p.check(t, got)
					if first == nil {
						first = got
					} else if !slices.Equal(first, got) {
						t.Errorf("%s: %+v in blocks of %d: three workers give other bits than one", set.Name, s, pixels)
					}
				}
			}
			if made < 2 {
				t.Errorf("%s: %+v: %d kinds of blocks", set.Name, s, made)
			}
		}
		if chosen == 0 {
			t.Errorf("%s: blocks are never chosen", set.Name)
		}
	}
}
