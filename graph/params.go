package graph

import (
	"github.com/drawknife/drawknife/tensor"
)

// paramInputs lists, by domain and operator, the inputs that are learned
// parameters if they are constants. BatchNormalization's running statistics
// (inputs 3 and 4) are not parameters.
var paramInputs = map[[2]string][]int{
	{"", "Conv"}: {1, 2}, {"", "ConvTranspose"}: {1, 2}, {"", "Gemm"}: {0, 1, 2}, {"", "MatMul"}: {0, 1},
	{"", "BatchNormalization"}: {1, 2}, {"", "InstanceNormalization"}: {1, 2}, {"", "GroupNormalization"}: {1, 2},
	{"", "LayerNormalization"}: {1, 2}, {"", "RMSNormalization"}: {1}, {"", "PRelu"}: {1},
	{"", "Add"}: {0, 1}, {"", "Sub"}: {0, 1}, {"", "Mul"}: {0, 1}, {"", "Div"}: {0, 1},
	{"", "Gather"}: {0}, {"", "ConvInteger"}: {0, 1}, {"", "MatMulInteger"}: {0, 1},
	{"", "QLinearConv"}: {3, 8}, {"", "QLinearMatMul"}: {0, 3},
	{MicrosoftDomain, "FusedConv"}: {1, 2}, {MicrosoftDomain, "QGemm"}: {0, 3, 6},
	{MicrosoftDomain, "QLinearAdd"}: {0, 3}, {MicrosoftDomain, "QLinearMul"}: {0, 3},
}

// ParamInputs returns the inputs of n that hold learned parameters: weights,
// biases, scales and shifts of normalizations, slopes. They are constants, or
// computed from constants alone (see Source). A constant of one element in
// Add, Sub, Mul or Div is arithmetic, not a parameter.
func ParamInputs(n *Node) []int {
	var list []int
	for _, i := range paramInputs[[2]string{n.Domain, n.Op}] {
		src := Source(n.In(i))
		if src == nil || !src.Type.IsFloat() && !quantizedParam(n, n.In(i)) {
			continue
		}
		if n.Is("Add", "Sub", "Mul", "Div") && src.Data.Len() < 2 {
			continue
		}
		list = append(list, i)
	}
	return list
}

// quantizedParam tells an integer weight from an integer that takes part in
// shape arithmetic.
func quantizedParam(n *Node, v *Value) bool {
	if v.producer != nil && v.Type.IsFloat() {
		return true // through DequantizeLinear or Cast
	}
	return n.Is("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger") || n.Domain == MicrosoftDomain || IsBinaryConv(n)
}

// Source returns the constant behind a value: v itself, or what v is made from
// by quantizing, dequantizing, casting, transposing or reshaping alone. It is
// nil if there is none.
func Source(v *Value) *Value {
	for v != nil && v.Data == nil {
		p := v.producer
		switch {
		case p == nil:
			return nil
		case p.Is("DequantizeLinear", "QuantizeLinear", "Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"):
		case p.Domain == DrawknifeDomain && p.Lookup() != nil && p.Lookup().KeepsWeight:
		default:
			return nil
		}
		v = p.In(0)
	}
	return v
}

// Lookup finds n's row in the table of operators, nil if there is none.
func (n *Node) Lookup() *Op { return Lookup(n.Domain, n.Op) }

// StoredBits returns the number of bits of one element of v as an integer
// runtime holds it: for the output of a DequantizeLinear, that of its input.
func StoredBits(v *Value) int {
	for v != nil {
		p := v.producer
		if p == nil || !p.Is("DequantizeLinear", "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten") {
			break
		}
		v = p.In(0)
	}
	if v == nil || v.Type.Bits() == 0 {
		return 32
	}
	return v.Type.Bits()
}

// countZeros counts the elements of the weight behind v that are zero once
// dequantized.
func countZeros(v *Value) (zeros, total int) {
	src := Source(v)
	if src == nil || src.Data.DType.Bits() == 0 {
		return 0, 0
	}
	zero := zeroPoints(src)
	t := src.Data
	total = t.Len()
	if f, ok := t.Any().([]float32); ok && zero == nil {
		for _, x := range f {
			if x == 0 {
				zeros++
			}
		}
		return zeros, total
	}
	for i := range total {
		z := 0.0
		if zero != nil {
			z = zero(i)
		}
		if t.At(i) == z {
			zeros++
		}
	}
	return zeros, total
}

// zeroPoints returns the zero point of each element of a quantized constant
// that a DequantizeLinear (or an integer operator) reads, nil if all are 0.
func zeroPoints(src *Value) func(i int) float64 {
	for _, u := range src.uses {
		zp := zeroPointOf(u)
		if zp == nil || !zp.IsConst() {
			continue
		}
		d := zp.Data
		switch {
		case d.Len() == 1:
			z := d.At(0)
			if z == 0 {
				return nil
			}
			return func(int) float64 { return z }
		case u.Node.Is("DequantizeLinear") && d.Rank() == 1:
			a, err := axis(u.Node.Int("axis", 1), src.Data.Rank())
			if err != nil {
				return nil
			}
			return perAxis(src.Data, d, a)
		case u.Node.Is("QLinearConv") && d.Rank() == 1:
			return perAxis(src.Data, d, 0)
		}
	}
	return nil
}

func zeroPointOf(u Use) *Value {
	switch {
	case u.Node.Is("DequantizeLinear") && u.Index == 0:
		return u.Node.In(2)
	case u.Node.Is("QLinearConv", "QLinearMatMul") && (u.Index == 0 || u.Index == 3):
		return u.Node.In(u.Index + 2)
	case u.Node.Is("ConvInteger", "MatMulInteger") && u.Index < 2:
		return u.Node.In(u.Index + 2)
	case u.Node.Domain == MicrosoftDomain && u.Node.Op == "QGemm" && u.Index == 3:
		return u.Node.In(5)
	}
	return nil
}

// perAxis spreads a vector along axis a of a tensor.
func perAxis(t, vector *tensor.Tensor, a int) func(i int) float64 {
	inner := 1
	for _, d := range t.Shape[a+1:] {
		inner *= d
	}
	size := t.Shape[a]
	if size != vector.Len() {
		return nil
	}
	return func(i int) float64 { return vector.At(i / inner % size) }
}
