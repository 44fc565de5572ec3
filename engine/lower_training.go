package engine

import (
	"slices"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/norm"
	"github.com/drawknife/drawknife/internal/kernel/pool"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

// The lowerings of the training operators (see graph/op_training.go). Like the
// forward pass they work on channels-last tensors. What has no kernel here
// (losses, rare gradients) runs by its definition in package eval.
func init() {
	own := func(f lowering, ops ...string) { lower(graph.DrawknifeDomain, f, ops...) }
	own(lowerConvGradInput, "ConvGradInput")
	own(lowerConvGradWeight, "ConvGradWeight")
	own(lowerPoolGrad, "MaxPoolGrad", "AveragePoolGrad")
	own(lowerGlobalAveragePoolGrad, "GlobalAveragePoolGrad")
	own(lowerBatchNormTrain, "BatchNormTrain")
	own(lowerBatchNormGrad, "BatchNormGrad")
	own(lowerActivationGrad, "ActivationGrad")
	own(lowerSoftmaxGrad, "SoftmaxGrad")
	own(lowerDropoutTrain, "DropoutTrain")
	own(lowerSliceGrad, "SliceGrad")
	own(lowerPadGrad, "PadGrad")
	lower("", lowerReduceSum, "ReduceSum")
}

// images reports whether all values are float32 of known shape with between
// lo and hi dimensions.
func images(lo, hi int, vs ...*graph.Value) bool {
	for _, v := range vs {
		if v.Type != tensor.Float32 || !v.Shape.Known() || len(v.Shape) < lo || len(v.Shape) > hi {
			return false
		}
	}
	return true
}

func lowerConvGradInput(c *compiler, n *graph.Node) error {
	vdy, vw, vx := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	if !images(3, 5, vdy, vw, vx) {
		return fallback(c, n)
	}
	g := conv.NewGradInput(convShape(n, vx.Shape.Ints(), vw.Shape.Ints(), vdy.Shape.Ints()))
	dy, w := c.use(vdy, channelsLast), c.use(vw, plain)
	st := step{kernel: g.Kernel(), in: []*buf{dy, w}, scratch: c.scratch(4 * g.Scratch(c.pool.Workers())), macs: graphMACs(n)}
	// The gradients of a value with two readers are added: do it on storing.
	out := n.Outputs[0]
	var add, dx *buf
	if sum := c.only(out); sum != nil && sum.Is("Add") && g.Adds() {
		other := sum.Inputs[0]
		if other == out {
			other = sum.Inputs[1]
		}
		if other != out && c.known(other) && sameShape(other, out) && sameShape(sum.Outputs[0], out) {
			c.done[sum] = true
			add = c.use(other, channelsLast)
			st.in = append(st.in, add)
			dx = c.over(sum.Outputs[0], other, add)
		}
	}
	if add == nil {
		dx = c.def(out, channelsLast)
	}
	st.out = []*buf{dx}
	st.run = func(x *frame) error {
		g.Run(x.pool, f32(x, dx), f32(x, dy), f32(x, w), f32(x, add), scratchFloats(x, st.scratch))
		return nil
	}
	c.emit(st)
	return nil
}

func lowerConvGradWeight(c *compiler, n *graph.Node) error {
	vx, vdy, vw := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	if !images(3, 5, vx, vdy, vw) {
		return fallback(c, n)
	}
	g := conv.NewGradWeight(convShape(n, vx.Shape.Ints(), vw.Shape.Ints(), vdy.Shape.Ints()))
	src, dy := c.use(vx, channelsLast), c.use(vdy, channelsLast)
	dw := c.def(n.Outputs[0], plain)
	st := step{kernel: g.Kernel(), in: []*buf{src, dy}, out: []*buf{dw},
		scratch: c.scratch(4 * g.Scratch(c.pool.Workers())), macs: graphMACs(n)}
	var db *buf
	if v := n.Out(1); v != nil {
		db = c.def(v, plain)
		st.out = append(st.out, db)
	}
	st.run = func(x *frame) error {
		g.Run(x.pool, f32(x, dw), f32(x, db), f32(x, src), f32(x, dy), scratchFloats(x, st.scratch))
		return nil
	}
	c.emit(st)
	return nil
}

// over declares v's buffer, channels-last, to be written by the step emitted
// next element by element over b, the buffer of from, if that step is the last
// to read it: what has just been read need not be fetched to be overwritten.
func (c *compiler) over(v, from *graph.Value, b *buf) *buf {
	if b.of != nil && !c.overs[b] || from.Data != nil || from.IsInput() || c.only(from) == nil || c.observed(v) || !sameShape(v, from) || b.layout != channelsLast {
		return c.def(v, channelsLast)
	}
	out := c.alias(v, b, channelsLast)
	c.overs[out] = true
	return out
}

// scratchFloats views scratch memory, which may be none, as float32s.
func scratchFloats(x *frame, b *buf) []float32 {
	if b == nil {
		return nil
	}
	return view[float32](x, b)
}

func lowerPoolGrad(c *compiler, n *graph.Node) error {
	vdy, vx := n.Inputs[0], n.Inputs[1]
	if !images(3, 5, vdy, vx) {
		return fallback(c, n)
	}
	s := poolShape(n, vx.Shape.Ints(), vdy.Shape.Ints())
	dy := c.use(vdy, channelsLast)
	if n.Op == "AveragePoolGrad" {
		dx := c.def(n.Outputs[0], channelsLast)
		c.emit(step{kernel: n.Op, in: []*buf{dy}, out: []*buf{dx}, run: func(x *frame) error {
			pool.AverageGrad(x.pool, s, f32(x, dx), f32(x, dy))
			return nil
		}})
		return nil
	}
	src := c.use(vx, channelsLast)
	dx := c.def(n.Outputs[0], channelsLast)
	// The places of the maxima are found again rather than kept.
	if s.Disjoint() {
		c.emit(step{kernel: n.Op, in: []*buf{dy, src}, out: []*buf{dx}, run: func(x *frame) error {
			pool.MaxGradOf(x.pool, s, f32(x, dx), f32(x, dy), f32(x, src))
			return nil
		}})
		return nil
	}
	st := step{kernel: n.Op, in: []*buf{dy, src}, out: []*buf{dx}, scratch: c.scratch(2 * dy.bytes)}
	st.run = func(x *frame) error {
		if st.scratch == nil {
			return nil
		}
		s32 := view[float32](x, st.scratch)
		half := len(s32) / 2
		index := view[int32](x, st.scratch)[half:]
		pool.MaxWithIndex(x.pool, s, s32[:half], f32(x, src), index)
		pool.MaxGrad(x.pool, s, f32(x, dx), f32(x, dy), index)
		return nil
	}
	c.emit(st)
	return nil
}

func lowerGlobalAveragePoolGrad(c *compiler, n *graph.Node) error {
	vdy, vx := n.Inputs[0], n.Inputs[1]
	if !images(3, 8, vx) || vdy.Type != tensor.Float32 {
		return fallback(c, n)
	}
	batch, ch, size := split(vx.Shape.Ints())
	dy := c.use(vdy, plain)
	dx := c.def(n.Outputs[0], channelsLast)
	c.emit(step{kernel: n.Op, in: []*buf{dy}, out: []*buf{dx}, run: func(x *frame) error {
		pool.GlobalAverageGrad(x.pool, batch, size, ch, f32(x, dx), f32(x, dy))
		return nil
	}})
	return nil
}

// batchOf describes the batch normalization of v by node n.
func batchOf(n *graph.Node, v *graph.Value) norm.Batch {
	batch, ch, size := split(v.Shape.Ints())
	return norm.Batch{Rows: batch * size, C: ch, Eps: n.Float("epsilon", 1e-5), Lo: n.Float("min", -inf), Hi: n.Float("max", inf)}
}

func lowerBatchNormTrain(c *compiler, n *graph.Node) error {
	if !images(2, 8, n.Inputs[0]) || !images(1, 1, n.Inputs[1:5]...) {
		return fallback(c, n)
	}
	b := batchOf(n, n.Inputs[0])
	if b.Rows == 0 || b.C == 0 {
		return fallback(c, n)
	}
	src := c.use(n.Inputs[0], channelsLast)
	var p [4]*buf // scale, bias, running mean, running variance
	for i := range p {
		p[i] = c.use(n.Inputs[1+i], plain)
	}
	st := step{kernel: "batch-norm", in: []*buf{src, p[0], p[1], p[2], p[3]}, scratch: c.scratch(8*b.Scratch() + 4*b.C)}
	var add *buf
	if v := n.In(5); v != nil {
		add = c.use(v, channelsLast)
		st.in = append(st.in, add)
	}
	dst := c.def(n.Outputs[0], channelsLast)
	st.out = []*buf{dst}
	var stats [4]*buf // mean, inverse deviation, new running mean and variance
	for i := range stats {
		stats[i] = c.def(n.Outputs[1+i], plain)
		st.out = append(st.out, stats[i])
	}
	momentum := n.Float("momentum", 0.9)
	st.run = func(x *frame) error {
		raw := x.raw(st.scratch)
		scratch, variance := as[float64](raw[:8*b.Scratch()]), as[float32](raw[8*b.Scratch():])
		mean := f32(x, stats[0])
		b.Forward(x.pool, f32(x, dst), f32(x, src), f32(x, add), f32(x, p[0]), f32(x, p[1]), mean, variance, f32(x, stats[1]), scratch)
		copy(f32(x, stats[2]), f32(x, p[2]))
		copy(f32(x, stats[3]), f32(x, p[3]))
		vec.Lerp(f32(x, stats[2]), momentum, 1-momentum, mean)
		vec.Lerp(f32(x, stats[3]), momentum, 1-momentum, variance)
		return nil
	}
	c.emit(st)
	return nil
}

// lowerBatchNormGrad reads the output only where a residual was added.
func lowerBatchNormGrad(c *compiler, n *graph.Node) error {
	if !images(2, 8, n.Inputs[:3]...) || !images(1, 1, n.Inputs[3:]...) {
		return fallback(c, n)
	}
	b := batchOf(n, n.Inputs[1])
	dy, src := c.use(n.Inputs[0], channelsLast), c.use(n.Inputs[1], channelsLast)
	var p [4]*buf // scale, bias, mean, inverse deviation
	for i := range p {
		p[i] = c.use(n.Inputs[3+i], plain)
	}
	st := step{kernel: "batch-norm-grad", in: []*buf{dy, src, p[0], p[1], p[2], p[3]}, scratch: c.scratch(8 * max(b.Scratch(), 1))}
	var y, dadd *buf
	var dx *buf
	dscale, dbias := c.def(n.Outputs[1], plain), c.def(n.Outputs[2], plain)
	if v := n.Out(3); v != nil {
		y, dadd = c.use(n.Inputs[2], channelsLast), c.over(v, n.Inputs[0], dy)
		dx = c.def(n.Outputs[0], channelsLast)
		st.in, st.out = append(st.in, y), append(st.out, dadd)
	} else {
		dx = c.over(n.Outputs[0], n.Inputs[0], dy)
	}
	st.out = append(st.out, dx, dscale, dbias)
	st.run = func(x *frame) error {
		b.Backward(x.pool, norm.Grad{
			DX: f32(x, dx), DY: f32(x, dy), X: f32(x, src), Y: f32(x, y), DAdd: f32(x, dadd),
			Gamma: f32(x, p[0]), Beta: f32(x, p[1]), Mean: f32(x, p[2]), Inv: f32(x, p[3]),
			DGamma: f32(x, dscale), DBeta: f32(x, dbias),
		}, view[float64](x, st.scratch))
		return nil
	}
	c.emit(st)
	return nil
}

// kinds are the activations whose gradients have kernels.
var kinds = map[string]vec.Func{
	"Relu": vec.Relu, "LeakyRelu": vec.LeakyRelu, "Clip": vec.Clip, "Elu": vec.Elu, "Selu": vec.Selu, "Celu": vec.Celu,
	"ThresholdedRelu": vec.ThresholdedRelu, "Sigmoid": vec.Sigmoid, "HardSigmoid": vec.HardSigmoid, "HardSwish": vec.HardSwish,
	"Swish": vec.Swish, "Tanh": vec.Tanh, "Softplus": vec.Softplus, "Softsign": vec.Softsign, "Mish": vec.Mish,
	"Gelu": vec.GeluErf, "GeluTanh": vec.GeluTanh, "Erf": vec.Erf, "Exp": vec.Exp, "Log": vec.Log, "Sqrt": vec.Sqrt,
	"Abs": vec.Abs, "Reciprocal": vec.Reciprocal, "Sin": vec.Sin, "Cos": vec.Cos,
}

func lowerActivationGrad(c *compiler, n *graph.Node) error {
	f, ok := kinds[n.Str("kind", "")]
	if !ok || !images(0, 8, n.Inputs...) {
		return fallback(c, n)
	}
	l := c.preferred(n.Inputs[1])
	dy, src, y := c.use(n.Inputs[0], l), c.use(n.Inputs[1], l), c.use(n.Inputs[2], l)
	dx := c.def(n.Outputs[0], l)
	alpha, beta := n.Float("alpha", 0), n.Float("beta", 0)
	c.emit(step{kernel: "unary-grad", in: []*buf{dy, src, y}, out: []*buf{dx}, run: func(x *frame) error {
		d, g, v, w := f32(x, dx), f32(x, dy), f32(x, src), f32(x, y)
		x.pool.For(len(d), grain, func(_, i, j int) { vec.UnaryGrad(f, alpha, beta, d[i:j], g[i:j], v[i:j], w[i:j]) })
		return nil
	}})
	return nil
}

func lowerSoftmaxGrad(c *compiler, n *graph.Node) error {
	axis, rank := n.Int("axis", -1), len(n.Inputs[1].Shape)
	if !images(1, 8, n.Inputs...) || axis != -1 && axis != rank-1 {
		return fallback(c, n)
	}
	dy, y := c.use(n.Inputs[0], plain), c.use(n.Inputs[1], plain)
	dx := c.def(n.Outputs[0], plain)
	cols, log := y.shape[rank-1], n.Int("log", 0) != 0
	c.emit(step{kernel: n.Op, in: []*buf{dy, y}, out: []*buf{dx}, run: func(x *frame) error {
		if log {
			vec.LogSoftmaxGrad(f32(x, dx), f32(x, dy), f32(x, y), cols)
		} else {
			vec.SoftmaxGrad(f32(x, dx), f32(x, dy), f32(x, y), cols)
		}
		return nil
	}})
	return nil
}

func lowerDropoutTrain(c *compiler, n *graph.Node) error {
	ratio := n.Float("ratio", 0.5)
	if !images(0, 8, n.Inputs[0]) || n.Inputs[1].Type != tensor.Int64 || !(ratio >= 0 && ratio < 1) {
		return fallback(c, n)
	}
	src, seed := c.use(n.Inputs[0], plain), c.use(n.Inputs[1], plain)
	dst := c.def(n.Outputs[0], plain)
	stream, keep := uint64(n.Int("stream", 0)), float32(1/(1-float64(ratio)))
	c.emit(step{kernel: "dropout", in: []*buf{src, seed}, out: []*buf{dst}, run: func(x *frame) error {
		d, s, key := f32(x, dst), f32(x, src), uint64(view[int64](x, seed)[0])
		x.pool.For(len(d), grain, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				d[i] = 0
				if eval.DropoutKeep(key, stream, uint64(i), ratio) {
					d[i] = s[i] * keep
				}
			}
		})
		return nil
	}})
	return nil
}

