package engine

import (
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
	src := c.useSigns(n.Inputs[0])
	t := c.fuse(n, true)
	if t.add == nil && keepsSign(t) && c.wantsSigns(t.out) {
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
	k := bconv.New(b.shape, b.p)
	st := step{kernel: k.Kernel(), in: compact([]*buf{src, add}), out: []*buf{dst},
		scratch: c.scratch(k.Scratch(c.pool.Workers())), macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.Run(c.pool, f32(x, dst), view[uint64](x, src), f32(x, add), x.raw(st.scratch))
		return nil
	}
	c.emit(st)
	return nil
}

// binaryToSigns emits a binary convolution of which only the signs are wanted.
func (c *compiler) binaryToSigns(n *graph.Node, b binaryPlan, src *buf, out *graph.Value) {
	b.p.ToSigns = true
	k := bconv.New(b.shape, b.p)
	dst := c.defSigns(out)
	st := step{kernel: k.Kernel() + " to signs", in: []*buf{src}, out: []*buf{dst},
		scratch: c.scratch(k.Scratch(c.pool.Workers())), macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.RunSigns(c.pool, view[uint64](x, dst), view[uint64](x, src), x.raw(st.scratch))
		return nil
	}
	c.emit(st)
}

// keepsSign reports whether the clamp of t leaves every sign as it is.
func keepsSign(t tail) bool { return t.min < 0 && t.max >= 0 }

// wantsSigns reports whether all readers of v are binary convolutions that
// kernels cover.
func (c *compiler) wantsSigns(v *graph.Value) bool {
	if c.observed(v) || len(v.Uses()) == 0 {
		return false
	}
	for _, u := range v.Uses() {
		if u.Index != 0 || !graph.IsBinaryConv(u.Node) {
			return false
		}
		if _, ok := c.planBinary(u.Node); !ok {
			return false
		}
	}
	return true
}

// defSigns declares the signs of v.
func (c *compiler) defSigns(v *graph.Value) *buf {
	n, ch, spatial := split(v.Shape.Ints())
	b := c.temp(v.Name, tensor.Uint64, []int{n * spatial, bconv.Words(ch)}, plain)
	c.slot(v).signs = b
	return b
}

// useSigns returns the signs of v, made from its floats unless a kernel
// computed them.
func (c *compiler) useSigns(v *graph.Value) *buf {
	if b := c.slot(v).signs; b != nil {
		return b
	}
	src := c.pixels(v)
	dst := c.defSigns(v)
	n, ch, spatial := split(v.Shape.Ints())
	stride := src.step()
	c.emit(step{kernel: "pack-signs", in: []*buf{src}, out: []*buf{dst}, run: c.loop(n*spatial, max(1, 4*grain/ch), func(x *frame, lo, hi int) {
		bconv.Pack(view[uint64](x, dst), f32(x, src), ch, stride, lo, hi)
	})})
	return dst
}
