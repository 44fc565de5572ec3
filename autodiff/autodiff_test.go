package autodiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// operand is an input of the operator under test.
type operand struct {
	shape  []int
	data   *tensor.Tensor // given elements, not differentiated; else random float64
	lo, hi float64        // range of random elements; 0, 0 means -1 to 1
	fixed  bool           // random, but not differentiated
	absent bool
}

func x(shape ...int) operand { return operand{shape: shape} }

func ranged(lo, hi float64, shape ...int) operand { return operand{shape: shape, lo: lo, hi: hi} }

func fixed(o operand) operand { o.fixed = true; return o }

func ints(v ...int) operand { return operand{data: tensor.Of(graph.Int64s(v), len(v))} }

func scalar(v float64) operand { return operand{data: tensor.Scalar(v)} }

var none = operand{absent: true}

// opCase is one application of an operator.
type opCase struct {
	domain, op string
	attrs      graph.Attrs
	in         []operand
	outputs    int  // 0 means 1
	open       bool // leave the first dimension of input 0 open
}

func at(kv ...any) graph.Attrs {
	a := graph.Attrs{}
	for i := 0; i < len(kv); i += 2 {
		switch v := kv[i+1].(type) {
		case int:
			a[kv[i].(string)] = int64(v)
		case float64:
			a[kv[i].(string)] = float32(v)
		case []int:
			a[kv[i].(string)] = graph.Int64s(v)
		default:
			a[kv[i].(string)] = v
		}
	}
	return a
}

var training = graph.DrawknifeDomain

