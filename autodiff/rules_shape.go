package autodiff

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

func init() {
	register(reshapeRule, "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
	register(transposeRule, "Transpose")
	register(concatRule, "Concat")
	register(splitRule, "Split")
	register(sliceRule, "Slice")
	register(padRule, "Pad")
	register(expandRule, "Expand")
	register(tileRule, "Tile")
	register(gatherRule, "Gather")
	register(topKRule, "TopK")
	register(depthToSpaceRule, "DepthToSpace")
	register(spaceToDepthRule, "SpaceToDepth")
	register(dropoutRule, "Dropout")
	Register(graph.DrawknifeDomain, "DropoutTrain", dropoutTrainRule)
}

func reshapeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return []*graph.Value{b.Like(dy[0], n.Inputs[0])}, nil
}

func transposeRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	rank := len(n.Inputs[0].Shape)
	perm := n.Ints("perm")
	inverse := make([]int64, rank)
	for i := range inverse {
		from := rank - 1 - i
		if perm != nil {
			from = perm[i]
		}
		inverse[from] = int64(i)
	}
	return []*graph.Value{b.Op("Transpose", graph.Attrs{"perm": inverse}, dy[0])}, nil
}

// axisOf reads the axis attribute.
func axisOf(n *graph.Node, def int) (int, error) {
	rank := len(n.Outputs[0].Shape)
	axis := n.Int("axis", def)
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return 0, fmt.Errorf("axis %d does not exist in shape %v", n.Int("axis", def), n.Outputs[0].Shape)
	}
	return axis, nil
}

// concatRule cuts the gradient up again.
func concatRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	axis, err := axisOf(n, 0)
	if err != nil {
		return nil, err
	}
	dx := make([]*graph.Value, len(n.Inputs))
	at := 0
	for i, x := range n.Inputs {
		if len(x.Shape) <= axis || !x.Shape[axis].Known() {
			return nil, fmt.Errorf("the size of input %d along axis %d is not known", i, axis)
		}
		size := x.Shape[axis].Size
		if b.Wants(n, i) {
			dx[i] = b.Op("Slice", nil, dy[0], b.Ints(at), b.Ints(at+size), b.Ints(axis))
		}
		at += size
	}
	return dx, nil
}

// splitRule joins the parts' gradients, zeros where none arrives.
func splitRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	parts := make([]*graph.Value, len(dy))
	for i, d := range dy {
		if n.Outputs[i] == nil {
			return nil, fmt.Errorf("output %d is left out", i)
		}
		if parts[i] = d; d == nil {
			parts[i] = b.Zeros(n.Outputs[i])
		}
	}
	return []*graph.Value{b.Op("Concat", graph.Attrs{"axis": int64(n.Int("axis", 0))}, parts...)}, nil
}

func sliceRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	in := append([]*graph.Value{dy[0], n.Inputs[0]}, n.Inputs[1:]...)
	return []*graph.Value{b.Own("SliceGrad", nil, in...)}, nil
}

// padRule drops the padding; what was copied there gives its gradient back.
func padRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	attrs := graph.Attrs{"mode": n.Str("mode", "constant")}
	return []*graph.Value{b.Own("PadGrad", attrs, dy[0], n.Inputs[0], n.Inputs[1], n.In(3))}, nil
}

func expandRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return []*graph.Value{b.Unbroadcast(dy[0], n.Inputs[0])}, nil
}

// tileRule sums the copies: dy as [r0, d0, r1, d1, …] over the repeats.
func tileRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	x := n.Inputs[0]
	repeats, ok := n.Inputs[1].IntElems()
	if !ok || len(repeats) != len(x.Shape) {
		return nil, fmt.Errorf("the repeats are not known")
	}
	var dims, axes []int
	open := 0
	for i, d := range x.Shape {
		size := d.Size
		if !d.Known() {
			size = -1
			open++
		}
		axes = append(axes, 2*i)
		dims = append(dims, repeats[i], size)
	}
	if open > 1 {
		return nil, fmt.Errorf("more than one dimension of %v is open", x.Shape)
	}
	d := b.Op("Reshape", nil, dy[0], b.Ints(dims...))
	return []*graph.Value{b.Op("ReduceSum", graph.Attrs{"keepdims": int64(0)}, d, b.Ints(axes...))}, nil
}

func gatherRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	attrs := graph.Attrs{"axis": int64(n.Int("axis", 0))}
	return []*graph.Value{b.Own("GatherGrad", attrs, dy[0], n.Inputs[0], n.Inputs[1])}, nil
}

// topKRule sends each gradient back to the element that was chosen.
func topKRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	if dy[0] == nil {
		return nil, nil
	}
	if n.Out(1) == nil {
		return nil, fmt.Errorf("its indices are needed for the gradient")
	}
	attrs := graph.Attrs{"axis": int64(n.Int("axis", -1)), "reduction": "add"}
	return []*graph.Value{b.Op("ScatterElements", attrs, b.Zeros(n.Inputs[0]), n.Outputs[1], dy[0])}, nil
}

// depthToSpaceRule inverts the permutation.
func depthToSpaceRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	size := n.Int("blocksize", 1)
	if n.Str("mode", "DCR") == "DCR" {
		return []*graph.Value{b.Op("SpaceToDepth", graph.Attrs{"blocksize": int64(size)}, dy[0])}, nil
	}
	s := n.Outputs[0].Shape
	if len(s) != 4 || !s[1].Known() || !s[2].Known() || !s[3].Known() {
		return nil, fmt.Errorf("the image size of %v must be known", s)
	}
	d := b.Op("Reshape", nil, dy[0], b.Ints(0, s[1].Size, s[2].Size/size, size, s[3].Size/size, size))
	d = b.Op("Transpose", graph.Attrs{"perm": []int64{0, 1, 3, 5, 2, 4}}, d)
	return []*graph.Value{b.Like(d, n.Inputs[0])}, nil
}

func spaceToDepthRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	attrs := graph.Attrs{"blocksize": int64(n.Int("blocksize", 1)), "mode": "DCR"}
	return []*graph.Value{b.Op("DepthToSpace", attrs, dy[0])}, nil
}

// dropoutRule: outside training Dropout is the identity. In training its
// randomness would have to be the same in both directions, which DropoutTrain
// promises.
func dropoutRule(_ *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	if mode := n.In(2); mode != nil && (mode.Data == nil || mode.Data.At(0) != 0) {
		return nil, fmt.Errorf("training-mode Dropout has no gradient; use drawknife.DropoutTrain instead")
	}
	return []*graph.Value{dy[0]}, nil
}

// dropoutTrainRule: the same elements survive in the gradient.
func dropoutTrainRule(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
	return []*graph.Value{b.Own("DropoutTrain", n.Attrs.Clone(), dy[0], n.Inputs[1])}, nil
}
