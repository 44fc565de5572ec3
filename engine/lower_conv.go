package engine

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/sparse"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerConv, "Conv")
	lower(graph.MicrosoftDomain, lowerConv, "FusedConv")
}

var inf = float32(math.Inf(1))

// spatial is the geometry of a sliding window over up to three dimensions,
// missing leading ones being 1.
type spatial struct {
	in, out, kernel, stride, dilation, pad, padEnd [3]int
}

// window reads the geometry of a convolution or pool: kernel is the window's
// size, in and out are shapes in ONNX order. It resolves auto_pad.
func window(n *graph.Node, in, out, kernel []int) spatial {
	var s spatial
	dims := len(in) - 2
	strides := n.Ints("strides", ones(dims)...)
	dilations := n.Ints("dilations", ones(dims)...)
	pads := n.Ints("pads", make([]int, 2*dims)...)
	auto := n.Str("auto_pad", "NOTSET")
	for i := range 3 {
		s.in[i], s.out[i], s.kernel[i], s.stride[i], s.dilation[i] = 1, 1, 1, 1, 1
	}
	for i := range dims {
		j := 3 - dims + i
		s.in[j], s.out[j], s.kernel[j] = in[2+i], out[2+i], kernel[i]
		s.stride[j], s.dilation[j] = strides[i], dilations[i]
		total := max((out[2+i]-1)*strides[i]+dilations[i]*(kernel[i]-1)+1-in[2+i], 0)
		switch auto {
		case "SAME_UPPER":
			s.pad[j], s.padEnd[j] = total/2, total-total/2
		case "SAME_LOWER":
			s.pad[j], s.padEnd[j] = total-total/2, total/2
		case "VALID":
		default:
			s.pad[j], s.padEnd[j] = pads[i], pads[dims+i]
		}
	}
	return s
}

