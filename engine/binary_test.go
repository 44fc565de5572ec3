package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// binaryNet builds networks of binary convolutions.
type binaryNet struct {
	*graph.Graph
	rng    *rand.Rand
	serial int
}

func newBinaryNet(seed uint64, shape ...int) (*binaryNet, *graph.Value) {
	b := &binaryNet{Graph: graph.New("binary"), rng: rand.New(rand.NewPCG(seed, 3))}
	return b, b.AddInput("x", tensor.Float32, graph.ShapeOf(shape))
}

func (b *binaryNet) constant(spread, mean float64, shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape...)
	for i, d := 0, t.Float32s(); i < len(d); i++ {
		d[i] = float32(mean + spread*b.rng.NormFloat64())
	}
	return b.AddConst("c", t)
}

// conv appends a BinaryConv, packed or not, with scale and bias.
func (b *binaryNet) conv(x *graph.Value, c, k int, packed bool, attrs graph.Attrs) *graph.Value {
	group := (&graph.Node{Attrs: attrs}).Int("group", 1)
	w := b.constant(1, 0, k, c/group, 3, 3)
	if packed {
		var shape []int64
		attrs = attrs.Clone()
		w.Data, shape = graph.PackSigns(w.Data)
		w.Type, w.Shape = tensor.Uint8, graph.ShapeOf(w.Data.Shape)
		attrs["weight_shape"] = shape
	}
	b.serial++
	name := fmt.Sprint("b", b.serial)
	in := []*graph.Value{x, w, b.constant(0.05, 0, k), b.constant(1, 0, k)}
	return b.Append(b.NewNode(graph.DrawknifeDomain, graph.BinaryConv, name, in, []string{name}, attrs)).Outputs[0]
}

func (b *binaryNet) norm(x *graph.Value, c int) *graph.Value {
	b.serial++
	return b.Add("BatchNormalization", fmt.Sprint("n", b.serial), nil, x,
		b.constant(0.3, 0, c), b.constant(0.5, 0, c), b.constant(0.5, 0, c), b.constant(0.1, 1, c))
}

func (b *binaryNet) finish(t *testing.T, outputs ...*graph.Value) *graph.Graph {
	t.Helper()
	for _, v := range outputs {
		b.AddOutput(v)
	}
	if err := b.InferShapes(); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(); err != nil {
		t.Fatal(err)
	}
	return b.Graph
}

