package engine

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerSoftmax, "Softmax", "LogSoftmax")
	lower("", lowerBatchNorm, "BatchNormalization")
	lower("", lowerLRN, "LRN")
}

func lowerSoftmax(c *compiler, n *graph.Node) error {
	shape, ok := concrete(n.Inputs[0])
	if !ok || n.Inputs[0].Type != tensor.Float32 || len(shape) == 0 {
		return fallback(c, n)
	}
	axis := n.Int("axis", -1)
	if axis < 0 {
		axis += len(shape)
	}
	src := c.any(n.Inputs[0])
	dims := order(len(shape), src.layout)
	switch {
	case dims[len(dims)-1] == axis:
	case axis == len(shape)-1:
		src = c.use(n.Inputs[0], plain)
	case axis == 1:
		src = c.use(n.Inputs[0], channelsLast)
	default:
		return fallback(c, n)
	}
	dst := c.def(n.Outputs[0], src.layout)
	cols, log := shape[axis], n.Op == "LogSoftmax"
	if dst.bytes == 0 {
		return nil
	}
	c.emit(step{kernel: n.Op, in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.len()/cols, max(1, grain/cols), func(x *frame, lo, hi int) {
		vec.Softmax(f32(x, dst)[lo*cols:hi*cols], f32(x, src)[lo*cols:hi*cols], cols, log)
	})})
	return nil
}

// lowerBatchNorm is a scale and shift per channel where it could not be folded.
func lowerBatchNorm(c *compiler, n *graph.Node) error {
	shape, ok := concrete(n.Inputs[0])
	if !ok || n.Int("training_mode", 0) != 0 || len(shape) < 2 || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	var p [4][]float32
	for i := range p {
		t := c.constant(n.In(1 + i))
		if t == nil || t.Len() != shape[1] {
			return fallback(c, n)
		}
		p[i] = t.Float32s()
	}
	scale, shift := foldedNorm(p[0], p[1], p[2], p[3], n.Float("epsilon", 1e-5))
	if c.quant.scaleShift(c, n, scale, shift) {
		return nil
	}
	t := c.fuse(n, false)
	src := c.pixels(n.Inputs[0])
	dst := c.defPixels(t.out)
	if dst.bytes == 0 {
		return nil
	}
	k := &scaleShift{scale: scale, shift: shift, min: t.min, max: t.max, ss: src.step(), ds: dst.step(),
		shape: conv.Shape{N: shape[0], H: 1, W: 1, P: 1, Q: 1, C: shape[1], K: shape[1], SrcStride: src.step(), DstStride: dst.step()}}
	st := step{kernel: "scale-shift", in: []*buf{src}, out: []*buf{dst}}
	st.run = c.loop(dst.len()/shape[1], max(1, grain/shape[1]), func(x *frame, lo, hi int) {
		k.pixels(f32(x, dst)[lo*k.ds:], f32(x, src)[lo*k.ss:], hi-lo)
	})
	if len(shape) == 4 {
		k.shape.H, k.shape.P, k.shape.W, k.shape.Q = shape[2], shape[2], shape[3], shape[3]
		st.rows = &rowwise{src: src, dst: dst, kernel: func() bandKernel { return k }}
	}
	c.emit(st)
	return nil
}

// scaleShift is y = clamp(x·scale + shift) by channel.
type scaleShift struct {
	shape        conv.Shape
	scale, shift []float32
	min, max     float32
	ss, ds       int // floats from one pixel to the next
}

func (k *scaleShift) pixels(dst, src []float32, n int) {
	ch := len(k.scale)
	if k.ss == ch && k.ds == ch {
		vec.ScaleShiftClamp(dst[:n*ch], src[:n*ch], k.scale, k.shift, k.min, k.max)
		return
	}
	for r := range n {
		vec.ScaleShiftClamp(dst[r*k.ds:][:ch], src[r*k.ss:][:ch], k.scale, k.shift, k.min, k.max)
	}
}

func (k *scaleShift) Shape() conv.Shape { return k.shape }
func (k *scaleShift) Scratch(int) int   { return 0 }

func (k *scaleShift) InputRows(lo, hi int) (first, last int) { return lo, hi }

func (k *scaleShift) RunBand(dst, src, _, _ []float32, lo, hi, from int) {
	k.pixels(dst, src[(lo-from)*k.shape.W*k.ss:], (hi-lo)*k.shape.W)
}

func lowerLRN(c *compiler, n *graph.Node) error {
	shape, ok := concrete(n.Inputs[0])
	if !ok || len(shape) < 3 || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	src := c.use(n.Inputs[0], channelsLast)
	dst := c.def(n.Outputs[0], channelsLast)
	ch, size := shape[1], n.Int("size", 1)
	alpha, beta, bias := n.Float("alpha", 1e-4), n.Float("beta", 0.75), n.Float("bias", 1)
	c.emit(step{kernel: "LRN", in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.len()/ch, max(1, 512/ch), func(x *frame, lo, hi int) {
		vec.LRN(f32(x, dst)[lo*ch:hi*ch], f32(x, src)[lo*ch:hi*ch], ch, size, alpha, beta, bias)
	})})
	return nil
}

// foldedNorm turns batch normalisation into y = x·scale + shift.
func foldedNorm(gamma, beta, mean, variance []float32, eps float32) (scale, shift []float32) {
	scale, shift = make([]float32, len(gamma)), make([]float32, len(gamma))
	for i := range gamma {
		s := float64(gamma[i]) / math.Sqrt(float64(variance[i])+float64(eps))
		scale[i] = float32(s)
		shift[i] = float32(float64(beta[i]) - float64(mean[i])*s)
	}
	return scale, shift
}
