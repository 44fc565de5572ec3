package eval_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// opCase is a node with inputs, to be compared with ONNX Runtime.
type opCase struct {
	domain, op string
	attrs      graph.Attrs
	in         []*tensor.Tensor // nil entries are left out
	outs       int
	steps      int // by how many steps an integer result may differ
}

func (c opCase) String() string {
	s := c.op
	for _, k := range []string{"mode", "coordinate_transformation_mode", "nearest_mode", "reduction", "auto_pad", "approximate"} {
		if v, ok := c.attrs[k].(string); ok {
			s += "_" + v
		}
	}
	if len(c.in) > 0 {
		s += fmt.Sprintf("_%v%v", c.in[0].DType, c.in[0].Shape)
	}
	return s
}

// graph makes a model of the one node: input 0 is fed, the others are constants.
func (c opCase) graph() (*graph.Graph, map[string]*tensor.Tensor) {
	g := graph.New("case")
	var in []*graph.Value
	feed := map[string]*tensor.Tensor{}
	for i, t := range c.in {
		switch {
		case t == nil:
			in = append(in, nil)
		case i == 0:
			v := g.AddInput("x", t.DType, graph.Dims(t.Shape...))
			feed[v.Name] = t
			in = append(in, v)
		default:
			in = append(in, g.AddConst(fmt.Sprintf("c%d", i), t))
		}
	}
	var outs []string
	for i := range max(c.outs, 1) {
		outs = append(outs, fmt.Sprintf("y%d", i))
	}
	attrs := c.attrs
	if attrs == nil {
		attrs = graph.Attrs{}
	}
	n := g.Append(g.NewNode(c.domain, c.op, "node", in, outs, attrs))
	for _, v := range n.Outputs {
		g.AddOutput(v)
	}
	return g, feed
}

// normal makes float32 noise; the same shape gives the same noise.
func normal(shape ...int) *tensor.Tensor {
	r := rand.New(rand.NewPCG(uint64(len(shape)), 7))
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.Data[float32](t) {
		tensor.Data[float32](t)[i] = float32(r.NormFloat64())
	}
	return t
}

// as converts noise (times 100 for integers) to another type.
func as(d tensor.DType, shape ...int) *tensor.Tensor {
	t := normal(shape...)
	if d.IsInt() {
		for i, v := range tensor.Data[float32](t) {
			tensor.Data[float32](t)[i] = v * 60
			if !d.Signed() {
				tensor.Data[float32](t)[i] += 128
			}
		}
	}
	c, err := t.Convert(d)
	if err != nil {
		panic(err)
	}
	return c
}

func list(v ...int64) *tensor.Tensor             { return tensor.Of(v, len(v)) }
func vec(v ...float32) *tensor.Tensor            { return tensor.Of(v, len(v)) }
func num[T tensor.Elem](v T) *tensor.Tensor      { return tensor.Scalar(v) }
func ints(v ...int64) []int64                    { return v }
func in(list ...*tensor.Tensor) []*tensor.Tensor { return list }

