package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/sparse"
	"github.com/drawknife/drawknife/tensor"
)

// gating is a value that is yet to be multiplied by a number a channel.
type gating struct{ data, gate *graph.Value }

// gatePixels is how many times the pixels of an image must outnumber the output
// channels of a convolution for its weights to be multiplied instead of its input.
const gatePixels = 8

// gates leaves the Mul n, of an image by a number a channel, to the convolution that
// reads it.
func (c *compiler) gates(n *graph.Node) bool {
	out := n.Outputs[0]
	next := c.only(out)
	if !n.Is("Mul") || out.IsOutput() || next == nil || !next.Is("Conv") || next.Inputs[0] != out || next.Int("group", 1) != 1 {
		return false
	}
	w := c.constant(next.Inputs[1])
	if next.In(2) != nil && c.constant(next.In(2)) == nil {
		return false
	}
	shape, to := out.Shape.Ints(), next.Outputs[0].Shape.Ints()
	if w == nil || w.DType != tensor.Float32 || len(shape) != 4 || shape[0] != 1 || w.Shape[2]*w.Shape[3] != 1 || sparse.Worthwhile(w.Float32s()) ||
		gatePixels*to[1] > to[2]*to[3] {
		return false
	}
	for i, gate := range n.Inputs {
		data := n.Inputs[1-i]
		if s := gate.Shape.Ints(); !sameShape(data, out) || len(s) != 4 || s[1] != shape[1] || s[0]*s[2]*s[3] != 1 || !c.known(data) || !c.known(gate) {
			continue
		}
		s := c.slot(out)
		s.gating = &gating{data, gate}
		s.force = func() error { // somebody wants the product after all
			s.gating = nil
			return c.pairwise(n)
		}
		return true
	}
	return false
}

// gatedConv is a convolution with a gate.
type gatedConv struct{ *conv.Conv }

func (g gatedConv) Scratch(workers int) int { return g.GatedScratch(workers) }
