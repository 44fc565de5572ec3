package layers

import (
	"context"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

const layerPrune = "Elkerdawy et al., To filter prune, or to layer prune, that is the question, ACCV"

func init() {
	method.Register(method.Method{
		Name: "norm", Family: method.Layers, Summary: "blocks whose filters have the smallest mean norm", Paper: layerPrune, Year: 2020,
		New: func(map[string]string) (any, error) { return filterMean{norm}, nil },
	})
	method.Register(method.Method{
		Name: "bn", Family: method.Layers, Summary: "blocks whose batch normalizations have the smallest mean scale", Paper: layerPrune, Year: 2020,
		New: func(map[string]string) (any, error) { return filterMean{scale}, nil },
	})
	method.Register(method.Method{
		Name: "taylor", Family: method.Layers, Summary: "blocks whose filters change the loss least, to first order", Paper: layerPrune, Year: 2020,
		Needs: method.Needs{Data: true, Labels: true, Images: prune.LabelledImages},
		New:   func(map[string]string) (any, error) { return taylor{}, nil },
	})
}

// filterMean scores a block by the mean over its layers of the mean over their
// filters of a criterion.
type filterMean struct {
	of func(n *graph.Node) (sum float64, filters int)
}

func (s filterMean) Rate(_ context.Context, _ *graph.Graph, blocks []*Block, _ *prune.Data) ([]float64, error) {
	out := make([]float64, len(blocks))
	for i, b := range blocks {
		layers := 0
		for _, n := range b.Nodes {
			if sum, filters := s.of(n); filters > 0 {
				out[i] += sum / float64(filters)
				layers++
			}
		}
		if layers == 0 {
			return nil, fmt.Errorf("block %q has no layer that it can rate", b.Name)
		}
		out[i] /= float64(layers)
	}
	return out, nil
}

// norm adds up the L2 norms of a layer's filters.
func norm(n *graph.Node) (float64, int) {
	if !n.Is("Conv", "Gemm", "MatMul") || !n.In(1).IsConst() {
		return 0, 0
	}
	w, t := n.In(1).Data.Float32s(), n.In(1).Data
	filters, of := t.Shape[0], func(i int) int { return i / (t.Len() / t.Shape[0]) }
	if n.Is("MatMul") || n.Is("Gemm") && n.Int("transB", 0) == 0 {
		filters = t.Shape[len(t.Shape)-1]
		of = func(i int) int { return i % filters }
	}
	squares := make([]float64, filters)
	for i, v := range w {
		squares[of(i)] += float64(v) * float64(v)
	}
	sum := 0.0
	for _, v := range squares {
		sum += math.Sqrt(v)
	}
	return sum, filters
}

// scale adds up the magnitudes of a normalization's scales.
func scale(n *graph.Node) (float64, int) {
	if !n.Is("BatchNormalization") || !n.In(1).IsConst() {
		return 0, 0
	}
	sum := 0.0
	for _, v := range n.In(1).Data.Float32s() {
		sum += math.Abs(float64(v))
	}
	return sum, n.In(1).Data.Len()
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
