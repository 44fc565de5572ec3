package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(graph.DrawknifeDomain, arithmetic, 3, map[string]Func{"ActivationGrad": activationGrad, "PReluGrad": preluGrad})
}

// slope is the derivative of an activation, given its argument x, its value y
// and its parameters. At a corner it is that of the flat side.
type slope func(x, y, alpha, beta float64) float64

func ifElse(c bool, a, b float64) float64 {
	if c {
		return a
	}
	return b
}

// slopes are the derivatives by ONNX operator. alpha and beta are the
// operator's alpha and beta, Selu's alpha and gamma, Clip's minimum and
// maximum.
var slopes = map[string]slope{
	"Relu":            func(x, _, _, _ float64) float64 { return ifElse(x > 0, 1, 0) },
	"LeakyRelu":       func(x, _, a, _ float64) float64 { return ifElse(x > 0, 1, a) },
	"Clip":            func(x, _, lo, hi float64) float64 { return ifElse(x > lo && x < hi, 1, 0) },
	"Elu":             func(x, y, a, _ float64) float64 { return ifElse(x > 0, 1, y+a) },
	"Selu":            func(x, y, a, g float64) float64 { return ifElse(x > 0, g, y+a*g) },
	"Celu":            func(x, y, a, _ float64) float64 { return ifElse(x > 0, 1, y/a+1) },
	"ThresholdedRelu": func(x, _, a, _ float64) float64 { return ifElse(x > a, 1, 0) },
	"Sigmoid":         func(_, y, _, _ float64) float64 { return y * (1 - y) },
	"HardSigmoid":     func(_, y, a, _ float64) float64 { return ifElse(y > 0 && y < 1, a, 0) },
	"HardSwish": func(x, _, _, _ float64) float64 {
		return ifElse(x > -3, ifElse(x < 3, x/3+0.5, 1), 0)
	},
	"Swish": func(x, y, a, _ float64) float64 { s := sigmoid(a * x); return s + a*y*(1-s) },
	"Tanh":  func(_, y, _, _ float64) float64 { return 1 - y*y },
	"Softplus": func(x, _, _, _ float64) float64 {
		return sigmoid(x)
	},
	"Softsign": func(x, _, _, _ float64) float64 { t := 1 / (1 + math.Abs(x)); return t * t },
	"Mish": func(x, _, _, _ float64) float64 {
		t := math.Tanh(softplus(x))
		return t + x*(1-t*t)*sigmoid(x)
	},
	"Gelu": func(x, _, _, _ float64) float64 {
		return 0.5*(1+math.Erf(x/math.Sqrt2)) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	},
	"GeluTanh": func(x, _, _, _ float64) float64 {
		const k, c = 0.7978845608028654, 0.044715 // √(2/π)
		t := math.Tanh(k * (x + c*x*x*x))
		return 0.5*(1+t) + 0.5*x*(1-t*t)*k*(1+3*c*x*x)
	},
	"Erf":        func(x, _, _, _ float64) float64 { return 2 / math.SqrtPi * math.Exp(-x*x) },
	"Exp":        func(_, y, _, _ float64) float64 { return y },
	"Log":        func(x, _, _, _ float64) float64 { return 1 / x },
	"Sqrt":       func(_, y, _, _ float64) float64 { return 0.5 / y },
	"Neg":        func(_, _, _, _ float64) float64 { return -1 },
	"Abs":        func(x, _, _, _ float64) float64 { return sign(x) },
	"Reciprocal": func(_, y, _, _ float64) float64 { return -y * y },
	"Sin":        func(x, _, _, _ float64) float64 { return math.Cos(x) },
	"Cos":        func(x, _, _, _ float64) float64 { return -math.Sin(x) },
	"Tan":        func(_, y, _, _ float64) float64 { return 1 + y*y },
	"Asin":       func(x, _, _, _ float64) float64 { return 1 / math.Sqrt(1-x*x) },
	"Acos":       func(x, _, _, _ float64) float64 { return -1 / math.Sqrt(1-x*x) },
	"Atan":       func(x, _, _, _ float64) float64 { return 1 / (1 + x*x) },
	"Sinh":       func(x, _, _, _ float64) float64 { return math.Cosh(x) },
	"Cosh":       func(x, _, _, _ float64) float64 { return math.Sinh(x) },
	"Asinh":      func(x, _, _, _ float64) float64 { return 1 / math.Sqrt(1+x*x) },
	"Acosh":      func(x, _, _, _ float64) float64 { return 1 / math.Sqrt(x*x-1) },
	"Atanh":      func(x, _, _, _ float64) float64 { return 1 / (1 - x*x) },
}

// Activations lists the kinds that ActivationGrad knows: ONNX's operator names
// and GeluTanh for Gelu's approximation.
func Activations() []string {
	list := make([]string, 0, len(slopes))
	for kind := range slopes {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

// activationGrad is dy·f'(x).
func activationGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	f, ok := slopes[n.Str("kind", "")]
	if !ok {
		return nil, fmt.Errorf("unknown activation %q", n.Str("kind", ""))
	}
	for _, t := range in[1:] {
		if !slices.Equal(t.Shape, in[0].Shape) {
			return nil, fmt.Errorf("gradient %v does not fit %v", in[0].Shape, t.Shape)
		}
	}
	a, b := float64(n.Float("alpha", 0)), float64(n.Float("beta", 0))
	g, x, y := floats(in[0]), floats(in[1]), floats(in[2])
	dx := make([]float64, len(g))
	for i, d := range g {
		dx[i] = d * f(x[i], y[i], a, b)
	}
	return one(ofFloats(in[0].DType, dx, in[0].Shape))
}

// preluGrad is dy, or slope·dy where x is not positive, and Σ x·dy there for
// each slope.
func preluGrad(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x, slope := in[0], in[1], in[2]
	if shape, err := broadcastShape(x.Shape, slope.Shape); err != nil || !slices.Equal(shape, x.Shape) || !slices.Equal(dy.Shape, x.Shape) {
		return nil, fmt.Errorf("gradient of shape %v and slope of shape %v do not belong to %v", dy.Shape, slope.Shape, x.Shape)
	}
	dx, dslope := make([]float64, x.Len()), make([]float64, slope.Len())
	dyv, xv, sv := floats(dy), floats(x), floats(slope)
	full := strides(x.Shape)
	rows(x.Shape, [][]int{full, spread(slope.Shape, x.Shape)}, func(n int, at, step []int) {
		for i := range n {
			j, k := at[0]+i*step[0], at[1]+i*step[1]
			dx[j] = dyv[j]
			if !(xv[j] > 0) {
				dx[j] *= sv[k]
				dslope[k] += xv[j] * dyv[j]
			}
		}
	})
	a, err := ofFloats(x.DType, dx, x.Shape)
	if err != nil {
		return nil, err
	}
	b, err := ofFloats(x.DType, dslope, slope.Shape)
	return []*tensor.Tensor{a, b}, err
}
