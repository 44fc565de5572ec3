package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Operators on quantized tensors. The rules that their definitions leave open
// are: accumulators are exact; they are converted to float32 and multiplied by
// one float32 factor; elementwise operators dequantize, compute and divide by
// the result's scale, each step rounded to float32. Results then round half to
// even and saturate.

func init() {
	register("", arithmetic, 8, map[string]Func{"QLinearConv": qlinearConv, "QLinearMatMul": qlinearMatMul})
	register("", arithmetic, 2, map[string]Func{"ConvInteger": convInteger, "MatMulInteger": matMulInteger})
	const ms = graph.MicrosoftDomain
	register(ms, arithmetic, 7, map[string]Func{
		"QLinearAdd": qlinearBinary(func(a, b float32) float32 { return a + b }),
		"QLinearMul": qlinearBinary(func(a, b float32) float32 { return a * b }),
	})
	register(ms, arithmetic, 5, map[string]Func{"QLinearConcat": qlinearConcat, "QGemm": qGemm})
	register(ms, arithmetic, 4, map[string]Func{
		"QLinearSigmoid": qlinearUnary(func(*graph.Node) func(float64) float64 { return sigmoid }),
		"QLinearLeakyRelu": qlinearUnary(func(n *graph.Node) func(float64) float64 {
			alpha := float64(n.Float("alpha", 0.01))
			return func(x float64) float64 { return leakyRelu(x, alpha) }
		}),
		"QLinearSoftmax":           qlinearSoftmax,
		"QLinearAveragePool":       qlinearAveragePool,
		"QLinearGlobalAveragePool": qlinearGlobalAveragePool,
	})
}

// centered returns the elements of a quantized tensor less its zero point
// (nil means 0), which is one for all or one for each index of axis.
func centered(x, zero *tensor.Tensor, axis int) ([]int64, error) {
	v := integers(x)
	if zero == nil {
		return v, nil
	}
	if zero.DType != x.DType {
		return nil, fmt.Errorf("zero point of type %v for %v", zero.DType, x.DType)
	}
	z, out := integers(zero), make([]int64, len(v))
	if len(z) == 1 {
		for i := range v {
			out[i] = v[i] - z[0]
		}
		return out, nil
	}
	axis, err := normAxis(axis, x.Rank())
	if err != nil {
		return nil, err
	}
	if len(z) != x.Shape[axis] {
		return nil, fmt.Errorf("%d zero points for axis %d of %v", len(z), axis, x.Shape)
	}
	inner := product(x.Shape[axis+1:])
	for i := range v {
		out[i] = v[i] - z[i/inner%len(z)]
	}
	return out, nil
}

// target is the grid of a result: one scale and one zero point.
type target struct {
	d      tensor.DType
	scale  float32
	zero   int64
	lo, hi int64
}

// newTarget reads scale and zero point; d is the type if there is no zero point.
func newTarget(scale, zero *tensor.Tensor, d tensor.DType) (*target, error) {
	t := &target{d: d}
	s, err := scalar(scale, "scale")
	if err != nil {
		return nil, err
	}
	t.scale = float32(s)
	if zero != nil {
		z, err := scalar(zero, "zero point")
		if err != nil {
			return nil, err
		}
		t.d, t.zero = zero.DType, int64(z)
	}
	var ok bool
	if t.lo, t.hi, ok = limits(t.d); !ok {
		return nil, fmt.Errorf("cannot quantize to %v", t.d)
	}
	return t, nil
}

// of makes the tensor of already scaled values.
func (t *target) of(v []float32, shape []int) (*tensor.Tensor, error) {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = quantizeOne(x, t.zero, t.lo, t.hi)
	}
	return ofInts(t.d, out, shape)
}

// dequantized is the real values of a tensor of one scale, as float32.
func dequantized(x, scale, zero *tensor.Tensor) ([]float32, error) {
	v, err := centered(x, zero, 0)
	if err != nil {
		return nil, err
	}
	s, err := scalar(scale, "scale")
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(v))
	for i, q := range v {
		out[i] = float32(q) * float32(s)
	}
	return out, nil
}

// requantized scales accumulators by sx·sw/sy, where sw is one scale or one
// for each index of an axis.
func requantized(acc []int64, shape []int, axis int, sx, sw *tensor.Tensor, to *target) (*tensor.Tensor, error) {
	x, err := scalar(sx, "scale")
	if err != nil {
		return nil, err
	}
	w := sw.Float32s()
	factor := make([]float32, len(w))
	for i := range w {
		factor[i] = float32(float32(x)*w[i]) / to.scale
	}
	inner := 1
	if len(w) != 1 {
		if len(w) != shape[axis] {
			return nil, fmt.Errorf("%d scales for axis %d of %v", len(w), axis, shape)
		}
		inner = product(shape[axis+1:])
	}
	v := make([]float32, len(acc))
	for i, a := range acc {
		v[i] = float32(a) * factor[i/inner%len(factor)]
	}
	return to.of(v, shape)
}

