package vec

import (
	"fmt"
	"math"
)

// Func names a function of one variable and up to two parameters.
type Func uint8

// The functions, with the meaning of alpha and beta where they are used. A
// NaN gives a NaN.
const (
	Identity        Func = iota
	Relu                 // max(x, 0)
	LeakyRelu            // x, or alpha*x below zero
	Clip                 // min(max(x, alpha), beta)
	Elu                  // x, or alpha*(exp(x)-1) below zero
	Selu                 // beta * Elu(x)
	Celu                 // x, or alpha*(exp(x/alpha)-1) below zero
	ThresholdedRelu      // x where x > alpha, else 0
	Sigmoid              // 1/(1+exp(-x))
	HardSigmoid          // max(0, min(1, alpha*x+beta))
	HardSwish            // x * max(0, min(1, x/6+1/2))
	Silu                 // x * Sigmoid(x)
	Swish                // x * Sigmoid(alpha*x)
	Tanh                 //
	Softplus             // log(1+exp(x))
	Softsign             // x/(1+|x|)
	Mish                 // x * tanh(Softplus(x))
	GeluErf              // x/2 * (1+erf(x/sqrt(2)))
	GeluTanh             // x/2 * (1+tanh(sqrt(2/pi)*(x+0.044715*x^3)))
	Shrink               // x-beta above alpha, x+beta below -alpha, else 0
	Erf                  //
	Exp                  //
	Log                  //
	Sqrt                 //
	Neg                  //
	Abs                  //
	Reciprocal           // 1/x
	Floor                //
	Ceil                 //
	Round                // to nearest, halves to even
	Sign                 // -1, 0 or 1
	Square               // x*x
	Sin                  //
	Cos                  //
	Tan                  //
	Asin                 //
	Acos                 //
	Atan                 //
	Sinh                 //
	Cosh                 //
	Asinh                //
	Acosh                //
	Atanh                //
	numFuncs
)

// fn is one function: its name, value and derivative. The derivative gets the
// argument x and the value y.
type fn struct {
	name  string
	value func(x, a, b float32) float32
	slope func(x, y, a, b float32) float32
}

// wide makes a function of float32 of one of package math.
func wide(f func(float64) float64) func(x, a, b float32) float32 {
	return func(x, _, _ float32) float32 { return float32(f(float64(x))) }
}

// wideSlope makes a derivative of a float64 function of x.
func wideSlope(f func(float64) float64) func(x, y, a, b float32) float32 {
	return func(x, _, _, _ float32) float32 { return float32(f(float64(x))) }
}

func flat(x, y, a, b float32) float32 { return 0 }

