package engine

import (
	"math"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/qconv"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerQuantize, "QuantizeLinear")
	lower("", lowerDequantize, "DequantizeLinear")
}

func lowerQuantize(c *compiler, n *graph.Node) error {
	g, ok := c.gridOf(n)
	if !ok || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	src := c.any(n.Inputs[0])
	dst := c.defBytes(n.Outputs[0], src.layout)
	c.emit(step{kernel: "quantize", in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.bytes, grain, func(x *frame, lo, hi int) {
		qvec.Quantize(u8(x, dst)[lo:hi], f32(x, src)[lo:hi], g.scale, g.zero)
	})})
	return nil
}

// lowerDequantize waits until a float reader turns up: integer kernels read
// the tensor before it.
func lowerDequantize(c *compiler, n *graph.Node) error {
	out := n.Outputs[0]
	if !slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool { return v != nil && c.constant(v) == nil }) {
		// Weights: the kernels that read them in integers are many, and the
		// float form is four times as large.
		c.slot(out).force = func() error {
			t := c.constFloat(out)
			if t == nil {
				return fallback(c, n)
			}
			c.slot(out).bufs[plain] = c.constBuf(out.Name, t)
			return nil
		}
		return nil
	}
	g, ok := c.gridOf(n)
	if !ok {
		return fallback(c, n)
	}
	emit := func() error {
		src := c.anyBytes(n.Inputs[0])
		dst := c.def(out, src.layout)
		c.emit(step{node: n, kernel: "dequantize", in: []*buf{src}, out: []*buf{dst}, run: c.loop(src.bytes, grain, func(x *frame, lo, hi int) {
			qvec.Dequantize(f32(x, dst)[lo:hi], u8(x, src)[lo:hi], g.scale, g.zero)
		})})
		return nil
	}
	if c.observed(out) {
		return emit()
	}
	c.slot(out).force = emit
	return nil
}

// weights of an integer convolution.
type qweights struct {
	data  []int8
	flip  uint8     // inverted in data: 128 where they are stored as uint8
	scale []float32 // one, or one per output channel
	zero  []int8    // of data with flip inverted: one, or one per output channel
	shape []int
}

// intWeights reads a DQ of constant 8-bit weights whose output channels lie
// along the given axis.
func (c *compiler) intWeights(v *graph.Value, axis int) (w qweights, ok bool) {
	n := v.Producer()
	if n == nil || !n.Is("DequantizeLinear") || n.Int("block_size", 0) != 0 {
		return w, false
	}
	data, scale := c.constant(n.In(0)), c.constant(n.In(1))
	if data == nil || scale == nil || scale.DType != tensor.Float32 {
		return w, false
	}
	if scale.Len() > 1 && (n.Int("axis", 1)+len(data.Shape))%len(data.Shape) != axis {
		return w, false
	}
	w.shape, w.scale = data.Shape, scale.Float32s()
	shift := 0
	switch data.DType {
	case tensor.Int8:
		w.data = tensor.Data[int8](data)
	case tensor.Uint8:
		shift, w.flip = 128, 128
		bytes := tensor.Data[uint8](data)
		w.data = unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(bytes))), len(bytes))
	default:
		if w.data, ok = narrowWeights(data); !ok {
			return w, false
		}
	}
	w.zero = []int8{int8(-shift)}
	if z := n.In(2); z != nil {
		t := c.constant(z)
		if t == nil || t.Len() != scale.Len() {
			return w, false
		}
		w.zero = make([]int8, t.Len())
		for i := range w.zero {
			w.zero[i] = int8(int(t.At(i)) - shift)
		}
	}
	return w, true
}

