package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

// grain is the number of elements worth handing to another worker.
const grain = 8192

// unary describes an activation: its kernel and how its attributes become the
// kernel's two parameters.
type unary struct {
	f     vec.Func
	param func(c *compiler, n *graph.Node) (alpha, beta float32, ok bool)
}

func attrs(alpha, beta float32, names ...string) func(*compiler, *graph.Node) (float32, float32, bool) {
	return func(_ *compiler, n *graph.Node) (float32, float32, bool) {
		p := [2]float32{alpha, beta}
		for i, name := range names {
			p[i] = n.Float(name, p[i])
		}
		return p[0], p[1], true
	}
}

var unaries = map[string]unary{
	"Relu": {vec.Relu, attrs(0, 0)}, "Sigmoid": {vec.Sigmoid, attrs(0, 0)}, "Tanh": {vec.Tanh, attrs(0, 0)},
	"LeakyRelu": {vec.LeakyRelu, attrs(0.01, 0, "alpha")}, "Elu": {vec.Elu, attrs(1, 0, "alpha")},
	"Selu":        {vec.Selu, attrs(1.67326319217681884765625, 1.05070102214813232421875, "alpha", "gamma")},
	"HardSigmoid": {vec.HardSigmoid, attrs(0.2, 0.5, "alpha", "beta")}, "HardSwish": {vec.HardSwish, attrs(0, 0)},
	"Softplus": {vec.Softplus, attrs(0, 0)}, "Softsign": {vec.Softsign, attrs(0, 0)}, "Mish": {vec.Mish, attrs(0, 0)},
	"Erf": {vec.Erf, attrs(0, 0)}, "Exp": {vec.Exp, attrs(0, 0)}, "Log": {vec.Log, attrs(0, 0)}, "Sqrt": {vec.Sqrt, attrs(0, 0)},
	"Neg": {vec.Neg, attrs(0, 0)}, "Abs": {vec.Abs, attrs(0, 0)}, "Reciprocal": {vec.Reciprocal, attrs(0, 0)},
	"Floor": {vec.Floor, attrs(0, 0)}, "Ceil": {vec.Ceil, attrs(0, 0)}, "Round": {vec.Round, attrs(0, 0)}, "Sign": {vec.Sign, attrs(0, 0)},
	"Clip": {vec.Clip, func(c *compiler, n *graph.Node) (float32, float32, bool) {
		var t tail
		ok := clampOf(c, n, &t)
		return t.min, t.max, ok
	}},
	"Gelu": {vec.GeluErf, func(_ *compiler, n *graph.Node) (float32, float32, bool) {
		return 0, 0, n.Str("approximate", "none") == "none"
	}},
}

var binaries = map[string]vec.Op{"Add": vec.Add, "Sub": vec.Sub, "Mul": vec.Mul, "Div": vec.Div, "Pow": vec.Pow, "Min": vec.Min, "Max": vec.Max}

func init() {
	for op := range unaries {
		lower("", lowerUnary, op)
	}
	lower(graph.DrawknifeDomain, func(c *compiler, n *graph.Node) error { return lowerUnaryAs(c, n, unary{vec.Silu, attrs(0, 0)}) }, "Silu")
	for op := range binaries {
		lower("", lowerBinary, op)
	}
}

func lowerUnary(c *compiler, n *graph.Node) error {
	if n.Is("Gelu") && n.Str("approximate", "none") == "tanh" {
		return lowerUnaryAs(c, n, unary{vec.GeluTanh, attrs(0, 0)})
	}
	return lowerUnaryAs(c, n, unaries[n.Op])
}

// lowerUnaryAs lowers n as u, in 8 bits by a table.
func lowerUnaryAs(c *compiler, n *graph.Node, u unary) error {
	alpha, beta, ok := u.param(c, n)
	if !ok {
		return fallback(c, n)
	}
	if c.quant.unary(c, n, u.f, alpha, beta) {
		return nil
	}
	if n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	c.unary(n, u.f, alpha, beta)
	return nil
}

func (c *compiler) unary(n *graph.Node, f vec.Func, alpha, beta float32) {
	src := c.any(n.Inputs[0])
	dst := c.def(n.Outputs[0], src.layout)
	st := step{kernel: "unary", in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.len(), grain, func(x *frame, lo, hi int) {
		vec.Unary(f, alpha, beta, f32(x, dst)[lo:hi], f32(x, src)[lo:hi])
	})}
	if src.layout == channelsLast && src.dtype == tensor.Float32 {
		st.rows = &rowwise{src: src, dst: dst, unary: func(v []float32) { vec.Unary(f, alpha, beta, v, v) }}
	}
	c.emit(st)
}

