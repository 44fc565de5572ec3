package dialect

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// QONNXDomain is the domain of Quant and BipolarQuant.
const QONNXDomain = "qonnx.custom_op.general"

// older domains in which files name the same operators.
var qonnxDomains = []string{QONNXDomain, "onnx.brevitas", "finn.custom_op.general"}

func isQuant(n *graph.Node, op string) bool {
	return n != nil && n.Op == op && slices.Contains(qonnxDomains, n.Domain)
}

// IsQONNX reports whether g has nodes of the QONNX dialect.
func IsQONNX(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return isQuant(n, "Quant") || isQuant(n, "BipolarQuant") })
}

// toQONNX replaces Q-DQ pairs and stored integers by Quant nodes on floats, and
// binary convolutions by BipolarQuant nodes and Conv.
func toQONNX(g *graph.Graph) error {
	for _, n := range nodes(g) {
		if graph.IsBinaryConv(n) {
			if err := bipolar(g, n); err != nil {
				return err
			}
			continue
		}
		if !n.Is("DequantizeLinear") {
			continue
		}
		gr, ok := gridOf(n)
		if !ok {
			return n.Errorf("its scale or zero point is not constant, or it works in blocks")
		}
		var lo, hi int
		var x *graph.Value
		p := n.Inputs[0].Producer()
		switch {
		case n.Inputs[0].Data != nil:
			x = stored(g, n, gr)
			if gr.t == tensor.Int32 { // a bias: exact in float
				g.ReplaceUses(n.Outputs[0], x)
				continue
			}
			lo, hi = least(gr.t, n.Inputs[0].Data.Ints())
		case p.Is("QuantizeLinear"):
			var clip *graph.Node
			x = p.Inputs[0]
			if clip, lo, hi = narrowed(p, gr); clip != nil && hi-lo == 1<<bits.Len(uint(hi-lo))-1 {
				x = clip.Inputs[0]
			} else {
				lo, hi = span(gr.t)
			}
		default:
			return n.Errorf("dequantizes what is neither constant nor quantized just before")
		}
		if err := quant(g, n, x, gr, lo, hi); err != nil {
			return err
		}
	}
	return nil
}

// least is the smallest range of a whole number of bits that holds the values.
func least(t tensor.DType, values []int) (lo, hi int) {
	lo, hi = slices.Min(values), slices.Max(values)
	if !t.Signed() {
		return 0, 1<<max(bits.Len(uint(hi)), 1) - 1
	}
	b := max(bits.Len(uint(max(hi, -lo-1))), 1)
	return -1 << b, 1<<b - 1
}

// stored is the float constant that n dequantizes.
func stored(g *graph.Graph, n *graph.Node, gr grid) *graph.Value {
	q := n.Inputs[0].Data
	x := make([]float32, q.Len())
	inner, size := 1, 1
	if len(gr.scale) > 1 {
		axis := (gr.axis + len(q.Shape)) % len(q.Shape)
		size = q.Shape[axis]
		for _, d := range q.Shape[axis+1:] {
			inner *= d
		}
	}
	for i, v := range q.Ints() {
		k := 0
		if len(gr.scale) > 1 {
			k = i / inner % size
		}
		x[i] = float32(v-gr.zero[k]) * gr.scale[k]
	}
	return g.AddConst(n.Inputs[0].Name+"_float", tensor.Of(x, q.Shape...))
}

