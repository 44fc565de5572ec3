package prune

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "fpgm", Family: method.Prune, Summary: "channels whose filters lie nearest the geometric median: the others can stand for them",
		Paper: "He et al., Filter pruning via geometric median for deep CNNs acceleration, CVPR", Year: 2019,
		Options: []method.Option{{Name: "distance", Default: "l2", Help: "between filters: l2, l1 or cosine"}},
		New: func(o map[string]string) (any, error) {
			d, ok := distances[o["distance"]]
			if !ok {
				return nil, fmt.Errorf("distance %q: there are l2, l1, cosine", o["distance"])
			}
			return fpgm{d}, nil
		},
	})
}

// distances take a buffer as long as the filters.
var distances = map[string]func(a, b, buf []float32) float64{
	"l2": func(a, b, buf []float32) float64 {
		vec.Binary(vec.Sub, buf, a, b)
		return math.Sqrt(float64(vec.SumSquares(buf)))
	},
	"l1": func(a, b, _ []float32) float64 {
		s := 0.0
		for i, v := range a {
			s += math.Abs(float64(v - b[i]))
		}
		return s
	},
	"cosine": func(a, b, _ []float32) float64 {
		n := math.Sqrt(float64(vec.SumSquares(a)) * float64(vec.SumSquares(b)))
		if n == 0 {
			return 1
		}
		return 1 - float64(vec.Dot(a, b))/n
	},
}

// fpgm scores filter o by g(o) = Σ_o' ‖F_o − F_o'‖: the smaller, the nearer it
// is to the geometric median of the layer's filters, and the better the others
// can represent it. Translation of all filters changes nothing.
type fpgm struct {
	distance func(a, b, buf []float32) float64
}

func (s fpgm) Channels(gr *graph.Group) ([]float64, error) {
	return average(gr.Size, gr.Producers(), func(m graph.Member) ([]float64, error) {
		f, err := filters(m)
		if err != nil {
			return nil, err
		}
		out := make([]float64, len(f))
		engine.Pool(0).For(len(f), 4, func(_, lo, hi int) {
			var buf []float32
			for i := lo; i < hi; i++ {
				if len(buf) < len(f[i]) {
					buf = make([]float32, len(f[i]))
				}
				for _, other := range f {
					if len(other) == len(f[i]) && len(other) > 0 {
						out[i] += s.distance(f[i], other, buf[:len(other)])
					}
				}
			}
		})
		return out, nil
	})
}
