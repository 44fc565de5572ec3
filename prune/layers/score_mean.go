package layers

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/prune"
)

const layerPrune = "Elkerdawy et al., To filter prune, or to layer prune, that is the question, ACCV"

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
