package prune

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "global", Family: method.Allocate, Summary: "the lowest scores of the whole network, each divided by its group's mean",
		Paper: "Molchanov et al., Importance estimation for neural network pruning, CVPR", Year: 2019,
		Options: []method.Option{{Name: "norm", Default: "auto", Help: "what a group's scores are divided by: mean, max, l2, none; auto is mean for channels, none for weights"}},
		New: func(o map[string]string) (any, error) {
			if f, ok := scales[o["norm"]]; ok || o["norm"] == "auto" {
				return global{f}, nil
			}
			return nil, fmt.Errorf("norm %q: there are auto, mean, max, l2, none", o["norm"])
		},
	})
}

// scales are what scores of a group can be divided by.
var scales = map[string]func(s []float64) float64{
	"none": func([]float64) float64 { return 1 },
	"mean": func(s []float64) float64 {
		sum := 0.0
		for _, v := range s {
			sum += v
		}
		return sum / float64(max(len(s), 1))
	},
	"max": func(s []float64) float64 {
		if len(s) == 0 {
			return 1
		}
		return slices.Max(s)
	},
	"l2": func(s []float64) float64 {
		sum := 0.0
		for _, v := range s {
			sum += v * v
		}
		return sqrt(sum)
	},
}

// global ranks the parts of all candidates together and removes the lowest
// share. Channels of different groups are compared after division by the mean
// of their group (or another scale), weights as they are.
type global struct {
	scale func([]float64) float64 // nil: as suits
}

func (a global) Keep(cs []Candidate, strength float64) []int {
	return lowest(cs, strength, func(c Candidate) []float64 {
		f := a.scale
		switch {
		case f == nil && c.Group == nil:
			f = scales["none"]
		case f == nil:
			f = scales["mean"]
		}
		by := f(c.Score)
		if by == 0 {
			by = 1
		}
		out := make([]float64, len(c.Score))
		for i, s := range c.Score {
			out[i] = s / by
		}
		return out
	})
}

// lowest removes the given share of all parts, those of the lowest scores that
// rate gives; at equal scores those of earlier candidates go first.
func lowest(cs []Candidate, strength float64, rate func(Candidate) []float64) []int {
	keep := make([]int, len(cs))
	var all []float64
	rated := make([][]float64, len(cs))
	for i, c := range cs {
		rated[i] = rate(c)
		keep[i] = len(c.Score)
		all = append(all, rated[i]...)
	}
	n := int(strength*float64(len(all)) + 1e-9)
	if n <= 0 {
		return keep
	}
	slices.Sort(all)
	threshold := all[min(n, len(all))-1]
	left := n
	for i, s := range rated {
		for _, v := range s {
			if v < threshold {
				keep[i]--
				left--
			}
		}
	}
	for i, s := range rated {
		for _, v := range s {
			if v == threshold && left > 0 {
				keep[i]--
				left--
			}
		}
	}
	return keep
}

// cheapest removes parts in the order of score per cost until the share
// strength of the whole cost is gone.
func cheapest(cs []Candidate, strength float64) []int {
	type part struct {
		of    int
		worth float64
	}
	var all []part
	keep := make([]int, len(cs))
	total := 0.0
	for i, c := range cs {
		keep[i] = len(c.Score)
		by := scales["mean"](c.Score)
		if by == 0 {
			by = 1
		}
		for _, s := range c.Score {
			all = append(all, part{i, s / by / max(c.Cost, math.SmallestNonzeroFloat64)})
			total += c.Cost
		}
	}
	slices.SortStableFunc(all, func(a, b part) int { return cmp.Compare(a.worth, b.worth) })
	gone := 0.0
	for _, p := range all {
		if gone+cs[p.of].Cost/2 > strength*total { // the nearest to the share
			break
		}
		gone += cs[p.of].Cost
		keep[p.of]--
	}
	return keep
}