// intBias gives the bias in units of the accumulator, sx·sw[k].
func (c *compiler) intBias(v *graph.Value, xs float32, ws []float32, k int) ([]int32, bool) {
	if v == nil {
		return nil, true
	}
	if n := v.Producer(); n != nil && n.Is("DequantizeLinear") {
		q, s := c.constant(n.In(0)), c.constant(n.In(1))
		if q != nil && s != nil && q.DType == tensor.Int32 && q.Len() == k && s.Len() == len(ws) {
			same := true
			for i, f := range s.Float32s() {
				same = same && math.Abs(float64(f)/(float64(xs)*float64(ws[i]))-1) < 1e-5
			}
			if same {
				return tensor.Data[int32](q), true
			}
		}
	}
	t := c.constFloat(v)
	if t == nil || t.Len() != k {
		return nil, false
	}
	out := make([]int32, k)
	for i, b := range t.Float32s() {
		r := math.RoundToEven(float64(b) / (float64(xs) * float64(ws[i%len(ws)])))
		if math.Abs(r) > math.MaxInt32/2 {
			return nil, false
		}
		out[i] = int32(r)
	}
	return out, true
}

// quantizer lowers operators between DQ and Q nodes to integer kernels. Each
// method reports whether it covered the node.
type quantizer struct{}

func (quantizer) conv(c *compiler, n *graph.Node) bool {
	q, g, ok := c.dequantized(n.Inputs[0])
	if !ok {
		return false
	}
	in, ok := concrete(n.Inputs[0])
	out, ok2 := concrete(n.Outputs[0])
	if !ok || !ok2 {
		return false
	}
	axis := 0
	transB := n.Int("transB", 0) != 0
	if n.Is("MatMul") || n.Is("Gemm") && !transB {
		axis = 1
	}
	w, ok := c.intWeights(n.Inputs[1], axis)
	if !ok {
		return false
	}
	var s conv.Shape
	l := channelsLast
	switch {
	case n.Is("Conv"):
		if len(in) < 3 || len(in) > 5 {
			return false
		}
		s = convShape(n, in, w.shape, out)
	default:
		if len(w.shape) != 2 || n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1 {
			return false
		}
		l = plain
		k, cols := w.shape[0], w.shape[1]
		if axis == 0 {
			k, cols = cols, k
		} else {
			w.data = transposed(w.data, k, cols)
		}
		rows := 1
		for _, d := range in[:len(in)-1] {
			rows *= d
		}
		s = conv.Shape{N: rows, D: 1, H: 1, W: 1, C: k, K: cols, T: 1, R: 1, S: 1, OD: 1, P: 1, Q: 1,
			StrideD: 1, StrideH: 1, StrideW: 1, DilD: 1, DilH: 1, DilW: 1, Groups: 1}
	}
	bias, ok := c.intBias(n.In(2), g.scale, w.scale, s.K)
	if !ok {
		return false
	}
	p := qconv.Params{Weights: w.data, Flip: w.flip, WeightZero: w.zero, Bias: bias, SrcZero: g.zero, SrcMax: c.top(q), Workers: c.pool.Workers(), Scale: make([]float32, len(w.scale))}
	if t, ok := c.quantizedTail(n.Outputs[0]); ok {
		for i, ws := range w.scale {
			p.Scale[i] = g.scale * ws / t.scale
		}
		p.DstZero, p.Min, p.Max = t.zero, t.min, t.max
		c.quantConv(n, s, p, q, l, t)
		return true
	}
	t := c.fuse(n, false)
	for i, ws := range w.scale {
		p.Scale[i] = g.scale * ws
	}
	p.FMin, p.FMax = t.min, t.max
	src := c.useBytes(q, l)
	dst := c.def(t.out, l)
	var k *qconv.Conv
	var scratch *buf
	st := step{in: []*buf{src}, out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.RunFloat(x.pool, f32(x, dst), u8(x, src), x.raw(scratch))
		return nil
	}
	scratch = c.emitBuilt(n, st, 1, func() kernel { k = qconv.New(s, p); return k })
	return true
}

