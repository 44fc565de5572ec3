package prune

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "l2", Family: method.Prune, Summary: "channels whose filters have the smallest L2 norm",
		Paper: "He et al., Soft filter pruning for accelerating deep CNNs, IJCAI", Year: 2018,
		New: func(map[string]string) (any, error) { return l2{}, nil },
	})
}

// l2 scores a channel by s = √ΣW[o]², as l1 does by the sum of magnitudes.
type l2 struct{}

func (l2) Channels(gr *graph.Group) ([]float64, error) {
	return average(gr.Size, gr.Producers(), func(m graph.Member) ([]float64, error) {
		s, err := norms(m, func(v float64) float64 { return v * v })
		for c := range s {
			s[c] = sqrt(s[c])
		}
		return s, err
	})
}
