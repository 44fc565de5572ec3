package weights

import (
	"context"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

func init() {
	method.Register(method.Method{
		Name: "snip", Family: method.Weights, Summary: "the weights whose connection matters least to the loss, |g·w|, before training",
		Paper: "Lee et al., SNIP: Single-shot network pruning based on connection sensitivity, ICLR", Year: 2019,
		Needs: method.Needs{Data: true, Labels: true, Images: prune.LabelledImages},
		New:   func(map[string]string) (any, error) { return &snip{}, nil },
	})
}

// snip scores a weight by |g·w| / Σ|g·w|, with the gradient g of the mean loss
// over the images.
type snip struct {
	grads map[string][]float64
	total float64
}

func (s *snip) Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error {
	var err error
	if s.grads, err = meanGradients(ctx, g, layers, d); err != nil {
		return err
	}
	s.total = 0
	for _, l := range layers {
		for i, v := range s.grads[l.Value.Name] {
			s.total += math.Abs(v * float64(l.W[i]))
		}
	}
	return nil
}

func (s *snip) Rate(l *Layer) ([]float64, error) {
	return sensitivities(l.W, s.grads[l.Value.Name], s.total), nil
}

// sensitivities are |g·w| / total.
func sensitivities(w []float32, g []float64, total float64) []float64 {
	out := make([]float64, len(w))
	for i, v := range g {
		out[i] = math.Abs(v*float64(w[i])) / max(total, math.SmallestNonzeroFloat64)
	}
	return out
}

// meanGradients averages the gradients of the layers' weights over batches.
func meanGradients(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) (map[string][]float64, error) {
	sum := map[string][]float64{}
	for _, l := range layers {
		sum[l.Value.Name] = make([]float64, len(l.W))
	}
	n := 0.0
	err := d.Gradients(ctx, g, func(grad func(string) []float32) error {
		n++
		for name, s := range sum {
			for i, v := range grad(name) {
				s[i] += float64(v)
			}
		}
		return nil
	})
	for _, s := range sum {
		for i := range s {
			s[i] /= max(n, 1)
		}
	}
	return sum, err
}
