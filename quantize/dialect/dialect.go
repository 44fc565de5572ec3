// Package dialect turns quantized networks from the form that package quantize
// writes, QuantizeLinear and DequantizeLinear around float operators, into the
// other forms that runtimes and compilers read, and back.
//
//	qdq        the form itself
//	qcdq       as qdq, but narrow integers are clipped after QuantizeLinear, and
//	           weights of few bits stand in int8 (Pappalardo et al., QONNX, 2022)
//	qoperator  QLinearConv, QLinearMatMul, and ONNX Runtime's QGemm, QLinearAdd
//	           and QLinearGlobalAveragePool
//	qonnx      Quant and BipolarQuant nodes of any bits on float tensors
package dialect

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Forms lists the names of the forms.
func Forms() []string { return []string{"qdq", "qcdq", "qoperator", "qonnx"} }

// Convert brings g, in the form of package quantize, into another.
func Convert(g *graph.Graph, form string) error {
	var err error
	switch form {
	case "qdq":
		return nil
	case "qcdq":
		err = toQCDQ(g)
	case "qoperator":
		err = toQOperator(g)
	case "qonnx":
		err = toQONNX(g)
	default:
		return fmt.Errorf("dialect: there is no form %q (there are: %s)", form, strings.Join(Forms(), ", "))
	}
	if err != nil {
		return fmt.Errorf("dialect: %s: %w", form, err)
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return err
	}
	g.Record("form", form)
	return g.InferShapes()
}

// grid is what a Q and a DQ node say of a tensor.
type grid struct {
	scale []float32
	zero  []int
	axis  int
	t     tensor.DType
}

// gridOf reads a Q or DQ node with constant scale and zero point and without
// blocks.
func gridOf(n *graph.Node) (g grid, ok bool) {
	if !n.Is("QuantizeLinear", "DequantizeLinear") || n.Int("block_size", 0) != 0 || n.In(1) == nil || n.Inputs[1].Data == nil {
		return g, false
	}
	g.scale, g.axis = n.Inputs[1].Data.Float32s(), n.Int("axis", 1)
	g.zero = make([]int, len(g.scale))
	g.t = n.Inputs[0].Type
	if n.Is("QuantizeLinear") {
		g.t = n.Outputs[0].Type
	}
	if z := n.In(2); z != nil {
		if z.Data == nil || z.Data.Len() != len(g.scale) {
			return g, false
		}
		g.zero = z.Data.Ints()
	}
	return g, true
}

// span is the range of an integer type.
func span(t tensor.DType) (lo, hi int) {
	if t.Signed() {
		return -1 << (t.Bits() - 1), 1<<(t.Bits()-1) - 1
	}
	return 0, 1<<t.Bits() - 1
}

// narrowed returns the Clip before the Q node, if its limits are points of the
// grid, and the integers that they are.
func narrowed(q *graph.Node, g grid) (clip *graph.Node, lo, hi int) {
	lo, hi = span(g.t)
	c := q.Inputs[0].Producer()
	if c == nil || !c.Is("Clip") || len(g.scale) != 1 || q.Inputs[0].SoleUse() != q {
		return nil, lo, hi
	}
	limits := [2]int{lo, hi}
	for i := range limits {
		v := c.In(1 + i)
		if v == nil {
			continue
		}
		if v.Data == nil || v.Data.Len() != 1 {
			return nil, lo, hi
		}
		x := v.Data.At(0)/float64(g.scale[0]) + float64(g.zero[0])
		r := math.RoundToEven(x)
		if math.Abs(x-r) > 1e-3 {
			return nil, lo, hi
		}
		limits[i] = int(min(max(r, float64(lo)), float64(hi)))
	}
	return c, limits[0], limits[1]
}

// integers makes a constant of type t.
func integers(g *graph.Graph, name string, t tensor.DType, values []int, shape ...int) (*graph.Value, error) {
	wide := make([]int64, len(values))
	for i, v := range values {
		wide[i] = int64(v)
	}
	x, err := tensor.Of(wide, shape...).Convert(t)
	if err != nil {
		return nil, err
	}
	return g.AddConst(name, x), nil
}

// nodes is a copy of the list, for loops that change it.
func nodes(g *graph.Graph) []*graph.Node { return slices.Clone(g.Nodes) }

// widen gives a DQ of constant integers of fewer than 8 bits an int8 or uint8.
func widen(g *graph.Graph, n *graph.Node) error {
	v := n.Inputs[0]
	if v.Data == nil || v.Type.Bits() >= 8 {
		return nil
	}
	t := tensor.Uint8
	if v.Type.Signed() {
		t = tensor.Int8
	}
	for _, i := range []int{0, 2} {
		if c := n.In(i); c != nil && c.Data != nil {
			x, err := c.Data.Convert(t)
			if err != nil {
				return n.Errorf("%w", err)
			}
			n.SetInput(i, g.AddConst(c.Name+"_wide", x))
		}
	}
	return nil
}

// toQCDQ moves the clipping of narrow activations behind QuantizeLinear.
func toQCDQ(g *graph.Graph) error {
	for _, n := range nodes(g) {
		if n.Is("DequantizeLinear") {
			if err := widen(g, n); err != nil {
				return err
			}
		}
		if !n.Is("QuantizeLinear") {
			continue
		}
		gr, ok := gridOf(n)
		if !ok {
			continue
		}
		clip, lo, hi := narrowed(n, gr)
		if clip == nil {
			continue
		}
		n.SetInput(0, clip.Inputs[0])
		least, err := integers(g, n.Name+"_least", gr.t, []int{lo})
		if err != nil {
			return n.Errorf("%w", err)
		}
		most, err := integers(g, n.Name+"_most", gr.t, []int{hi})
		if err != nil {
			return n.Errorf("%w", err)
		}
		q := n.Outputs[0]
		uses := slices.Clone(q.Uses())
		c := g.NewNode("", "Clip", n.Name+"_Clip", []*graph.Value{q, scalar(least), scalar(most)}, []string{q.Name + "_clipped"}, nil)
		g.InsertAfter(n, c)
		for _, u := range uses {
			u.Node.SetInput(u.Index, c.Outputs[0])
		}
	}
	return nil
}

// scalar makes a constant of one element one of rank 0.
func scalar(v *graph.Value) *graph.Value {
	if x, err := v.Data.Reshape(); err == nil {
		v.SetData(x)
	}
	return v
}
