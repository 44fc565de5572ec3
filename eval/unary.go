package eval

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	fs := map[string]Func{}
	for op, f := range map[string]func(float64) float64{
		"Sqrt": math.Sqrt, "Exp": math.Exp, "Log": math.Log, "Erf": math.Erf,
		"Sin": math.Sin, "Cos": math.Cos, "Tan": math.Tan,
		"Asin": math.Asin, "Acos": math.Acos, "Atan": math.Atan,
		"Sinh": math.Sinh, "Cosh": math.Cosh, "Tanh": math.Tanh,
		"Asinh": math.Asinh, "Acosh": math.Acosh, "Atanh": math.Atanh,
		"Floor": math.Floor, "Ceil": math.Ceil, "Round": math.RoundToEven,
		"Reciprocal": func(x float64) float64 { return 1 / x },
		"Sigmoid":    sigmoid,
		"Softplus":   softplus,
		"Softsign":   func(x float64) float64 { return x / (1 + math.Abs(x)) },
		"HardSwish":  func(x float64) float64 { return x * clamp(x/6+0.5, 0, 1) },
		"Mish":       func(x float64) float64 { return x * math.Tanh(softplus(x)) },
	} {
		fs[op] = func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return one(mapFloats(in[0], f)) }
	}
	register("", arithmetic, 1, fs)
	register("", arithmetic, 1, map[string]Func{
		"Abs":  exactUnary(math.Abs, func(x int64) int64 { return max(x, -x) }, same),
		"Neg":  exactUnary(func(x float64) float64 { return -x }, func(x int64) int64 { return -x }, func(x uint64) uint64 { return -x }),
		"Sign": exactUnary(sign, func(x int64) int64 { return int64(sign(float64(x))) }, func(x uint64) uint64 { return min(x, 1) }),
		"Relu": exactUnary(relu, func(x int64) int64 { return max(x, 0) }, same),

		"LeakyRelu":       withAlpha(0.01, leakyRelu),
		"Elu":             withAlpha(1, elu),
		"Celu":            withAlpha(1, func(x, a float64) float64 { return max(0, x) + min(0, a*math.Expm1(x/a)) }),
		"ThresholdedRelu": withAlpha(1, thresholdedRelu),
		"Swish":           withAlpha(1, func(x, a float64) float64 { return x * sigmoid(a*x) }),

		"Selu": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			alpha, gamma := float64(n.Float("alpha", 1.67326319217681884765625)), float64(n.Float("gamma", 1.05070102214813232421875))
			return one(mapFloats(in[0], func(x float64) float64 { return gamma * elu(x, alpha) }))
		},
		"HardSigmoid": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			alpha, beta := float64(n.Float("alpha", 0.2)), float64(n.Float("beta", 0.5))
			return one(mapFloats(in[0], func(x float64) float64 { return clamp(alpha*x+beta, 0, 1) }))
		},
		"Gelu": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if n.Str("approximate", "none") == "tanh" {
				return one(mapFloats(in[0], geluTanh))
			}
			return one(mapFloats(in[0], gelu))
		},
		"Shrink": func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			lambda, bias := float64(n.Float("lambd", 0.5)), float64(n.Float("bias", 0))
			return one(mapFloats(in[0], func(x float64) float64 {
				switch {
				case x < -lambda:
					return x + bias
				case x > lambda:
					return x - bias
				}
				return 0
			}))
		},
	})
}

// mapFloats applies f to each element of a float tensor; integers are
// converted there and back.
func mapFloats(x *tensor.Tensor, f func(float64) float64) (*tensor.Tensor, error) {
	if s, ok := x.Any().([]float32); ok {
		out := make([]float32, len(s))
		for i, v := range s {
			out[i] = float32(f(float64(v)))
		}
		return tensor.Of(out, x.Shape...), nil
	}
	if !x.DType.IsFloat() && !x.DType.IsInt() {
		return nil, fmt.Errorf("not defined for %v", x.DType)
	}
	s := floats(x)
	out := make([]float64, len(s))
	for i, v := range s {
		out[i] = f(v)
	}
	return ofFloats(x.DType, out, x.Shape)
}

// mapInts applies f to each element of an integer tensor, wrapping around.
func mapInts(x *tensor.Tensor, f func(int64) int64) (*tensor.Tensor, error) {
	s := integers(x)
	out := make([]int64, len(s))
	for i, v := range s {
		out[i] = f(v)
	}
	return ofInts(x.DType, out, x.Shape)
}

// exactUnary makes a Func that is exact for signed and unsigned integers too.
func exactUnary(float func(float64) float64, signed func(int64) int64, unsigned func(uint64) uint64) Func {
	return func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		x := in[0]
		switch {
		case x.DType.Signed():
			return one(mapInts(x, signed))
		case x.DType.IsInt():
			return one(mapInts(x, func(v int64) int64 { return int64(unsigned(uint64(v))) }))
		}
		return one(mapFloats(x, float))
	}
}

func same(x uint64) uint64 { return x }

func withAlpha(def float32, f func(x, alpha float64) float64) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		alpha := float64(n.Float("alpha", def))
		return one(mapFloats(in[0], func(x float64) float64 { return f(x, alpha) }))
	}
}

func relu(x float64) float64 {
	if x < 0 {
		return 0
	}
	return x
}

func leakyRelu(x, alpha float64) float64 {
	if x < 0 {
		return alpha * x
	}
	return x
}

func elu(x, alpha float64) float64 {
	if x < 0 {
		return alpha * math.Expm1(x)
	}
	return x
}

func thresholdedRelu(x, alpha float64) float64 {
	if x > alpha {
		return x
	}
	return 0
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1+exp(x)), safe for large x.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }

func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // 0 or NaN
}

// clamp limits x to [lo, hi], hi winning if they cross; NaN stays NaN.
func clamp(x, lo, hi float64) float64 {
	if x < lo {
		x = lo
	}
	if x > hi {
		x = hi
	}
	return x
}
