package autodiff

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

func init() {
	register(convRule, "Conv")
	register(convTransposeRule, "ConvTranspose")
	register(gemmRule, "Gemm")
	register(matMulRule, "MatMul")
}

// allBut lists the axes of v other than axis.
func allBut(v *graph.Value, axis int) []int {
	var axes []int
	for i := range v.Shape {
		if i != axis {
			axes = append(axes, i)
		}
	}
	return axes
}

// channelSum sums over everything but axis 1 and gives a list.
func (b *Builder) channelSum(v *graph.Value) *graph.Value {
	return b.Op("ReduceSum", graph.Attrs{"keepdims": int64(0)}, v, b.Ints(allBut(v, 1)...))
}

func convRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, w := n.Inputs[0], n.Inputs[1]
	dx := make([]*graph.Value, 3)
	switch {
	case b.Wants(n, 1):
		outputs := 1
		if b.Wants(n, 2) {
			outputs = 2
		}
		copy(dx[1:], b.Node(graph.DrawknifeDomain, "ConvGradWeight", n.Attrs.Clone(), outputs, x, dy[0], w))
	case b.Wants(n, 2):
		dx[2] = b.channelSum(dy[0])
	}
	if b.Wants(n, 0) {
		dx[0] = b.Own("ConvGradInput", n.Attrs.Clone(), dy[0], w, x)
	}
	return dx, nil
}

// convTransposeRule uses that a transposed convolution is the adjoint of a
// convolution, so that its gradient is that convolution.
func convTransposeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, w := n.Inputs[0], n.Inputs[1]
	attrs, err := transposedAttrs(n)
	if err != nil {
		return nil, err
	}
	dx := make([]*graph.Value, 3)
	if b.Wants(n, 2) {
		dx[2] = b.channelSum(dy[0])
	}
	if b.Wants(n, 1) {
		dx[1] = b.Own("ConvGradWeight", attrs.Clone(), dy[0], x, w)
	}
	if b.Wants(n, 0) {
		dx[0] = b.Op("Conv", attrs, dy[0], w)
	}
	return dx, nil
}

// transposedAttrs are the attributes of the convolution whose adjoint n is,
// with the padding made explicit.
func transposedAttrs(n *graph.Node) (graph.Attrs, error) {
	attrs := graph.Attrs{}
	for _, k := range []string{"dilations", "group", "kernel_shape", "pads", "strides"} {
		if v, ok := n.Attrs[k]; ok {
			attrs[k] = v
		}
	}
	if n.Str("auto_pad", "NOTSET") == "NOTSET" && !n.Has("output_shape") {
		return attrs.Clone(), nil
	}
	in, out, w := n.Inputs[0].Shape, n.Outputs[0].Shape, n.Inputs[1].Shape
	d := len(in) - 2
	strides, dilations, extra := filled(n, "strides", d, 1), filled(n, "dilations", d, 1), filled(n, "output_padding", d, 0)
	pads := make([]int64, 2*max(d, 0))
	for i := range d {
		if !in[2+i].Known() || !out[2+i].Known() || !w[2+i].Known() {
			return nil, fmt.Errorf("the image size must be known to resolve auto_pad")
		}
		total := strides[i]*(in[2+i].Size-1) + extra[i] + (w[2+i].Size-1)*dilations[i] + 1 - out[2+i].Size
		first := total / 2
		if n.Str("auto_pad", "NOTSET") != "SAME_UPPER" {
			first = total - total/2
		}
		pads[i], pads[d+i] = int64(first), int64(total-first)
	}
	attrs["pads"] = pads
	return attrs.Clone(), nil
}

func filled(n *graph.Node, name string, count, def int) []int {
	list := n.Ints(name)
	for len(list) < count {
		list = append(list, def)
	}
	return list
}

// gemmRule differentiates y = α·A·B + β·C, A and B transposed on request.
func gemmRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, w := n.Inputs[0], n.Inputs[1]
	ta, tb := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	alpha, beta := n.Float("alpha", 1), n.Float("beta", 1)
	product := func(p, q *graph.Value, tp, tq bool) *graph.Value {
		a := graph.Attrs{"alpha": alpha}
		if tp {
			a["transA"] = int64(1)
		}
		if tq {
			a["transB"] = int64(1)
		}
		return b.Op("Gemm", a, p, q)
	}
	dx := make([]*graph.Value, 3)
	if b.Wants(n, 2) {
		dx[2] = b.Unbroadcast(b.Scale(dy[0], float64(beta)), n.Inputs[2])
	}
	if b.Wants(n, 1) {
		if tb {
			dx[1] = product(dy[0], x, true, ta)
		} else {
			dx[1] = product(x, dy[0], !ta, false)
		}
	}
	if b.Wants(n, 0) {
		if ta {
			dx[0] = product(w, dy[0], tb, true)
		} else {
			dx[0] = product(dy[0], w, false, !tb)
		}
	}
	return dx, nil
}

// matMulRule differentiates batched products; vectors become matrices of one
// row or column first.
func matMulRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, w, d := n.Inputs[0], n.Inputs[1], dy[0]
	if x.Shape == nil || w.Shape == nil {
		return nil, fmt.Errorf("the ranks of the operands are not known: infer shapes first")
	}
	row, column := len(x.Shape) == 1, len(w.Shape) == 1
	if row {
		x = b.Op("Unsqueeze", nil, x, b.Ints(0))
		d = b.Op("Unsqueeze", nil, d, b.Ints(len(n.Outputs[0].Shape)-boolInt(!column)))
	}
	if column {
		w = b.Op("Unsqueeze", nil, w, b.Ints(1))
		d = b.Op("Unsqueeze", nil, d, b.Ints(-1))
	}
	dx := make([]*graph.Value, 2)
	if b.Wants(n, 0) {
		g := b.Unbroadcast(b.Op("MatMul", nil, d, b.swapLast(w)), x)
		dx[0] = b.Like(g, n.Inputs[0])
	}
	if b.Wants(n, 1) {
		g := b.Unbroadcast(b.Op("MatMul", nil, b.swapLast(x), d), w)
		dx[1] = b.Like(g, n.Inputs[1])
	}
	return dx, nil
}

func boolInt(v bool) int {
	if v {
		return 1
	}
	return 0
}

// swapLast transposes the last two axes.
func (b *Builder) swapLast(v *graph.Value) *graph.Value {
	perm := make([]int64, len(v.Shape))
	for i := range perm {
		perm[i] = int64(i)
	}
	r := len(perm)
	perm[r-1], perm[r-2] = perm[r-2], perm[r-1]
	return b.Op("Transpose", graph.Attrs{"perm": perm}, v)
}
