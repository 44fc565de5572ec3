package engine

import (
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/rewrite"
	"github.com/drawknife/drawknife/tensor"
)

// prepare rewrites the engine's copy of the graph into the form that lowers
// best: constants folded, no-ops gone, batch normalisation in the weights,
// padding in the convolution, activations that exporters spell out as one
// operator, integer operators as DQ, operator, Q.
func (c *compiler) prepare() error {
	hidden := map[string]*tensor.Tensor{}
	for name := range c.variables { // a variable is not a constant to fold
		v := c.g.Value(name)
		hidden[name], v.Data = v.Data, nil
	}
	_, err := eval.Fold(c.g)
	for name, t := range hidden {
		c.g.Value(name).Data = t
	}
	if err != nil {
		return err
	}
	scope := rewrite.Scope{
		Keep:     func(v *graph.Value) bool { return c.keep[v.Name] },
		Variable: func(v *graph.Value) bool { return c.variables[v.Name] },
	}
	own := func(f func(*graph.Node) bool) rewrite.Rule {
		return func(_ rewrite.Scope, n *graph.Node) bool { return f(n) }
	}
	rewrite.Apply(c.g, scope, rewrite.DropNoOp, rewrite.FoldBatchNorm, rewrite.FoldPad, rewrite.MergeSwish,
		rewrite.MergeBinaryConv, rewrite.FoldBinaryNorm, own(c.absorbShift),
		own(c.spellOut), own(c.sink), own(c.sinkSplit), own(c.cancel))
	if err := c.g.Sort(); err != nil {
		return err
	}
	return c.g.InferShapes()
}

// observed reports whether v must be computed under its own name.
func (c *compiler) observed(v *graph.Value) bool { return v.IsOutput() || c.keep[v.Name] }

// only returns the sole reader of v if v itself need not be observable.
func (c *compiler) only(v *graph.Value) *graph.Node {
	if c.keep[v.Name] {
		return nil
	}
	return v.SoleUse()
}
