package dialect

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// toQOperator replaces operators between DQ and Q by integer operators. What
// has no such operator, or is clamped at other than the ends of its grid, stays
// as it is.
func toQOperator(g *graph.Graph) error {
	for _, n := range nodes(g) {
		if !n.Is("Conv", "MatMul", "Gemm", "Add", "GlobalAveragePool") {
			continue
		}
		x := dequantized(n.Inputs[0])
		if x == nil {
			continue
		}
		y := quantizer(n.Outputs[0])
		var err error
		switch {
		case n.Is("Gemm"):
			err = qgemm(g, n, x, y)
		case y == nil:
		case n.Is("Conv"):
			err = qconv(g, n, x, y)
		case n.Is("MatMul"):
			if w := dequantized(n.Inputs[1]); w != nil {
				integer(g, n, y, "", "QLinearMatMul", nil, triple(x, w, nil), y.Inputs[1:3])
			}
		case n.Is("Add"):
			if w := dequantized(n.Inputs[1]); w != nil {
				integer(g, n, y, graph.MicrosoftDomain, "QLinearAdd", nil, triple(x, w, nil), y.Inputs[1:3])
			}
		case n.Is("GlobalAveragePool"):
			integer(g, n, y, graph.MicrosoftDomain, "QLinearGlobalAveragePool", graph.Attrs{"channels_last": int64(0)}, triple(x, nil, nil), y.Inputs[1:3])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dequantized is the DQ node that computes v from 8 bits (or fewer, stored) with
// a zero point, nil if there is none.
func dequantized(v *graph.Value) *graph.Node {
	n := v.Producer()
	if n == nil || !n.Is("DequantizeLinear") || n.In(2) == nil || n.Int("block_size", 0) != 0 {
		return nil
	}
	if t := n.Inputs[0].Type; t.Bits() > 8 || t.Bits() == 0 {
		return nil
	}
	return n
}

// quantizer is the 8-bit Q node that alone reads v, perhaps behind a clamp that
// the ends of its grid do as well.
func quantizer(v *graph.Value) *graph.Node {
	n := v.SoleUse()
	var clamp *graph.Node
	if n != nil && n.Is("Relu", "Clip") {
		clamp = n
		n = n.Outputs[0].SoleUse()
	}
	if n == nil || !n.Is("QuantizeLinear") || n.In(2) == nil {
		return nil
	}
	g, ok := gridOf(n)
	if !ok || len(g.scale) != 1 || g.t.Bits() != 8 {
		return nil
	}
	if clamp == nil {
		return n
	}
	lo, hi := span(g.t)
	half := float64(g.scale[0]) / 2
	ends := [2]float64{float64(lo-g.zero[0]) * float64(g.scale[0]), float64(hi-g.zero[0]) * float64(g.scale[0])}
	limits := [2]float64{0, math.Inf(1)} // of a Relu
	if clamp.Is("Clip") {
		limits[0] = math.Inf(-1)
		for i := range limits {
			if c := clamp.In(1 + i); c != nil {
				if c.Data == nil || c.Data.Len() != 1 {
					return nil
				}
				limits[i] = c.Data.At(0)
			}
		}
	}
	if limits[0] > ends[0]+half || limits[1] < ends[1]-half {
		return nil
	}
	return n
}

// triple lists integers, scale and zero point of up to two DQ nodes.
func triple(a, b *graph.Node, more []*graph.Value) []*graph.Value {
	list := append([]*graph.Value(nil), a.Inputs[:3]...)
	if b != nil {
		list = append(list, b.Inputs[:3]...)
	}
	return append(list, more...)
}

// integer puts the operator in n's place: what y quantized is now its output.
func integer(g *graph.Graph, n, y *graph.Node, domain, op string, attrs graph.Attrs, in []*graph.Value, tail []*graph.Value) *graph.Node {
	m := g.NewNode(domain, op, n.Name+"_"+op, append(in, tail...), []string{n.Name + "_" + op}, attrs)
	g.InsertBefore(n, m)
	o := m.Outputs[0]
	o.Type, o.Shape = y.Outputs[0].Type, y.Outputs[0].Shape
	g.ReplaceUses(y.Outputs[0], o)
	return m
}

// bias is the int32 constant that a bias is dequantized from, at the scale of
// the accumulator; ok is false if there is another kind of bias.
func bias(n *graph.Node) (v *graph.Value, ok bool) {
	b := n.In(2)
	if b == nil {
		return nil, true
	}
	d := b.Producer()
	if d == nil || !d.Is("DequantizeLinear") || d.Inputs[0].Data == nil || d.Inputs[0].Type != tensor.Int32 {
		return nil, false
	}
	return d.Inputs[0], true
}

func qconv(g *graph.Graph, n, x, y *graph.Node) error {
	w := dequantized(n.Inputs[1])
	b, ok := bias(n)
	if w == nil || !ok || w.Inputs[0].Data == nil {
		return nil
	}
	if err := widen(g, w); err != nil {
		return err
	}
	m := integer(g, n, y, "", "QLinearConv", n.Attrs.Clone(), triple(x, w, nil), y.Inputs[1:3])
	if b != nil {
		m.SetInputs(append(append([]*graph.Value(nil), m.Inputs...), b)...)
	}
	return nil
}

// qgemm makes a QGemm, whose output is float where nothing quantizes it.
func qgemm(g *graph.Graph, n, x, y *graph.Node) error {
	w := dequantized(n.Inputs[1])
	b, ok := bias(n)
	if w == nil || !ok || n.Float("beta", 1) != 1 || w.Inputs[0].Data == nil || w.Inputs[1].Data.Len() > 1 && n.Int("transB", 0) == 0 {
		return nil
	}
	if err := widen(g, w); err != nil {
		return err
	}
	attrs := graph.Attrs{"alpha": n.Float("alpha", 1), "transA": int64(n.Int("transA", 0)), "transB": int64(n.Int("transB", 0))}
	in := triple(x, w, []*graph.Value{b})
	if y != nil {
		integer(g, n, y, graph.MicrosoftDomain, "QGemm", attrs, in, y.Inputs[1:3])
		return nil
	}
	m := g.NewNode(graph.MicrosoftDomain, "QGemm", n.Name+"_QGemm", in, []string{n.Name + "_QGemm"}, attrs)
	m.TrimInputs()
	g.InsertBefore(n, m)
	m.Outputs[0].Type, m.Outputs[0].Shape = tensor.Float32, n.Outputs[0].Shape
	g.ReplaceUses(n.Outputs[0], m.Outputs[0])
	return nil
}
