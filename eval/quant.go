package eval

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", raw, 2, map[string]Func{"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear})
	register("com.microsoft", raw, 2, map[string]Func{"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear})
	register("", arithmetic, 1, map[string]Func{"DynamicQuantizeLinear": dynamicQuantize})
}

// grid holds the scales and zero points of a quantized tensor and tells which
// of them belongs to an element: one for all, one for each index of an axis,
// or one for each block along an axis.
type grid struct {
	scale []float32
	zero  []int64 // nil means 0
	at    func(i int) int
}

// newGrid reads scale and zero point (may be nil) for a tensor of that shape.
func newGrid(shape []int, scale, zero *tensor.Tensor, axis, block int) (*grid, error) {
	g := &grid{scale: scale.Float32s()}
	if zero != nil {
		if zero.Len() != scale.Len() {
			return nil, fmt.Errorf("%d scales and %d zero points", scale.Len(), zero.Len())
		}
		if zero.DType.IsFloat() {
			for i := range zero.Len() {
				if zero.At(i) != 0 {
					return nil, fmt.Errorf("a zero point of %v must be 0", zero.DType)
				}
			}
		} else {
			g.zero = integers(zero)
		}
	}
	if scale.Len() == 1 && scale.Rank() < 2 {
		g.at = func(int) int { return 0 }
		return g, nil
	}
	axis, err := normAxis(axis, len(shape))
	if err != nil {
		return nil, err
	}
	inner := product(shape[axis+1:])
	d := shape[axis]
	if block == 0 {
		if scale.Rank() != 1 || scale.Len() != d {
			return nil, fmt.Errorf("scales of shape %v for axis %d of %v", scale.Shape, axis, shape)
		}
		g.at = func(i int) int { return i / inner % d }
		return g, nil
	}
	if block < 0 || scale.Rank() != len(shape) {
		return nil, fmt.Errorf("scales of shape %v for blocks of %d in %v", scale.Shape, block, shape)
	}
	blocks := (d + block - 1) / block
	for a, s := range scale.Shape {
		if a != axis && s != shape[a] || a == axis && s != blocks {
			return nil, fmt.Errorf("scales of shape %v for blocks of %d along axis %d of %v", scale.Shape, block, axis, shape)
		}
	}
	g.at = func(i int) int { return (i/(inner*d)*blocks+i/inner%d/block)*inner + i%inner }
	return g, nil
}

// zeroAt is the zero point of scale k.
func (g *grid) zeroAt(k int) int64 {
	if g.zero == nil {
		return 0
	}
	return g.zero[k]
}

// quantize is clamp(roundHalfEven(x/scale) + zero, lo, hi), x/scale rounded to
// float32. NaN becomes the zero point.
func (g *grid) quantize(i int, x float32, lo, hi int64) int64 {
	k := g.at(i)
	return quantizeOne(x/g.scale[k], g.zeroAt(k), lo, hi)
}

// quantizeOne rounds an already scaled value onto the grid.
func quantizeOne(v float32, zero, lo, hi int64) int64 {
	if v != v {
		return min(max(zero, lo), hi)
	}
	r := clamp(roundEven(float64(v)), -math.MaxInt32, math.MaxInt32)
	return min(max(int64(r)+zero, lo), hi)
}

// limits is the range of an integer type.
func limits(d tensor.DType) (lo, hi int64, ok bool) {
	if !d.IsInt() || d.Bits() > 32 {
		return 0, 0, false
	}
	if d.Signed() {
		return -1 << (d.Bits() - 1), 1<<(d.Bits()-1) - 1, true
	}
	return 0, 1<<d.Bits() - 1, true
}

// quantizeLinear maps floats to the grid of scale (input 1) and zero point (2),
// whose type is the output's unless output_dtype says otherwise.
func quantizeLinear(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, zero := in[0], input(in, 2)
	d, err := typeAttr(n, "output_dtype", tensor.Uint8)
	if err != nil {
		return nil, err
	}
	if zero != nil {
		d = zero.DType
	}
	g, err := newGrid(x.Shape, in[1], zero, n.Int("axis", 1), n.Int("block_size", 0))
	if err != nil {
		return nil, err
	}
	values := x.Float32s()
	if isFloat8(d) {
		scaled := make([]float32, len(values))
		for i, v := range values {
			scaled[i] = v / g.scale[g.at(i)]
		}
		return one(castTo(tensor.Of(scaled, x.Shape...), d, n.Int("saturate", 1) != 0))
	}
	lo, hi, ok := limits(d)
	if !ok {
		return nil, fmt.Errorf("cannot quantize to %v", d)
	}
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = g.quantize(i, v, lo, hi)
	}
	return one(ofInts(d, out, x.Shape))
}

// dequantizeLinear is (q - zero)·scale, rounded to float32, as the scale's
// type unless output_dtype says otherwise.
func dequantizeLinear(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	g, err := newGrid(x.Shape, in[1], input(in, 2), n.Int("axis", 1), n.Int("block_size", 0))
	if err != nil {
		return nil, err
	}
	d, err := typeAttr(n, "output_dtype", in[1].DType)
	if err != nil {
		return nil, err
	}
	out := make([]float32, x.Len())
	if x.DType.IsFloat() {
		for i, v := range x.Float32s() {
			out[i] = v * g.scale[g.at(i)]
		}
	} else {
		for i, q := range integers(x) {
			k := g.at(i)
			out[i] = float32(q-g.zeroAt(k)) * g.scale[k]
		}
	}
	return one(tensor.Of(out, x.Shape...).Convert(d))
}

// dynamicQuantize quantizes to uint8 on the grid of x's own range, 0 included;
// outputs are the integers, the scale and the zero point.
func dynamicQuantize(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0].Float32s()
	lo, hi := float32(0), float32(0)
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	scale := (hi - lo) / 255
	if scale == 0 {
		scale = 1
	}
	zero := quantizeOne(-lo/scale, 0, 0, 255)
	out := make([]uint8, len(x))
	for i, v := range x {
		out[i] = uint8(quantizeOne(v/scale, zero, 0, 255))
	}
	return []*tensor.Tensor{tensor.Of(out, in[0].Shape...), tensor.Scalar(scale), tensor.Scalar(uint8(zero))}, nil
}
