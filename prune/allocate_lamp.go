package prune

import (
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "lamp", Family: method.Allocate, Summary: "the lowest scores of the network, each as a share of what is left of its layer",
		Paper: "Lee et al., Layer-adaptive sparsity for the magnitude-based pruning, ICLR", Year: 2021,
		New: func(map[string]string) (any, error) { return lampAllocator{}, nil },
	})
}

// lampAllocator ranks all parts by the LAMP score.
type lampAllocator struct{}

func (lampAllocator) Keep(cs []Candidate, strength float64) []int {
	return lowest(cs, strength, func(c Candidate) []float64 { return lamp(c.Score) })
}

// lamp turns magnitudes into s_u = w_u² / Σ_{v: w_v² ≥ w_u²} w_v²: the largest
// of a layer gets 1, so that no layer empties.
func lamp(score []float64) []float64 {
	order := ascending(score)
	out := make([]float64, len(score))
	rest := 0.0
	for i := len(order) - 1; i >= 0; i-- {
		k := order[i]
		sq := score[k] * score[k]
		rest += sq
		if rest > 0 {
			out[k] = sq / rest
		}
	}
	return out
}
