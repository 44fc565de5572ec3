package conv

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/tile"
)

// TestBlocks computes layers of few output channels whose pixels are joined.
func TestBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, set := range tile.Sets()[1:] {
		for _, s := range []Shape{
			{N: 2, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2},
			{N: 1, H: 33, W: 49, C: 3, K: 5, R: 3, S: 3, P: 17, Q: 24, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
			{N: 1, H: 9, W: 20, C: 2, K: 3, R: 3, S: 5, P: 7, Q: 18, PadH: 0, PadW: 1},
			{N: 1, H: 12, W: 24, C: 8, K: 3, R: 3, S: 3, P: 12, Q: 24, PadH: 1, PadW: 1, SrcStride: 11},
		} {
			p := newProblem(rng, s)
			c := newWith(set, p.Shape, p.Params)
			if _, ok := c.impl.(*blocked); !ok {
				t.Errorf("%s: %+v is not computed in blocks", set.Name, s)
			}
			one := p.run(set, 1)
			p.check(t, one)
			if three := p.run(set, 3); !slices.Equal(one, three) {
				t.Errorf("%s: %+v: three workers give other bits than one", set.Name, s)
			}
		}
	}
}
