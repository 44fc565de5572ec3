package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// sinkSplit moves a DQ behind a Split, one copy to each output, so that the
// parts stay in 8 bits.
func (c *compiler) sinkSplit(n *graph.Node) bool {
	if !n.Is("Split") {
		return false
	}
	q, _, ok := c.dequantized(n.Inputs[0])
	if !ok {
		return false
	}
	for _, v := range n.Outputs {
		if v != nil && c.observed(v) {
			return false
		}
	}
	dq := n.Inputs[0].Producer()
	n.SetInput(0, q)
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		d := c.g.NewNode("", "DequantizeLinear", c.g.UniqueNodeName(n.Name+"_dq"), append([]*graph.Value{nil}, dq.Inputs[1:]...),
			[]string{c.g.UniqueName(v.Name + "_dq")}, nil)
		d.Outputs[0].Type, d.Outputs[0].Shape = tensor.Float32, v.Shape
		c.g.InsertAfter(n, d)
		c.g.ReplaceUses(v, d.Outputs[0])
		v.Type = q.Type
		d.SetInput(0, v)
	}
	return true
}
