package rewrite

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// MergeBinaryConv turns a Conv of signs, spelled out in standard operators,
// with constant weights of one magnitude for each output channel into a
// BinaryConv. Signs are Where(x ≥ 0, 1, -1), or 2·Cast(x ≥ 0) - 1; Sign does not
// make them, since it is 0 at 0.
func MergeBinaryConv(s Scope, n *graph.Node) bool {
	if !n.Is("Conv") {
		return false
	}
	x := signsOf(s, n.Inputs[0])
	w, b := s.Constant(n.In(1)), s.Constant(n.In(2))
	if x == nil || w == nil || n.In(2) != nil && b == nil {
		return false
	}
	scale, ok := magnitudes(w)
	if !ok {
		return false
	}
	g := n.Graph()
	packed, shape := graph.PackSigns(w)
	in := []*graph.Value{x, g.AddConst(n.Inputs[1].Name+"_signs", packed), g.AddConst(n.Name+"_scale", tensor.Of(scale, len(scale)))}
	if b != nil {
		in = append(in, n.Inputs[2])
	}
	attrs := n.Attrs.Clone()
	if attrs == nil {
		attrs = graph.Attrs{}
	}
	attrs["weight_shape"] = shape
	m := g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, n.Name+"_binary", in, []string{n.Outputs[0].Name + "_binary"}, attrs)
	m.Outputs[0].Type, m.Outputs[0].Shape = n.Outputs[0].Type, n.Outputs[0].Shape
	g.InsertBefore(n, m)
	replace(n, m.Outputs[0])
	return true
}

// magnitudes returns the magnitude of the weights of each output channel, if
// each has one.
func magnitudes(w *tensor.Tensor) (scale []float32, ok bool) {
	if w.DType != tensor.Float32 || w.Rank() < 3 || w.Len() == 0 {
		return nil, false
	}
	data := w.Float32s()
	per := len(data) / w.Shape[0]
	scale = make([]float32, w.Shape[0])
	for i, v := range data {
		m := float32(math.Abs(float64(v)))
		if i%per == 0 {
			scale[i/per] = m
		}
		if m != scale[i/per] || !(m <= math.MaxFloat32) {
			return nil, false
		}
	}
	return scale, true
}

// signsOf returns the tensor whose signs v holds, nil if it holds none.
func signsOf(s Scope, v *graph.Value) *graph.Value {
	n := v.Producer()
	switch {
	case n.Is("Where"):
		if s.is(n.In(1), 1) && s.is(n.In(2), -1) {
			return notNegative(s, n.Inputs[0])
		}
	case n.Is("Sub") && s.is(n.In(1), 1), n.Is("Add") && s.is(n.In(1), -1):
		double := n.Inputs[0].Producer()
		if !double.Is("Mul") || !s.is(double.In(1), 2) {
			return nil
		}
		if cast := double.Inputs[0].Producer(); cast.Is("Cast") && tensor.DType(cast.Int("to", 0)) == tensor.Float32 {
			return notNegative(s, cast.Inputs[0])
		}
	}
	return nil
}

// notNegative returns x if v is x ≥ 0, else nil.
func notNegative(s Scope, v *graph.Value) *graph.Value {
	n := v.Producer()
	var x *graph.Value
	switch {
	case n.Is("GreaterOrEqual") && s.is(n.In(1), 0):
		x = n.Inputs[0]
	case n.Is("LessOrEqual") && s.is(n.In(0), 0):
		x = n.Inputs[1]
	}
	if x == nil || x.Type != tensor.Float32 {
		return nil
	}
	return x
}

// is reports whether v is a constant of one element, x.
func (s Scope) is(v *graph.Value, x float64) bool {
	t := s.Constant(v)
	return t != nil && t.Len() == 1 && t.Rank() <= 3 && t.At(0) == x
}

// FoldBinaryNorm folds an inference-mode BatchNormalization into the scale and
// bias of the BinaryConv before it.
func FoldBinaryNorm(s Scope, n *graph.Node) bool {
	if !n.Is("BatchNormalization") || n.Int("training_mode", 0) != 0 {
		return false
	}
	conv := n.Inputs[0].Producer()
	if !graph.IsBinaryConv(conv) || s.Only(n.Inputs[0]) != n {
		return false
	}
	var p [4][]float32
	for i := range p {
		t := s.Constant(n.In(1 + i))
		if t == nil || t.DType != tensor.Float32 || t.Len() != s.Constant(n.In(1)).Len() {
			return false
		}
		p[i] = t.Float32s()
	}
	gamma, beta, mean, variance := p[0], p[1], p[2], p[3]
	scale, bias := make([]float32, len(gamma)), make([]float32, len(gamma))
	for o := range scale {
		scale[o] = 1
	}
	for i, list := range map[int][]float32{2: scale, 3: bias} {
		if conv.In(i) == nil {
			continue
		}
		t := s.Constant(conv.In(i))
		if t == nil || t.DType != tensor.Float32 || t.Len() != len(list) {
			return false
		}
		copy(list, t.Float32s())
	}
	eps := float64(n.Float("epsilon", 1e-5))
	for o := range gamma {
		factor := float64(gamma[o]) / math.Sqrt(float64(variance[o])+eps)
		scale[o] = float32(float64(scale[o]) * factor)
		bias[o] = float32(float64(beta[o]) + (float64(bias[o])-float64(mean[o]))*factor)
	}
	g := n.Graph()
	conv.SetInput(2, g.AddConst(conv.Name+"_scale", tensor.Of(scale, len(scale))))
	conv.SetInput(3, g.AddConst(conv.Name+"_bias", tensor.Of(bias, len(bias))))
	replace(n, conv.Outputs[0])
	return true
}
