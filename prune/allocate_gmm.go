package prune

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "gmm", Family: method.Allocate, Summary: "step by step from the layer with the largest share of near-zero weights by a mixture of two Gaussians",
		Paper: "Lee and Hwang, Layer-wise network compression using Gaussian mixture model, Electronics 10(1)", Year: 2021,
		Options: []method.Option{{Name: "step", Default: "0.1", Help: "share of a layer's remaining parts that one step takes"}},
		New: func(o map[string]string) (any, error) {
			step, err := strconv.ParseFloat(o["step"], 64)
			if err != nil || !(step > 0 && step < 1) {
				return nil, fmt.Errorf("step %q: want more than 0 and less than 1", o["step"])
			}
			return gmmAllocator{step}, nil
		},
	})
}

// gmmAllocator fits the parts left of each layer by a mixture of two Gaussians
// of mean zero. z is the mass of the narrow one; the layer with the greatest
// z/n·(1 − share gone) loses the next step of its smallest, until the target is
// met; the last step is cut to meet it exactly.
type gmmAllocator struct{ step float64 }

// fitted bounds the numbers a mixture is fitted to.
const fitted = 20000

func (a gmmAllocator) Keep(cs []Candidate, strength float64) []int {
	keep := sizes(cs)
	total := 0
	sorted := make([][]float64, len(cs))
	worth := make([]float64, len(cs))
	for i, c := range cs {
		total += len(c.Score)
		sorted[i] = slices.Sorted(slices.Values(c.Score))
		worth[i] = nearZero(sorted[i])
	}
	for left := int(strength*float64(total) + 1e-9); left > 0; {
		best, most := -1, math.Inf(-1)
		for i := range cs {
			if w := worth[i] * float64(keep[i]) / float64(max(len(cs[i].Score), 1)); keep[i] > 1 && w > most {
				best, most = i, w
			}
		}
		if best < 0 {
			break
		}
		n := min(max(int(a.step*float64(keep[best])), 1), left, keep[best]-1)
		keep[best] -= n
		left -= n
		worth[best] = nearZero(sorted[best][len(sorted[best])-keep[best]:])
	}
	return keep
}

// nearZero is the share of numbers that belong to the narrow component.
func nearZero(x []float64) float64 {
	if len(x) < 8 {
		return 0
	}
	if n := len(x); n > fitted { // every n/fitted-th of the sorted numbers
		thin := make([]float64, fitted)
		for i := range thin {
			thin[i] = x[i*n/fitted]
		}
		x = thin
	}
	return fitMixture(x, 50).pi
}

// mixture is pi·N(0, narrow²) + (1−pi)·N(0, wide²).
type mixture struct{ pi, narrow, wide, logLikelihood float64 }

// fitMixture runs expectation maximization from σ/4 and 1.5σ.
func fitMixture(x []float64, rounds int) mixture {
	s := rms(x)
	m := mixture{pi: 0.5, narrow: s / 4, wide: 1.5 * s, logLikelihood: math.Inf(-1)}
	for range rounds {
		var mass, narrow, wide, ll float64
		for _, v := range x {
			a := m.pi * normal(v, m.narrow)
			b := (1 - m.pi) * normal(v, m.wide)
			if a+b == 0 {
				b = math.SmallestNonzeroFloat64
			}
			r := a / (a + b)
			mass += r
			narrow += r * v * v
			wide += (1 - r) * v * v
			ll += math.Log(a + b)
		}
		n := float64(len(x))
		done := ll-m.logLikelihood < 1e-6*math.Abs(ll)
		m.logLikelihood = ll
		m.pi = mass / n
		m.narrow = max(sqrt(narrow/max(mass, 1e-12)), 1e-6*s)
		m.wide = max(sqrt(wide/max(n-mass, 1e-12)), 1e-6*s)
		if done {
			break
		}
	}
	return m
}

func normal(x, s float64) float64 { return math.Exp(-x*x/(2*s*s)) / (s * math.Sqrt(2*math.Pi)) }
