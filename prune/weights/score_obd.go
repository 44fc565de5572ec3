package weights

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

func init() {
	method.Register(method.Method{
		Name: "obd", Family: method.Weights, Summary: "optimal brain damage: the weights of the smallest ½·h·w², h the diagonal of the Hessian",
		Paper: "LeCun, Denker and Solla, Optimal brain damage, NIPS", Year: 1989,
		Needs:   method.Needs{Data: true, Labels: true, Images: prune.LabelledImages},
		Options: []method.Option{prune.LossOption()},
		New: func(o map[string]string) (any, error) {
			if o["loss"] != "labels" && o["loss"] != "outputs" {
				return nil, fmt.Errorf("loss %q: there are labels, outputs", o["loss"])
			}
			return &obd{loss: o["loss"]}, nil
		},
	})
}

// obd scores a weight by s = ½·h·w². At a minimum of the loss the diagonal h of
// the Hessian is close to the empirical Fisher information, the mean of g² over
// the samples; small batches are the better samples. With loss=outputs it is
// that of the squared change of the outputs (Gauss and Newton's, as if the loss
// were squared), which is left when the loss has no gradients any more.
type obd struct {
	loss   string
	fisher map[string][]float64
}

func (s *obd) Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error {
	s.fisher = map[string][]float64{}
	for _, l := range layers {
		s.fisher[l.Value.Name] = make([]float64, len(l.W))
	}
	n := 0.0
	err := d.GradientsOf(ctx, s.loss, g, func(grad func(string) []float32) error {
		n++
		for name, f := range s.fisher {
			for i, v := range grad(name) {
				f[i] += float64(v) * float64(v)
			}
		}
		return nil
	})
	for _, f := range s.fisher {
		for i := range f {
			f[i] /= max(n, 1)
		}
	}
	return err
}

func (s *obd) Rate(l *Layer) ([]float64, error) { return saliency(l.W, s.fisher[l.Value.Name]), nil }

// saliency is ½·h·w².
func saliency(w []float32, h []float64) []float64 {
	out := make([]float64, len(w))
	for i, v := range w {
		out[i] = 0.5 * h[i] * float64(v) * float64(v)
	}
	return out
}
