package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// narrowWeights returns weights of an element type of four or two bits, one to
// a byte: integer kernels find out by themselves how many bits their weights
// need, and pack them again.
func narrowWeights(data *tensor.Tensor) ([]int8, bool) {
	switch data.DType {
	case tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2:
	default:
		return nil, false
	}
	wide, err := data.Convert(tensor.Int8)
	if err != nil {
		return nil, false
	}
	return tensor.Data[int8](wide), true
}

// top is the largest element that the quantized activation q can have, in terms
// of the uint8 in memory: activations of fewer than eight bits are clipped to
// their grid before they are quantized.
func (c *compiler) top(q *graph.Value) uint8 {
	n := q.Producer()
	switch {
	case n == nil:
	case moves(n):
		return c.top(n.Inputs[0])
	case n.Is("QuantizeLinear"):
		g, ok := c.gridOf(n)
		t := tail{min: -inf, max: inf}
		if p := n.Inputs[0].Producer(); ok && p != nil && clampOf(c, p, &t) && t.max < inf {
			return g.quantize(t.max)
		}
	}
	return 255
}
