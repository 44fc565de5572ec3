package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
)

// scaleShift covers a scale and shift per channel between DQ and Q, as a batch
// normalization that no convolution took in, by one factor and one summand of
// what the bytes hold.
func (quantizer) scaleShift(c *compiler, n *graph.Node, scale, shift []float32) bool {
	q, g, ok := c.dequantized(n.Inputs[0])
	if !ok || len(n.Outputs[0].Shape) < 3 {
		return false
	}
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	src := c.bytePixels(q)
	dst := c.defBytes(t.out, channelsLast)
	ch := len(scale)
	rows := 0
	if ch > 0 {
		rows = dst.bytes / ch
	}
	factor, summand := qvec.Rescale(scale, shift, g.scale, g.zero, t.scale, t.zero)
	c.emit(step{kernel: "qScaleShift", in: []*buf{src}, out: []*buf{dst}, run: c.loop(rows, max(1, grain/max(ch, 1)), func(x *frame, from, to int) {
		qvec.ScaleShift(u8(x, dst)[from*ch:], u8(x, src)[from*src.step():], qvec.Rows{N: to - from, SrcStep: src.step(), DstStep: ch}, factor, summand, t.min, t.max)
	})})
	return true
}
