package prune

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "random", Family: method.Prune, Summary: "channels drawn at random: the control that every score must beat",
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

// random scores channels by numbers from a generator seeded with the group's
// name, so that the same seed always gives the same network.
type random struct{ seed uint64 }

func (s random) Channels(gr *graph.Group) ([]float64, error) {
	h := fnv.New64a()
	h.Write([]byte(gr.Name))
	rng := rand.New(rand.NewPCG(s.seed, h.Sum64()))
	out := make([]float64, gr.Size)
	for i := range out {
		out[i] = rng.Float64()
	}
	return out, nil
}
