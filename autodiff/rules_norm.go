package autodiff

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

func init() {
	Register(graph.DrawknifeDomain, "BatchNormTrain", batchNormTrainRule)
	register(batchNormRule, "BatchNormalization")
	register(instanceNormRule, "InstanceNormalization")
	register(groupNormRule, "GroupNormalization")
	register(layerNormRule, "LayerNormalization")
	register(lrnRule, "LRN")
}

func lrnRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return []*graph.Value{b.Own("LRNGrad", n.Attrs.Clone(), dy[0], n.Inputs[0], n.Outputs[0])}, nil
}

func batchNormTrainRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	if dy[0] == nil {
		return nil, nil // the statistics are not differentiated
	}
	outputs := 3
	if b.Wants(n, 5) {
		outputs = 4
	}
	d := b.Node(graph.DrawknifeDomain, "BatchNormGrad", n.Attrs.Clone(), outputs,
		dy[0], n.Inputs[0], n.Outputs[0], n.Inputs[1], n.Inputs[2], n.Outputs[1], n.Outputs[2])
	dx := []*graph.Value{d[0], d[1], d[2], nil, nil, nil}
	if outputs == 4 {
		dx[5] = d[3]
	}
	return dx, nil
}

// perChannel reshapes a list of C elements so that it broadcasts over x.
func (b *Builder) perChannel(v, x *graph.Value) *graph.Value {
	dims := make([]int, max(len(x.Shape)-1, 1))
	for i := range dims {
		dims[i] = 1
	}
	dims[0] = -1
	return b.Op("Reshape", nil, v, b.Ints(dims...))
}

// invStd is 1/√(variance + ε).
func (b *Builder) invStd(variance *graph.Value, eps float32) *graph.Value {
	return b.Op("Reciprocal", nil, b.Op("Sqrt", nil, b.Op("Add", nil, variance, b.Scalar(variance, float64(eps)))))
}

// batchNormRule is that of inference mode: fixed statistics, of which no
// gradient is given.
func batchNormRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, scale, mean := n.Inputs[0], n.Inputs[1], n.Inputs[3]
	inv := b.invStd(n.Inputs[4], n.Float("epsilon", 1e-5))
	dx := make([]*graph.Value, 5)
	if b.Wants(n, 0) {
		dx[0] = b.Op("Mul", nil, dy[0], b.perChannel(b.Op("Mul", nil, scale, inv), x))
	}
	if b.Wants(n, 1) {
		centred := b.Op("Sub", nil, x, b.perChannel(mean, x))
		dx[1] = b.Op("Mul", nil, b.channelSum(b.Op("Mul", nil, dy[0], centred)), inv)
	}
	if b.Wants(n, 2) {
		dx[2] = b.channelSum(dy[0])
	}
	return dx, nil
}

// normalized recomputes x̂ = (x - mean)/√(variance + ε) over axes.
func (b *Builder) normalized(x *graph.Value, axes []int, eps float32) (hat, inv *graph.Value) {
	centred := b.Op("Sub", nil, x, b.Mean(x, axes...))
	variance := b.Mean(b.Op("Mul", nil, centred, centred), axes...)
	inv = b.invStd(variance, eps)
	return b.Op("Mul", nil, centred, inv), inv
}

// normBackward is inv·(g - mean(g) - x̂·mean(g·x̂)), g the gradient of x̂.
func (b *Builder) normBackward(g, hat, inv *graph.Value, axes []int) *graph.Value {
	d := b.Op("Sub", nil, g, b.Mean(g, axes...))
	d = b.Op("Sub", nil, d, b.Op("Mul", nil, hat, b.Mean(b.Op("Mul", nil, g, hat), axes...)))
	return b.Op("Mul", nil, d, inv)
}

func instanceNormRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x := n.Inputs[0]
	var axes []int
	for i := 2; i < len(x.Shape); i++ {
		axes = append(axes, i)
	}
	if len(axes) == 0 {
		return nil, fmt.Errorf("input of shape %v has no spatial axes", x.Shape)
	}
	hat, inv := b.normalized(x, axes, n.Float("epsilon", 1e-5))
	dx := make([]*graph.Value, 3)
	if b.Wants(n, 0) {
		dx[0] = b.normBackward(b.Op("Mul", nil, dy[0], b.perChannel(n.Inputs[1], x)), hat, inv, axes)
	}
	if b.Wants(n, 1) {
		dx[1] = b.channelSum(b.Op("Mul", nil, dy[0], hat))
	}
	if b.Wants(n, 2) {
		dx[2] = b.channelSum(dy[0])
	}
	return dx, nil
}

// groupNormRule works on [N, groups, rest].
func groupNormRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x, groups := n.Inputs[0], n.Int("num_groups", 0)
	regroup := func(v *graph.Value) *graph.Value { return b.Op("Reshape", nil, v, b.Ints(0, groups, -1)) }
	flatHat, inv := b.normalized(regroup(x), []int{2}, n.Float("epsilon", 1e-5))
	dx := make([]*graph.Value, 3)
	if b.Wants(n, 0) {
		g := regroup(b.Op("Mul", nil, dy[0], b.perChannel(n.Inputs[1], x)))
		dx[0] = b.Like(b.normBackward(g, flatHat, inv, []int{2}), x)
	}
	if b.Wants(n, 1) {
		dx[1] = b.channelSum(b.Op("Mul", nil, dy[0], b.Like(flatHat, x)))
	}
	if b.Wants(n, 2) {
		dx[2] = b.channelSum(dy[0])
	}
	return dx, nil
}

func layerNormRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x := n.Inputs[0]
	if dy[0] == nil || x.Shape == nil {
		return nil, fmt.Errorf("only the normalized output of a tensor of known rank can be differentiated")
	}
	first := n.Int("axis", -1)
	if first < 0 {
		first += len(x.Shape)
	}
	var axes []int
	for i := first; i < len(x.Shape); i++ {
		axes = append(axes, i)
	}
	hat, inv := b.normalized(x, axes, n.Float("epsilon", 1e-5))
	dx := make([]*graph.Value, 3)
	if b.Wants(n, 0) {
		dx[0] = b.normBackward(b.Op("Mul", nil, dy[0], n.Inputs[1]), hat, inv, axes)
	}
	if b.Wants(n, 1) {
		dx[1] = b.Unbroadcast(b.Op("Mul", nil, dy[0], hat), n.Inputs[1])
	}
	if b.Wants(n, 2) {
		dx[2] = b.Unbroadcast(dy[0], n.Inputs[2])
	}
	return dx, nil
}
