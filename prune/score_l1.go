package prune

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "l1", Family: method.Prune, Summary: "channels whose filters have the smallest L1 norm",
		Paper: "Li et al., Pruning filters for efficient ConvNets, ICLR", Year: 2017,
		New: func(map[string]string) (any, error) { return l1{}, nil },
	})
}

// l1 scores a channel by s = Σ|W[o]| over the filters that compute it (bias
// and batch normalisation are ignored), averaged over the producers of a
// residual group after each producer's scores are divided by their mean.
type l1 struct{}

func (l1) Channels(gr *graph.Group) ([]float64, error) {
	total := make([]float64, gr.Size)
	for _, m := range gr.Producers() {
		s, err := norms(m, func(v float64) float64 { return math.Abs(v) })
		if err != nil {
			return nil, err
		}
		mean, n := 0.0, 0
		for c, at := range m.At {
			if len(at) > 0 {
				mean, n = mean+s[c], n+1
			}
		}
		if mean == 0 {
			continue
		}
		for c := range total {
			total[c] += s[c] / (mean / float64(n))
		}
	}
	return total, nil
}

// norms sums f over all weights of each logical channel of a member.
func norms(m graph.Member, f func(float64) float64) ([]float64, error) {
	t := m.Value.Data
	if t == nil || m.Axis >= len(t.Shape) {
		return nil, fmt.Errorf("prune: %q is not a constant of rank above %d", m.Value.Name, m.Axis)
	}
	w := t.Float32s()
	inner := 1
	for _, d := range t.Shape[m.Axis+1:] {
		inner *= d
	}
	// With groups the axis counts a group's channels: index i is i mod size
	// within group i div size, which is a part of the axes before.
	size, groups := t.Shape[m.Axis], max(m.Groups, 1)
	perGroup := max(len(w)/groups, 1)
	perIndex := make([]float64, size*groups)
	for i, v := range w {
		perIndex[i/perGroup*size+i/inner%size] += f(float64(v))
	}
	out := make([]float64, len(m.At))
	for c, at := range m.At {
		for _, i := range at {
			if i < 0 || i >= len(perIndex) {
				return nil, fmt.Errorf("prune: %q has no index %d on axis %d", m.Value.Name, i, m.Axis)
			}
			out[c] += perIndex[i]
		}
	}
	return out, nil
}
