package weights

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "random", Family: method.Weights, Summary: "weights drawn at random: the control that every method must beat",
		Options: []method.Option{{Name: "seed", Default: "1", Help: "of the draw"}},
		New: func(o map[string]string) (any, error) {
			seed, err := strconv.ParseUint(o["seed"], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("seed %q is not a whole number", o["seed"])
			}
			return random{seed}, nil
		},
	})
}

// random draws the same scores for the same seed and layer, above zero.
type random struct{ seed uint64 }

func (s random) Rate(l *Layer) ([]float64, error) { return drawn(l, s.seed), nil }

func drawn(l *Layer, seed uint64) []float64 {
	h := fnv.New64a()
	h.Write([]byte(l.Name))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	out := make([]float64, len(l.W))
	for i := range out {
		out[i] = 1 + rng.Float64()
	}
	return out
}
