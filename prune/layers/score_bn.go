package layers

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "bn", Family: method.Layers, Summary: "blocks whose batch normalizations have the smallest mean scale", Paper: layerPrune, Year: 2020,
		New: func(map[string]string) (any, error) { return filterMean{scale}, nil },
	})
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