// quant puts a Quant node in n's place.
func quant(g *graph.Graph, n *graph.Node, x *graph.Value, gr grid, lo, hi int) error {
	width := bits.Len(uint(hi - lo))
	var shape []int
	if len(gr.scale) > 1 { // broadcast along the axis
		rank := len(x.Shape)
		shape = make([]int, rank)
		for i := range shape {
			shape[i] = 1
		}
		shape[(gr.axis+rank)%rank] = len(gr.scale)
	}
	zero := make([]float32, len(gr.zero))
	for i, z := range gr.zero {
		zero[i] = float32(z)
	}
	signed := int64(0)
	if gr.t.Signed() {
		signed = 1
	}
	m := g.NewNode(QONNXDomain, "Quant", n.Name+"_Quant", []*graph.Value{x, g.AddConst(n.Name+"_quant_scale", tensor.Of(gr.scale, shape...)),
		g.AddConst(n.Name+"_quant_zero", tensor.Of(zero, shape...)), g.AddConst(n.Name+"_quant_bits", tensor.Scalar(float32(width)))},
		[]string{n.Name + "_quant"}, graph.Attrs{"signed": signed, "narrow": int64(0), "rounding_mode": "ROUND"})
	m.Outputs[0].Type, m.Outputs[0].Shape = tensor.Float32, x.Shape
	g.InsertBefore(n, m)
	g.ReplaceUses(n.Outputs[0], m.Outputs[0])
	return nil
}

// bipolar spells a BinaryConv out: signs of the input and of the weights by
// BipolarQuant, a convolution, and the scale of each channel behind it.
func bipolar(g *graph.Graph, n *graph.Node) error {
	if n.Float("pad_value", 0) != 0 {
		return n.Errorf("pads with %g, which Conv cannot", n.Float("pad_value", 0))
	}
	if n.Inputs[1].Data == nil {
		return n.Errorf("its weights are not constant")
	}
	signs, shape, err := graph.Signs(n, n.Inputs[1].Data)
	if err != nil {
		return n.Errorf("%w", err)
	}
	w := make([]float32, len(signs))
	for i, s := range signs {
		w[i] = float32(s)
	}
	sign := func(what string, v *graph.Value) *graph.Value {
		m := g.NewNode(QONNXDomain, "BipolarQuant", n.Name+"_"+what, []*graph.Value{v, g.AddConst(n.Name+"_one", tensor.Scalar(float32(1)))}, []string{n.Name + "_" + what}, nil)
		m.Outputs[0].Type, m.Outputs[0].Shape = tensor.Float32, v.Shape
		g.InsertBefore(n, m)
		return m.Outputs[0]
	}
	attrs := n.Attrs.Clone()
	delete(attrs, "weight_shape")
	delete(attrs, "pad_value")
	conv := g.NewNode("", "Conv", n.Name+"_conv", []*graph.Value{sign("sign", n.Inputs[0]), sign("weight_sign", g.AddConst(n.Inputs[1].Name+"_signs", tensor.Of(w, shape...)))},
		[]string{n.Name + "_conv"}, attrs)
	g.InsertBefore(n, conv)
	y := conv.Outputs[0]
	for i, op := range []string{2: "Mul", 3: "Add"} {
		if op == "" || n.In(i) == nil {
			continue
		}
		if n.Inputs[i].Data == nil {
			return n.Errorf("its scale or bias is not constant")
		}
		per := make([]int, len(shape)-1)
		for k := range per {
			per[k] = 1
		}
		per[0] = shape[0]
		m := g.NewNode("", op, n.Name+"_"+op, []*graph.Value{y, g.AddConst(n.Name+"_channel", tensor.Of(n.Inputs[i].Data.Float32s(), per...))}, []string{n.Name + "_" + op}, nil)
		g.InsertBefore(n, m)
		y = m.Outputs[0]
	}
	g.ReplaceUses(n.Outputs[0], y)
	return nil
}

// FromQONNX turns Quant and BipolarQuant nodes into what drawknife and other
// runtimes compute: Clip, QuantizeLinear and DequantizeLinear, stored integers
// for constants, comparisons with zero, and BinaryConv where a convolution reads
// signs only.
func FromQONNX(g *graph.Graph) error {
	for _, n := range nodes(g) {
		var err error
		switch {
		case isQuant(n, "Quant"):
			err = fromQuant(g, n)
		case isQuant(n, "BipolarQuant"):
			err = fromBipolar(g, n)
		}
		if err != nil {
			return fmt.Errorf("dialect: %w", n.Errorf("%w", err))
		}
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return err
	}
	return g.InferShapes()
}

// number reads a constant input of one element.
func number(n *graph.Node, i int) (float64, bool) {
	v := n.In(i)
	if v == nil || v.Data == nil || v.Data.Len() != 1 {
		return 0, false
	}
	return v.Data.At(0), true
}

