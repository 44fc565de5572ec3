package autodiff

import "github.com/drawknife/drawknife/graph"

func init() {
	for _, op := range []string{"SoftmaxCrossEntropy", "KLDistill", "MSELoss"} {
		Register(graph.DrawknifeDomain, op, lossRule)
	}
}

// lossRule uses the gradient that a loss computes along with its value.
func lossRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	if dy[0] == nil {
		return nil, nil // a gradient of the gradient is not given
	}
	d := n.Outputs[1]
	if dy[0] != b.one {
		d = b.Op("Mul", nil, d, dy[0])
	}
	return []*graph.Value{d}, nil
}
