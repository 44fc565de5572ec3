package rewrite

import (
	"math"

	"github.com/drawknife/drawknife/graph"
)

// MergeSwish turns x·HardSigmoid(x) into HardSwish and x·Sigmoid(x) into the
// drawknife's own Silu.
func MergeSwish(s Scope, n *graph.Node) bool { return mergeSwish(s, n, true) }

// MergeHardSwish is MergeSwish for HardSigmoid only: its result is ONNX's.
func MergeHardSwish(s Scope, n *graph.Node) bool { return mergeSwish(s, n, false) }

func mergeSwish(s Scope, n *graph.Node, silu bool) bool {
	if !n.Is("Mul") {
		return false
	}
	for i := range 2 {
		gate, x := n.Inputs[i].Producer(), n.Inputs[1-i]
		if gate == nil || gate.In(0) != x || s.Only(n.Inputs[i]) != n {
			continue
		}
		domain, op := "", "HardSwish"
		switch {
		case gate.Is("Sigmoid") && silu:
			domain, op = graph.DrawknifeDomain, "Silu"
		case !gate.Is("HardSigmoid") || math.Abs(float64(gate.Float("alpha", 0.2))-1.0/6) > 1e-6 || gate.Float("beta", 0.5) != 0.5:
			continue
		}
		m := n.Graph().NewNode(domain, op, n.Name+"_swish", []*graph.Value{x}, []string{n.Outputs[0].Name}, nil)
		m.Outputs[0].Type, m.Outputs[0].Shape = n.Outputs[0].Type, n.Outputs[0].Shape
		n.Graph().InsertBefore(n, m)
		replace(n, m.Outputs[0])
		n.Graph().Remove(gate)
		return true
	}
	return false
}