// quantConv emits a convolution with uint8 output, with the quantized residual
// addition behind it where there is one.
func (c *compiler) quantConv(n *graph.Node, s conv.Shape, p qconv.Params, q *graph.Value, l layout, t target) {
	var other *buf
	var ap qconv.AddParams
	if add, a, sum, covered, ok := c.residual(t); ok && l == channelsLast {
		other, ap = c.useBytes(add, l), a
		for _, m := range covered {
			c.done[m] = true
		}
		t = sum
	}
	var src, dst *buf
	if l == channelsLast {
		src, dst = c.bytePixels(q), c.defBytePixels(t.out)
		s.SrcStride, s.DstStride = src.pitch, dst.pitch
	} else {
		src, dst = c.useBytes(q, l), c.defBytes(t.out, l)
	}
	var k *qconv.Conv
	var scratch *buf
	st := step{in: compact([]*buf{src, other}), out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		if other != nil {
			k.RunAdd(x.pool, u8(x, dst), u8(x, src), u8(x, other), ap, x.raw(scratch))
		} else {
			k.Run(x.pool, u8(x, dst), u8(x, src), x.raw(scratch))
		}
		return nil
	}
	scratch = c.emitBuilt(n, st, 1, func() kernel { k = qconv.New(s, p); return k })
}

// residual looks behind a stored target for DQ, Add with another quantized
// tensor that is at hand, optional activation, Q.
func (c *compiler) residual(t target) (other *graph.Value, p qconv.AddParams, sum target, covered []*graph.Node, ok bool) {
	dq := c.only(t.out)
	if dq == nil || !dq.Is("DequantizeLinear") {
		return
	}
	if g, good := c.gridOf(dq); !good || g != t.grid {
		return
	}
	add := c.only(dq.Outputs[0])
	if add == nil || !add.Is("Add") || !sameShape(add.Inputs[0], add.Inputs[1]) {
		return
	}
	v := add.Inputs[0]
	if v == dq.Outputs[0] {
		v = add.Inputs[1]
	}
	q, g, good := c.dequantized(v)
	if !good || v == dq.Outputs[0] || !c.known(q) {
		return
	}
	sum, covered, ok = c.peekTail(add.Outputs[0])
	if !ok {
		return
	}
	p = qconv.AddParams{ScaleA: t.scale, ZeroA: t.zero, ScaleB: g.scale, ZeroB: g.zero,
		ScaleY: sum.scale, ZeroY: sum.zero, Min: sum.min, Max: sum.max}
	return q, p, sum, append(covered, dq, add), true
}

func transposed(w []int8, rows, cols int) []int8 {
	t := make([]int8, len(w))
	for r := range rows {
		for k := range cols {
			t[k*rows+r] = w[r*cols+k]
		}
	}
	return t
}

// unary becomes a table of 256 entries.
func (quantizer) unary(c *compiler, n *graph.Node, f vec.Func, alpha, beta float32) bool {
	q, g, ok := c.dequantized(n.Inputs[0])
	if !ok {
		return false
	}
	return c.table(n, q, g, func(x float32) float32 {
		v := []float32{x}
		vec.Unary(f, alpha, beta, v, v)
		return v[0]
	})
}

func (c *compiler) table(n *graph.Node, q *graph.Value, g grid, f func(float32) float32) bool {
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	tab := qvec.Table(g.scale, g.zero, t.scale, t.zero, f)
	t.clamp(tab)
	for c.combined(q, &t, tab) {
	}
	src := c.anyBytes(q)
	dst := c.defBytes(t.out, src.layout)
	c.emit(step{kernel: "table", in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.bytes, 2*grain, func(x *frame, lo, hi int) {
		qvec.LUT(u8(x, dst)[lo:hi], u8(x, src)[lo:hi], tab)
	})})
	return true
}

