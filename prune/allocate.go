package prune

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "uniform", Family: method.Allocate, Summary: "the same share of channels from every group",
		New: func(map[string]string) (any, error) { return uniform{}, nil },
	})
}

// uniform removes ⌊strength·n⌋ of n parts of every candidate.
type uniform struct{}

func (uniform) Keep(cs []Candidate, strength float64) []int {
	keep := make([]int, len(cs))
	for i, c := range cs {
		keep[i] = len(c.Score) - int(math.Floor(strength*float64(len(c.Score))+1e-9))
	}
	return keep
}