// pair brings two operands of a broadcasting operator and its output into one
// layout.
func (c *compiler) pair(n *graph.Node) (a, b *buf, l layout) {
	out := n.Outputs[0]
	va, vb := n.Inputs[0], n.Inputs[1]
	if len(out.Shape) >= 3 && (c.isLast(va) || c.isLast(vb)) {
		l = channelsLast
	}
	get := func(v *graph.Value) *buf {
		if len(v.Shape) == len(out.Shape) {
			return c.use(v, l)
		}
		return c.use(v, plain)
	}
	return get(va), get(vb), l
}

func lowerBinary(c *compiler, n *graph.Node) error {
	if c.quant.binary(c, n) {
		return nil
	}
	if len(n.Inputs) != 2 {
		return lowerVariadic(c, n)
	}
	if n.Inputs[0].Type != tensor.Float32 || n.Inputs[1].Type != tensor.Float32 {
		return fallback(c, n)
	}
	if c.quant.floatGate(c, n) || c.gates(n) || n.Is("Sub") && c.shiftedPRelu(n) {
		return nil
	}
	return c.pairwise(n)
}

// pairwise lowers a binary operator on float32 tensors.
func (c *compiler) pairwise(n *graph.Node) error {
	op := binaries[n.Op]
	a, b, l := c.pair(n)
	t := tail{min: -inf, max: inf, out: n.Outputs[0]}
	same := sameShape(n.Inputs[0], n.Inputs[1])
	if n.Op == "Add" && same {
		t = c.fuse(n, false)
	}
	dst := c.def(t.out, l)
	if same {
		lo, hi := t.min, t.max
		c.emit(step{kernel: "binary", in: []*buf{a, b}, out: []*buf{dst}, run: c.loop(dst.len(), grain, func(x *frame, i, j int) {
			d, p, q := f32(x, dst)[i:j], f32(x, a)[i:j], f32(x, b)[i:j]
			if op == vec.Add {
				vec.AddClamp(d, p, q, lo, hi)
			} else {
				vec.Binary(op, d, p, q)
			}
		})})
		return nil
	}
	nst := newNest(dst.shape, dst.layout, broadcastStrides(a, dst.shape), broadcastStrides(b, dst.shape))
	c.emit(step{kernel: "broadcast", in: []*buf{a, b}, out: []*buf{dst}, run: c.broadcast(op, nst, dst, a, b)})
	return nil
}

// broadcast runs a binary operator over a nest of two operands.
func (c *compiler) broadcast(op vec.Op, n nest, db, ab, bb *buf) func(x *frame) error {
	if db.bytes == 0 {
		return func(*frame) error { return nil }
	}
	k := len(n.dims) - 1
	sa, sb := n.strides[0], n.strides[1]
	inner := n.dims[k]
	// Rows of one operand against one row of the other: y[r][c] = a[r][c] op b[c].
	if k > 0 && sa[k] == 1 && sb[k] == 1 && (sa[k-1] == inner && sb[k-1] == 0 || sb[k-1] == inner && sa[k-1] == 0) {
		rows, swap := n.dims[k-1], sa[k-1] == 0
		groups := n.outer(2)
		step := max(1, grain/inner)
		blocks := (rows + step - 1) / step
		return c.loop(groups*blocks, 1, func(x *frame, lo, hi int) {
			dst, a, b := f32(x, db), f32(x, ab), f32(x, bb)
			for i := lo; i < hi; i++ {
				g, r0 := i/blocks, i%blocks*step
				r1 := min(r0+step, rows)
				oa, ob := n.offset(0, 2, g), n.offset(1, 2, g)
				full, row := a[oa:], b[ob:ob+inner]
				if swap {
					full, row = b[ob:], a[oa:oa+inner]
				}
				at := (g*rows + r0) * inner
				vec.BinaryRow(op, dst[at:at+(r1-r0)*inner], full[r0*inner:r1*inner], row, swap)
			}
		})
	}
	return c.loop(n.outer(1), max(1, grain/max(inner, 1)), func(x *frame, lo, hi int) {
		dst, a, b := f32(x, db), f32(x, ab), f32(x, bb)
		for r := lo; r < hi; r++ {
			d := dst[r*inner : (r+1)*inner]
			oa, ob := n.offset(0, 1, r), n.offset(1, 1, r)
			switch {
			case sa[k] == 1 && sb[k] == 1:
				vec.Binary(op, d, a[oa:oa+inner], b[ob:ob+inner])
			case sa[k] == 1 && sb[k] == 0:
				vec.BinaryScalar(op, d, a[oa:oa+inner], b[ob], false)
			case sa[k] == 0 && sb[k] == 1:
				vec.BinaryScalar(op, d, b[ob:ob+inner], a[oa], true)
			default:
				for i := range d {
					vec.Binary(op, d[i:i+1], a[oa+i*sa[k]:][:1], b[ob+i*sb[k]:][:1])
				}
			}
		}
	})
}