// cases covers what ONNX's own node tests do not: newer operator sets, other
// types, ONNX Runtime's operators.
func cases() []opCase {
	const ms = graph.MicrosoftDomain
	f32, u8, i8, i32, i64 := tensor.Float32, tensor.Uint8, tensor.Int8, tensor.Int32, tensor.Int64
	img := normal(1, 2, 5, 6)
	on := int64(1)
	positive := func(n int) *tensor.Tensor {
		t := normal(n)
		for i, v := range tensor.Data[float32](t) {
			tensor.Data[float32](t)[i] = v*v + 0.1
		}
		return t
	}
	list1 := []opCase{
		{op: "Conv", in: in(normal(2, 4, 9, 8), normal(6, 2, 3, 2), normal(6)), attrs: graph.Attrs{"group": int64(2), "dilations": ints(2, 1), "strides": ints(1, 2), "pads": ints(1, 0, 2, 1)}},
		{op: "Conv", in: in(normal(1, 3, 4, 5, 6), normal(2, 3, 2, 3, 2)), attrs: graph.Attrs{"auto_pad": "SAME_LOWER", "strides": ints(1, 2, 2)}},
		{op: "Conv", in: in(normal(2, 3, 10), normal(4, 3, 3), normal(4)), attrs: graph.Attrs{"pads": ints(2, 1)}},
		{op: "ConvTranspose", in: in(normal(1, 4, 5, 4), normal(4, 3, 3, 3), normal(6)), attrs: graph.Attrs{"group": int64(2), "strides": ints(2, 3), "pads": ints(1, 0, 1, 2), "output_padding": ints(1, 2)}},
		{op: "ConvTranspose", in: in(normal(1, 2, 4, 4), normal(2, 3, 3, 3)), attrs: graph.Attrs{"strides": ints(2, 2), "auto_pad": "SAME_LOWER"}},
		{op: "ConvTranspose", in: in(normal(1, 2, 4, 4), normal(2, 3, 3, 3)), attrs: graph.Attrs{"strides": ints(2, 2), "output_shape": ints(8, 9)}},
		{op: "BatchNormalization", in: in(img, normal(2), normal(2), normal(2), positive(2)), attrs: graph.Attrs{"epsilon": float32(1e-3)}},
		{op: "LayerNormalization", in: in(img, normal(5, 6), normal(5, 6)), attrs: graph.Attrs{"axis": int64(2)}, outs: 3},
		{op: "GroupNormalization", in: in(normal(2, 6, 3, 4), normal(6), normal(6)), attrs: graph.Attrs{"num_groups": int64(3)}},
		{op: "InstanceNormalization", in: in(img, normal(2), normal(2))},
		{op: "LRN", in: in(normal(2, 7, 3, 4)), attrs: graph.Attrs{"size": int64(5), "alpha": float32(0.3), "beta": float32(0.6), "bias": float32(1.5)}},
		{op: "LpNormalization", in: in(img), attrs: graph.Attrs{"axis": on, "p": on}},
		{op: "MaxPool", in: in(img), attrs: graph.Attrs{"kernel_shape": ints(3, 2), "dilations": ints(1, 2), "strides": ints(2, 2), "pads": ints(1, 0, 1, 1), "ceil_mode": on}, outs: 2},
		{op: "MaxPool", in: in(img), attrs: graph.Attrs{"kernel_shape": ints(2, 2), "storage_order": on}, outs: 2},
		{op: "MaxPool", in: in(as(i8, 1, 2, 6, 6)), attrs: graph.Attrs{"kernel_shape": ints(3, 3), "strides": ints(2, 2), "auto_pad": "SAME_UPPER"}},
		{op: "AveragePool", in: in(img), attrs: graph.Attrs{"kernel_shape": ints(3, 3), "strides": ints(2, 2), "pads": ints(1, 1, 1, 1), "ceil_mode": on, "count_include_pad": on}},
		{op: "AveragePool", in: in(img), attrs: graph.Attrs{"kernel_shape": ints(2, 3), "dilations": ints(2, 1), "strides": ints(2, 2), "pads": ints(1, 1, 0, 1), "ceil_mode": on}},
		{op: "AveragePool", in: in(normal(1, 2, 9)), attrs: graph.Attrs{"kernel_shape": ints(4), "strides": ints(3), "ceil_mode": on, "count_include_pad": on}},
		{op: "LpPool", in: in(img), attrs: graph.Attrs{"kernel_shape": ints(2, 3), "p": int64(3), "strides": ints(2, 1), "pads": ints(0, 1, 1, 1)}},
		{op: "GlobalLpPool", in: in(img), attrs: graph.Attrs{"p": int64(2)}},
		{op: "Gemm", in: in(normal(4, 3), normal(5, 4), normal(3, 1)), attrs: graph.Attrs{"transA": on, "transB": on, "alpha": float32(0.5), "beta": float32(2)}},
		{op: "MatMul", in: in(normal(2, 1, 3, 4), normal(3, 4, 2))},
		{op: "MatMul", in: in(normal(4), normal(3, 4, 2))},
		{op: "MatMul", in: in(as(i32, 3, 4), as(i32, 4, 2))},
		{op: "Gelu", in: in(img)}, {op: "Gelu", in: in(img), attrs: graph.Attrs{"approximate": "tanh"}},
		{op: "Mish", in: in(img)}, {op: "HardSwish", in: in(img)}, {op: "Celu", in: in(img), attrs: graph.Attrs{"alpha": float32(2)}},
		{op: "Selu", in: in(img)}, {op: "Elu", in: in(img), attrs: graph.Attrs{"alpha": float32(2)}}, {op: "Softplus", in: in(img)},
		{op: "PRelu", in: in(img, normal(2, 1, 1))}, {op: "Clip", in: in(as(i32, 7), num(int32(-20)), num(int32(30)))},
		{op: "Clip", in: in(normal(7), nil, num(float32(0.3)))},
		{op: "Relu", in: in(as(i8, 9))}, {op: "Abs", in: in(as(i64, 9))}, {op: "Neg", in: in(as(i8, 9))}, {op: "Sign", in: in(as(u8, 9))},
		{op: "Mod", in: in(as(i32, 9), tensor.Of([]int32{7}, 1))}, {op: "Mod", in: in(as(i32, 9), tensor.Of([]int32{-7}, 1)), attrs: graph.Attrs{"fmod": on}},
		{op: "Pow", in: in(as(i32, 9), num(int32(2)))}, {op: "Pow", in: in(positive(9), vec(0.5))},
		{op: "Div", in: in(as(i32, 9), tensor.Of([]int32{-7}, 1))}, {op: "Add", in: in(as(i32, 3, 1), as(i32, 1, 4))},
		{op: "ReduceMax", in: in(as(i8, 3, 4), list(1))}, {op: "ReduceMin", in: in(as(i32, 3, 4), list(0)), attrs: graph.Attrs{"keepdims": int64(0)}},
		{op: "ReduceSum", in: in(as(i64, 3, 4), list(-1))}, {op: "ReduceMean", in: in(img, list(2, 3))}, {op: "ReduceMean", in: in(as(i32, 3, 4), list(1))},
		{op: "ReduceL2", in: in(img, list(1)), attrs: graph.Attrs{"noop_with_empty_axes": on}}, {op: "ReduceLogSumExp", in: in(img)},
		{op: "ReduceProd", in: in(img, list(3))}, {op: "ReduceL1", in: in(img, list(0, -1))}, {op: "ReduceSumSquare", in: in(img)},
		{op: "ArgMax", in: in(as(u8, 3, 4)), attrs: graph.Attrs{"axis": on, "select_last_index": on}},
		{op: "TopK", in: in(normal(3, 5, 2), list(3)), attrs: graph.Attrs{"axis": on, "largest": int64(0)}, outs: 2},
		{op: "TopK", in: in(tensor.Of([]int64{3, 1, 3, 3, 2}, 5), list(3)), attrs: graph.Attrs{"axis": int64(0)}, outs: 2},
		{op: "CumSum", in: in(as(i32, 3, 4), num(int32(1))), attrs: graph.Attrs{"reverse": on, "exclusive": on}},
		{op: "OneHot", in: in(list(0, 2, -1, 5), list(3), tensor.Of([]float32{-1, 2}, 2)), attrs: graph.Attrs{"axis": int64(0)}},
		{op: "Pad", in: in(img, list(0, 0, 1, 2, 0, 0, 3, 1)), attrs: graph.Attrs{"mode": "wrap"}},
		{op: "Pad", in: in(img, list(2, 3, -1, 4), nil, list(2, -1)), attrs: graph.Attrs{"mode": "reflect"}},
		{op: "Pad", in: in(as(u8, 1, 2, 3), list(1, -1, 2, 0), num(uint8(9)), list(1, 2)), attrs: graph.Attrs{"mode": "constant"}},
		{op: "Pad", in: in(img, list(1, 2), nil, list(3)), attrs: graph.Attrs{"mode": "edge"}},
		{op: "Slice", in: in(img, list(4, -1), list(-100, 0), list(2, 3), list(-2, -3))},
		{op: "Split", in: in(normal(7, 2)), attrs: graph.Attrs{"num_outputs": int64(3)}, outs: 3},
		{op: "Gather", in: in(img, tensor.Of([]int32{1, -1, 0, 3}, 2, 2)), attrs: graph.Attrs{"axis": int64(3)}},
		{op: "GatherND", in: in(normal(2, 3, 4), tensor.Of([]int64{1, 2, 0, -3}, 2, 1, 2)), attrs: graph.Attrs{"batch_dims": int64(0)}},
		{op: "GatherND", in: in(normal(2, 3, 4), tensor.Of([]int64{1, 2}, 2, 1)), attrs: graph.Attrs{"batch_dims": on}},
		{op: "Trilu", in: in(normal(2, 4, 5), num(int64(1)))},
		{op: "DepthToSpace", in: in(normal(1, 8, 2, 3)), attrs: graph.Attrs{"blocksize": int64(2), "mode": "CRD"}},
		{op: "SpaceToDepth", in: in(normal(1, 2, 4, 6)), attrs: graph.Attrs{"blocksize": int64(2)}},
		{op: "Cast", in: in(vec(-1.7, 2.5, 300.4, 1e-9)), attrs: graph.Attrs{"to": int64(i32)}},
		{op: "Cast", in: in(tensor.Of([]int32{-1, 300, 256, 5}, 4)), attrs: graph.Attrs{"to": int64(u8)}},
		{op: "Cast", in: in(vec(-1.7, 0, 300.4, 1e-9)), attrs: graph.Attrs{"to": int64(tensor.Bool)}},
		{op: "Hardmax", in: in(img), attrs: graph.Attrs{"axis": on}},
		{op: "Where", in: in(tensor.Of([]bool{true, false, true}, 3), normal(2, 3), normal(1, 3))},
		{op: "MaxUnpool", in: in(normal(1, 1, 2, 2), tensor.Of([]int64{0, 3, 8, 15}, 1, 1, 2, 2)), attrs: graph.Attrs{"kernel_shape": ints(2, 2), "strides": ints(2, 2)}},
	}
	for _, red := range []string{"none", "add", "mul", "min", "max"} {
		list1 = append(list1,
			opCase{op: "ScatterElements", in: in(normal(3, 3), tensor.Of([]int64{0, 2, 1, 0, 2, 1}, 2, 3), normal(2, 3)), attrs: graph.Attrs{"reduction": red}},
			opCase{op: "ScatterND", in: in(normal(4, 2), tensor.Of([]int64{1, 3}, 2, 1), normal(2, 2)), attrs: graph.Attrs{"reduction": red}})
	}
	return append(append(append(list1, resizeCases(img)...), quantCases(f32, u8, i8)...), microsoftCases(ms, u8, i8)...)
}

