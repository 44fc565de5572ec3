package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
)

// floatGate covers the product of a quantized tensor and a float for each of its
// channels, with a Q behind: squeeze-and-excitation in files for runtimes that
// quantize neither the gate nor the product's inputs.
func (quantizer) floatGate(c *compiler, n *graph.Node) bool {
	shape, ok := concrete(n.Outputs[0])
	if !n.Is("Mul") || !ok || len(shape) < 3 {
		return false
	}
	batch, ch, spatial := split(shape)
	for i, v := range n.Inputs {
		gate := n.Inputs[1-i]
		q, g, ok := c.dequantized(v)
		gs, known := concrete(gate)
		if !ok || !known || len(gs) != len(shape) || gs[0] != batch || gs[1] != ch || !equalInts(q.Shape.Ints(), shape) || ch == 0 {
			continue
		}
		if _, _, one := split(gs); one != 1 {
			continue
		}
		t, ok := c.quantizedTail(n.Outputs[0])
		if !ok {
			return false
		}
		src, by := c.useBytes(q, channelsLast), c.use(gate, channelsLast)
		dst := c.defBytes(t.out, channelsLast)
		scratch := c.scratch(4 * 2 * batch * ch)
		st := step{kernel: "qMul by floats", in: []*buf{src, by}, out: []*buf{dst}, scratch: scratch}
		body := c.loop(batch*spatial, max(1, grain/ch), func(x *frame, lo, hi int) {
			s := scratchFloats(x, scratch)
			for lo < hi { // one image at a time
				image := lo / spatial
				end := min(hi, (image+1)*spatial)
				scale, shift := s[2*image*ch:][:ch], s[(2*image+1)*ch:][:ch]
				qvec.ScaleShift(u8(x, dst)[lo*ch:], u8(x, src)[lo*ch:], qvec.Rows{N: end - lo, SrcStep: ch, DstStep: ch}, scale, shift, t.min, t.max)
				lo = end
			}
		})
		st.run = func(x *frame) error {
			s, f := scratchFloats(x, scratch), f32(x, by)
			ratio := g.scale / t.scale
			for image := range batch {
				scale, shift := s[2*image*ch:][:ch], s[(2*image+1)*ch:][:ch]
				for k, v := range f[image*ch:][:ch] {
					scale[k] = v * ratio
					shift[k] = float32(t.zero) - float32(scale[k]*float32(g.zero))
				}
			}
			return body(x)
		}
		c.emit(st)
		return true
	}
	return false
}
