package prune

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "bn", Family: method.Prune, Summary: "channels whose batch normalization has the smallest scale |γ|",
		Paper: "Liu et al., Learning efficient convolutional networks through network slimming, ICCV", Year: 2017,
		New: func(map[string]string) (any, error) { return bnScale{}, nil },
	})
}

// bnScale scores a channel by |γ| of the batch normalizations it passes,
// averaged. It tells most after training with the hook "slimming", which makes
// the scales sparse. Groups without a batch normalization (also those where it
// was folded) are not rated.
type bnScale struct{}

func (bnScale) Channels(gr *graph.Group) ([]float64, error) {
	norms := batchNorms(gr)
	if norms == nil {
		return nil, Unrated("no batch normalization follows it (folded ones tell nothing)")
	}
	out := make([]float64, gr.Size)
	for _, b := range norms {
		for c, v := range b.gamma {
			out[c] += math.Abs(v) / float64(len(norms))
		}
	}
	return out, nil
}