func resizeCases(img *tensor.Tensor) []opCase {
	var out []opCase
	up, down := vec(1, 1, 2.3, 1.7), vec(1, 1, 0.62, 0.45)
	for _, scales := range []*tensor.Tensor{up, down} {
		for _, coord := range []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"} {
			for _, mode := range []string{"linear", "cubic"} {
				out = append(out, opCase{op: "Resize", in: in(img, nil, scales), attrs: graph.Attrs{"mode": mode, "coordinate_transformation_mode": coord}})
			}
			for _, near := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
				if coord == "half_pixel_symmetric" && near == "floor" {
					continue // maps the centre to a whole number: rounding errors decide
				}
				out = append(out, opCase{op: "Resize", in: in(img, nil, scales), attrs: graph.Attrs{"mode": "nearest", "coordinate_transformation_mode": coord, "nearest_mode": near}})
			}
		}
		for _, mode := range []string{"linear", "cubic"} {
			out = append(out, opCase{op: "Resize", in: in(normal(1, 2, 9, 12), nil, scales), attrs: graph.Attrs{"mode": mode, "antialias": int64(1)}})
			out = append(out, opCase{op: "Resize", in: in(normal(1, 2, 9, 12), nil, scales), attrs: graph.Attrs{"mode": mode, "antialias": int64(1), "exclude_outside": int64(1)}})
		}
	}
	out = append(out,
		opCase{op: "Resize", in: in(img, nil, up), attrs: graph.Attrs{"mode": "cubic", "exclude_outside": int64(1), "cubic_coeff_a": float32(-0.5)}},
		opCase{op: "Resize", in: in(img, nil, nil, list(7, 9)), attrs: graph.Attrs{"mode": "linear", "axes": ints(2, 3)}},
		opCase{op: "Resize", in: in(img, nil, nil, list(7, 9)), attrs: graph.Attrs{"mode": "linear", "axes": ints(2, 3), "keep_aspect_ratio_policy": "not_larger"}},
		opCase{op: "Resize", in: in(img, nil, nil, list(7, 9)), attrs: graph.Attrs{"mode": "nearest", "axes": ints(2, 3), "keep_aspect_ratio_policy": "not_smaller"}},
		opCase{op: "Resize", in: in(as(tensor.Uint8, 1, 2, 5, 6), nil, up), attrs: graph.Attrs{"mode": "nearest"}},
		opCase{op: "Resize", in: in(as(tensor.Uint8, 1, 2, 5, 6), nil, up), attrs: graph.Attrs{"mode": "linear"}, steps: 1},
		opCase{op: "Resize", in: in(img, vec(0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2), nil, list(1, 2, 4, 7)), attrs: graph.Attrs{"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": float32(9)}},
	)
	return out
}

