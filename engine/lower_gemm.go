package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/gemm"
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
	var bias *graph.Value
	if n.In(2) != nil && beta != 0 {
		bias = n.In(2)
	}
	w := c.constant(n.Inputs[1])
	row := bias == nil || bias.Shape.Known() && bias.Data != nil && bias.Data.Len() == cols && len(bias.Shape) > 0 && bias.Data.Shape[len(bias.Data.Shape)-1] == cols
	if w != nil && !transA && alpha == 1 && (bias == nil || row && beta == 1 && c.constant(bias) != nil) {
		return c.packedGemm(n, w, transB, m, k, cols, bias)
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
		gemm.SGEMM(c.pool, transA, transB, m, cols, k, alpha, f32(x, a), lda, f32(x, b), ldb, into, d, cols)
		return nil
	}
	c.emit(st)
	return nil
}

func (c *compiler) packedGemm(n *graph.Node, w *tensor.Tensor, transB bool, m, k, cols int, bias *graph.Value) error {
	packed := gemm.PackB(transB, k, cols, w.Float32s(), w.Shape[1])
	var row []float32
	if bias != nil {
		row = bias.Data.Float32s()
	}
	t := c.fuse(n, false)
	a := c.use(n.Inputs[0], plain)
	dst := c.def(t.out, plain)
	c.emit(step{kernel: "gemm-packed", in: []*buf{a}, out: []*buf{dst}, macs: graphMACs(n), run: func(x *frame) error {
		packed.Mul(c.pool, m, f32(x, a), k, row, t.min, t.max, f32(x, dst), cols)
		return nil
	}})
	return nil
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
			gemm.SGEMM(c.pool, false, false, rows, cols, k, 1, p[i*rows*k:], k, q[i*k*cols:], cols, 0, d[i*rows*cols:], cols)
		}
		return nil
	}})
	return nil
}
