package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/kernel/vec"
)

// normTile is the number of elements that scaleShift holds as floats at a time.
const normTile = 512

// scaleShift covers a scale and shift per channel between DQ and Q, as a batch
// normalization that no convolution took in: 8 bits in memory, float within a
// tile.
func (quantizer) scaleShift(c *compiler, n *graph.Node, scale, shift []float32) bool {
	q, g, ok := c.dequantized(n.Inputs[0])
	if !ok || len(n.Outputs[0].Shape) < 3 {
		return false
	}
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	lo, hi := -inf, inf
	if t.min > 0 {
		lo = (float32(t.min) - float32(t.zero)) * t.scale
	}
	if t.max < 255 {
		hi = (float32(t.max) - float32(t.zero)) * t.scale
	}
	src := c.useBytes(q, channelsLast)
	dst := c.defBytes(t.out, channelsLast)
	ch := len(scale)
	rows := 0
	if ch > 0 {
		rows = dst.bytes / ch
	}
	per := max(1, normTile/max(ch, 1)) // rows of a tile
	c.emit(step{kernel: "qScaleShift", in: []*buf{src}, out: []*buf{dst}, run: c.loop(rows, max(per, grain/max(ch, 1)), func(x *frame, from, to int) {
		var tile [normTile]float32
		d, s := u8(x, dst), u8(x, src)
		part := func(at, count, first, width int) {
			f := tile[:count]
			qvec.Dequantize(f, s[at:at+count], g.scale, g.zero)
			vec.ScaleShiftClamp(f, f, scale[first:first+width], shift[first:first+width], lo, hi)
			qvec.Quantize(d[at:at+count], f, t.scale, t.zero)
		}
		for r := from; r < to; r += per {
			if ch <= normTile {
				part(r*ch, min(per, to-r)*ch, 0, ch)
				continue
			}
			for first := 0; first < ch; first += normTile {
				width := min(normTile, ch-first)
				part(r*ch+first, width, first, width)
			}
		}
	})})
	return true
}