func fromQuant(g *graph.Graph, n *graph.Node) error {
	if len(n.Inputs) < 4 || n.In(0) == nil || n.In(1) == nil || n.Inputs[1].Data == nil || n.In(2) == nil || n.Inputs[2].Data == nil {
		return errors.New("its scale or zero point is not constant")
	}
	width, ok := number(n, 3)
	if !ok || width < 1 || width > 16 || width != math.Trunc(width) {
		return errors.New("its bit width is not a constant whole number from 1 to 16")
	}
	if mode := n.Str("rounding_mode", "ROUND"); mode != "ROUND" && mode != "round" {
		return fmt.Errorf("rounding mode %s; only ROUND, half to even, is what QuantizeLinear does", mode)
	}
	signed, narrow := n.Int("signed", 1) != 0, n.Int("narrow", 0)
	b := int(width)
	lo, hi := 0, 1<<b-1-narrow
	if signed {
		lo, hi = -1<<(b-1)+narrow, 1<<(b-1)-1
	}
	if narrow < 0 || narrow > 1 || lo >= hi {
		return errors.New("its range is empty")
	}
	t := map[bool]map[bool]tensor.DType{true: {true: tensor.Int8, false: tensor.Int16}, false: {true: tensor.Uint8, false: tensor.Uint16}}[signed][b <= 8]
	x, scales := n.Inputs[0], n.Inputs[1].Data
	zeros := n.Inputs[2].Data
	if !slices.Equal(zeros.Shape, scales.Shape) && zeros.Len() != 1 {
		return errors.New("scale and zero point have different shapes")
	}
	gr := grid{scale: scales.Float32s(), t: t}
	for i := range gr.scale {
		z := zeros.At(i % zeros.Len())
		if z != math.Trunc(z) || z < float64(lo) || z > float64(hi) {
			return fmt.Errorf("zero point %g is not an integer of its range", z)
		}
		if s := gr.scale[i]; !(s > 0) || math.IsInf(float64(s), 0) {
			return fmt.Errorf("scale %g", s)
		}
		gr.zero = append(gr.zero, int(z))
	}
	var shape []int
	if len(gr.scale) > 1 {
		axis := -1
		for i, d := range scales.Shape {
			if d > 1 && axis < 0 {
				axis = i + len(x.Shape) - len(scales.Shape)
			} else if d > 1 {
				return errors.New("its scales run along more than one axis")
			}
		}
		if axis < 0 || x.Shape == nil || !x.Shape[axis].Known() || x.Shape[axis].Size != len(gr.scale) {
			return errors.New("its scales do not fit its input")
		}
		gr.axis, shape = axis, []int{len(gr.scale)}
	}
	zero, err := integers(g, n.Name+"_zero", t, gr.zero, shape...)
	if err != nil {
		return err
	}
	scale := g.AddConst(n.Name+"_scale", tensor.Of(gr.scale, shape...))
	attrs := graph.Attrs{"axis": int64(gr.axis)}
	place := func(op, what string, a graph.Attrs, in ...*graph.Value) *graph.Value {
		m := g.NewNode("", op, n.Name+"_"+what, in, []string{n.Name + "_" + what}, a)
		g.InsertBefore(n, m)
		m.Outputs[0].Shape = x.Shape
		return m.Outputs[0]
	}
	var q *graph.Value
	if x.Data != nil {
		if q, err = quantized(g, n, gr, lo, hi); err != nil {
			return err
		}
	} else {
		if least, most := span(t); lo > least || hi < most {
			if len(gr.scale) > 1 {
				return errors.New("activations of few bits with a scale for each channel have no form in QuantizeLinear")
			}
			limit := func(what string, v int) *graph.Value {
				return g.AddConst(n.Name+"_"+what, tensor.Scalar(float32(v-gr.zero[0])*gr.scale[0]))
			}
			x = place("Clip", "Clip", nil, x, limit("least", lo), limit("most", hi))
		}
		q = place("QuantizeLinear", "q", attrs.Clone(), x, scale, zero)
	}
	y := place("DequantizeLinear", "dq", attrs, q, scale, zero)
	g.ReplaceUses(n.Outputs[0], y)
	return nil
}