var cases = []opCase{
	{op: "Conv", in: []operand{x(2, 3, 7), x(4, 3, 3), x(4)}, attrs: at("pads", []int{1, 1}, "strides", []int{2})},
	{op: "Conv", in: []operand{x(2, 3, 5, 6), x(4, 3, 3, 2), x(4)}, attrs: at("pads", []int{1, 0, 2, 1}, "strides", []int{2, 1})},
	{op: "Conv", in: []operand{x(2, 3, 5, 5), x(4, 3, 3, 3)}, attrs: at("auto_pad", "SAME_UPPER", "strides", []int{2, 2})},
	{op: "Conv", in: []operand{x(1, 4, 6, 6), x(6, 2, 3, 3)}, attrs: at("group", 2, "dilations", []int{2, 1})},
	{op: "Conv", in: []operand{x(1, 4, 5, 5), x(4, 1, 3, 3)}, attrs: at("group", 4, "pads", []int{1, 1, 1, 1}), open: true},
	{op: "Conv", in: []operand{x(1, 2, 4, 4, 3), x(3, 2, 2, 3, 2)}, attrs: at("pads", []int{0, 1, 0, 1, 1, 1})},
	{op: "ConvTranspose", in: []operand{x(2, 4, 3, 4), x(4, 3, 3, 3), x(3)}, attrs: at("strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}, "output_padding", []int{1, 0})},
	{op: "ConvTranspose", in: []operand{x(1, 4, 4, 4), x(4, 1, 3, 3)}, attrs: at("group", 2, "strides", []int{2, 1}, "auto_pad", "SAME_UPPER")},
	{op: "Gemm", in: []operand{x(3, 4), x(4, 5), x(5)}, attrs: at("alpha", 0.5, "beta", 2.0)},
	{op: "Gemm", in: []operand{x(3, 4), x(5, 4), x(3, 1)}, attrs: at("transB", 1), open: true},
	{op: "Gemm", in: []operand{x(4, 3), x(4, 5)}, attrs: at("transA", 1)},
	{op: "Gemm", in: []operand{x(4, 3), x(5, 4)}, attrs: at("transA", 1, "transB", 1, "alpha", 3.0)},
	{op: "MatMul", in: []operand{x(3, 4), x(4, 2)}},
	{op: "MatMul", in: []operand{x(2, 1, 3, 4), x(5, 4, 2)}},
	{op: "MatMul", in: []operand{x(4), x(2, 4, 3)}},
	{op: "MatMul", in: []operand{x(2, 3, 4), x(4)}},
	{op: "MatMul", in: []operand{x(4), x(4)}},

	{op: "BatchNormalization", in: []operand{x(3, 2, 4), x(2), x(2), fixed(x(2)), fixed(ranged(0.5, 2, 2))}, attrs: at("training_mode", 1), outputs: 3},
	{op: "BatchNormalization", in: []operand{x(3, 2), x(2), x(2), fixed(x(2)), fixed(ranged(0.5, 2, 2))}, attrs: at("training_mode", 1)},
	{op: "BatchNormalization", in: []operand{x(3, 2, 4, 2), x(2), x(2), fixed(x(2)), fixed(ranged(0.5, 2, 2))}},
	{domain: training, op: "BatchNormTrain", in: []operand{x(3, 2, 4), x(2), x(2), fixed(x(2)), fixed(ranged(0.5, 2, 2)), x(3, 2, 4)}, attrs: at("min", 0.0), outputs: 5},
	{domain: training, op: "BatchNormTrain", in: []operand{x(3, 2, 4), x(2), x(2), fixed(x(2)), fixed(ranged(0.5, 2, 2))}, attrs: at("min", 0.0, "max", 0.75), outputs: 5},
	{op: "InstanceNormalization", in: []operand{x(2, 3, 4, 2), x(3), x(3)}},
	{op: "GroupNormalization", in: []operand{x(2, 4, 3, 2), x(4), x(4)}, attrs: at("num_groups", 2), open: true},
	{op: "LayerNormalization", in: []operand{x(2, 3, 4), x(3, 4), x(3, 4)}, attrs: at("axis", 1)},
	{op: "LayerNormalization", in: []operand{x(2, 3, 4), x(4)}},
	{op: "LRN", in: []operand{x(2, 6, 3)}, attrs: at("size", 3, "alpha", 0.8, "beta", 0.75, "bias", 1.5)},
	{op: "LRN", in: []operand{x(1, 5, 2, 2)}, attrs: at("size", 4, "alpha", 0.8)},

	{op: "MaxPool", in: []operand{x(2, 3, 6, 7)}, attrs: at("kernel_shape", []int{3, 2}, "strides", []int{2, 2}, "pads", []int{1, 0, 1, 1})},
	{op: "MaxPool", in: []operand{x(2, 2, 9)}, attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1), outputs: 2},
	{op: "AveragePool", in: []operand{x(2, 3, 6, 7)}, attrs: at("kernel_shape", []int{3, 2}, "strides", []int{2, 2}, "pads", []int{1, 0, 1, 1})},
	{op: "AveragePool", in: []operand{x(1, 2, 5, 5)}, attrs: at("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}, "count_include_pad", 1)},
	{op: "LpPool", in: []operand{x(1, 2, 5, 5)}, attrs: at("kernel_shape", []int{3, 3}, "p", 3)},
	{op: "GlobalAveragePool", in: []operand{x(2, 3, 4, 2)}, open: true},
	{op: "GlobalMaxPool", in: []operand{x(2, 3, 4, 2)}},
	{op: "Resize", in: []operand{x(1, 2, 3, 4), none, {data: tensor.Of([]float32{1, 1, 2, 1.5}, 4)}}, attrs: at("mode", "nearest")},
	{op: "Resize", in: []operand{x(1, 2, 3, 4), none, none, ints(1, 2, 5, 7)}, attrs: at("mode", "linear")},
	{op: "Resize", in: []operand{x(1, 2, 6, 5), none, none, ints(1, 2, 3, 4)}, attrs: at("mode", "linear", "antialias", 1)},
	{op: "Resize", in: []operand{x(1, 1, 4, 4), none, none, ints(1, 1, 7, 6)}, attrs: at("mode", "cubic", "coordinate_transformation_mode", "align_corners")},

	{op: "Add", in: []operand{x(2, 3, 4), x(3, 1)}, open: true},
	{op: "Sub", in: []operand{x(3, 1), x(2, 3, 4)}},
	{op: "Mul", in: []operand{x(2, 3, 4), x(1, 1, 4)}},
	{op: "Mul", in: []operand{x(2, 3), x()}},
	{op: "Div", in: []operand{x(2, 3, 4), ranged(0.5, 2, 3, 4)}},
	{op: "Pow", in: []operand{ranged(0.5, 2, 2, 3), ranged(-2, 2, 3)}},
	{op: "Pow", in: []operand{x(2, 3), scalar(3)}},
	{op: "Sum", in: []operand{x(2, 3), x(3), x(2, 1)}},
	{op: "Mean", in: []operand{x(2, 3), x(3), x(2, 1)}},
	{op: "Min", in: []operand{x(2, 3), x(3), x(2, 1)}},
	{op: "Max", in: []operand{x(2, 3), x(2, 3)}},
	{op: "Where", in: []operand{{data: tensor.Of([]bool{true, false, true}, 3)}, x(2, 3), x(2, 1)}},
	{op: "Cast", in: []operand{x(2, 3)}, attrs: at("to", int(tensor.Float64))},
	{op: "Identity", in: []operand{x(2, 3)}},
	{op: "Neg", in: []operand{x(2, 3)}},
	{op: "PRelu", in: []operand{x(2, 3, 4), x(3, 1)}},
	{op: "Clip", in: []operand{x(2, 8), {data: tensor.Scalar(-0.4)}, {data: tensor.Scalar(0.6)}}},
	{op: "Clip", in: []operand{x(2, 8), none, {data: tensor.Scalar(0.25)}}},

	{op: "Concat", in: []operand{x(2, 3, 2), x(2, 1, 2), x(2, 2, 2)}, attrs: at("axis", 1)},
	{op: "Split", in: []operand{x(2, 6, 2), ints(1, 3, 2)}, attrs: at("axis", 1), outputs: 3},
	{op: "Slice", in: []operand{x(2, 6, 5), ints(1, 4), ints(6, -9), ints(1, 2), ints(2, -1)}},
	{op: "Pad", in: []operand{x(2, 3, 4), ints(0, 1, 2, 1, 0, 1)}},
	{op: "Pad", in: []operand{x(1, 3, 4), ints(0, 1, 2, 0, 0, 1)}, attrs: at("mode", "reflect")},
	{op: "Pad", in: []operand{x(1, 5, 4), ints(-1, 1), none, ints(1)}, attrs: at("mode", "edge")},
	{op: "Reshape", in: []operand{x(2, 3, 4), ints(0, -1)}, open: true},
	{op: "Flatten", in: []operand{x(2, 3, 4)}, attrs: at("axis", 2)},
	{op: "Squeeze", in: []operand{x(2, 1, 4), ints(1)}},
	{op: "Unsqueeze", in: []operand{x(2, 4), ints(0, 3)}},
	{op: "Transpose", in: []operand{x(2, 3, 4)}, attrs: at("perm", []int{2, 0, 1})},
	{op: "Transpose", in: []operand{x(2, 3, 4)}},
	{op: "Expand", in: []operand{x(3, 1), ints(2, 3, 4)}},
	{op: "Tile", in: []operand{x(2, 3), ints(3, 2)}},
	{op: "Gather", in: []operand{x(4, 3), ints(1, 3, 1)}, attrs: at("axis", 0)},
	{op: "Gather", in: []operand{x(2, 4), {data: tensor.Of([]int64{0, -1, 2, 2}, 2, 2)}}, attrs: at("axis", 1)},
	{op: "TopK", in: []operand{x(2, 5), ints(3)}, outputs: 2},
	{op: "TopK", in: []operand{x(4, 3), ints(2)}, attrs: at("axis", 0, "largest", 0), outputs: 2},
	{op: "DepthToSpace", in: []operand{x(1, 8, 2, 3)}, attrs: at("blocksize", 2)},
	{op: "DepthToSpace", in: []operand{x(1, 8, 2, 3)}, attrs: at("blocksize", 2, "mode", "CRD")},
	{op: "SpaceToDepth", in: []operand{x(1, 2, 4, 6)}, attrs: at("blocksize", 2)},
	{op: "Dropout", in: []operand{x(2, 3)}},
	{domain: training, op: "DropoutTrain", in: []operand{x(4, 8), {data: tensor.Scalar[int64](42)}}, attrs: at("ratio", 0.25, "stream", 3)},

	{op: "Softmax", in: []operand{x(2, 3, 4)}, attrs: at("axis", 1)},
	{op: "LogSoftmax", in: []operand{x(2, 3, 4)}},
	{domain: training, op: "SoftmaxCrossEntropy", in: []operand{x(4, 3), {data: tensor.Of([]int32{2, 0, -1, 1}, 4)}}, attrs: at("smoothing", 0.1), outputs: 2},
	{domain: training, op: "SoftmaxCrossEntropy", in: []operand{x(2, 3), fixed(ranged(0, 1, 2, 3))}, outputs: 2},
	{domain: training, op: "KLDistill", in: []operand{x(3, 4), fixed(x(3, 4))}, attrs: at("temperature", 4.0), outputs: 2},
	{domain: training, op: "MSELoss", in: []operand{x(3, 4), fixed(x(3, 4))}, outputs: 2},
}

func init() {
	for _, op := range []string{"Relu", "LeakyRelu", "Elu", "Celu", "Swish", "Selu", "HardSigmoid", "Sigmoid", "HardSwish",
		"Tanh", "Softplus", "Softsign", "Mish", "Gelu", "Erf", "Exp", "Abs", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asinh", "Atan"} {
		cases = append(cases, opCase{op: op, in: []operand{ranged(-1.4, 1.4, 3, 7)}})
	}
	for _, op := range []string{"ThresholdedRelu", "Log", "Sqrt", "Reciprocal"} {
		cases = append(cases, opCase{op: op, in: []operand{ranged(0.3, 3, 3, 7)}})
	}
	for _, op := range []string{"Asin", "Acos", "Atanh"} {
		cases = append(cases, opCase{op: op, in: []operand{ranged(-0.8, 0.8, 3, 7)}})
	}
	cases = append(cases, opCase{op: "Acosh", in: []operand{ranged(1.3, 3, 3, 7)}},
		opCase{op: "Gelu", in: []operand{x(3, 7)}, attrs: at("approximate", "tanh")})
	for _, op := range []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd",
		"ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"} {
		in := ranged(0.3, 2, 2, 3, 4)
		cases = append(cases,
			opCase{op: op, in: []operand{in, ints(0, 2)}, attrs: at("keepdims", 0)},
			opCase{op: op, in: []operand{in, ints(-1)}, open: true},
			opCase{op: op, in: []operand{in}})
	}
}

// build makes a graph of the case with the loss Σ outputs·weights.
func (c opCase) build(rng *rand.Rand) (g *graph.Graph, loss *graph.Value, wrt []*graph.Value, feed map[string]*tensor.Tensor) {
	g = graph.New(c.op)
	feed = map[string]*tensor.Tensor{}
	var in []*graph.Value
	for i, o := range c.in {
		name := fmt.Sprintf("in%d", i)
		switch {
		case o.absent:
			in = append(in, nil)
			continue
		case o.data != nil:
			in = append(in, g.AddConst(name, o.data))
			continue
		}
		shape := graph.ShapeOf(o.shape)
		if c.open && i == 0 {
			shape[0] = graph.Sym("N")
		}
		v := g.AddInput(name, tensor.Float64, shape)
		feed[name] = random(rng, o)
		if !o.fixed {
			wrt = append(wrt, v)
		}
		in = append(in, v)
	}
	var names []string
	for i := range max(c.outputs, 1) {
		names = append(names, fmt.Sprintf("out%d", i))
	}
	n := g.Append(g.NewNode(c.domain, c.op, "node", in, names, c.attrs))
	if err := n.InferShape(); err != nil {
		panic(err)
	}
	outs := n.Outputs
	if len(outs) > 1 && c.op != "Split" {
		outs = outs[:1] // the others are not differentiable
	}
	for i, o := range outs {
		w := g.AddInput(fmt.Sprintf("weight%d", i), tensor.Float64, slices.Clone(o.Shape))
		s := g.Add("ReduceSum", fmt.Sprintf("sum%d", i), graph.Attrs{"keepdims": int64(0)}, g.Add("Mul", "", nil, o, w))
		if loss == nil {
			loss = s
		} else {
			loss = g.Add("Add", "", nil, loss, s)
		}
	}
	g.AddOutput(loss)
	return g, loss, wrt, feed
}

func random(rng *rand.Rand, o operand) *tensor.Tensor {
	if o.lo == 0 && o.hi == 0 {
		o.lo, o.hi = -1, 1
	}
	t := tensor.New(tensor.Float64, o.shape...)
	for i, d := 0, tensor.Data[float64](t); i < len(d); i++ {
		d[i] = o.lo + (o.hi-o.lo)*rng.Float64()
	}
	return t
}

// weigh draws the weights of the outputs, whose shapes are learned by a run.
func weigh(t *testing.T, g *graph.Graph, rng *rand.Rand, feed map[string]*tensor.Tensor) {
	t.Helper()
	n := g.Nodes[0]
	in := make([]*tensor.Tensor, len(n.Inputs))
	for i, v := range n.Inputs {
		if v != nil {
			if in[i] = v.Data; in[i] == nil {
				in[i] = feed[v.Name]
			}
		}
	}
	out, err := eval.Node(n, in)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; g.Value(fmt.Sprintf("weight%d", i)) != nil; i++ {
		feed[fmt.Sprintf("weight%d", i)] = random(rng, x(out[i].Shape...))
	}
}

func run(t *testing.T, g *graph.Graph, feed map[string]*tensor.Tensor, name string) *tensor.Tensor {
	t.Helper()
	out, err := eval.Run(g, feed)
	if err != nil {
		t.Fatal(err)
	}
	return out[name]
}

// TestRules compares every rule with central differences.
func TestRules(t *testing.T) {
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d/%s", i, c.op), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 99))
			g, loss, wrt, feed := c.build(rng)
			weigh(t, g, rng, feed)
			plain, lossName := g.Clone(), loss.Name
			grads, err := Gradient(g, loss, wrt)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range wrt {
				d := grads[v]
				if d == nil {
					t.Fatalf("no gradient of %s", v.Name)
				}
				if !slices.Contains(g.Outputs, d) {
					g.AddOutput(d)
				}
			}
			if err := g.Verify(); err != nil {
				t.Fatal(err)
			}
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			out, err := eval.Run(g, feed)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range wrt {
				compare(t, plain, lossName, v.Name, feed, out[grads[v].Name])
			}
		})
	}
}