// combined makes tab, which gives t.out from q, the table of what alone reads
// t.out, if that is the quantized sum or product with q itself: SiLU, for
// example, is x times sigmoid(x), each with a grid of its own. The result is
// that of the operators one by one.
func (c *compiler) combined(q *graph.Value, t *target, tab *[256]uint8) bool {
	dq := c.only(t.out)
	if !dq.Is("DequantizeLinear") {
		return false
	}
	g, ok := c.gridOf(dq)
	n := c.only(dq.Outputs[0])
	if !ok || !n.Is("Add", "Mul") {
		return false
	}
	at := 0
	if n.Inputs[1] == dq.Outputs[0] {
		at = 1
	}
	same, gq, ok := c.dequantized(n.Inputs[1-at])
	if !ok || same != q {
		return false
	}
	next, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	c.done[n] = true
	var each [256]uint8
	for i := range each {
		each[i] = uint8(i)
	}
	a, b, ga, gb := each[:], tab[:], gq, g
	if at == 0 {
		a, b, ga, gb = b, a, gb, ga
	}
	p := qvec.AddParams{ScaleA: ga.scale, ZeroA: ga.zero, ScaleB: gb.scale, ZeroB: gb.zero,
		ScaleY: next.scale, ZeroY: next.zero, Min: next.min, Max: next.max}
	if n.Op == "Add" {
		qvec.Add(tab[:], a, b, p)
	} else {
		qvec.Mul(tab[:], a, b, p)
	}
	*t = next
	return true
}

// binary covers Add and Mul of two quantized tensors of one shape, or with one
// of them a value per image and channel.
func (quantizer) binary(c *compiler, n *graph.Node) bool {
	if !n.Is("Add", "Mul") {
		return false
	}
	qa, ga, ok := c.dequantized(n.Inputs[0])
	qb, gb, ok2 := c.dequantized(n.Inputs[1])
	if !ok || !ok2 {
		return false
	}
	shape, ok := concrete(n.Outputs[0])
	if !ok {
		return false
	}
	if !equalInts(qa.Shape.Ints(), shape) {
		qa, qb, ga, gb = qb, qa, gb, ga
	}
	batch, ch, spatial := split(shape)
	same := equalInts(qb.Shape.Ints(), shape)
	bs := qb.Shape.Ints()
	gate := len(bs) == len(shape) && len(shape) >= 3 && bs[0] == batch && bs[1] == ch && qb.Shape.Known()
	if gate {
		_, _, one := split(bs)
		gate = one == 1
	}
	if !equalInts(qa.Shape.Ints(), shape) || !same && !gate {
		return false
	}
	t, ok := c.quantizedTail(n.Outputs[0])
	if !ok {
		return false
	}
	p := qvec.AddParams{ScaleA: ga.scale, ZeroA: ga.zero, ScaleB: gb.scale, ZeroB: gb.zero,
		ScaleY: t.scale, ZeroY: t.zero, Min: t.min, Max: t.max}
	l := plain
	if c.lastBytes(qa) || c.lastBytes(qb) || gate && !same {
		l = channelsLast
	}
	a, b := c.useBytes(qa, l), c.useBytes(qb, l)
	dst := c.defBytes(t.out, l)
	add := n.Op == "Add"
	st := step{kernel: "q" + n.Op, in: []*buf{a, b}, out: []*buf{dst}}
	if same {
		st.run = c.loop(dst.bytes, grain, func(x *frame, lo, hi int) {
			d, p0, p1 := u8(x, dst)[lo:hi], u8(x, a)[lo:hi], u8(x, b)[lo:hi]
			if add {
				qvec.Add(d, p0, p1, p)
			} else {
				qvec.Mul(d, p0, p1, p)
			}
		})
	} else {
		st.run = c.loop(batch*spatial, max(1, grain/ch), func(x *frame, lo, hi int) {
			d, p0, p1 := u8(x, dst), u8(x, a), u8(x, b)
			for lo < hi { // one image at a time
				i := lo / spatial
				end := min(hi, (i+1)*spatial)
				row := p1[i*ch : (i+1)*ch]
				if add {
					qvec.AddChannels(d[lo*ch:end*ch], p0[lo*ch:end*ch], row, p)
				} else {
					qvec.MulChannels(d[lo*ch:end*ch], p0[lo*ch:end*ch], row, p)
				}
				lo = end
			}
		})
	}
	c.emit(st)
	return true
}
