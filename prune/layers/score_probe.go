package layers

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "probe", Family: method.Layers, Summary: "blocks behind which a linear classifier is right no more often than before them",
		Paper: "Chen and Zhao, Shallowing deep networks: Layer-wise pruning based on feature representations, TPAMI 41(12)", Year: 2019,
		Needs: method.Needs{Data: true, Labels: true},
		New:   func(map[string]string) (any, error) { return gain{probe}, nil },
	})
}

// probe trains a logistic regression on three quarters of the images, with
// standardized features, and returns its accuracy on the rest.
func probe(x [][]float64, y []int32, classes int) float64 {
	standardize(x)
	train := len(x) * 3 / 4
	if train == 0 {
		return 0
	}
	width := len(x[0]) + 1
	w := make([][]float64, classes)
	for c := range w {
		w[c] = make([]float64, width)
	}
	scores := func(f []float64) []float64 {
		z := make([]float64, classes)
		for c := range z {
			z[c] = dot(f, w[c][:width-1]) + w[c][width-1]
		}
		return z
	}
	const rounds, decay = 100, 1e-3
	rate := 1 / math.Sqrt(float64(width))
	for range rounds {
		grad := make([][]float64, classes)
		for c := range grad {
			grad[c] = make([]float64, width)
		}
		for i, f := range x[:train] {
			p := softmax(scores(f))
			p[y[i]]--
			for c, e := range p {
				for k, v := range f {
					grad[c][k] += e * v / float64(train)
				}
				grad[c][width-1] += e / float64(train)
			}
		}
		for c := range w {
			for k := range w[c] {
				w[c][k] -= rate * (grad[c][k] + decay*w[c][k])
			}
		}
	}
	right := 0
	for i, f := range x[train:] {
		z := scores(f)
		best := 0
		for c, v := range z {
			if v > z[best] {
				best = c
			}
		}
		if best == int(y[train+i]) {
			right++
		}
	}
	return float64(right) / float64(max(len(x)-train, 1))
}

func softmax(z []float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range z {
		top = max(top, v)
	}
	for c := range z {
		z[c] = math.Exp(z[c] - top)
		sum += z[c]
	}
	for c := range z {
		z[c] /= sum
	}
	return z
}

// standardize gives each feature mean 0 and deviation 1.
func standardize(x [][]float64) {
	if len(x) == 0 {
		return
	}
	for k := range x[0] {
		mean, sq := 0.0, 0.0
		for _, f := range x {
			mean += f[k] / float64(len(x))
		}
		for _, f := range x {
			sq += (f[k] - mean) * (f[k] - mean) / float64(len(x))
		}
		for _, f := range x {
			f[k] = (f[k] - mean) / max(math.Sqrt(sq), 1e-6)
		}
	}
}