// kernels counts the steps of g by kernel.
func kernels(t *testing.T, g *graph.Graph) map[string]int {
	t.Helper()
	p, err := engine.Compile(g, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range p.Steps() {
		count[s.Kernel]++
	}
	return count
}

var pads = []int64{1, 1, 1, 1}

// TestBinaryChain runs a chain whose activations are packed once, and stay so.
func TestBinaryChain(t *testing.T) {
	b, x := newBinaryNet(1, 2, 24, 9, 7)
	y := b.norm(b.conv(x, 24, 48, false, graph.Attrs{"pads": pads}), 48)
	y = b.Add("Clip", "tanh", nil, y, b.AddConst("lo", tensor.Scalar[float32](-1)), b.AddConst("hi", tensor.Scalar[float32](1)))
	y = b.conv(y, 48, 40, true, graph.Attrs{"pads": pads, "strides": []int64{2, 2}})
	y = b.conv(y, 40, 60, false, graph.Attrs{"pads": pads, "group": int64(5), "pad_value": float32(1)})
	g := b.finish(t, b.norm(y, 60))
	compare(t, g, randomInputs(g, 1, 2), 1e-5)
	if k := kernels(t, g); k["pack-signs"] != 1 || k["eval"] != 0 || k["batchnorm"] != 0 {
		t.Errorf("steps %v", k)
	}
}

// TestBinaryResidual runs blocks that add their input, as IR-Net and Bi-Real
// have them, with readers of both kinds.
func TestBinaryResidual(t *testing.T) {
	b, x := newBinaryNet(4, 1, 16, 8, 8)
	for i := range 3 {
		y := b.norm(b.conv(x, 16, 16, i%2 == 0, graph.Attrs{"pads": pads}), 16)
		y = b.Add("Add", fmt.Sprint("add", i), nil, y, x)
		x = b.Add("Clip", fmt.Sprint("clip", i), nil, y, b.AddConst("lo", tensor.Scalar[float32](-1)), b.AddConst("hi", tensor.Scalar[float32](1)))
	}
	relu := b.conv(x, 16, 8, false, graph.Attrs{"pads": pads})
	relu = b.conv(b.Add("Relu", "relu", nil, relu), 8, 8, false, nil)
	g := b.finish(t, x, relu)
	compare(t, g, randomInputs(g, 1, 2), 1e-5)
	if k := kernels(t, g); k["eval"] != 0 || k["pack-signs"] != 5 {
		t.Errorf("steps %v", k)
	}
	p, err := engine.Compile(g, engine.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	in, out, ctx := []*tensor.Tensor{tensor.New(tensor.Float32, 1, 16, 8, 8)}, p.NewOutputs(), context.Background()
	if n := testing.AllocsPerRun(5, func() {
		if err := p.RunInto(ctx, in, out); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%g allocations a run", n)
	}
}

// TestSignsSpelledOut runs convolutions of signs in standard operators as
// binary ones, where they are.
func TestSignsSpelledOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  bool // one weight has another magnitude
		sign   func(b *binaryNet, x *graph.Value) *graph.Value
		binary bool
	}{
		{"where", false, where, true},
		{"cast", false, cast, true},
		{"other magnitude", true, where, false},
		{"sign", false, func(b *binaryNet, x *graph.Value) *graph.Value { return b.Add("Sign", "sign", nil, x) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, x := newBinaryNet(7, 1, 16, 6, 6)
			w := b.constant(1, 0, 8, 16, 3, 3)
			for i, v := range w.Data.Float32s() {
				w.Data.Float32s()[i] = float32(i/144+1) * 0.37
				if v < 0 {
					w.Data.Float32s()[i] *= -1
				}
			}
			if c.spoil {
				w.Data.Float32s()[5] *= 2
			}
			y := b.Add("Conv", "conv", graph.Attrs{"pads": pads}, c.sign(b, x), w, b.constant(1, 0, 8))
			g := b.finish(t, b.norm(y, 8))
			in := randomInputs(g, 1, 2)
			in["x"].Float32s()[3] = 0
			compare(t, g, in, 1e-5)
			if k := kernels(t, g); (k["pack-signs"] == 1) != c.binary {
				t.Errorf("steps %v", k)
			}
		})
	}
}

func where(b *binaryNet, x *graph.Value) *graph.Value {
	zero, one, minus := b.AddConst("zero", tensor.Scalar[float32](0)), b.AddConst("one", tensor.Scalar[float32](1)), b.AddConst("minus", tensor.Scalar[float32](-1))
	return b.Add("Where", "where", nil, b.Add("GreaterOrEqual", "ge", nil, x, zero), one, minus)
}

func cast(b *binaryNet, x *graph.Value) *graph.Value {
	zero, one, two := b.AddConst("zero", tensor.Scalar[float32](0)), b.AddConst("one", tensor.Scalar[float32](1)), b.AddConst("two", tensor.Scalar[float32](2))
	up := b.Add("Cast", "cast", graph.Attrs{"to": int64(tensor.Float32)}, b.Add("LessOrEqual", "le", nil, zero, x))
	return b.Add("Sub", "sub", nil, b.Add("Mul", "mul", nil, up, two), one)
}

// TestBinaryThresholds runs signs about numbers other than zero, as ReActNet
// has them, between floats and within a chain of signs.
func TestBinaryThresholds(t *testing.T) {
	b, x := newBinaryNet(11, 1, 16, 6, 6)
	shift := func(op string, v *graph.Value, c int) *graph.Value {
		b.serial++
		in := []*graph.Value{v, b.constant(0.3, 0, c, 1, 1)}
		if op == "Add" {
			in[0], in[1] = in[1], in[0]
		}
		return b.Add(op, fmt.Sprint("s", b.serial), nil, in...)
	}
	first := shift("Sub", x, 16)
	y := b.norm(b.conv(first, 16, 24, true, graph.Attrs{"pads": pads}), 24)
	y = b.conv(shift("Add", y, 24), 24, 32, false, graph.Attrs{"pads": pads})
	z := b.conv(x, 16, 32, false, graph.Attrs{"pads": pads})
	g := b.finish(t, b.Add("Add", "sum", nil, y, z))
	compare(t, g, randomInputs(g, 1, 2), 1e-5)
	// x is packed twice: about the thresholds and about zero.
	if k := kernels(t, g); k["pack-signs"] != 2 || k["eval"] != 0 || len(k) != 5 {
		t.Errorf("steps %v", k)
	}
}

// TestBinaryVariable computes weights that change between runs by the
// reference.
func TestBinaryVariable(t *testing.T) {
	b, x := newBinaryNet(9, 1, 8, 5, 5)
	g := b.finish(t, b.conv(x, 8, 8, false, nil))
	name := g.Nodes[0].Inputs[1].Name
	in := randomInputs(g, 1, 2)
	p, err := engine.Compile(g, engine.Options{Variables: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Variable(name).Float32s() {
		p.Variable(name).Float32s()[i] = 1
		g.Value(name).Data.Float32s()[i] = 1
	}
	want, err := eval.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if o := g.Outputs[0].Name; !got[o].Equal(want[o]) {
		t.Error("differs from the reference")
	}
}
