// Package fake holds the operators of quantization during training: they
// compute in float what an integer network will, and have gradients to train
// by. Their domain is "drawknife"; importing the package registers them with
// the operator table, the interpreter and autodiff.
//
//	FakeQuantize(x, p, offset)    x rounded to a uniform grid from qmin to qmax; kind says what p is
//	Binarize(x, threshold, t)     ±1 by the sign of x − threshold; estimator names the gradient
//	QuantizeWeights(w, t)         weights by the rule that kind names
//	QuantizeGradient(x, t)        x; its gradient is rounded by the rule that kind names
//	Compensate(δ, α, μ)           α·μ + δ
//	Learned(p)                    p, a constant to train
//
// The kinds of FakeQuantize are
//
//	step   p is the step, learned (Esser et al., LSQ, 2020), one or one for each
//	       index of axis 0; offset, if there, is learned too (LSQ+); grad_scale
//	       multiplies their gradients
//	clip   p is the clipping value α = qmax·step, learned (Choi et al., PACT, 2018)
//	fixed  p is the step, not learned
//	range  p is [lo, hi]; its gradient is p − [least, greatest element], by which
//	       a hook moves it (Jacob et al., 2018); an empty range rounds nothing
//	peak   no p: the greatest magnitude at each index of axis 0, times the
//	       attribute clip, becomes qmax; what clip cuts off has no gradient
//
// Parameters that are learned, or that a hook sets at each step, are trained
// variables (graph.Op.Learned); the latter have zero gradients.
package fake

import (
	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Names of the operators.
const (
	FakeQuantize     = "FakeQuantize"
	Binarize         = "Binarize"
	QuantizeWeights  = "QuantizeWeights"
	QuantizeGradient = "QuantizeGradient"
)

// Is reports whether n is the operator of that name.
func Is(n *graph.Node, op string) bool {
	return n != nil && n.Domain == graph.DrawknifeDomain && n.Op == op
}

// register adds an operator and its gradient operator, whose outputs have the
// types and shapes of the inputs that like names.
func register(op string, maxIn int, keepsWeight bool, learned []int, f eval.Func) {
	graph.Register(graph.Op{Domain: graph.DrawknifeDomain, Name: op, MinIn: 1, MaxIn: maxIn, MinOut: 1, MaxOut: 1,
		KeepsWeight: keepsWeight, Learned: learned, Infer: sameAs(0)})
	eval.Register(graph.DrawknifeDomain, op, f)
}

func registerGrad(op string, minIn, maxIn int, f eval.Func, like ...int) {
	graph.Register(graph.Op{Domain: graph.DrawknifeDomain, Name: op, MinIn: minIn, MaxIn: maxIn, MinOut: 1, MaxOut: len(like), Infer: sameAs(like...)})
	eval.Register(graph.DrawknifeDomain, op, f)
}

// sameAs gives output i the type and shape of input like[i].
func sameAs(like ...int) func(n *graph.Node) error {
	return func(n *graph.Node) error {
		for i, o := range n.Outputs {
			if v := n.In(like[min(i, len(like)-1)]); o != nil && v != nil {
				o.Type, o.Shape = v.Type, v.Shape
			}
		}
		return nil
	}
}

// rule registers a gradient rule.
func rule(op string, f autodiff.Rule) { autodiff.Register(graph.DrawknifeDomain, op, f) }

// input is entry i of a list, nil if it is missing.
func input(in []*tensor.Tensor, i int) *tensor.Tensor {
	if i >= len(in) {
		return nil
	}
	return in[i]
}

// like makes a tensor of data with the type and shape of t.
func like(t *tensor.Tensor, data []float32) (*tensor.Tensor, error) {
	return tensor.Of(data, t.Shape...).Convert(t.DType)
}

// number is the first element of t, or def if there is none.
func number(t *tensor.Tensor, def float32) float32 {
	if t == nil || t.Len() == 0 {
		return def
	}
	return float32(t.At(0))
}

// block is the number of elements of the blocks that sums go over.
const block = 1 << 14

// blocks visits [0, n) block by block.
func blocks(n int, f func(lo, hi int)) {
	for lo := 0; lo < n; lo += block {
		f(lo, min(lo+block, n))
	}
}
