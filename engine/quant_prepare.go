package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// dequantize inserts DQ(q, scale, zero) before at.
func (c *compiler) dequantize(at *graph.Node, q, scale, zero *graph.Value, axis int) *graph.Value {
	in := []*graph.Value{q, scale}
	if zero != nil {
		in = append(in, zero)
	}
	n := c.g.NewNode("", "DequantizeLinear", at.Name+"_dq", in, []string{q.Name + "_dq"}, graph.Attrs{"axis": int64(axis)})
	c.g.InsertBefore(at, n)
	return n.Outputs[0]
}

// spellOut replaces a QLinear operator by DQ, the float operator, Q.
func (c *compiler) spellOut(n *graph.Node) bool {
	type in = graph.Value
	dq := func(i int) *in { return c.dequantize(n, n.In(i), n.In(i+1), n.In(i+2), 1) }
	var op string
	var args []*in
	attrs := n.Attrs.Clone()
	var scale, zero *in
	switch n.Domain + "." + n.Op {
	case ".QLinearConv":
		op, args = "Conv", []*in{dq(0), c.dequantize(n, n.In(3), n.In(4), n.In(5), 0)}
		if b := n.In(8); b != nil {
			bias := c.int32Bias(n, b, n.In(1), n.In(4))
			if bias == nil {
				return false
			}
			args = append(args, bias)
		}
		scale, zero = n.In(6), n.In(7)
	case ".QLinearMatMul":
		op, args = "MatMul", []*in{dq(0), dq(3)}
		scale, zero = n.In(6), n.In(7)
	case "com.microsoft.QLinearAdd":
		op, args, scale, zero = "Add", []*in{dq(0), dq(3)}, n.In(6), n.In(7)
	case "com.microsoft.QLinearMul":
		op, args, scale, zero = "Mul", []*in{dq(0), dq(3)}, n.In(6), n.In(7)
	case "com.microsoft.QLinearSigmoid":
		op, args, scale, zero = "Sigmoid", []*in{dq(0)}, n.In(3), n.In(4)
	case "com.microsoft.QLinearLeakyRelu":
		op, args, scale, zero = "LeakyRelu", []*in{dq(0)}, n.In(3), n.In(4)
	case "com.microsoft.QLinearAveragePool":
		if n.Int("channels_last", 0) != 0 {
			return false
		}
		op, args, scale, zero = "AveragePool", []*in{dq(0)}, n.In(3), n.In(4)
	case "com.microsoft.QLinearGlobalAveragePool":
		if n.Int("channels_last", 0) != 0 {
			return false
		}
		op, args, scale, zero = "GlobalAveragePool", []*in{dq(0)}, n.In(3), n.In(4)
	case "com.microsoft.QLinearConcat":
		op, scale, zero = "Concat", n.In(0), n.In(1)
		for i := 2; i+2 < len(n.Inputs); i += 3 {
			args = append(args, dq(i))
		}
	default:
		return false
	}
	m := c.g.NewNode("", op, n.Name+"_float", args, []string{n.Name + "_float"}, attrs)
	q := c.g.NewNode("", "QuantizeLinear", n.Name+"_q", []*graph.Value{m.Outputs[0], scale, zero}, []string{n.Outputs[0].Name}, nil)
	q.TrimInputs()
	c.g.InsertBefore(n, m)
	c.g.InsertBefore(n, q)
	q.Outputs[0].Type, q.Outputs[0].Shape = n.Outputs[0].Type, n.Outputs[0].Shape
	m.Outputs[0].Type, m.Outputs[0].Shape = tensor.Float32, n.Outputs[0].Shape
	c.g.ReplaceUses(n.Outputs[0], q.Outputs[0])
	c.g.Remove(n)
	return true
}

// int32Bias dequantizes QLinearConv's int32 bias, whose scale is the product
// of the input's and the weights'.
func (c *compiler) int32Bias(at *graph.Node, b, xs, ws *graph.Value) *graph.Value {
	x, w := c.constant(xs), c.constant(ws)
	if x == nil || w == nil || x.Len() != 1 {
		return nil
	}
	scales := make([]float32, w.Len())
	for i, s := range w.Float32s() {
		scales[i] = s * x.Float32s()[0]
	}
	t := tensor.Of(scales, len(scales))
	if len(scales) == 1 {
		t = tensor.Scalar(scales[0])
	}
	return c.dequantize(at, b, c.g.AddConst(at.Name+"_bias_scale", t), nil, 0)
}

// moves lists the operators that only move elements (or, as MaxPool, choose
// one by an order that a grid keeps), so that they commute with DQ.
func moves(n *graph.Node) bool {
	return n.Is("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Identity", "DepthToSpace", "SpaceToDepth", "Tile", "Gather") ||
		n.Is("Resize") && nearest(n) ||
		n.Is("MaxPool") && n.Out(1) == nil
}

// zeroPad reports whether n pads with zeros, which a grid holds exactly.
func (c *compiler) zeroPad(n *graph.Node) bool {
	if !n.Is("Pad") || n.Str("mode", "constant") != "constant" {
		return false
	}
	if v := n.In(2); v != nil {
		t := c.constant(v)
		return t != nil && t.Len() == 1 && t.At(0) == 0
	}
	return true
}

// sink moves a DQ behind an operator that only moves elements.
func (c *compiler) sink(n *graph.Node) bool {
	pad := c.zeroPad(n)
	if !pad && !moves(n) || c.keep[n.Outputs[0].Name] {
		return false
	}
	q, _, ok := c.dequantized(n.Inputs[0])
	if !ok {
		return false
	}
	dq := n.Inputs[0].Producer()
	out := n.Outputs[0]
	shape := out.Shape
	n.SetInput(0, q)
	if pad {
		if n.SetInput(2, dq.In(2)); dq.In(2) == nil {
			n.TrimInputs()
		}
	}
	d := c.g.NewNode("", "DequantizeLinear", n.Name+"_dq", append([]*graph.Value{nil}, dq.Inputs[1:]...), []string{out.Name + "_dq"}, nil)
	d.Outputs[0].Type, d.Outputs[0].Shape = tensor.Float32, shape
	c.g.InsertAfter(n, d)
	c.g.ReplaceUses(out, d.Outputs[0])
	moved := n.Outputs[0]
	moved.Type, moved.Shape = q.Type, shape
	d.SetInput(0, moved)
	return true
}

// cancel removes a Q that follows a DQ of the same grid.
func (c *compiler) cancel(n *graph.Node) bool {
	if !n.Is("QuantizeLinear") {
		return false
	}
	q, g, ok := c.dequantized(n.Inputs[0])
	h, ok2 := c.gridOf(n)
	if !ok || !ok2 || g != h || q.Type != n.Outputs[0].Type || c.observed(n.Outputs[0]) {
		return false
	}
	c.g.ReplaceUses(n.Outputs[0], q)
	c.g.Remove(n)
	return true
}
