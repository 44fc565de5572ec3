package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// separable reports whether a graph, bound to n images, computes each on its
// own: all inputs and outputs have the images along their first axis, and every
// node keeps them apart.
func separable(g *graph.Graph, n int) bool {
	s := batched{n: n, fixed: map[*graph.Value]bool{}}
	for _, v := range append(g.Inputs[:len(g.Inputs):len(g.Inputs)], g.Outputs...) {
		if !s.first(v) || v.Type == tensor.Bool || v.Type.Bits() < 8 || v.Data != nil {
			return false
		}
	}
	return !slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return !s.node(n) })
}

// batched tells values that hold n images from those that are the same for all.
type batched struct {
	n     int
	fixed map[*graph.Value]bool // computed from constants alone
}

// first reports whether the images lie along v's first axis.
func (s *batched) first(v *graph.Value) bool {
	shape, ok := concrete(v)
	return ok && len(shape) > 0 && shape[0] == s.n
}

func (s *batched) isFixed(v *graph.Value) bool { return v == nil || v.Data != nil || s.fixed[v] }

// node reports whether n treats images alike and keeps them apart. All that it
// computes from constants is noted.
func (s *batched) node(n *graph.Node) bool {
	if !slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool { return !s.isFixed(v) }) {
		for _, v := range n.Outputs {
			s.fixed[v] = true
		}
		return true
	}
	for _, v := range n.Outputs {
		if v != nil && !s.first(v) {
			return false
		}
	}
	for i, v := range n.Inputs {
		if !s.isFixed(v) && !s.first(v) {
			return false
		}
		if i == 0 && s.isFixed(v) && !broadcasts(n) {
			return false
		}
	}
	return s.keepsApart(n)
}

// broadcasts reports whether n's inputs are equals, of which some may be fixed.
func broadcasts(n *graph.Node) bool {
	return n.Is("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "Concat")
}

func (s *batched) keepsApart(n *graph.Node) bool {
	others := func(from int) bool { // all inputs from one on are the same for all images
		return !slices.ContainsFunc(n.Inputs[min(from, len(n.Inputs)):], func(v *graph.Value) bool { return !s.isFixed(v) })
	}
	axis := func(of int) bool { // an axis other than the first
		rank := len(n.Inputs[0].Shape)
		return of != 0 && of != -rank
	}
	switch {
	case graph.IsBinaryConv(n):
		return others(1)
	case n.Domain != "":
		return false
	case n.Is("Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Elu", "Selu", "Softplus", "Softsign", "Exp", "Log", "Sqrt",
		"Neg", "Abs", "Erf", "Gelu", "Mish", "Identity", "Dropout", "Cast", "Celu", "ThresholdedRelu", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Clip",
		"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LRN", "DepthToSpace", "SpaceToDepth",
		"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization"):
		return others(1) && n.Out(1) == nil && n.Int("training_mode", 0) == 0
	case n.Is("QuantizeLinear", "DequantizeLinear"):
		return others(1) && (axis(n.Int("axis", 1)) || len(n.In(1).Shape) == 0)
	case broadcasts(n) && !n.Is("Concat"):
		return s.alignsFirst(n)
	case n.Is("PRelu"):
		return others(1) && s.alignsFirst(n)
	case n.Is("Concat"):
		return axis(n.Int("axis", 0)) && !slices.ContainsFunc(n.Inputs, s.isFixed)
	case n.Is("Split"):
		return axis(n.Int("axis", 0)) && others(1)
	case n.Is("Softmax", "LogSoftmax"):
		return axis(n.Int("axis", -1)) && len(n.Inputs[0].Shape) > 1
	case n.Is("Flatten"):
		return n.Int("axis", 1) == 1
	case n.Is("Reshape"):
		to, ok := fixedInts(n.In(1))
		return ok && len(to) > 0 && (to[0] == -1 || to[0] == 0 && n.Int("allowzero", 0) == 0)
	case n.Is("Pad"):
		pads, ok := fixedInts(n.In(1))
		return ok && n.In(3) == nil && others(1) && len(pads) == 2*len(n.Inputs[0].Shape) && pads[0] == 0 && pads[len(pads)/2] == 0
	case n.Is("Slice"):
		axes, ok := fixedInts(n.In(3))
		return ok && others(1) && !slices.ContainsFunc(axes, func(a int64) bool { return !axis(int(a)) })
	case n.Is("Gather"):
		return axis(n.Int("axis", 0)) && others(1) && len(n.Inputs[1].Shape) == 1
	case n.Is("Resize"):
		scales := n.In(2)
		return others(1) && n.In(3) == nil && scales != nil && scales.Data != nil && scales.Data.Len() > 0 && scales.Data.At(0) == 1 &&
			n.Str("coordinate_transformation_mode", "") != "tf_crop_and_resize"
	case n.Is("Transpose"):
		perm := n.Ints("perm")
		return len(perm) > 0 && perm[0] == 0
	case n.Is("Gemm"):
		return n.Int("transA", 0) == 0 && others(1) && (n.In(2) == nil || sameForAll(n.In(2), 2))
	case n.Is("MatMul"):
		return others(1) && len(n.Inputs[0].Shape) > 1 && len(n.Inputs[1].Shape) == 2
	case n.Is("Squeeze", "Unsqueeze", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"):
		axes, ok := fixedInts(n.In(1))
		rank := min(len(n.Inputs[0].Shape), len(n.Outputs[0].Shape))
		return ok && len(axes) > 0 && !slices.ContainsFunc(axes, func(a int64) bool { return a == 0 || int(a) <= -rank })
	}
	return false
}

// alignsFirst reports whether every input of an elementwise operator either
// holds the images or is the same for all of them.
func (s *batched) alignsFirst(n *graph.Node) bool {
	rank := len(n.Outputs[0].Shape)
	for _, v := range n.Inputs {
		if !s.isFixed(v) && len(v.Shape) != rank || s.isFixed(v) && v != nil && !sameForAll(v, rank) {
			return false
		}
	}
	return true
}

// sameForAll reports whether v does not vary along the first of rank axes.
func sameForAll(v *graph.Value, rank int) bool {
	shape, ok := concrete(v)
	return ok && (len(shape) < rank || len(shape) == rank && shape[0] == 1)
}

// fixedInts are the elements of a constant of integers.
func fixedInts(v *graph.Value) ([]int64, bool) {
	if v == nil || v.Data == nil || v.Data.DType != tensor.Int64 {
		return nil, false
	}
	return v.Data.Int64s(), true
}