func quantCases(f32, u8, i8 tensor.DType) []opCase {
	scales := vec(0.02, 0.03, 0.01, 0.05)
	z4, _ := tensor.Of([]int8{1, -2, 0, 3}, 4).Convert(tensor.Int4)
	w4, _ := as(i8, 3, 4, 5).Convert(tensor.Int4)
	xq := as(u8, 1, 2, 6, 5)
	wq := as(i8, 4, 2, 3, 3)
	return []opCase{
		{op: "QuantizeLinear", in: in(normal(3, 4, 5), num(float32(0.013)), num(uint8(120)))},
		{op: "QuantizeLinear", in: in(normal(3, 4, 5), num(float32(0.013)), num(int16(-300)))},
		{op: "QuantizeLinear", in: in(normal(3, 4, 5), num(float32(0.0001)), num(uint16(30000)))},
		{op: "QuantizeLinear", in: in(normal(3, 4, 5), scales, tensor.Of([]int8{1, -2, 0, 3}, 4)), attrs: graph.Attrs{"axis": int64(-2)}},
		{op: "QuantizeLinear", in: in(normal(3, 4), tensor.Of([]float32{0.02, 0.01, 0.05, 0.03, 0.04, 0.06}, 3, 2), tensor.Of([]int8{0, 1, 2, 3, 4, 5}, 3, 2)), attrs: graph.Attrs{"axis": int64(1), "block_size": int64(2)}},
		{op: "QuantizeLinear", in: in(normal(3, 4), num(float32(0.1))), attrs: graph.Attrs{"output_dtype": int64(i8)}},
		{op: "DequantizeLinear", in: in(as(u8, 3, 4, 5), num(float32(0.013)), num(uint8(120)))},
		{op: "DequantizeLinear", in: in(as(i8, 3, 4, 5), scales, tensor.Of([]int8{1, -2, 0, 3}, 4)), attrs: graph.Attrs{"axis": int64(1)}},
		{op: "DequantizeLinear", in: in(as(tensor.Int32, 3, 4), num(float32(0.013)))},
		{op: "DequantizeLinear", in: in(w4, vec(0.2, 0.3, 0.1, 0.5), z4), attrs: graph.Attrs{"axis": int64(1)}},
		{op: "DequantizeLinear", in: in(as(i8, 4, 3), normal(2, 3), tensor.Of([]int8{0, 1, 2, 3, 4, 5}, 2, 3)), attrs: graph.Attrs{"axis": int64(0), "block_size": int64(2)}},
		{op: "DynamicQuantizeLinear", in: in(normal(3, 7)), outs: 3},
		{op: "QLinearConv", in: in(xq, num(float32(0.02)), num(uint8(128)), wq, vec(0.01, 0.02, 0.03, 0.005), tensor.Of([]int8{0, 0, 0, 0}, 4), num(float32(0.3)), num(uint8(100)), as(tensor.Int32, 4)), attrs: graph.Attrs{"pads": ints(1, 1, 1, 1), "strides": ints(2, 1)}, steps: 1},
		{op: "QLinearMatMul", in: in(as(u8, 3, 4), num(float32(0.02)), num(uint8(128)), as(u8, 4, 5), num(float32(0.03)), num(uint8(120)), num(float32(0.4)), num(uint8(90))), steps: 1},
		{op: "ConvInteger", in: in(xq, as(u8, 4, 2, 3, 3), num(uint8(120)), num(uint8(110)))},
		{op: "MatMulInteger", in: in(as(u8, 3, 4), as(i8, 4, 2), num(uint8(120)), tensor.Of([]int8{3, -4}, 2))},
	}
}