// lowerReduceSum handles sums over everything but the channels, and over the
// pixels of each image.
func lowerReduceSum(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	rank := len(in.Shape)
	axes := c.constant(n.In(1))
	if !images(2, 8, in) || axes == nil {
		return lowerReduce(c, n)
	}
	reduced := make([]bool, rank)
	for _, a := range axes.Ints() {
		if a < 0 {
			a += rank
		}
		reduced[a] = true
	}
	if reduced[1] || axes.Len() < rank-2 || rank > 2 && slices.Contains(reduced[2:], false) {
		return lowerReduce(c, n)
	}
	if !reduced[0] {
		return c.pixelSum(n)
	}
	batch, ch, size := split(in.Shape.Ints())
	src := c.use(in, channelsLast)
	dst := c.def(n.Outputs[0], plain)
	st := step{kernel: "column-sum", in: []*buf{src}, out: []*buf{dst}, scratch: c.scratch(8 * vec.ColScratch(batch*size, ch))}
	st.run = func(x *frame) error {
		var scratch []float64
		if st.scratch != nil {
			scratch = view[float64](x, st.scratch)
		}
		vec.ParallelColSum(x.pool, f32(x, dst), f32(x, src), ch, scratch)
		return nil
	}
	c.emit(st)
	return nil
}

