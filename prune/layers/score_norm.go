package layers

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "norm", Family: method.Layers, Summary: "blocks whose filters have the smallest mean norm", Paper: layerPrune, Year: 2020,
		New: func(map[string]string) (any, error) { return filterMean{norm}, nil },
	})
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
