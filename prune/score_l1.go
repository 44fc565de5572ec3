package prune

import (
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
	return average(gr.Size, gr.Producers(), func(m graph.Member) ([]float64, error) { return norms(m, math.Abs) })
}
