package layers

import (
	"context"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "output", Family: method.Layers, Summary: "blocks without which the network's output changes least",
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return output{}, nil },
	})
}

// output scores a block by the relative squared error of the network's output
// when it alone is left out.
type output struct{}

func (output) Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error) {
	all := func(g *graph.Graph) ([]float32, error) {
		var list []float32
		err := d.Run(ctx, g, nil, func(_ int, v map[string]*tensor.Tensor) error {
			list = append(list, v[g.Outputs[0].Name].Float32s()...)
			return nil
		})
		return list, err
	}
	want, err := all(g)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(blocks))
	for i := range blocks {
		c := g.Clone()
		for _, b := range Find(c) {
			if b.Name == blocks[i].Name {
				b.remove(c)
				break
			}
		}
		c.RemoveDead()
		got, err := all(c)
		if err != nil {
			return nil, err
		}
		diff, norm := 0.0, 0.0
		for k, w := range want {
			diff += float64(w-got[k]) * float64(w-got[k])
			norm += float64(w) * float64(w)
		}
		out[i] = diff / max(norm, 1e-30)
	}
	return out, nil
}
