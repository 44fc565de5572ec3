package prune

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "uniform", Family: method.Allocate, Summary: "the same share of channels from every group",
		New: func(map[string]string) (any, error) { return uniform{}, nil },
	})
	method.Register(method.Method{
		Name: "global", Family: method.Allocate, Summary: "the lowest scores of the whole network, each divided by its group's mean",
		Paper: "Molchanov et al., Importance estimation for neural network pruning, CVPR", Year: 2019,
		New: func(map[string]string) (any, error) { return global{}, nil },
	})
}

// uniform removes ⌊strength·n⌋ channels of every group of n.
type uniform struct{}

func (uniform) Keep(cs []Candidate, strength float64) []int {
	keep := make([]int, len(cs))
	for i, c := range cs {
		keep[i] = c.Group.Size - int(math.Floor(strength*float64(c.Group.Size)+1e-9))
	}
	return keep
}

// global ranks the channels of all groups together, by score over the mean of
// the group, and removes the lowest share.
type global struct{}

func (global) Keep(cs []Candidate, strength float64) []int {
	type channel struct {
		group int
		score float64
	}
	var all []channel
	keep := make([]int, len(cs))
	for i, c := range cs {
		keep[i] = c.Group.Size
		mean := 0.0
		for _, s := range c.Score {
			mean += s / float64(len(c.Score))
		}
		if mean == 0 {
			mean = 1
		}
		for _, s := range c.Score {
			all = append(all, channel{i, s / mean})
		}
	}
	slices.SortStableFunc(all, func(a, b channel) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return a.group - b.group
	})
	for _, c := range all[:int(strength*float64(len(all))+1e-9)] {
		keep[c.group]--
	}
	return keep
}
