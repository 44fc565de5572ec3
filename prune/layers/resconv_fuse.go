package layers

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/rewrite"
	"github.com/drawknife/drawknife/tensor"
)

// Shed leaves out the n layers of the smallest |s| of a graph that Grow made
// and training changed, fuses the others, and says what became of each.
func (r *resconv) Shed(g *graph.Graph, n int) ([]Row, error) {
	var list []fusible
	for _, f := range fusibles(g) {
		if g.Value(f.scale()).IsConst() && g.Value(f.control()).IsConst() { // not skipped, nor a scale itself
			list = append(list, f)
		}
	}
	number := func(name string) float32 { return g.Value(name).Data.Float32s()[0] }
	if n > len(list) {
		return nil, fmt.Errorf("only %d layers have a shortcut around them, not %d", len(list), n)
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	size := make([]float64, len(list))
	for i, f := range list {
		size[i] = math.Abs(float64(number(f.scale())))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size[a], size[b]) })
	gone := order[:n]
	var rows []Row
	for i, f := range list {
		out := slices.Contains(gone, i)
		rows = append(rows, Row{Block: f.conv.Name, Layers: 1, Score: size[i], Removed: out})
		if c := number(f.control()); out { // which a layer left out before may have changed
			leaveOut(g, f, c)
		} else {
			f.fuse(g, number(f.scale()), c)
		}
	}
	g.RemoveDead()
	g.ClearShapes()
	return rows, g.InferShapes()
}

// sum is the node that adds layer and shortcut.
func (f fusible) sum() *graph.Node { return f.end().Outputs[0].SoleUse().Outputs[0].SoleUse() }

// fuse puts s·BN(W∗x) + c·x into the convolution: W ← s·γ/σ·W, with c added to
// the middle tap that an output has of its own input, and the bias to match.
func (f fusible) fuse(g *graph.Graph, s, c float32) {
	w := f.conv.Inputs[1].Data.Clone()
	outs, local, taps := w.Shape[0], w.Shape[1], w.Shape[2]*w.Shape[3]
	bias := make([]float64, outs)
	if b := f.conv.In(2); b != nil {
		for i, v := range b.Data.Float32s() {
			bias[i] = float64(v)
		}
	}
	d := tensor.Data[float32](w)
	b := tensor.New(tensor.Float32, outs)
	for o := range outs {
		k, shift := 1.0, 0.0
		if f.norm != nil {
			at := func(i int) float64 { return f.norm.In(i).Data.At(o) }
			k = at(1) / math.Sqrt(at(4)+float64(f.norm.Float("epsilon", 1e-5)))
			shift = at(2) - at(3)*k
		}
		filter := d[o*local*taps:][:local*taps]
		for i, v := range filter {
			filter[i] = float32(float64(s) * k * float64(v))
		}
		filter[o%local*taps+taps/2] += c
		tensor.Data[float32](b)[o] = float32(float64(s) * (bias[o]*k + shift))
	}
	sum := f.sum()
	g.ReplaceUses(sum.Outputs[0], f.conv.Outputs[0])
	name := f.conv.Name + "/fused"
	f.conv.SetInputs(f.conv.Inputs[0], g.AddConst(g.UniqueName(name+".weight"), w), g.AddConst(g.UniqueName(name+".bias"), b))
	drop(g, sum)
}

// leaveOut replaces a layer by c·x. A second rectifier in a row goes too, and c
// goes into the layers that read the result or the one that computes x.
func leaveOut(g *graph.Graph, f fusible, c float32) {
	x, sum := f.conv.Inputs[0], f.sum()
	y := sum.Outputs[0]
	if act := y.SoleUse(); c >= 0 && act.Is("Relu") && rewrite.Rectified(x) && !y.IsOutput() && !act.Outputs[0].IsOutput() {
		g.ReplaceUses(act.Outputs[0], y)
		g.Remove(act)
	}
	switch {
	case c == 1:
		g.ReplaceUses(y, x)
	case intoReaders(g, y, c):
		g.ReplaceUses(y, x)
	case intoWriter(x, f.conv, sum, c):
		g.ReplaceUses(y, x)
	default:
		by := g.AddConst(g.UniqueName(f.conv.Name+"/by"), tensor.Of([]float32{c}, 1))
		m := g.NewNode("", "Mul", g.UniqueNodeName(f.conv.Name+"/passed"), []*graph.Value{x, by}, []string{g.UniqueName(f.conv.Name + "/passed")}, nil)
		g.ReplaceUses(y, m.Outputs[0])
		g.InsertBefore(sum, m)
	}
	drop(g, sum)
}

// drop removes the sum and what computes it alone.
func drop(g *graph.Graph, sum *graph.Node) {
	g.Remove(sum)
	g.RemoveDead()
}

// intoReaders multiplies the weights of the layers that read y by c, if only
// layers do.
func intoReaders(g *graph.Graph, y *graph.Value, c float32) bool {
	if y.IsOutput() || len(y.Uses()) == 0 {
		return false
	}
	for _, u := range y.Uses() {
		w := u.Node.In(1)
		if u.Index != 0 || !u.Node.Is("Conv", "ConvTranspose", "Gemm", "MatMul") || !w.IsConst() || w.SoleUse() != u.Node || w.Data.DType != tensor.Float32 {
			return false
		}
	}
	for _, u := range y.Uses() {
		multiply(u.Node.In(1), c)
	}
	return true
}

// intoWriter multiplies what computes x, before rectifiers, by c above 0. The
// layer and its shortcut must be all that read x.
func intoWriter(x *graph.Value, conv, sum *graph.Node, c float32) bool {
	if !(c > 0) || x.IsOutput() {
		return false
	}
	for _, u := range x.Uses() {
		if u.Node != conv && u.Node.Out(0).SoleUse() != sum {
			return false
		}
	}
	n := x.Producer()
	for n.Is("Relu", "MaxPool", "AveragePool") && n.In(0).SoleUse() == n && !n.In(0).IsOutput() {
		n = n.In(0).Producer()
	}
	var list []*graph.Value
	switch {
	case n.Is("BatchNormalization"):
		list = []*graph.Value{n.In(1), n.In(2)}
	case n.Is("Conv") && n.In(2) != nil:
		list = []*graph.Value{n.In(1), n.In(2)}
	case n.Is("Conv"):
		list = []*graph.Value{n.In(1)}
	default:
		return false
	}
	for _, v := range list {
		if !v.IsConst() || v.SoleUse() != n || v.Data.DType != tensor.Float32 {
			return false
		}
	}
	for _, v := range list {
		multiply(v, c)
	}
	return true
}

func multiply(v *graph.Value, c float32) {
	t := v.Data.Clone()
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] *= c
	}
	v.SetData(t)
}