// qlinearConv: x, its scale and zero point, w, its scales and zero points, the
// result's scale and zero point, and an int32 bias in units of sx·sw.
func qlinearConv(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := newTarget(in[6], in[7], tensor.Uint8)
	if err != nil {
		return nil, err
	}
	var bias []int64
	if b := input(in, 8); b != nil {
		bias = integers(b)
	}
	acc, shape, err := integerConv(n, in[0], in[3], in[2], in[5], bias)
	if err != nil {
		return nil, err
	}
	return one(requantized(acc, shape, 1, in[1], in[4], to))
}

func integerConv(n *graph.Node, x, w, xz, wz *tensor.Tensor, bias []int64) ([]int64, []int, error) {
	xc, err := centered(x, xz, 0)
	if err != nil {
		return nil, nil, err
	}
	wc, err := centered(w, wz, 0)
	if err != nil {
		return nil, nil, err
	}
	return convolve(n, x.Shape, w.Shape, xc, wc, bias)
}

func convInteger(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	acc, shape, err := integerConv(n, in[0], in[1], input(in, 2), input(in, 3), nil)
	if err != nil {
		return nil, err
	}
	return one(ofInts(tensor.Int32, acc, shape))
}

// integerMatMul multiplies less zero points: those of a may be one per row,
// those of b one per column.
func integerMatMul(a, b, az, bz *tensor.Tensor) ([]int64, []int, error) {
	ac, err := centered(a, az, -2)
	if err != nil {
		return nil, nil, err
	}
	bc, err := centered(b, bz, -1)
	if err != nil {
		return nil, nil, err
	}
	return multiply(a.Shape, b.Shape, ac, bc)
}

func matMulInteger(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	acc, shape, err := integerMatMul(in[0], in[1], input(in, 2), input(in, 3))
	if err != nil {
		return nil, err
	}
	return one(ofInts(tensor.Int32, acc, shape))
}

func qlinearMatMul(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := newTarget(in[6], in[7], tensor.Uint8)
	if err != nil {
		return nil, err
	}
	acc, shape, err := integerMatMul(in[0], in[3], in[2], in[5])
	if err != nil {
		return nil, err
	}
	return one(requantized(acc, shape, len(shape)-1, in[1], in[4], to))
}

// qGemm is alpha·sa·sb·(A'·B' + C) with C in int32; quantized if the result
// has a scale, else float32.
func qGemm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	a, err := matrix(in[0], n.Int("transA", 0) != 0)
	if err != nil {
		return nil, err
	}
	b, err := matrix(in[3], n.Int("transB", 0) != 0)
	if err != nil {
		return nil, err
	}
	acc, shape, err := integerMatMul(a, b, in[2], input(in, 5))
	if err != nil {
		return nil, err
	}
	if c := input(in, 6); c != nil {
		if err := checkSpread(c.Shape, shape); err != nil {
			return nil, err
		}
		add := integers(c)
		eachSpread(c.Shape, shape, func(i, at int) { acc[i] += add[at] })
	}
	sa, err := scalar(in[1], "scale")
	if err != nil {
		return nil, err
	}
	alpha := tensor.Scalar(n.Float("alpha", 1) * float32(sa))
	if input(in, 7) != nil {
		to, err := newTarget(in[7], input(in, 8), a.DType)
		if err != nil {
			return nil, err
		}
		return one(requantized(acc, shape, 1, alpha, in[4], to))
	}
	w := in[4].Float32s()
	if len(w) != 1 && len(w) != shape[1] {
		return nil, fmt.Errorf("%d scales for %d columns", len(w), shape[1])
	}
	out := make([]float32, len(acc))
	for i, v := range acc {
		out[i] = float32(v) * float32(alpha.Float32s()[0]*w[i%shape[1]%len(w)])
	}
	return one(tensor.Of(out, shape...), nil)
}

// qlinearBinary: a, its scale and zero point, b likewise, the result's scale
// and zero point.
func qlinearBinary(f func(a, b float32) float32) Func {
	return func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		to, err := newTarget(in[6], input(in, 7), in[0].DType)
		if err != nil {
			return nil, err
		}
		a, err := dequantized(in[0], in[1], in[2])
		if err != nil {
			return nil, err
		}
		b, err := dequantized(in[3], in[4], in[5])
		if err != nil {
			return nil, err
		}
		v, err := zip(tensor.Of(a, in[0].Shape...), tensor.Of(b, in[3].Shape...), func(x, y float32) float32 {
			return float32(f(x, y)) / to.scale
		})
		if err != nil {
			return nil, err
		}
		return one(to.of(v.Float32s(), v.Shape))
	}
}

