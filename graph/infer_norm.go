package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(
		operator("BatchNormalization", 5, 5, 3, inferBatchNorm),
		operator("InstanceNormalization", 3, 3, 1, inferChannelNorm),
		operator("GroupNormalization", 3, 3, 1, inferGroupNorm),
		operator("LayerNormalization", 2, 3, 3, inferLayerNorm),
		operator("RMSNormalization", 2, 2, 1, inferLayerNorm),
	)
}

// perChannel checks that inputs from..to are vectors with one element for
// each of the input's channels.
func (n *Node) perChannel(from, to int) error {
	x := n.in(0)
	if x == nil {
		return nil
	}
	if len(x) < 2 {
		return fmt.Errorf("the input of shape %v needs a batch and a channel dimension", x)
	}
	for i := from; i <= to; i++ {
		s := n.in(i)
		if s == nil {
			continue
		}
		if len(s) != 1 {
			return fmt.Errorf("input %d (%q) has shape %v, want one number for each channel", i, n.In(i).Name, s)
		}
		if _, err := agree(x[1], s[0], fmt.Sprintf("the input's channels and the length of %q", n.In(i).Name)); err != nil {
			return err
		}
	}
	return nil
}

func inferBatchNorm(n *Node) error {
	x := n.in(0)
	if len(x) == 1 { // a bare batch of scalars, which has one channel
		x = append(x, D(1))
	} else if err := n.perChannel(1, 4); err != nil {
		return err
	}
	n.set(0, n.inType(0), n.in(0))
	var c Shape
	if len(x) > 1 {
		c = Shape{x[1]}
	}
	n.set(1, n.inType(3), c)
	n.set(2, n.inType(4), c)
	return nil
}

func inferChannelNorm(n *Node) error {
	if err := n.perChannel(1, 2); err != nil {
		return err
	}
	return inferSame(n)
}

func inferGroupNorm(n *Node) error {
	groups := n.Int("num_groups", 0)
	if groups < 1 {
		return fmt.Errorf("num_groups = %d; it must be at least 1", groups)
	}
	if x := n.in(0); len(x) > 1 && x[1].Known() && x[1].Size%groups != 0 {
		return fmt.Errorf("num_groups %d does not divide the %d channels", groups, x[1].Size)
	}
	return inferChannelNorm(n)
}

func inferLayerNorm(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), x)
	t := tensor.DType(n.Int("stash_type", int(tensor.Float32)))
	if x == nil {
		return nil
	}
	a, err := axis(n.Int("axis", -1), len(x))
	if err != nil {
		return err
	}
	for i := 1; i < len(n.Inputs); i++ {
		s, err := broadcast(x, n.in(i))
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if len(s) > len(x) {
			return fmt.Errorf("input %d of shape %v does not broadcast to the input's %v", i, n.in(i), x)
		}
	}
	stats := append(Shape{}, x...)
	for i := a; i < len(stats); i++ {
		stats[i] = D(1)
	}
	n.set(1, t, stats)
	n.set(2, t, stats)
	return nil
}
