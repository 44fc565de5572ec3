package sparse

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/conv"
)

func TestGains(t *testing.T) {
	for _, l := range layers {
		s := normal(l.Shape)
		line := fmt.Sprintf("| %s | - |", l.name)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, d := range []float64{.5, .2, .1, .05, 0, -.2, -.1} {
			w := random(rng, s.K*s.C*s.R*s.S)
			how := anywhere
			if d == 0 {
				how = twoOfFour
			} else if d < 0 {
				d, how = -d, blocks
			}
			prune(rng, w, s.K, d, how)
			line += fmt.Sprintf(" %.2f |", Gain(s, conv.Params{Weights: w, Winograd: true}))
		}
		fmt.Println(line)
	}
}
