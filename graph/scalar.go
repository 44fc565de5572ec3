package graph

import "math"

// scalarFunction is the meaning of an activation for one number, nil if it is
// not one.
func scalarFunction(n *Node) func(float64) float64 {
	alpha := func(def float32) float64 { return float64(n.Float("alpha", def)) }
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	hard := func(a, b, x float64) float64 { return max(0, min(1, a*x+b)) }
	softplus := func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
	switch n.Op {
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }
	case "LeakyRelu":
		a := alpha(0.01)
		return func(x float64) float64 { return max(x, 0) + a*min(x, 0) }
	case "Elu":
		a := alpha(1)
		return func(x float64) float64 { return max(x, 0) + a*math.Expm1(min(x, 0)) }
	case "Selu":
		a, g := alpha(1.67326319217681884765625), float64(n.Float("gamma", 1.05070102214813232421875))
		return func(x float64) float64 { return g * (max(x, 0) + a*math.Expm1(min(x, 0))) }
	case "Clip":
		lo, hi := math.Inf(-1), math.Inf(1)
		for i, p := range []*float64{&lo, &hi} {
			if v := n.In(i + 1); v != nil {
				if v.Data == nil || v.Data.Len() != 1 {
					return nil
				}
				*p = v.Data.At(0)
			}
		}
		return func(x float64) float64 { return min(max(x, lo), hi) }
	case "Sigmoid":
		return sigmoid
	case "HardSigmoid":
		a, b := alpha(0.2), float64(n.Float("beta", 0.5))
		return func(x float64) float64 { return hard(a, b, x) }
	case "HardSwish":
		return func(x float64) float64 { return x * hard(1.0/6, 0.5, x) }
	case "Swish":
		a := alpha(1)
		return func(x float64) float64 { return x * sigmoid(a*x) }
	case "Mish":
		return func(x float64) float64 { return x * math.Tanh(softplus(x)) }
	case "Gelu":
		if n.Str("approximate", "none") == "tanh" {
			return func(x float64) float64 {
				return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
			}
		}
		return func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) }
	case "Softplus":
		return softplus
	}
	return map[string]func(float64) float64{"Tanh": math.Tanh, "Erf": math.Erf, "Abs": math.Abs, "Exp": math.Exp,
		"Sqrt": math.Sqrt, "Log": math.Log, "Neg": func(x float64) float64 { return -x },
		"Softsign": func(x float64) float64 { return x / (1 + math.Abs(x)) }}[n.Op]
}