func ones(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

// convShape is the geometry of a Conv node for the kernels.
func convShape(n *graph.Node, in, weight, out []int) conv.Shape {
	s := window(n, in, out, weight[2:])
	return conv.Shape{
		N: in[0], D: s.in[0], H: s.in[1], W: s.in[2], C: in[1],
		K: weight[0], T: s.kernel[0], R: s.kernel[1], S: s.kernel[2],
		OD: s.out[0], P: s.out[1], Q: s.out[2],
		StrideD: s.stride[0], StrideH: s.stride[1], StrideW: s.stride[2],
		DilD: s.dilation[0], DilH: s.dilation[1], DilW: s.dilation[2],
		PadD: s.pad[0], PadH: s.pad[1], PadW: s.pad[2],
		Groups: n.Int("group", 1),
	}
}

// tail is what can be fused behind a kernel that stores with a clamp: an
// addition of an equally shaped tensor, then a clamp.
type tail struct {
	add      *graph.Value
	min, max float32
	out      *graph.Value // what the fused kernel computes
}

// fuse walks the sole uses of n's output as far as the kernel can cover them,
// and marks them as lowered.
func (c *compiler) fuse(n *graph.Node, allowAdd bool) tail {
	t := tail{min: -inf, max: inf, out: n.Outputs[0]}
	for {
		next := c.only(t.out)
		if next == nil {
			return t
		}
		switch {
		case allowAdd && t.add == nil && t.min == -inf && t.max == inf && next.Is("Add"):
			other := next.Inputs[0]
			if other == t.out {
				other = next.Inputs[1]
			}
			if other == t.out || !c.known(other) || other.Type != tensor.Float32 || !sameShape(other, t.out) || !sameShape(next.Outputs[0], t.out) {
				return t
			}
			t.add = other
		case t.min == -inf && t.max == inf && clampOf(c, next, &t):
		default:
			return t
		}
		c.done[next] = true
		t.out = next.Outputs[0]
	}
}

func sameShape(a, b *graph.Value) bool {
	return len(a.Shape) == len(b.Shape) && a.Shape.Known() && b.Shape.Known() && equalInts(a.Shape.Ints(), b.Shape.Ints())
}

// clampOf sets t's limits if n is a Relu or a Clip with constant limits.
func clampOf(c *compiler, n *graph.Node, t *tail) bool {
	switch {
	case n.Is("Relu"):
		t.min = 0
		return true
	case n.Is("Clip"):
		lo, hi := -inf, inf
		for i, to := range map[int]*float32{1: &lo, 2: &hi} {
			if v := n.In(i); v != nil {
				d := c.constant(v)
				if d == nil || d.Len() != 1 {
					return false
				}
				*to = float32(d.At(0))
			}
		}
		t.min, t.max = lo, hi
		return true
	}
	return false
}

func lowerConv(c *compiler, n *graph.Node) error {
	x, w := n.Inputs[0], n.Inputs[1]
	if c.quant.conv(c, n) {
		return nil
	}
	if x.Type != tensor.Float32 || w.Type != tensor.Float32 {
		return fallback(c, n)
	}
	in, ok := concrete(x)
	out, ok2 := concrete(n.Outputs[0])
	if !ok || !ok2 || len(in) < 3 || len(in) > 5 {
		return fallback(c, n)
	}
	s := convShape(n, in, w.Shape.Ints(), out)
	t := c.fuse(n, true)
	if n.Domain == graph.MicrosoftDomain { // FusedConv
		if n.In(3) != nil {
			t.add = n.In(3)
		}
		switch act := n.Str("activation", ""); act {
		case "":
		case "Relu":
			t.min = 0
		default:
			return n.Errorf("fused activation %q is not supported", act)
		}
	}
	var gate *buf
	if sl := c.slots[x]; sl != nil && sl.gating != nil && sl.force != nil {
		gate = c.use(sl.gating.gate, plain)
		x = sl.gating.data
	}
	src := c.pixels(x)
	s.SrcStride = src.pitch
	var add *buf
	if t.add != nil {
		add = c.pixels(t.add)
		s.AddStride = add.pitch
	}
	wt, bt := c.constant(w), c.constant(n.In(2))
	if n.In(2) != nil && bt == nil {
		wt = nil // weights and biases change together
	}
	p := conv.Params{Min: t.min, Max: t.max, Winograd: wt != nil || s.N*s.P*s.Q >= winogradPixels}
	var wbuf, bbuf *buf
	if wt != nil {
		p.Weights = wt.Float32s()
	} else {
		wbuf = c.use(w, plain)
		p.Weights = make([]float32, wbuf.len())
	}
	if n.In(2) != nil {
		if wt != nil {
			p.Bias = bt.Float32s()
		} else {
			bbuf = c.use(n.In(2), plain)
			p.Bias = make([]float32, bbuf.len())
		}
	}
	dst := c.defPixels(t.out)
	s.DstStride = dst.pitch
	var k convKernel
	var scratch *buf
	st := step{in: compact([]*buf{src, gate, add, wbuf, bbuf}), out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		if wbuf != nil {
			k.(*conv.Conv).SetWeights(f32(x, wbuf), f32(x, bbuf))
		}
		if gate != nil {
			k.(gatedConv).RunGated(x.pool, f32(x, dst), f32(x, src), f32(x, gate), f32(x, add), f32(x, scratch))
			return nil
		}
		k.Run(x.pool, f32(x, dst), f32(x, src), f32(x, add), f32(x, scratch))
		return nil
	}
	if gate != nil {
		scratch = c.emitBuilt(n, st, 4, func() kernel { g := gatedConv{conv.New(s, p)}; k = g; return g })
		return nil
	}
	if wbuf == nil && bbuf == nil {
		st.rows = &rowwise{src: src, dst: dst, add: add, weights: wt.NBytes(), kernel: func() bandKernel {
			if b, ok := k.(banded); ok && b.Bands() {
				return b
			}
			return nil
		}}
	}
	rows := st.rows
	scratch = c.emitBuilt(n, st, 4, func() kernel {
		k = newConv(s, p, wt != nil)
		if z, ok := k.(*sparse.Conv); ok && rows != nil {
			rows.weights = z.Weights()
		}
		return k
	})
	return nil
}

// banded is a kernel that may compute some rows of an image.
type banded interface {
	bandKernel
	Bands() bool
}

// compact drops nils.
func compact(bs []*buf) []*buf {
	out := bs[:0]
	for _, b := range bs {
		if b != nil {
			out = append(out, b)
		}
	}
	return out
}

func graphMACs(n *graph.Node) int64 {
	if op := graph.Lookup(n.Domain, n.Op); op != nil && op.MACs != nil {
		return op.MACs(n)
	}
	return 0
}

// winogradPixels is how many pixels outweigh transforming weights that are new in
// every run.
const winogradPixels = 4096
