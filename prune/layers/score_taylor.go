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
		Name: "taylor", Family: method.Layers, Summary: "blocks whose filters change the loss least, to first order", Paper: layerPrune, Year: 2020,
		Needs: method.Needs{Data: true, Labels: true, Images: prune.LabelledImages},
		New:   func(map[string]string) (any, error) { return taylor{}, nil },
	})
}

// taylor scores a block by the mean over its layers of the mean over their
// filters of (Σ g·w)², averaged over batches.
type taylor struct{}

func (taylor) Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error) {
	out := make([]float64, len(blocks))
	batches := 0.0
	err := d.Gradients(ctx, g, func(grad func(string) []float32) error {
		batches++
		for i, b := range blocks {
			sum, layers := 0.0, 0.0
			for _, n := range b.Nodes {
				if !n.Is("Conv") || !n.In(1).IsConst() || n.In(1).Data.DType != tensor.Float32 {
					continue
				}
				w, dw := tensor.Data[float32](n.In(1).Data), grad(n.In(1).Name)
				filters := n.In(1).Data.Shape[0]
				per := len(w) / filters
				layers++
				for f := range filters {
					dot := 0.0
					for k := f * per; k < (f+1)*per && k < len(dw); k++ {
						dot += float64(w[k]) * float64(dw[k])
					}
					sum += dot * dot / float64(filters)
				}
			}
			out[i] += sum / max(layers, 1)
		}
		return nil
	})
	for i := range out {
		out[i] /= max(batches, 1)
	}
	return out, err
}
