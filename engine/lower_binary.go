package engine

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/bconv"
	"github.com/drawknife/drawknife/tensor"
)

func init() { lower(graph.DrawknifeDomain, lowerBinaryConv, graph.BinaryConv) }

// binaryPlan is a BinaryConv that a kernel covers.
type binaryPlan struct {
	shape bconv.Shape
	p     bconv.Params
}

// planBinary reads a BinaryConv, whose weights, scale and bias must be
// constant. Its other inputs may be unknown yet.
func (c *compiler) planBinary(n *graph.Node) (b binaryPlan, ok bool) {
	x, w := n.Inputs[0], c.constant(n.Inputs[1])
	in, ok := concrete(x)
	out, ok2 := concrete(n.Outputs[0])
	if w == nil || !ok || !ok2 || x.Type != tensor.Float32 || len(in) < 3 || len(in) > 5 || slices.Contains(out, 0) {
		return b, false
	}
	signs, shape, err := graph.Signs(n, w)
	if err != nil {
		return b, false
	}
	b.shape = convShape(n, in, shape, out)
	b.p = bconv.Params{Signs: signs, PadValue: int(n.Float("pad_value", 0))}
	for i, to := range map[int]*[]float32{2: &b.p.Scale, 3: &b.p.Bias} {
		if n.In(i) == nil {
			continue
		}
		t := c.constant(n.In(i))
		if t == nil || t.DType != tensor.Float32 || t.Len() != b.shape.K {
			return b, false
		}
		*to = t.Float32s()
	}
	return b, true
}

func lowerBinaryConv(c *compiler, n *graph.Node) error {
	b, ok := c.planBinary(n)
	if !ok {
		return fallback(c, n)
	}
	src := c.useSigns(n.Inputs[0], c.above[n])
	t := c.fuse(n, true)
	if above, ok := c.wantsSigns(t.out); ok && t.add == nil && keepsSigns(t, above) {
		b.p.Above = above
		c.binaryToSigns(n, b, src, t.out)
		return nil
	}
	b.p.Min, b.p.Max = t.min, t.max
	var add *buf
	if t.add != nil {
		add = c.pixels(t.add)
		b.shape.AddStride = add.pitch
	}
	dst := c.defPixels(t.out)
	b.shape.DstStride = dst.pitch
	var k *bconv.Conv
	var scratch *buf
	st := step{in: compact([]*buf{src, add}), out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.Run(x.pool, f32(x, dst), view[uint64](x, src), f32(x, add), x.raw(scratch))
		return nil
	}
	scratch = c.emitBuilt(n, st, 1, func() kernel { k = bconv.New(b.shape, b.p); return k })
	return nil
}

// binaryToSigns emits a binary convolution of which only the signs are wanted.
func (c *compiler) binaryToSigns(n *graph.Node, b binaryPlan, src *buf, out *graph.Value) {
	b.p.ToSigns = true
	dst := c.defSigns(out, b.p.Above)
	var k *bconv.Conv
	var scratch *buf
	st := step{kernel: " to signs", in: []*buf{src}, out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.RunSigns(x.pool, view[uint64](x, dst), view[uint64](x, src), x.raw(scratch))
		return nil
	}
	scratch = c.emitBuilt(n, st, 1, func() kernel { k = bconv.New(b.shape, b.p); return k })
}

// signs are the signs of a value, a bit each: of its difference from above, a
// number for each channel, unless that is nil.
type signs struct {
	above []float32
	bits  *buf
}

// absorbShift lets a binary convolution read the tensor that a constant for
// each channel is subtracted from, or added to, before the signs are taken (as
// ReActNet does): a float is at least another exactly where their difference,
// rounded, is at least zero.
func (c *compiler) absorbShift(n *graph.Node) bool {
	if !graph.IsBinaryConv(n) || c.above[n] != nil {
		return false
	}
	p := n.Inputs[0].Producer()
	if !p.Is("Sub", "Add") {
		return false
	}
	x, t := p.Inputs[0], c.constant(p.Inputs[1])
	if p.Op == "Add" && t == nil {
		x, t = p.Inputs[1], c.constant(p.Inputs[0])
	}
	rank := len(n.Inputs[0].Shape)
	if t == nil || t.DType != tensor.Float32 || len(x.Shape) != rank || rank < 3 || !sameShape(x, n.Inputs[0]) {
		return false
	}
	channels := x.Shape[1].Size
	if t.Len() != channels || t.Rank() < rank-1 || t.Shape[t.Rank()-rank+1] != channels {
		return false
	}
	above := slices.Clone(t.Float32s())
	for i, v := range above {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
		if p.Op == "Add" {
			above[i] = -v
		}
	}
	if c.above == nil {
		c.above = map[*graph.Node][]float32{}
	}
	c.above[n] = above
	n.SetInput(0, x)
	return true
}

// keepsSigns reports whether the clamp of t changes no comparison with above.
func keepsSigns(t tail, above []float32) bool {
	for _, v := range above {
		if !(t.min < v && t.max >= v) {
			return false
		}
	}
	return above != nil || t.min < 0 && t.max >= 0
}

// wantsSigns reports whether all readers of v are binary convolutions that
// kernels cover and that take the same signs of it.
func (c *compiler) wantsSigns(v *graph.Value) (above []float32, ok bool) {
	if c.observed(v) || len(v.Uses()) == 0 {
		return nil, false
	}
	for i, u := range v.Uses() {
		if u.Index != 0 || !graph.IsBinaryConv(u.Node) {
			return nil, false
		}
		if i == 0 {
			above = c.above[u.Node]
		}
		if _, ok := c.planBinary(u.Node); !ok || !slices.Equal(above, c.above[u.Node]) {
			return nil, false
		}
	}
	return above, true
}

// defSigns declares signs of v.
func (c *compiler) defSigns(v *graph.Value, above []float32) *buf {
	n, ch, spatial := split(v.Shape.Ints())
	b := c.temp(v.Name, tensor.Uint64, []int{n * spatial, bconv.Words(ch)}, plain)
	s := c.slot(v)
	s.signs = append(s.signs, signs{above, b})
	return b
}

// useSigns returns signs of v, made from its floats unless they are there.
func (c *compiler) useSigns(v *graph.Value, above []float32) *buf {
	for _, s := range c.slot(v).signs {
		if slices.Equal(s.above, above) {
			return s.bits
		}
	}
	src := c.pixels(v)
	dst := c.defSigns(v, above)
	n, ch, spatial := split(v.Shape.Ints())
	stride := src.step()
	c.emit(step{kernel: "pack-signs", in: []*buf{src}, out: []*buf{dst}, run: c.loop(n*spatial, max(1, 4*grain/ch), func(x *frame, lo, hi int) {
		bconv.Pack(view[uint64](x, dst), f32(x, src), above, ch, stride, lo, hi)
	})})
	return dst
}
