package autodiff

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
)

// activation describes how a one-input operator maps to ActivationGrad.
type activation struct {
	alpha      string // attribute that becomes alpha
	a          float32
	beta       string
	b          float32
	parameters bool // has parameters at all
}

var activations = map[string]activation{
	"LeakyRelu":       {alpha: "alpha", a: 0.01, parameters: true},
	"Elu":             {alpha: "alpha", a: 1, parameters: true},
	"Celu":            {alpha: "alpha", a: 1, parameters: true},
	"Swish":           {alpha: "alpha", a: 1, parameters: true},
	"ThresholdedRelu": {alpha: "alpha", a: 1, parameters: true},
	"Selu": {alpha: "alpha", a: 1.67326319217681884765625, beta: "gamma", b: 1.05070102214813232421875,
		parameters: true},
	"HardSigmoid": {alpha: "alpha", a: 0.2, beta: "beta", b: 0.5, parameters: true},
}

func init() {
	register(activationRule, "Relu", "LeakyRelu", "Elu", "Celu", "Swish", "ThresholdedRelu", "Selu", "HardSigmoid",
		"Sigmoid", "HardSwish", "Tanh", "Softplus", "Softsign", "Mish", "Gelu", "Erf", "Exp", "Log", "Sqrt", "Abs", "Reciprocal",
		"Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")
	register(clipRule, "Clip")
	register(softmaxRule, "Softmax", "LogSoftmax")
	register(preluRule, "PRelu")
	register(func(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		return []*graph.Value{b.Op("Neg", nil, dy[0])}, nil
	}, "Neg")
	// Steps are flat almost everywhere.
	register(func(*Builder, *graph.Node, []*graph.Value) ([]*graph.Value, error) { return nil, nil },
		"Floor", "Ceil", "Round", "Sign")
}

func activationRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	a := activations[n.Op]
	attrs := graph.Attrs{"kind": n.Op}
	if n.Op == "Gelu" && n.Str("approximate", "none") == "tanh" {
		attrs["kind"] = "GeluTanh"
	}
	if a.parameters {
		attrs["alpha"] = n.Float(a.alpha, a.a)
		attrs["beta"] = n.Float(a.beta, a.b)
	}
	return []*graph.Value{b.Own("ActivationGrad", attrs, dy[0], n.Inputs[0], n.Outputs[0])}, nil
}

// clipRule has no gradients for the limits, which must be constants.
func clipRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	limit := [2]float32{float32(math.Inf(-1)), float32(math.Inf(1))}
	for i := range limit {
		v := n.In(1 + i)
		if v == nil {
			continue
		}
		if v.Data == nil || v.Data.Len() != 1 {
			return nil, fmt.Errorf("limit %q is not a constant number", v.Name)
		}
		limit[i] = float32(v.Data.At(0))
	}
	attrs := graph.Attrs{"kind": "Clip", "alpha": limit[0], "beta": limit[1]}
	return []*graph.Value{b.Own("ActivationGrad", attrs, dy[0], n.Inputs[0], n.Outputs[0])}, nil
}

func softmaxRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	attrs := graph.Attrs{"axis": int64(n.Int("axis", -1))}
	if n.Op == "LogSoftmax" {
		attrs["log"] = int64(1)
	}
	return []*graph.Value{b.Own("SoftmaxGrad", attrs, dy[0], n.Outputs[0])}, nil
}

func preluRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	outputs := 1
	if b.Wants(n, 1) {
		outputs = 2
	}
	return b.Node(graph.DrawknifeDomain, "PReluGrad", nil, outputs, dy[0], n.Inputs[0], n.Inputs[1]), nil
}
