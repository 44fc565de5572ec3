package engine

import (
	"fmt"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// fallback runs an operator that has no kernel of its own by its portable
// definition in package eval, in plain layout.
func fallback(c *compiler, n *graph.Node) error {
	if !eval.Supported(n) {
		return n.Errorf("this operator cannot be run (the model can still be inspected and written)")
	}
	s := step{node: n, kernel: "eval"}
	in := make([]*buf, len(n.Inputs))
	for i, v := range n.Inputs {
		if v != nil {
			in[i] = c.use(v, plain)
			s.in = append(s.in, in[i])
		}
	}
	out := make([]*buf, len(n.Outputs))
	for i, v := range n.Outputs {
		if v != nil {
			out[i] = c.def(v, plain)
			s.out = append(s.out, out[i])
		}
	}
	s.run = func(x *frame) error { return evalNode(x, n, in, out) }
	c.emit(s)
	return nil
}

func evalNode(x *frame, n *graph.Node, in, out []*buf) error {
	args := make([]*tensor.Tensor, len(in))
	for i, b := range in {
		if b == nil {
			continue
		}
		t, err := x.tensorOf(b)
		if err != nil {
			return err
		}
		args[i] = t
	}
	results, err := eval.Node(n, args)
	if err != nil {
		return err
	}
	for i, b := range out {
		if b == nil {
			continue
		}
		if i >= len(results) || results[i] == nil || results[i].NBytes() != b.bytes {
			return fmt.Errorf("output %d came out as %v, planned as %v%v", i, results[i], b.dtype, b.shape)
		}
		copy(x.raw(b), results[i].Bytes())
	}
	return nil
}

// reshapeView is the lowering of operators that only rename the memory (in plain
// layout) when their type stays.
func reshapeView(c *compiler, n *graph.Node) error {
	if c.shuffle(n) || c.unroll(n) {
		return nil
	}
	in, out := n.Inputs[0], n.Outputs[0]
	// Where both layouts of input and output coincide, any will do.
	b := c.any(in)
	if b.layout == channelsLast && !sameInBothLayouts(b.shape) {
		b = c.use(in, plain)
	}
	if b.dtype != out.Type {
		return fallback(c, n)
	}
	c.alias(out, b, plain)
	return nil
}

func init() {
	lower("", reshapeView, "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
	lower("", func(c *compiler, n *graph.Node) error {
		if n.Out(1) != nil || n.In(2) != nil {
			return fallback(c, n)
		}
		in := n.Inputs[0]
		b := c.any(in)
		c.alias(n.Outputs[0], b, b.layout)
		return nil
	}, "Dropout")
}