// pixelSum sums each channel of each image.
func (c *compiler) pixelSum(n *graph.Node) error {
	if len(n.Inputs[0].Shape) < 3 {
		return lowerReduce(c, n)
	}
	batch, ch, size := split(n.Inputs[0].Shape.Ints())
	src := c.use(n.Inputs[0], channelsLast)
	dst := c.def(n.Outputs[0], plain)
	c.emit(step{kernel: "pixel-sum", in: []*buf{src}, out: []*buf{dst}, run: func(x *frame) error {
		pool.GlobalAverage(x.pool, batch, size, ch, f32(x, dst), f32(x, src))
		vec.Scale(float32(size), f32(x, dst), f32(x, dst))
		return nil
	}})
	return nil
}

// lowerSliceGrad scatters dy into zeros.
func lowerSliceGrad(c *compiler, n *graph.Node) error {
	in := n.Inputs[1]
	var p [4]*tensor.Tensor // starts, ends, axes, steps
	for i := range p {
		if v := n.In(2 + i); v != nil {
			if p[i] = c.constant(v); p[i] == nil {
				return fallback(c, n)
			}
		}
	}
	if !images(1, 8, in, n.Inputs[0]) {
		return fallback(c, n)
	}
	l := c.preferred(n.Inputs[0])
	dy := c.use(n.Inputs[0], l)
	dx := c.def(n.Outputs[0], l)
	to := denseStrides(dx.shape, l)
	own := denseStrides(dx.shape, l)
	start := 0
	for i, s := range p[0].Int64s() {
		a, by := i, int64(1)
		if p[2] != nil {
			a = p[2].Ints()[i]
		}
		if p[3] != nil {
			by = p[3].Int64s()[i]
		}
		if a < 0 {
			a += len(dx.shape)
		}
		d := int64(dx.shape[a])
		if s < 0 {
			s += d
		}
		last := d
		if by < 0 {
			last = d - 1
		}
		start += int(min(max(s, 0), last)) * own[a]
		to[a] *= int(by)
	}
	walk := newNest(dy.shape, l, to)
	c.emit(step{kernel: "slice-grad", in: []*buf{dy}, out: []*buf{dx}, run: func(x *frame) error {
		d, g := f32(x, dx), f32(x, dy)
		x.pool.For(len(d), 4*grain, func(_, lo, hi int) { clear(d[lo:hi]) })
		if len(g) == 0 {
			return nil
		}
		k := len(walk.dims) - 1
		inner, by := walk.dims[k], walk.strides[0][k]
		x.pool.For(walk.outer(1), max(1, grain/inner), func(_, lo, hi int) {
			for r := lo; r < hi; r++ {
				o, row := start+walk.offset(0, 1, r), g[r*inner:][:inner]
				if by == 1 {
					copy(d[o:o+inner], row)
					continue
				}
				for _, v := range row {
					d[o] = v
					o += by
				}
			}
		})
		return nil
	}})
	return nil
}

// lowerPadGrad cuts the padding off again (constant padding, no cropping).
func lowerPadGrad(c *compiler, n *graph.Node) error {
	in := n.Inputs[1]
	pads := c.constant(n.In(2))
	if !images(1, 8, in, n.Inputs[0]) || pads == nil || n.Str("mode", "constant") != "constant" {
		return fallback(c, n)
	}
	rank := len(in.Shape)
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	if v := n.In(3); v != nil {
		t := c.constant(v)
		if t == nil {
			return fallback(c, n)
		}
		axes = t.Ints()
	}
	amounts := pads.Ints()
	l := c.preferred(n.Inputs[0])
	dy := c.use(n.Inputs[0], l)
	own := denseStrides(dy.shape, l)
	start := 0
	for i, a := range axes {
		if len(amounts) != 2*len(axes) || amounts[i] < 0 || amounts[len(axes)+i] < 0 {
			return fallback(c, n)
		}
		if a < 0 {
			a += rank
		}
		start += amounts[i] * own[a]
	}
	dx := c.def(n.Outputs[0], l)
	c.stridedCopy("pad-grad", dx, dy, own, start)
	return nil
}
