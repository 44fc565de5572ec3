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
		Name: "grasp", Family: method.Weights, Summary: "the weights whose removal lowers the flow of gradients least, before training",
		Paper: "Wang et al., Picking winning tickets before training by preserving gradient flow, ICLR", Year: 2020,
		Needs: method.Needs{Data: true, Labels: true, Images: prune.LabelledImages},
		New:   func(map[string]string) (any, error) { return &grasp{}, nil },
	})
}

// grasp scores a weight by w·(Hg): the paper removes the highest S = −w⊙Hg.
// The product of the Hessian and the gradient is the difference
// (∇L(w + εg) − ∇L(w − εg)) / 2ε.
type grasp struct{ scores map[string][]float64 }

func (s *grasp) Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error {
	grads, err := meanGradients(ctx, g, layers, d)
	if err != nil {
		return err
	}
	hg, err := hessianTimes(ctx, g, layers, grads, d)
	if err != nil {
		return err
	}
	s.scores = map[string][]float64{}
	for _, l := range layers {
		out := make([]float64, len(l.W))
		for i, v := range hg[l.Value.Name] {
			out[i] = float64(l.W[i]) * v
		}
		s.scores[l.Value.Name] = out
	}
	return nil
}

func (s *grasp) Rate(l *Layer) ([]float64, error) { return s.scores[l.Value.Name], nil }

// hessianTimes computes H·v for the layers' weights by central differences. The
// step makes the change a hundredth of the weights' norm.
func hessianTimes(ctx context.Context, g *graph.Graph, layers []*Layer, v map[string][]float64, d *prune.Data) (map[string][]float64, error) {
	ww, vv := 0.0, 0.0
	for _, l := range layers {
		for i, x := range v[l.Value.Name] {
			ww += float64(l.W[i]) * float64(l.W[i])
			vv += x * x
		}
	}
	if vv == 0 {
		return v, nil
	}
	eps := 1e-2 * math.Sqrt(ww/vv)
	var sides [2]map[string][]float64
	for side, sign := range []float64{1, -1} {
		moved := g.Clone()
		for _, l := range layers {
			value := moved.Value(l.Value.Name)
			value.SetData(value.Data.Clone())
			w := value.Data.Float32s()
			for i, x := range v[l.Value.Name] {
				w[i] += float32(sign * eps * x)
			}
		}
		var err error
		if sides[side], err = meanGradients(ctx, moved, layers, d); err != nil {
			return nil, err
		}
	}
	out := map[string][]float64{}
	for name, up := range sides[0] {
		out[name] = make([]float64, len(up))
		for i, x := range up {
			out[name][i] = (x - sides[1][name][i]) / (2 * eps)
		}
	}
	return out, nil
}