// compare checks a gradient against central differences of the loss.
func compare(t *testing.T, g *graph.Graph, loss, name string, feed map[string]*tensor.Tensor, grad *tensor.Tensor) {
	t.Helper()
	value := feed[name]
	if !slices.Equal(grad.Shape, value.Shape) {
		t.Fatalf("gradient of %s has shape %v, want %v", name, grad.Shape, value.Shape)
	}
	const h = 1e-6
	d := tensor.Data[float64](value)
	for i := range d {
		keep := d[i]
		d[i] = keep + h
		up := run(t, g, feed, loss).At(0)
		d[i] = keep - h
		down := run(t, g, feed, loss).At(0)
		d[i] = keep
		want := (up - down) / (2 * h)
		if got := grad.At(i); !(math.Abs(got-want) <= 2e-6*(1+math.Abs(want))) {
			t.Fatalf("gradient of %s[%d] is %v, central differences say %v", name, i, got, want)
		}
	}
}

// TestEveryRuleIsTested keeps the table complete.
func TestEveryRuleIsTested(t *testing.T) {
	tested := map[[2]string]bool{{"", "Floor"}: true, {"", "Ceil"}: true, {"", "Round"}: true, {"", "Sign"}: true,
		{"", "QuantizeLinear"}: true, {"", "DequantizeLinear"}: true} // see the tests below
	for _, c := range cases {
		tested[[2]string{c.domain, c.op}] = true
	}
	for key := range rules {
		if !tested[key] {
			t.Errorf("the rule of %v has no case", key)
		}
	}
}

