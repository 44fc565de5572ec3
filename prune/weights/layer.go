package weights

import (
	"fmt"
	"path"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

// Layer is a weight that may lose elements, seen as a matrix of Rows output
// channels by Cols = input channels × Taps, the taps of an input channel side by
// side.
type Layer struct {
	Name  string // of the node
	Node  *graph.Node
	Value *graph.Value
	W     []float32 // the elements, as ONNX lays them out; writing changes the graph
	Shape []int
	Rows  int
	Cols  int
	Taps  int // kernel positions
	kind  kind
}

// kind is how the elements lie.
type kind int

const (
	rowMajor   kind = iota // [O, C, taps]: Conv, Gemm with transB
	colMajor               // [C, O]: Gemm, MatMul
	transposed             // [C, O, taps]: ConvTranspose
)

// At is the place in W of a row's element in a column.
func (l *Layer) At(row, col int) int {
	switch l.kind {
	case colMajor:
		return col*l.Rows + row
	case transposed:
		return (col/l.Taps*l.Rows+row)*l.Taps + col%l.Taps
	}
	return row*l.Cols + col
}

// with is the layer holding other weights.
func (l *Layer) with(w []float32) *Layer {
	c := *l
	c.W = w
	return &c
}

// Layers lists the layers of g that pattern p suits, with weights that are the
// graph's own, and says why others stay. Depthwise convolutions stay: they have
// few weights, and miss each one.
func Layers(g *graph.Graph, skip []string, p Pattern) ([]*Layer, []Row, error) {
	used := make([]bool, len(skip))
	for _, s := range skip {
		if _, err := path.Match(s, ""); err != nil {
			return nil, nil, fmt.Errorf("pattern %q: %w", s, err)
		}
	}
	var layers []*Layer
	var rows []Row
	seen := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		l, reason := layerOf(n)
		if l == nil || seen[l.Value] {
			continue
		}
		seen[l.Value] = true
		if reason == "" {
			reason = p.suits(l, len(layers)+len(rows) == 0)
		}
		for i, s := range skip {
			if ok, _ := path.Match(s, n.Name); ok {
				used[i], reason = true, "skipped by request"
			}
		}
		if reason != "" {
			z := countZeros(l.W)
			rows = append(rows, Row{l.Name, len(l.W), len(l.W) - z, float64(z) / float64(max(len(l.W), 1)), reason})
			continue
		}
		l.Value.SetData(l.Value.Data.Clone())
		l.W = tensor.Data[float32](l.Value.Data)
		layers = append(layers, l)
	}
	for i, u := range used {
		if !u {
			return nil, nil, fmt.Errorf("no layer's name matches %q", skip[i])
		}
	}
	if layers == nil {
		if rows != nil {
			return nil, rows, fmt.Errorf("%w: %s: %s", prune.ErrNothing, rows[0].Layer, rows[0].Reason)
		}
		return nil, nil, fmt.Errorf("%w: it has no layer with float32 weights", prune.ErrNothing)
	}
	return layers, rows, nil
}

// layerOf describes a node's weights, nil if it has none that are float32.
func layerOf(n *graph.Node) (l *Layer, reason string) {
	i := 1
	if !n.Is("Conv", "ConvTranspose", "Gemm", "MatMul") || n.In(i) == nil || n.In(i).Data == nil {
		return nil, ""
	}
	v := n.In(i)
	t := v.Data
	if t.DType != tensor.Float32 || len(t.Shape) < 2 || t.Len() == 0 {
		return nil, ""
	}
	l = &Layer{Name: n.Name, Node: n, Value: v, W: tensor.Data[float32](t), Shape: t.Shape, Taps: 1}
	for _, d := range t.Shape[2:] {
		l.Taps *= d
	}
	l.Rows, l.Cols = t.Shape[0], t.Len()/t.Shape[0]
	switch {
	case n.Is("Conv"):
		if t.Shape[1] == 1 && n.Int("group", 1) > 1 {
			reason = "a depthwise filter"
		}
	case n.Is("ConvTranspose"):
		l.kind, l.Rows, l.Cols = transposed, t.Shape[1], t.Shape[0]*l.Taps
		if t.Shape[1] == 1 && n.Int("group", 1) > 1 {
			reason = "a depthwise filter"
		}
	case n.Is("MatMul") && len(t.Shape) > 2:
		reason = "a stack of matrices"
	case n.Is("MatMul"), n.Int("transB", 0) == 0:
		l.kind, l.Rows, l.Cols = colMajor, t.Shape[1], t.Shape[0]
	}
	return l, reason
}