// quantized stores the integers of a constant.
func quantized(g *graph.Graph, n *graph.Node, gr grid, lo, hi int) (*graph.Value, error) {
	t := n.Inputs[0].Data
	inner, size := 1, 1
	if len(gr.scale) > 1 {
		size = t.Shape[gr.axis]
		for _, d := range t.Shape[gr.axis+1:] {
			inner *= d
		}
	}
	codes := make([]int, t.Len())
	for i, v := range t.Float32s() {
		k := i / inner % size
		q := math.RoundToEven(float64(v/gr.scale[k])) + float64(gr.zero[k])
		if q != q {
			return nil, errors.New("its constant holds NaN")
		}
		codes[i] = int(min(max(q, float64(lo)), float64(hi)))
	}
	return integers(g, n.Name+"_q", gr.t, codes, t.Shape...)
}

// fromBipolar turns scale·sign(x), sign(0) = +1, into constants, a BinaryConv
// where its reader is a convolution by signs, or Where.
func fromBipolar(g *graph.Graph, n *graph.Node) error {
	scale, ok := number(n, 1)
	if !ok {
		return errors.New("its scale is not one constant number")
	}
	x := n.Inputs[0]
	if x.Data != nil {
		w := make([]float32, x.Data.Len())
		for i, v := range x.Data.Float32s() {
			w[i] = float32(scale)
			if v < 0 {
				w[i] = -w[i]
			}
		}
		g.ReplaceUses(n.Outputs[0], g.AddConst(n.Name+"_signs", tensor.Of(w, x.Data.Shape...)))
		return nil
	}
	for _, u := range slices.Clone(n.Outputs[0].Uses()) {
		if scale == 1 && u.Index == 0 && u.Node.Is("Conv") {
			binaryConv(g, u.Node, x)
		}
	}
	if len(n.Outputs[0].Uses()) == 0 && !n.Outputs[0].IsOutput() {
		return nil
	}
	number := func(what string, v float64) *graph.Value {
		return g.AddConst(n.Name+"_"+what, tensor.Scalar(float32(v)))
	}
	test := g.NewNode("", "GreaterOrEqual", n.Name+"_positive", []*graph.Value{x, number("zero", 0)}, []string{n.Name + "_positive"}, nil)
	where := g.NewNode("", "Where", n.Name+"_sign", []*graph.Value{test.Outputs[0], number("plus", scale), number("minus", -scale)}, []string{n.Name + "_sign"}, nil)
	g.InsertBefore(n, test)
	g.InsertBefore(n, where)
	g.ReplaceUses(n.Outputs[0], where.Outputs[0])
	return nil
}

// binaryConv puts a BinaryConv of x in the place of a convolution of signs, if
// its weights are signs too.
func binaryConv(g *graph.Graph, n *graph.Node, x *graph.Value) {
	var w *tensor.Tensor
	switch v := n.Inputs[1]; {
	case v.Data != nil:
		w = v.Data
	case isQuant(v.Producer(), "BipolarQuant"):
		if s, ok := number(v.Producer(), 1); ok && s == 1 {
			w = v.Producer().Inputs[0].Data
		}
	}
	if w == nil || w.Rank() < 3 || !w.DType.IsFloat() {
		return
	}
	if n.Inputs[1].Data != nil && slices.ContainsFunc(w.Float32s(), func(v float32) bool { return v != 1 && v != -1 }) {
		return
	}
	packed, shape := graph.PackSigns(w)
	attrs := n.Attrs.Clone()
	attrs["weight_shape"] = shape
	in := []*graph.Value{x, g.AddConst(n.Name+"_signs", packed)}
	if b := n.In(2); b != nil {
		in = append(in, nil, b)
	}
	m := g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, n.Name+"_binary", in, []string{n.Name + "_binary"}, attrs)
	g.InsertBefore(n, m)
	g.ReplaceUses(n.Outputs[0], m.Outputs[0])
	g.Remove(n)
}