func TestStepsHaveNoGradient(t *testing.T) {
	for _, op := range []string{"Floor", "Ceil", "Round", "Sign"} {
		g := graph.New(op)
		v := g.AddInput("x", tensor.Float32, graph.Dims(3))
		y := g.Add(op, "", nil, v)
		loss := g.Add("ReduceSum", "", nil, g.Add("Add", "", nil, y, v))
		grads, err := Gradient(g, loss, []*graph.Value{v})
		if err != nil {
			t.Fatal(err)
		}
		g.AddOutput(grads[v])
		got := run(t, g, map[string]*tensor.Tensor{"x": tensor.Of([]float32{0.3, -2, 1.7}, 3)}, grads[v].Name)
		if !slices.Equal(got.Float32s(), []float32{1, 1, 1}) {
			t.Errorf("%s: gradient %v, want only that of the sum", op, got.Float32s())
		}
	}
}

// TestStraightThrough checks that the gradient passes a quantizer inside its
// range only.
func TestStraightThrough(t *testing.T) {
	g := graph.New("qdq")
	v := g.AddInput("x", tensor.Float32, graph.Dims(2, 3))
	scale := g.AddConst("scale", tensor.Of([]float32{0.5, 0.1}, 2))
	zero := g.AddConst("zero", tensor.Of([]int8{0, 27}, 2))
	q := g.Add("QuantizeLinear", "q", graph.Attrs{"axis": int64(0)}, v, scale, zero)
	y := g.Add("DequantizeLinear", "dq", graph.Attrs{"axis": int64(0)}, q, scale, zero)
	w := g.AddConst("w", tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 2, 3))
	loss := g.Add("ReduceSum", "", nil, g.Add("Mul", "", nil, y, w))
	grads, err := Gradient(g, loss, []*graph.Value{v})
	if err != nil {
		t.Fatal(err)
	}
	g.AddOutput(grads[v])
	// Ranges: row 0 -64 … 63.5, row 1 -15.5 … 10.
	in := tensor.Of([]float32{-63, 63.6, 0, 9.9, 10.1, -15.6}, 2, 3)
	got := run(t, g, map[string]*tensor.Tensor{"x": in}, grads[v].Name)
	if want := []float32{1, 0, 3, 4, 0, 0}; !slices.Equal(got.Float32s(), want) {
		t.Errorf("gradient %v, want %v", got.Float32s(), want)
	}
}