// qlinearUnary: x, its scale and zero point, the result's scale and zero point.
func qlinearUnary(f func(n *graph.Node) func(float64) float64) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		to, err := newTarget(in[3], input(in, 4), in[0].DType)
		if err != nil {
			return nil, err
		}
		x, err := dequantized(in[0], in[1], in[2])
		if err != nil {
			return nil, err
		}
		g := f(n)
		for i, v := range x {
			x[i] = float32(g(float64(v))) / to.scale
		}
		return one(to.of(x, in[0].Shape))
	}
}

func qlinearSoftmax(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := newTarget(in[3], input(in, 4), in[0].DType)
	if err != nil {
		return nil, err
	}
	x, err := dequantized(in[0], in[1], in[2])
	if err != nil {
		return nil, err
	}
	out, err := alongAxis(tensor.Of(x, in[0].Shape...), n.Int("axis", -1), softmax)
	if err != nil {
		return nil, err
	}
	v := out[0].Float32s()
	for i := range v {
		v[i] /= to.scale
	}
	return one(to.of(v, in[0].Shape))
}

// qlinearConcat: the result's scale and zero point, then each input with its
// own.
func qlinearConcat(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	parts := in[2:]
	if len(parts)%3 != 0 || slices.Contains(parts, nil) {
		return nil, fmt.Errorf("%d inputs, want triples of tensor, scale and zero point", len(parts))
	}
	to, err := newTarget(in[0], in[1], tensor.Uint8)
	if err != nil {
		return nil, err
	}
	var list []*tensor.Tensor
	for i := 0; i < len(parts); i += 3 {
		v, err := dequantized(parts[i], parts[i+1], parts[i+2])
		if err != nil {
			return nil, err
		}
		for j := range v {
			v[j] /= to.scale
		}
		q, err := to.of(v, parts[i].Shape)
		if err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return one(join(list, n.Int("axis", 0)))
}

// averages turns exact sums of centered elements into quantized means:
// float32(sum)·float32(sx/(sy·count)).
func averages(sums []float64, counts []int, sx *tensor.Tensor, to *target, shape []int) (*tensor.Tensor, error) {
	s, err := scalar(sx, "scale")
	if err != nil {
		return nil, err
	}
	v := make([]float32, len(sums))
	for i, a := range sums {
		v[i] = float32(a) * float32(s/(float64(to.scale)*float64(counts[i%len(counts)])))
	}
	return to.of(v, shape)
}

// channelsFirst runs f on inputs whose first is moved to N, C, … if the node
// says that it has its channels last, and moves the result back.
func channelsFirst(n *graph.Node, x *tensor.Tensor, f func(x *tensor.Tensor) (*tensor.Tensor, error)) ([]*tensor.Tensor, error) {
	if n.Int("channels_last", 0) == 0 || x.Rank() < 3 {
		return one(f(x))
	}
	r := x.Rank()
	first := slices.Concat([]int{0, r - 1}, upTo(r - 1)[1:])
	last := slices.Concat([]int{0}, upTo(r)[2:], []int{1})
	x, err := permute(x, first)
	if err != nil {
		return nil, err
	}
	y, err := f(x)
	if err != nil {
		return nil, err
	}
	return one(permute(y, last))
}

func qlinearAveragePool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := newTarget(in[3], input(in, 4), in[0].DType)
	if err != nil {
		return nil, err
	}
	return channelsFirst(n, in[0], func(x *tensor.Tensor) (*tensor.Tensor, error) {
		win, shape, err := poolWindow(n, x)
		if err != nil {
			return nil, err
		}
		v, err := centered(x, in[2], 0)
		if err != nil {
			return nil, err
		}
		sums := poolSums(win, convert[float64](v), shape, func(v float64) float64 { return v })
		return averages(sums, win.counts(n.Int("count_include_pad", 0) != 0), in[1], to, shape)
	})
}

func qlinearGlobalAveragePool(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	to, err := newTarget(in[3], input(in, 4), in[0].DType)
	if err != nil {
		return nil, err
	}
	return channelsFirst(n, in[0], func(x *tensor.Tensor) (*tensor.Tensor, error) {
		images, channels, size, err := planes(x)
		if err != nil {
			return nil, err
		}
		v, err := centered(x, in[2], 0)
		if err != nil {
			return nil, err
		}
		sums := make([]float64, images*channels)
		for i := range sums {
			sums[i] = sum(convert[float64](v[i*size:][:size]))
		}
		shape := slices.Clone(x.Shape)
		fill(shape[2:], 1)
		return averages(sums, []int{size}, in[1], to, shape)
	})
}
