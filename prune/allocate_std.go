package prune

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "std", Family: method.Allocate, Summary: "below the same multiple of each layer's standard deviation",
		Paper: "Han et al., Learning both weights and connections for efficient neural networks, NIPS", Year: 2015,
		New: func(map[string]string) (any, error) { return stdAllocator{}, nil },
	})
}

// stdAllocator removes what scores less than q·σ, σ² being the mean square of
// the layer's scores (of magnitudes: of its weights), with the one q for all
// layers at which the share strength is gone.
type stdAllocator struct{}

func (stdAllocator) Keep(cs []Candidate, strength float64) []int {
	return lowest(cs, strength, func(c Candidate) []float64 {
		sigma := rms(c.Score)
		out := make([]float64, len(c.Score))
		for i, s := range c.Score {
			out[i] = s / sigma
		}
		return out
	})
}

func rms(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	if s == 0 {
		return 1
	}
	return math.Sqrt(s / float64(len(x)))
}

// Below is the share of scores under q·σ.
func Below(score []float64, q float64) float64 {
	limit, n := q*rms(score), 0
	for _, v := range score {
		if v < limit {
			n++
		}
	}
	return float64(n) / float64(max(len(score), 1))
}
