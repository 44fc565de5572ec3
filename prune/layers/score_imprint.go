package layers

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "imprint", Family: method.Layers, Summary: "blocks behind which the nearest class prototype is right no more often than before them", Paper: layerPrune, Year: 2020,
		Needs: method.Needs{Data: true, Labels: true},
		New:   func(map[string]string) (any, error) { return gain{imprint}, nil },
	})
}

// imprint is the accuracy, on the images themselves, of the class whose mean
// embedding of unit length has the largest dot product with the image's.
func imprint(x [][]float64, y []int32, classes int) float64 {
	proto := make([][]float64, classes)
	for i, f := range x {
		unit(f)
		if proto[y[i]] == nil {
			proto[y[i]] = make([]float64, len(f))
		}
		for k, v := range f {
			proto[y[i]][k] += v
		}
	}
	for _, p := range proto {
		unit(p)
	}
	right := 0
	for i, f := range x {
		best, most := -1, math.Inf(-1)
		for c, p := range proto {
			if p == nil {
				continue
			}
			if d := dot(f, p); d > most {
				best, most = c, d
			}
		}
		if best == int(y[i]) {
			right++
		}
	}
	return float64(right) / float64(max(len(x), 1))
}

func unit(f []float64) {
	n := math.Sqrt(dot(f, f))
	for k := range f {
		f[k] /= max(n, 1e-30)
	}
}
