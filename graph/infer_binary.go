package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

// BinaryConv, of domain "drawknife", is the convolution of a binary network
// (Courbariaux et al., "Binarized Neural Networks", 2016; Rastegari et al.,
// "XNOR-Net", 2016):
//
//	BinaryConv(X, W, scale, bias) → Y
//	Y[n, o, …] = scale[o] · Σ sign(X[n, c, …]) · sign(W[o, c, …]) + bias[o]
//
// sign(x) is +1 where x ≥ 0, else -1 (so +1 for both zeros, -1 for NaN). The sum
// is an integer and exact; it is converted to float32, multiplied and added to
// in float32, one rounding each. X is float. W is float [M, C/group, kernel…],
// or packed: uint8 [M, ⌈n/8⌉], where the attribute weight_shape gives the shape it
// stands for, n is the product of all but its first number, and bit i%8
// of byte i/8 is set where element i of an output channel is +1. scale and bias
// have M elements; both may be left out and are then 1 and 0.
//
// The attributes are those of Conv, and pad_value: what the padding of the
// signs holds, 0 (the default: padded taps contribute nothing), 1 or -1.
const BinaryConv = "BinaryConv"

func init() {
	Register(Op{Domain: DrawknifeDomain, Name: BinaryConv, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 1, Infer: inferBinaryConv,
		MACs: func(n *Node) int64 { return convMACs(n, n.binaryShape()) }})
	paramInputs[[2]string{DrawknifeDomain, BinaryConv}] = []int{1, 2, 3}
}

// IsBinaryConv reports whether n is a BinaryConv.
func IsBinaryConv(n *Node) bool {
	return n != nil && n.Domain == DrawknifeDomain && n.Op == BinaryConv
}

// binaryShape is the shape of the weight of a BinaryConv, whether packed or
// not.
func (n *Node) binaryShape() Shape {
	if n.inType(1) == tensor.Uint8 {
		return ShapeOf(n.Ints("weight_shape"))
	}
	return n.in(1)
}

func inferBinaryConv(n *Node) error {
	switch v := n.Float("pad_value", 0); v {
	case 0, 1, -1:
	default:
		return fmt.Errorf("pad_value = %v; it must be 0, 1 or -1", v)
	}
	if n.inType(1) == tensor.Uint8 {
		if err := n.checkPacked(); err != nil {
			return err
		}
	}
	w := n.binaryShape()
	s, err := convShape(n, n.in(0), w, n.in(3))
	if err != nil {
		return err
	}
	if scale := n.in(2); scale != nil && w != nil {
		if len(scale) != 1 {
			return fmt.Errorf("the scale has shape %v, want one dimension of %v", scale, w[0])
		}
		if _, err := agree(w[0], scale[0], "the weight's output channels and the scale's length"); err != nil {
			return err
		}
	}
	n.set(0, n.inType(0), s)
	return nil
}

// checkPacked checks weight_shape and that the packed weight fits it.
func (n *Node) checkPacked() error {
	shape := n.Ints("weight_shape")
	if len(shape) < 3 {
		return fmt.Errorf("weight_shape = %v of a packed weight has fewer than 3 numbers", shape)
	}
	if _, ok := tensor.NumElements(shape); !ok {
		return fmt.Errorf("weight_shape = %v is no shape", shape)
	}
	per, _ := tensor.NumElements(shape[1:])
	packed := n.in(1)
	if packed == nil {
		return nil
	}
	if len(packed) != 2 {
		return fmt.Errorf("the packed weight has shape %v, want [%d, %d]", packed, shape[0], (per+7)/8)
	}
	for i, want := range []int{shape[0], (per + 7) / 8} {
		if _, err := agree(packed[i], D(want), "the packed weight's shape and weight_shape"); err != nil {
			return err
		}
	}
	return nil
}

// PackSigns returns the packed form of the weight of a BinaryConv and its
// weight_shape. The weight is float, of at least one dimension.
func PackSigns(w *tensor.Tensor) (*tensor.Tensor, []int64) {
	shape := make([]int64, len(w.Shape))
	per := 1
	for i, d := range w.Shape {
		shape[i] = int64(d)
		if i > 0 {
			per *= d
		}
	}
	rows, bytes := w.Shape[0], (per+7)/8
	out := make([]uint8, rows*bytes)
	for r := range rows {
		for i := range per {
			if w.At(r*per+i) >= 0 {
				out[r*bytes+i/8] |= 1 << (i % 8)
			}
		}
	}
	return tensor.Of(out, rows, bytes), shape
}

// Signs returns the signs, +1 or -1, of the weight w of the BinaryConv n in
// the order of its shape, which is returned too. w may be packed.
func Signs(n *Node, w *tensor.Tensor) (signs []int8, shape []int, err error) {
	if w.DType != tensor.Uint8 {
		if !w.DType.IsFloat() {
			return nil, nil, fmt.Errorf("a weight of %v is neither float nor packed in uint8", w.DType)
		}
		signs = make([]int8, w.Len())
		for i := range signs {
			signs[i] = sign(w.At(i) >= 0)
		}
		return signs, w.Shape, nil
	}
	shape = n.Ints("weight_shape")
	total, ok := tensor.NumElements(shape)
	if !ok || len(shape) < 1 {
		return nil, nil, fmt.Errorf("weight_shape = %v is no shape", shape)
	}
	per, _ := tensor.NumElements(shape[1:])
	bytes := (per + 7) / 8
	if w.Len() != shape[0]*bytes || total > 8*w.Len() {
		return nil, nil, fmt.Errorf("the packed weight of shape %v does not fit weight_shape %v", w.Shape, shape)
	}
	packed := tensor.Data[uint8](w)
	signs = make([]int8, total)
	for i := range signs {
		r, j := i/per, i%per
		signs[i] = sign(packed[r*bytes+j/8]>>(j%8)&1 != 0)
	}
	return signs, shape, nil
}

func sign(up bool) int8 {
	if up {
		return 1
	}
	return -1
}

// binaryWeight is the number of elements of input i of n if it is the weight
// of a BinaryConv, whose elements count one bit each.
func binaryWeight(n *Node, i int) (elements int, ok bool) {
	if i != 1 || !IsBinaryConv(n) {
		return 0, false
	}
	elements, ok = tensor.NumElements(n.binaryShape().Ints())
	return elements, ok
}