var funcs = [numFuncs]fn{
	Identity: {"Identity", func(x, a, b float32) float32 { return x }, func(x, y, a, b float32) float32 { return 1 }},
	Relu: {"Relu", func(x, a, b float32) float32 { return keepIf(x, !(x < 0)) },
		func(x, y, a, b float32) float32 { return gate(x > 0) }},
	LeakyRelu: {"LeakyRelu", func(x, a, b float32) float32 { return pick(x < 0, a*x, x) },
		func(x, y, a, b float32) float32 { return pick(x > 0, 1, a) }},
	Clip: {"Clip", clip, func(x, y, a, b float32) float32 { return gate(x > a && x < b) }},
	Elu:  {"Elu", elu, func(x, y, a, b float32) float32 { return pick(x > 0, 1, y+a) }},
	Selu: {"Selu", func(x, a, b float32) float32 { return b * elu(x, a, 0) },
		func(x, y, a, b float32) float32 { return pick(x > 0, b, fma(a, b, y)) }},
	Celu: {"Celu", func(x, a, b float32) float32 {
		if x > 0 {
			return x
		}
		return a * expm1neg32(x/a)
	}, func(x, y, a, b float32) float32 { return pick(x > 0, 1, y/a+1) }},
	ThresholdedRelu: {"ThresholdedRelu", func(x, a, b float32) float32 { return keepIf(x, !(x <= a)) },
		func(x, y, a, b float32) float32 { return gate(x > a) }},
	Sigmoid: {"Sigmoid", func(x, a, b float32) float32 { return sigmoid32(x) },
		func(x, y, a, b float32) float32 { return y * (1 - y) }},
	HardSigmoid: {"HardSigmoid", func(x, a, b float32) float32 { return clip(float32(a*x)+b, 0, 1) },
		func(x, y, a, b float32) float32 { return pick(y > 0 && y < 1, a, 0) }},
	HardSwish: {"HardSwish", func(x, a, b float32) float32 { return x * clip(float32(x*(1./6))+0.5, 0, 1) },
		func(x, y, a, b float32) float32 {
			return pick(x > -3, pick(x < 3, fma(x, 1./3, 0.5), 1), 0)
		}},
	Silu: {"Silu", func(x, a, b float32) float32 { return silu32(x) },
		func(x, y, a, b float32) float32 { s := sigmoid32(x); return fma(y, 1-s, s) }},
	Swish: {"Swish", func(x, a, b float32) float32 { return x * sigmoid32(a*x) },
		func(x, y, a, b float32) float32 { s := sigmoid32(a * x); return fma(float32(a*y), 1-s, s) }},
	Tanh: {"Tanh", func(x, a, b float32) float32 { return tanh32(x) },
		func(x, y, a, b float32) float32 { return fma(-y, y, 1) }},
	Softplus: {"Softplus", func(x, a, b float32) float32 { return softplus32(x) },
		func(x, y, a, b float32) float32 { return sigmoid32(x) }},
	Softsign: {"Softsign", func(x, a, b float32) float32 { return x / (1 + abs32(x)) },
		func(x, y, a, b float32) float32 { t := 1 / (1 + abs32(x)); return t * t }},
	Mish: {"Mish", func(x, a, b float32) float32 { return x * mishGate(x) },
		func(x, y, a, b float32) float32 {
			t := mishGate(x)
			return fma(float32(x*sigmoid32(x)), fma(-t, t, 1), t)
		}},
	GeluErf: {"GeluErf", func(x, a, b float32) float32 { return float32(0.5*x) * phi2(x) },
		func(x, y, a, b float32) float32 {
			return fma(float32(x*(geluK/2)), exp32(float32(-0.5*x)*x), 0.5*phi2(x))
		}},
	GeluTanh: {"GeluTanh", func(x, a, b float32) float32 { return x * sigmoid32(geluArg(x)) },
		func(x, y, a, b float32) float32 {
			s := sigmoid32(geluArg(x))
			return fma(float32(y*(1-s)), float32(2*geluK)*fma(3*geluC, float32(x*x), 1), s)
		}},
	Shrink: {"Shrink", func(x, a, b float32) float32 {
		return pick(x < -a, x+b, pick(x > a, x-b, keepIf(x, x != x)))
	}, func(x, y, a, b float32) float32 { return gate(x < -a || x > a) }},
	Erf: {"Erf", func(x, a, b float32) float32 { return erf32(x) },
		func(x, y, a, b float32) float32 { return (2 / math.SqrtPi) * exp32(-x*x) }},
	Exp:  {"Exp", func(x, a, b float32) float32 { return exp32(x) }, func(x, y, a, b float32) float32 { return y }},
	Log:  {"Log", func(x, a, b float32) float32 { return log32(x) }, func(x, y, a, b float32) float32 { return 1 / x }},
	Sqrt: {"Sqrt", wide(math.Sqrt), func(x, y, a, b float32) float32 { return 0.5 / y }},
	Neg:  {"Neg", func(x, a, b float32) float32 { return -x }, func(x, y, a, b float32) float32 { return -1 }},
	Abs:  {"Abs", func(x, a, b float32) float32 { return abs32(x) }, func(x, y, a, b float32) float32 { return sign(x) }},
	Reciprocal: {"Reciprocal", func(x, a, b float32) float32 { return 1 / x },
		func(x, y, a, b float32) float32 { return -y * y }},
	Floor:  {"Floor", wide(math.Floor), flat},
	Ceil:   {"Ceil", wide(math.Ceil), flat},
	Round:  {"Round", wide(math.RoundToEven), flat},
	Sign:   {"Sign", func(x, a, b float32) float32 { return sign(x) }, flat},
	Square: {"Square", func(x, a, b float32) float32 { return x * x }, func(x, y, a, b float32) float32 { return 2 * x }},
	Sin:    {"Sin", wide(math.Sin), wideSlope(math.Cos)},
	Cos:    {"Cos", wide(math.Cos), wideSlope(func(x float64) float64 { return -math.Sin(x) })},
	Tan:    {"Tan", wide(math.Tan), func(x, y, a, b float32) float32 { return fma(y, y, 1) }},
	Asin:   {"Asin", wide(math.Asin), wideSlope(func(x float64) float64 { return 1 / math.Sqrt(1-x*x) })},
	Acos:   {"Acos", wide(math.Acos), wideSlope(func(x float64) float64 { return -1 / math.Sqrt(1-x*x) })},
	Atan:   {"Atan", wide(math.Atan), wideSlope(func(x float64) float64 { return 1 / (1 + x*x) })},
	Sinh:   {"Sinh", wide(math.Sinh), wideSlope(math.Cosh)},
	Cosh:   {"Cosh", wide(math.Cosh), wideSlope(math.Sinh)},
	Asinh:  {"Asinh", wide(math.Asinh), wideSlope(func(x float64) float64 { return 1 / math.Sqrt(1+x*x) })},
	Acosh:  {"Acosh", wide(math.Acosh), wideSlope(func(x float64) float64 { return 1 / math.Sqrt(x*x-1) })},
	Atanh:  {"Atanh", wide(math.Atanh), wideSlope(func(x float64) float64 { return 1 / (1 - x*x) })},
}