func microsoftCases(ms string, u8, i8 tensor.DType) []opCase {
	a, b := as(u8, 2, 3, 4, 4), as(u8, 1, 3, 1, 1)
	s, z := func(v float32) *tensor.Tensor { return num(v) }, func(v uint8) *tensor.Tensor { return num(v) }
	return []opCase{
		{domain: ms, op: "QLinearAdd", in: in(a, s(0.02), z(120), b, s(0.05), z(100), s(0.06), z(110)), steps: 1},
		{domain: ms, op: "QLinearMul", in: in(a, s(0.02), z(120), b, s(0.05), z(100), s(0.06), z(110)), steps: 1},
		{domain: ms, op: "QLinearAdd", in: in(as(i8, 5, 6), s(0.02), num(int8(3)), as(i8, 6), s(0.05), num(int8(-7)), s(0.06), num(int8(0))), steps: 1},
		{domain: ms, op: "QLinearSigmoid", in: in(a, s(0.03), z(120), s(1.0/256), z(0)), steps: 1},
		{domain: ms, op: "QLinearLeakyRelu", in: in(a, s(0.03), z(120), s(0.02), z(30)), attrs: graph.Attrs{"alpha": float32(0.2)}, steps: 1},
		{domain: ms, op: "QLinearGlobalAveragePool", in: in(a, s(0.03), z(120), s(0.02), z(130)), steps: 1},
		{domain: ms, op: "QLinearGlobalAveragePool", in: in(a, s(0.03), z(120), s(0.02), z(130)), attrs: graph.Attrs{"channels_last": int64(1)}, steps: 1},
		{domain: ms, op: "QLinearAveragePool", in: in(a, s(0.03), z(120), s(0.02), z(130)), attrs: graph.Attrs{"kernel_shape": ints(3, 3), "strides": ints(2, 2), "pads": ints(1, 1, 1, 1)}, steps: 1},
		{domain: ms, op: "QLinearAveragePool", in: in(a, s(0.03), z(120), s(0.02), z(130)), attrs: graph.Attrs{"kernel_shape": ints(2, 2), "pads": ints(1, 1, 1, 1), "count_include_pad": int64(1)}, steps: 1},
		{domain: ms, op: "QGemm", in: in(as(u8, 3, 4), s(0.02), z(120), as(i8, 4, 5), vec(0.01, 0.02, 0.03, 0.04, 0.05), tensor.Of(make([]int8, 5), 5), as(tensor.Int32, 5), s(0.3), z(100)), steps: 1},
		{domain: ms, op: "QGemm", in: in(as(u8, 4, 3), s(0.02), z(120), as(i8, 5, 4), s(0.03), num(int8(0)), as(tensor.Int32, 5)), attrs: graph.Attrs{"transA": int64(1), "transB": int64(1), "alpha": float32(1)}},
		{domain: ms, op: "FusedConv", in: in(normal(1, 3, 5, 5), normal(4, 3, 3, 3), normal(4), normal(1, 4, 3, 3)), attrs: graph.Attrs{"activation": "Relu"}},
		{domain: ms, op: "FusedConv", in: in(normal(1, 3, 5, 5), normal(4, 3, 3, 3), normal(4)), attrs: graph.Attrs{"activation": "HardSigmoid", "activation_params": []float32{0.3, 0.4}}},
		{domain: ms, op: "FusedConv", in: in(normal(1, 3, 5, 5), normal(4, 3, 3, 3), normal(4)), attrs: graph.Attrs{"activation": "Clip", "activation_params": []float32{-0.5, 0.7}}},
		{domain: ms, op: "FusedConv", in: in(normal(1, 3, 5, 5), normal(4, 3, 3, 3)), attrs: graph.Attrs{"activation": "LeakyRelu", "activation_params": []float32{0.3}}},
		{domain: ms, op: "QuickGelu", in: in(normal(3, 4))},
		{domain: ms, op: "Gelu", in: in(normal(3, 4))},
		{domain: ms, op: "QLinearConcat", in: in(s(0.04), z(120), a, s(0.02), z(128), as(u8, 2, 1, 4, 4), s(0.05), z(7)), attrs: graph.Attrs{"axis": int64(1)}, steps: 1},
	}
}
