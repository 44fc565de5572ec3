package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/gemm"
	"github.com/drawknife/drawknife/internal/kernel/sparse"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerGemm, "Gemm")
	lower("", lowerMatMul, "MatMul")
}

// lowerGemm computes Y = α·A'·B' + β·C. A constant B is packed beforehand,
// a bias row and a clamp behind are fused.
func lowerGemm(c *compiler, n *graph.Node) error {
	if c.quant.conv(c, n) {
		return nil
	}
	out, ok := concrete(n.Outputs[0])
	if !ok || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	transA, transB := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	alpha, beta := n.Float("alpha", 1), n.Float("beta", 1)
	m, cols := out[0], out[1]
	as := n.Inputs[0].Shape.Ints()
	k := as[1]
	if transA {
		k = as[0]
	}
	bias := gemmBias(n)
	if c.packs(n) {
		return c.packedGemm(n, c.constant(n.Inputs[1]), transB, m, k, cols, bias)
	}
	a, b := c.use(n.Inputs[0], plain), c.use(n.Inputs[1], plain)
	st := step{kernel: "gemm", in: []*buf{a, b}, macs: graphMACs(n)}
	var add *buf
	var nst nest
	if bias != nil {
		add = c.use(bias, plain)
		st.in = append(st.in, add)
	}
	dst := c.def(n.Outputs[0], plain)
	if add != nil {
		nst = newNest(dst.shape, plain, broadcastStrides(add, dst.shape))
	}
	st.out = []*buf{dst}
	lda, ldb := as[1], n.Inputs[1].Shape[1].Size
	st.run = func(x *frame) error {
		d := f32(x, dst)
		into := float32(0)
		if add != nil {
			copyRows(nst, d, f32(x, add), 0, 0, nst.outer(1))
			into = beta
		}
		gemm.SGEMM(x.pool, transA, transB, m, cols, k, alpha, f32(x, a), lda, f32(x, b), ldb, into, d, cols)
		return nil
	}
	c.emit(st)
	return nil
}

// gemmBias is the operand that a Gemm adds, nil for none.
func gemmBias(n *graph.Node) *graph.Value {
	if n.Float("beta", 1) == 0 {
		return nil
	}
	return n.In(2)
}

// packs reports whether the Gemm n multiplies by fixed weights, which are
// packed beforehand, and adds at most a fixed row.
func (c *compiler) packs(n *graph.Node) bool {
	if n.Inputs[0].Type != tensor.Float32 || c.constant(n.Inputs[1]) == nil || n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 {
		return false
	}
	bias := gemmBias(n)
	return bias == nil || n.Float("beta", 1) == 1 && c.row(bias, n.Outputs[0].Shape[1].Size)
}

// inPlace reports whether a product of m rows by fixed weights reads these
// where they lie: many weights, of which a copy would take much memory.
func (c *compiler) inPlace(m int, transB bool, w *tensor.Tensor) bool {
	const many = 1 << 18
	return m == 1 && w.Len() >= many && transB && !sparse.Worthwhile(w.Float32s()) && gemm.NewInPlace(w.Float32s(), w.Shape[0], w.Shape[1]) != nil
}

// row reports whether v is a fixed row of that many elements.
func (c *compiler) row(v *graph.Value, cols int) bool {
	t := c.constant(v)
	return t != nil && t.DType == tensor.Float32 && t.Len() == cols && t.Rank() > 0 && t.Shape[t.Rank()-1] == cols
}

// packedGemm multiplies by the fixed weights w, packed now, adds a fixed row
// and clamps.
func (c *compiler) packedGemm(n *graph.Node, w *tensor.Tensor, transB bool, m, k, cols int, bias *graph.Value) error {
	weights := c.inOrderOf(n.Inputs[0], w, transB)
	var row []float32
	last := n
	if add := c.biasAfter(n, cols); bias == nil && add != nil {
		c.done[add] = true
		bias, last = add.Inputs[0], add
		if bias.Producer() == n {
			bias = add.Inputs[1]
		}
	}
	if bias != nil {
		row = bias.Data.Float32s()
	}
	t := c.fuse(last, false)
	a := c.use(n.Inputs[0], plain)
	dst := c.def(t.out, plain)
	if c.inPlace(m, transB, w) {
		in := gemm.NewInPlace(weights, cols, k)
		c.emit(step{kernel: "gemm in place", in: []*buf{a}, out: []*buf{dst}, macs: graphMACs(n), run: func(x *frame) error {
			in.Mul(x.pool, f32(x, a), row, t.min, t.max, f32(x, dst))
			return nil
		}})
		return nil
	}
	if c.sparseGemm(n, product{transB, m, k, cols, weights, row}, t, a, dst) {
		return nil
	}
	var packed *gemm.Packed
	st := step{kernel: "gemm-packed", in: []*buf{a}, out: []*buf{dst}, macs: graphMACs(n), run: func(x *frame) error {
		packed.Mul(x.pool, m, f32(x, a), k, row, t.min, t.max, f32(x, dst), cols)
		return nil
	}}
	c.emitBuilt(n, st, 0, func() kernel {
		packed = gemm.PackB(transB, k, cols, weights, w.Shape[1])
		return plainKernel{}
	})
	return nil
}

// biasAfter is the Add of a fixed row that follows n, if it adds nothing else.
func (c *compiler) biasAfter(n *graph.Node, cols int) *graph.Node {
	add := c.only(n.Outputs[0])
	if add == nil || !add.Is("Add") || !sameShape(add.Outputs[0], n.Outputs[0]) {
		return nil
	}
	other := add.Inputs[0]
	if other.Producer() == n {
		other = add.Inputs[1]
	}
	if !c.row(other, cols) {
		return nil
	}
	return add
}

// lowerMatMul handles a matrix (or a batch of matrices) by one matrix, and
// equal batches.
func lowerMatMul(c *compiler, n *graph.Node) error {
	if c.quant.conv(c, n) {
		return nil
	}
	sa, ok := concrete(n.Inputs[0])
	sb, ok2 := concrete(n.Inputs[1])
	if !ok || !ok2 || len(sa) < 2 || len(sb) < 2 || n.Inputs[0].Type != tensor.Float32 {
		return fallback(c, n)
	}
	k, cols := sb[len(sb)-2], sb[len(sb)-1]
	rows, batch := sa[len(sa)-2], 1
	for _, d := range sa[:len(sa)-2] {
		batch *= d
	}
	if len(sb) == 2 {
		rows, batch = rows*batch, 1
		if w := c.constant(n.Inputs[1]); w != nil {
			return c.packedGemm(n, w, false, rows, k, cols, nil)
		}
	} else if !equalInts(sa[:len(sa)-2], sb[:len(sb)-2]) {
		return fallback(c, n)
	}
	a, b := c.use(n.Inputs[0], plain), c.use(n.Inputs[1], plain)
	dst := c.def(n.Outputs[0], plain)
	c.emit(step{kernel: "gemm", in: []*buf{a, b}, out: []*buf{dst}, macs: graphMACs(n), run: func(x *frame) error {
		d, p, q := f32(x, dst), f32(x, a), f32(x, b)
		for i := range batch {
			gemm.SGEMM(x.pool, false, false, rows, cols, k, 1, p[i*rows*k:], k, q[i*k*cols:], cols, 0, d[i*rows*cols:], cols)
		}
		return nil
	}})
	return nil
}
