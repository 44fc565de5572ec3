package fake

import (
	"fmt"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Compensate is the loss-aware compensation of Octo (Zhou et al., 2021):
// Compensate(δ, α, μ) is α·μ + δ, element by element, which is added to the
// output of a layer whose factors were rounded.
const Compensate = "Compensate"

func init() {
	register(Compensate, 3, true, []int{1, 2}, compensate)
	rule(Compensate, func(b *autodiff.Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		return []*graph.Value{dy[0], b.Op("Mul", nil, dy[0], n.Inputs[2]), b.Op("Mul", nil, dy[0], n.Inputs[1])}, nil
	})
}

func compensate(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if len(in) != 3 || in[0].Len() != in[1].Len() || in[0].Len() != in[2].Len() {
		return nil, fmt.Errorf("want three inputs of one size")
	}
	t, err := like(in[0], Compensation(in[0], in[1], in[2]))
	return []*tensor.Tensor{t}, err
}

// Compensation is α·μ + δ.
func Compensation(delta, alpha, mu *tensor.Tensor) []float32 {
	y := make([]float32, delta.Len())
	a, m := alpha.Float32s(), mu.Float32s()
	for i, d := range delta.Float32s() {
		y[i] = float32(a[i]*m[i]) + d
	}
	return y
}
