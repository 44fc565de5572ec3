package weights

import "github.com/drawknife/drawknife/method"

func init() {
	method.Register(method.Method{
		Name: "magnitude", Family: method.Weights, Summary: "the weights nearest zero",
		Paper: "Han et al., Learning both weights and connections for efficient neural networks, NIPS", Year: 2015,
		New: func(map[string]string) (any, error) { return magnitude{}, nil },
	})
}

// magnitude scores a weight by |w|. With schedule iterative it is the
// three-step pruning of the paper; with gradual that of Zhu and Gupta; with
// lottery the search for winning tickets.
type magnitude struct{}

func (magnitude) Rate(l *Layer) ([]float64, error) { return magnitudes(l.W), nil }
