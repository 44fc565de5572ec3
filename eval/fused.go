package eval

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	const ms = graph.MicrosoftDomain
	register(ms, arithmetic, 2, map[string]Func{"FusedConv": fusedConv, "FusedGemm": fusedGemm})
	register(ms, arithmetic, 1, map[string]Func{
		"Gelu": func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return one(mapFloats(in[0], gelu)) },
		"QuickGelu": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			alpha := float64(n.Float("alpha", 1.702))
			return one(mapFloats(in[0], func(x float64) float64 { return x * sigmoid(alpha*x) }))
		},
	})
}

// fusedConv is activation(Conv(x, w) + b + z); z (input 3) may be left out.
func fusedConv(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out, err := conv(n, in)
	if err != nil {
		return nil, err
	}
	y := out[0]
	if z := input(in, 3); z != nil {
		if y, err = add.apply(y, z); err != nil {
			return nil, err
		}
	}
	params := n.Floats("activation_params")
	return one(activate(y, n.Str("activation", ""), params))
}

// fusedGemm is activation(Gemm).
func fusedGemm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out, err := gemm(n, in)
	if err != nil {
		return nil, err
	}
	var params []float32
	for _, name := range []string{"activation_alpha", "activation_beta", "activation_gamma"} {
		if n.Has(name) {
			params = append(params, n.Float(name, 0))
		}
	}
	return one(activate(out[0], n.Str("activation", ""), params))
}

// activate applies ONNX Runtime's fused activation of that name.
func activate(x *tensor.Tensor, name string, params []float32) (*tensor.Tensor, error) {
	param := func(i int, def float64) float64 {
		if i < len(params) {
			return float64(params[i])
		}
		return def
	}
	var f func(float64) float64
	switch name {
	case "":
		return x, nil
	case "Relu":
		f = relu
	case "Sigmoid", "Tanh":
		out, err := table[[2]string{"", name}].f(&graph.Node{Op: name}, []*tensor.Tensor{x})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	case "LeakyRelu":
		alpha := param(0, 0.01)
		f = func(x float64) float64 { return leakyRelu(x, alpha) }
	case "Clip":
		lo, hi := param(0, -3.4028234663852886e38), param(1, 3.4028234663852886e38)
		f = func(x float64) float64 { return clamp(x, lo, hi) }
	case "HardSigmoid":
		alpha, beta := param(0, 0.2), param(1, 0.5)
		f = func(x float64) float64 { return clamp(alpha*x+beta, 0, 1) }
	default:
		return nil, fmt.Errorf("unknown activation %q", name)
	}
	return mapFloats(x, f)
}