func TestErrors(t *testing.T) {
	g := graph.New("errors")
	v := g.AddInput("x", tensor.Float32, graph.Dims(3))
	other := g.AddInput("other", tensor.Float32, graph.Dims(3))
	loss := g.Add("ReduceSum", "", nil, v)
	if _, err := Gradient(g, loss, []*graph.Value{other}); err == nil || !strings.Contains(err.Error(), "does not depend") {
		t.Errorf("gradient of an unrelated value: %v", err)
	}
	n := g.Append(g.NewNode("", "Mystery", "m", []*graph.Value{v}, []string{"y"}, nil))
	n.Outputs[0].Type, n.Outputs[0].Shape = tensor.Float32, graph.Dims(3)
	sum := g.Add("ReduceSum", "", nil, n.Outputs[0])
	if _, err := Gradient(g, sum, []*graph.Value{v}); err == nil || !strings.Contains(err.Error(), `node "m" (Mystery)`) {
		t.Errorf("gradient through an unknown operator: %v", err)
	}
}

// TestValueUsedTwice checks that gradients add up.
func TestValueUsedTwice(t *testing.T) {
	g := graph.New("twice")
	v := g.AddInput("x", tensor.Float64, graph.Dims(2))
	y := g.Add("Mul", "", nil, v, v)
	loss := g.Add("ReduceSum", "", graph.Attrs{"keepdims": int64(0)}, g.Add("Add", "", nil, y, v))
	grads, err := Gradient(g, loss, []*graph.Value{v, y})
	if err != nil {
		t.Fatal(err)
	}
	g.AddOutput(grads[v])
	got := run(t, g, map[string]*tensor.Tensor{"x": tensor.Of([]float64{3, -1}, 2)}, grads[v].Name)
	if got.At(0) != 7 || got.At(1) != -1 {
		t.Errorf("gradient of x²+x at 3 and -1 is %v and %v, want 7 and -1", got.At(0), got.At(1))
	}
	if grads[y] == nil {
		t.Error("no gradient of the intermediate value")
	}
}
