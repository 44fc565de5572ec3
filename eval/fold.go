package eval

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// maxFold bounds, in elements, a folded constant that is larger than all
// inputs of its node together.
const maxFold = 1 << 20

// growing lists operators whose output's size is not bounded by their inputs':
// without an inferred shape they are left alone.
var growing = []string{"Expand", "Tile", "ConstantOfShape", "Range", "Resize", "Upsample", "Pad", "OneHot", "MaxUnpool", "ConvTranspose"}

// Fold replaces what can be computed without the graph's inputs by constants,
// and shape arithmetic whose elements shape inference knows (Value.Elems),
// and returns the number of nodes that went. DequantizeLinear stays, so that
// quantized weights stay small; nodes that compute a graph output stay, so
// that the output keeps its producer and name; a result that would be much
// larger than its inputs is not folded. Nodes that fail to compute are left
// for the runtime to report.
func Fold(g *graph.Graph) (int, error) {
	count := 0
	for _, n := range slices.Clone(g.Nodes) {
		if err := n.InferShape(); err != nil {
			return count, err
		}
		values := foldNode(n)
		if values == nil {
			continue
		}
		replace(g, n, values)
		count++
	}
	if count > 0 {
		g.RemoveDead()
	}
	return count, nil
}

// foldNode computes the outputs of n if that is possible and sensible, else
// nil.
func foldNode(n *graph.Node) []*tensor.Tensor {
	for _, v := range n.Outputs {
		if v != nil && v.IsOutput() {
			return nil
		}
	}
	if values := knownElems(n); values != nil {
		return values
	}
	if n.Op == "DequantizeLinear" || !Supported(n) {
		return nil
	}
	in, size := make([]*tensor.Tensor, len(n.Inputs)), 0
	for i, v := range n.Inputs {
		if v == nil {
			continue
		}
		if v.Data == nil || v.IsInput() {
			return nil
		}
		in[i] = v.Data
		size += v.Data.Len()
	}
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		if !v.Shape.Known() {
			if slices.Contains(growing, n.Op) {
				return nil
			}
			continue
		}
		if l, ok := tensor.NumElements(v.Shape.Ints()); !ok || l > maxFold && l > size && n.Op != "Constant" {
			return nil
		}
	}
	out, err := Node(n, in)
	if err != nil {
		return nil
	}
	return out
}

// knownElems makes constants of outputs whose elements are all known, nil
// unless that holds for every output.
func knownElems(n *graph.Node) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(n.Outputs))
	for i, v := range n.Outputs {
		if v == nil {
			continue
		}
		if v.Elems == nil || !v.Shape.Known() || !v.Type.IsInt() {
			return nil
		}
		data := make([]int64, len(v.Elems))
		for j, d := range v.Elems {
			if !d.Known() {
				return nil
			}
			data[j] = int64(d.Size)
		}
		if l, ok := tensor.NumElements(v.Shape.Ints()); !ok || l != len(data) {
			return nil
		}
		t, err := ofInts(v.Type, data, v.Shape.Ints())
		if err != nil {
			return nil
		}
		out[i] = t
	}
	return out
}

// replace puts constants in the place of n's outputs, under their names.
func replace(g *graph.Graph, n *graph.Node, values []*tensor.Tensor) {
	consts := map[string]*graph.Value{}
	for i, v := range n.Outputs {
		if v == nil {
			continue
		}
		c := g.AddConst(v.Name, values[i])
		c.Doc = v.Doc
		g.ReplaceUses(v, c)
		consts[v.Name] = c
	}
	g.Remove(n)
	for name, c := range consts {
		g.Rename(c, name)
	}
}
