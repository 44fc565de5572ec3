package fake

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(Binarize, 3, false, []int{1, 2}, binarize)
	registerGrad(Binarize+"Grad", 2, 4, binarizeGrad, 1, 2)
	rule(Binarize, func(b *autodiff.Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		in := append([]*graph.Value{dy[0]}, n.Inputs...)
		outputs := 1
		if n.In(1) != nil {
			outputs = 2
		}
		dx := b.Node(graph.DrawknifeDomain, Binarize+"Grad", n.Attrs.Clone(), outputs, in...)
		if t := n.In(2); t != nil {
			for len(dx) < 2 {
				dx = append(dx, nil)
			}
			dx = append(dx, b.Zeros(t))
		}
		return dx, nil
	})
}

// EstimatorOf reads the attribute estimator.
func EstimatorOf(n *graph.Node) (fakequant.Estimator, error) {
	name := n.Str("estimator", "hardtanh")
	i := slices.Index(fakequant.Estimators, name)
	if i < 0 {
		return 0, fmt.Errorf("there is no estimator %q (there are: %v)", name, fakequant.Estimators)
	}
	return fakequant.Estimator(i), nil
}

// planes visits the elements of x channel by channel, with the channel's
// threshold.
func planes(x, threshold *tensor.Tensor, f func(lo, hi int, th []float32, c int)) error {
	if threshold == nil {
		f(0, x.Len(), nil, 0)
		return nil
	}
	th := threshold.Float32s()
	if len(x.Shape) < 2 || x.Shape[1] != len(th) {
		return fmt.Errorf("%d thresholds for shape %v", len(th), x.Shape)
	}
	inner := 1
	for _, d := range x.Shape[2:] {
		inner *= d
	}
	for i := range x.Shape[0] * x.Shape[1] {
		c := i % len(th)
		f(i*inner, (i+1)*inner, th[c:c+1], c)
	}
	return nil
}

func binarize(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0].Float32s()
	y := make([]float32, len(x))
	err := planes(in[0], input(in, 1), func(lo, hi int, th []float32, _ int) { fakequant.Sign(y[lo:hi], x[lo:hi], th) })
	if err != nil {
		return nil, err
	}
	t, err := like(in[0], y)
	return []*tensor.Tensor{t}, err
}

func binarizeGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	e, err := EstimatorOf(n)
	if err != nil {
		return nil, err
	}
	dy, x := in[0].Float32s(), in[1].Float32s()
	threshold, temperature := input(in, 2), number(input(in, 3), n.Float("t", 1))
	dx := make([]float32, len(x))
	var sums []float64
	if threshold != nil {
		sums = make([]float64, threshold.Len())
	}
	err = planes(in[1], threshold, func(lo, hi int, th []float32, c int) {
		fakequant.SignGrad(dx[lo:hi], dy[lo:hi], x[lo:hi], th, e, temperature)
		if sums != nil {
			for _, v := range dx[lo:hi] {
				sums[c] -= float64(v)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	t, err := like(in[1], dx)
	out := []*tensor.Tensor{t}
	if err == nil && n.Out(1) != nil && threshold != nil {
		d := make([]float32, len(sums))
		for i, s := range sums {
			d[i] = float32(s)
		}
		t, err = like(threshold, d)
		out = append(out, t)
	}
	return out, err
}
