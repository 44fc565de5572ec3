package train

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// role is what a parameter is to its node.
type role int

const (
	weight role = iota
	bias        // of a layer
	affine      // scale or shift of a normalization, slope of a PRelu
)

// Parameters lists the constants of g that training changes, in the order of
// the graph: weights and biases of convolutions and matrix products, scales
// and shifts of normalizations, slopes of PRelu, also where quantization stands
// between them and their node. Constants that only happen to be floats
// (preprocessing, limits) are not among them.
func Parameters(g *graph.Graph) []*graph.Value {
	list, _ := parameters(g)
	return list
}

func parameters(g *graph.Graph) ([]*graph.Value, map[*graph.Value]role) {
	var list []*graph.Value
	roles := map[*graph.Value]role{}
	add := func(v *graph.Value, r role) {
		v = graph.Source(v) // behind fake quantization
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 || v.Data.Len() == 0 {
			return
		}
		if _, seen := roles[v]; !seen {
			roles[v] = r
			list = append(list, v)
		}
	}
	for _, n := range g.Nodes {
		if op := n.Lookup(); op != nil {
			for _, i := range op.Learned {
				add(n.In(i), affine)
			}
		}
		switch {
		case n.Is("Conv", "ConvTranspose", "Gemm"):
			add(n.In(1), weight)
			add(n.In(2), bias)
		case n.Is("MatMul"):
			add(n.In(0), weight)
			add(n.In(1), weight)
		case n.Is("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization"),
			n.Domain == graph.DrawknifeDomain && n.Op == "BatchNormTrain":
			add(n.In(1), affine)
			add(n.In(2), affine)
		case n.Is("PRelu"):
			add(n.In(1), affine)
		case n.Is("Add"): // a bias that is not part of its layer
			for i := range 2 {
				if n.In(1-i).Producer().Is("Conv", "ConvTranspose", "Gemm", "MatMul") {
					add(n.In(i), bias)
				}
			}
		}
	}
	return list, roles
}
