package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// resizeGrad is the adjoint of Resize, from (dy, x, roi, scales, sizes): every
// element of dy goes back to the taps it was computed from, one axis after
// the other.
func resizeGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	args := append([]*tensor.Tensor{x}, in[2:]...)
	_, shape, lines, err := resizeLines(n, args)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(shape, dy.Shape) {
		return nil, fmt.Errorf("gradient %v does not fit the output %v", dy.Shape, shape)
	}
	g := slices.Clone(floats(dy))
	for a, l := range lines {
		if l.same {
			continue
		}
		from, to := shape[a], x.Shape[a]
		outer, inner := product(x.Shape[:a]), product(shape[a+1:])
		next := make([]float64, outer*to*inner)
		for o := range outer * from {
			row, k := o/from, o%from
			if l.out[k] {
				continue
			}
			for i, at := range l.at[k] {
				w, dst := l.weight[k][i], next[(row*to+at)*inner:][:inner]
				for j, v := range g[o*inner:][:inner] {
					dst[j] += w * v
				}
			}
		}
		g = next
	}
	return one(ofFloats(x.DType, g, x.Shape))
}
