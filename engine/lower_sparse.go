package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/sparse"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// convKernel computes a float32 convolution of channels-last buffers.
type convKernel interface {
	kernel
	Run(p *parallel.Pool, dst, src, add, scratch []float32)
}

// sparseGain is the estimated gain over the dense kernel from which on zeros
// are left out: below, the estimate may err the other way.
const sparseGain = 1.15

// newConv chooses the kernel of a convolution: one that leaves out the zeros of
// fixed weights where that is faster, else a dense one. The choice depends on
// shape, weights and instruction set alone.
func newConv(s conv.Shape, p conv.Params, fixed bool) convKernel {
	if fixed && sparse.Worthwhile(p.Weights) && sparse.Gain(s, p) >= sparseGain {
		return sparse.New(s, p)
	}
	return conv.New(s, p)
}

// product is that of m rows of k elements by fixed weights, k by cols or,
// transposed, cols by k, plus a row (nil for none).
type product struct {
	trans        bool
	m, k, cols   int
	weights, row []float32
}

// sparseGemm computes p of a, with what t has fused, into dst, if leaving out
// the zeros of the weights is faster than the dense product.
func (c *compiler) sparseGemm(n *graph.Node, p product, t tail, a, dst *buf) bool {
	s := conv.Shape{N: p.m, C: p.k, K: p.cols}
	if p.m*p.k*p.cols == 0 || !sparse.Worthwhile(p.weights) {
		return false
	}
	w := conv.Params{Weights: p.weights, Bias: p.row, Min: t.min, Max: t.max}
	if !p.trans {
		w.Weights = make([]float32, len(p.weights))
		vec.Transpose2D(w.Weights, p.weights, p.k, p.cols)
	}
	if sparse.Gain(s, w) < sparseGain {
		return false
	}
	var k *sparse.Conv
	var scratch *buf
	st := step{in: []*buf{a}, out: []*buf{dst}, macs: graphMACs(n)}
	st.run = func(x *frame) error {
		k.Run(x.pool, f32(x, dst), f32(x, a), nil, f32(x, scratch))
		return nil
	}
	scratch = c.emitBuilt(n, st, 4, func() kernel { k = sparse.New(s, w); return k })
	return true
}