// String is the name of f.
func (f Func) String() string {
	if f < numFuncs {
		return funcs[f].name
	}
	return fmt.Sprintf("Func(%d)", uint8(f))
}

func pick(c bool, t, e float32) float32 {
	if c {
		return t
	}
	return e
}

func keepIf(x float32, c bool) float32 { return pick(c, x, 0) }

func gate(c bool) float32 { return pick(c, 1, 0) }

func clip(x, lo, hi float32) float32 {
	if x < lo {
		x = lo
	}
	if x > hi {
		x = hi
	}
	return x
}

func elu(x, a, _ float32) float32 {
	if x > 0 {
		return x
	}
	return a * expm1neg32(x)
}

func sign(x float32) float32 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // zero or NaN
}

// Unary computes dst = f(src).
func Unary(f Func, alpha, beta float32, dst, src []float32) {
	src = src[:len(dst)]
	switch {
	case len(dst) == 0:
	case f == Identity:
		copy(dst, src)
	case unarySIMD(f, alpha, beta, dst, src):
	default:
		unaryGo(f, alpha, beta, dst, src)
	}
}

func unaryGo(f Func, alpha, beta float32, dst, src []float32) {
	switch f { // the frequent ones without a call for each element
	case Relu:
		for i, x := range src {
			if x < 0 {
				x = 0
			}
			dst[i] = x
		}
	case Clip:
		for i, x := range src {
			dst[i] = clip(x, alpha, beta)
		}
	default:
		g := funcs[f].value
		for i, x := range src {
			dst[i] = g(x, alpha, beta)
		}
	}
}

// UnaryGrad computes dx = dy * f'(x), given the argument x and the value
// y = f(x). Where f has a corner the derivative is that of the flat side
// (LeakyRelu, Elu: the left side); Clip and HardSigmoid have none at their
// ends. dx may be any of the sources.
func UnaryGrad(f Func, alpha, beta float32, dx, dy, x, y []float32) {
	n := len(dx)
	dy, x, y = dy[:n], x[:n], y[:n]
	if n == 0 || unaryGradSIMD(f, alpha, beta, dx, dy, x, y) {
		return
	}
	unaryGradGo(f, alpha, beta, dx, dy, x, y)
}

func unaryGradGo(f Func, alpha, beta float32, dx, dy, x, y []float32) {
	g := funcs[f].slope
	for i := range dx {
		dx[i] = dy[i] * g(x[i], y[i], alpha, beta)
	}
}
