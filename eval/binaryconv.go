package eval

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(graph.DrawknifeDomain, arithmetic, 2, map[string]Func{graph.BinaryConv: binaryConv})
}

// binaryConv is scale·Conv(sign(x), sign(w)) + bias; the sums are integers.
func binaryConv(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	if x.DType != tensor.Float32 {
		return nil, fmt.Errorf("not defined for %v", x.DType)
	}
	signs, ws, err := graph.Signs(n, in[1])
	if err != nil {
		return nil, err
	}
	w := convert[int64](signs)
	xs := make([]int64, x.Len())
	for i, v := range x.Float32s() {
		xs[i] = -1
		if v >= 0 {
			xs[i] = 1
		}
	}
	sums, shape, err := convolve(n, x.Shape, ws, xs, w, nil)
	if err != nil {
		return nil, err
	}
	if pad := int64(n.Float("pad_value", 0)); pad != 0 {
		if err := addPadding(n, sums, x.Shape, ws, w, pad); err != nil {
			return nil, err
		}
	}
	scale, bias, err := channelAffine(in, shape[1])
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(sums))
	size := product(shape[2:])
	for i, s := range sums {
		o := i / size % shape[1]
		out[i] = float32(float32(s)*scale[o]) + bias[o]
	}
	return one(tensor.Of(out, shape...), nil)
}

// channelAffine reads scale and bias (inputs 2 and 3) of m channels.
func channelAffine(in []*tensor.Tensor, m int) (scale, bias []float32, err error) {
	scale, bias = make([]float32, m), make([]float32, m)
	fill(scale, 1)
	for i, to := range map[int][]float32{2: scale, 3: bias} {
		t := input(in, i)
		if t == nil {
			continue
		}
		if t.DType != tensor.Float32 || t.Len() != m {
			return nil, nil, fmt.Errorf("input %d is %v, want %d float32 elements", i, t, m)
		}
		copy(to, t.Float32s())
	}
	return scale, bias, nil
}

// addPadding adds pad times the weights whose taps lie outside the input:
// all of them less those that an input of ones would meet.
func addPadding(n *graph.Node, sums []int64, xs, ws []int, w []int64, pad int64) error {
	ones := make([]int64, product(xs[1:]))
	fill(ones, 1)
	inside, shape, err := convolve(n, append([]int{1}, xs[1:]...), ws, ones, w, nil)
	if err != nil {
		return err
	}
	all := make([]int64, ws[0])
	for i, v := range w {
		all[i/product(ws[1:])] += v
	}
	size := product(shape[2:])
	for i := range sums {
		sums[i] += pad * (all[i/size%shape[1]] - inside[i%len(inside)])
	}
	return nil
}
