package prune

import (
	"context"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "apoz", Family: method.Prune, Summary: "channels that are zero most often after their ReLU",
		Paper: "Hu et al., Network trimming: A data-driven neuron pruning approach", Year: 2016,
		Needs: method.Needs{Data: true},
		New: func(map[string]string) (any, error) {
			return &apoz{zeros: map[*graph.Group][]float64{}, count: map[*graph.Group][]float64{}}, nil
		},
	})
}

// apoz scores a channel by 1 − APoZ: the share of its activations, over images
// and positions, that are not zero. It is measured behind activations that
// give exact zeros; groups without one are not rated.
type apoz struct{ zeros, count map[*graph.Group][]float64 }

func (s *apoz) Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error {
	var all []graph.Member
	for _, gr := range groups {
		all = append(all, responses(gr, rectifiers)...)
	}
	if all == nil {
		return Unrated("no activation of the model gives exact zeros")
	}
	return d.Run(ctx, g, names(all...), func(_ int, v map[string]*tensor.Tensor) error {
		for _, gr := range groups {
			for _, m := range responses(gr, rectifiers) {
				if s.zeros[gr] == nil {
					s.zeros[gr], s.count[gr] = make([]float64, gr.Size), make([]float64, gr.Size)
				}
				eachMap(m, v[m.Value.Name], func(c int, x []float32) {
					s.count[gr][c] += float64(len(x))
					s.zeros[gr][c] += float64(zeros(x))
				})
			}
		}
		return nil
	})
}

func zeros(x []float32) int {
	n := 0
	for _, v := range x {
		if v == 0 {
			n++
		}
	}
	return n
}

func (s *apoz) Channels(gr *graph.Group) ([]float64, error) {
	if s.zeros[gr] == nil {
		return nil, Unrated("no activation behind it gives exact zeros")
	}
	out := make([]float64, gr.Size)
	for c := range out {
		out[c] = 1 - s.zeros[gr][c]/max(s.count[gr][c], 1)
	}
	return out, nil
}
