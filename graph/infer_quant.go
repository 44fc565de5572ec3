package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	quantize := operator("QuantizeLinear", 2, 3, 1, inferQuantize)
	dequantize := operator("DequantizeLinear", 2, 3, 1, inferDequantize)
	Register(quantize, dequantize, operator("DynamicQuantizeLinear", 1, 1, 3, inferDynamicQuantize))
	quantize.Domain, dequantize.Domain = MicrosoftDomain, MicrosoftDomain
	binary := operator("", 7, 8, 1, inferQLinearBinary)
	unary := operator("", 4, 5, 1, inferQLinearUnary)
	binary.Domain, unary.Domain = MicrosoftDomain, MicrosoftDomain
	concat := operator("QLinearConcat", 5, -1, 1, inferQLinearConcat)
	concat.Domain = MicrosoftDomain
	Register(named(binary, "QLinearAdd", "QLinearMul")...)
	Register(named(unary, "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")...)
	Register(quantize, dequantize, concat)
}

// checkScale checks that scale and zero point fit the input: one number, one
// for each index of axis, or one for each block along axis.
func (n *Node) checkScale() error {
	x, scale, zero := n.in(0), n.in(1), n.in(2)
	if scale != nil && zero != nil && len(scale) != len(zero) {
		if !(oneElement(scale) && oneElement(zero)) {
			return fmt.Errorf("scale of shape %v and zero point of shape %v must have the same shape", scale, zero)
		}
	}
	if scale != nil && zero != nil && len(scale) == len(zero) {
		for i := range scale {
			if _, err := agree(scale[i], zero[i], "the sizes of scale and zero point"); err != nil {
				return err
			}
		}
	}
	if x == nil || scale == nil || oneElement(scale) {
		return nil
	}
	a, err := axis(n.Int("axis", 1), len(x))
	if err != nil {
		return err
	}
	block := n.Int("block_size", 0)
	switch {
	case block < 0:
		return fmt.Errorf("block_size = %d; it must not be negative", block)
	case block > 0:
		return checkBlocks(x, scale, a, block)
	case len(scale) != 1:
		return fmt.Errorf("scale has shape %v, want a scalar or one number for each index of axis %d (or set block_size)", scale, a)
	}
	_, err = agree(x[a], scale[0], fmt.Sprintf("the size of axis %d and the length of the scale", a))
	return err
}

func checkBlocks(x, scale Shape, a, block int) error {
	if len(scale) != len(x) {
		return fmt.Errorf("blocked scale has shape %v, want %d dimensions as the input %v", scale, len(x), x)
	}
	for i, d := range x {
		if i == a && d.Known() {
			d = D((d.Size + block - 1) / block)
		}
		if _, err := agree(d, scale[i], fmt.Sprintf("dimension %d of a scale with blocks of %d along axis %d", i, block, a)); err != nil {
			return err
		}
	}
	return nil
}

func oneElement(s Shape) bool {
	return len(s) == 0 || len(s) == 1 && s[0].Known() && s[0].Size == 1
}

func inferQuantize(n *Node) error {
	if err := n.checkScale(); err != nil {
		return err
	}
	t := tensor.DType(n.Int("output_dtype", 0))
	switch {
	case n.In(2) != nil:
		t = n.inType(2)
	case t == tensor.Invalid:
		t = tensor.Uint8
	}
	n.set(0, t, n.in(0))
	return nil
}

func inferDequantize(n *Node) error {
	if err := n.checkScale(); err != nil {
		return err
	}
	t := tensor.DType(n.Int("output_dtype", 0))
	if t == tensor.Invalid {
		t = n.inType(1)
	}
	n.set(0, t, n.in(0))
	return nil
}

func inferDynamicQuantize(n *Node) error {
	n.set(0, tensor.Uint8, n.in(0))
	n.set(1, tensor.Float32, Shape{})
	n.set(2, tensor.Uint8, Shape{})
	return nil
}

// inferQLinearBinary: a, its scale and zero point, b, its scale and zero
// point, output scale and zero point.
func inferQLinearBinary(n *Node) error {
	if n.In(3) == nil {
		return fmt.Errorf("lacks its second operand")
	}
	s, err := broadcast(n.in(0), n.in(3))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	return nil
}

// inferQLinearUnary: x, its scale and zero point, output scale and zero point.
func inferQLinearUnary(n *Node) error {
	n.set(0, n.inType(0), n.in(0))
	return nil
}

// inferQLinearConcat: output scale and zero point, then value, scale and zero
// point of each operand.
func inferQLinearConcat(n *Node) error {
	var parts []*Value
	for i := 2; i < len(n.Inputs); i += 3 {
		parts = append(parts, n.Inputs[i])
	}
	s, err := concatShape(n, parts)
	if err != nil {
		return err
	}
	n.set(0, n.inType(1), s)
	return nil
}
