package prune

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "depgraph", Family: method.Prune, Summary: "channels with the smallest norm over all layers that compute, scale or read them",
		Paper: "Fang et al., DepGraph: Towards any structural pruning, CVPR", Year: 2023,
		Options: []method.Option{{Name: "p", Default: "2", Help: "power of the norm"}},
		New: func(o map[string]string) (any, error) {
			p, err := strconv.ParseFloat(o["p"], 64)
			if err != nil || !(p > 0 && p <= 8) {
				return nil, fmt.Errorf("p %q: want a number above 0, at most 8", o["p"])
			}
			return depgraph{p}, nil
		},
	})
}

// depgraph scores a channel by the mean over the group's members of Σ|w|ᵖ:
// filters that compute it, normalizations' scales and shifts, filters that read
// it. The result is divided by the group's mean.
type depgraph struct{ p float64 }

func (s depgraph) Channels(gr *graph.Group) ([]float64, error) {
	total := make([]float64, gr.Size)
	sum := 0.0
	for _, m := range gr.Members {
		if isStatistic(m) || m.Value.Data == nil || !m.Value.Data.DType.IsFloat() {
			continue
		}
		n, err := norms(m, s.power())
		if err != nil {
			return nil, err
		}
		for c, v := range n {
			total[c] += v
			sum += v
		}
	}
	if sum > 0 {
		for c := range total {
			total[c] /= sum / float64(gr.Size)
		}
	}
	return total, nil
}

// power is |w|ᵖ; the general one takes long.
func (s depgraph) power() func(float64) float64 {
	switch s.p {
	case 1:
		return math.Abs
	case 2:
		return func(v float64) float64 { return v * v }
	}
	return func(v float64) float64 { return math.Pow(math.Abs(v), s.p) }
}

// isStatistic reports running means and variances.
func isStatistic(m graph.Member) bool {
	return m.Node != nil && m.Node.Is("BatchNormalization") && (m.Value == m.Node.In(3) || m.Value == m.Node.In(4))
}
