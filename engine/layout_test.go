package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// maker builds small networks by hand.
type maker struct {
	g   *graph.Graph
	rng *rand.Rand
	n   int
}

func newMaker(shape ...int) (*maker, *graph.Value) {
	m := &maker{g: graph.New("net"), rng: rand.New(rand.NewPCG(5, 6))}
	return m, m.g.AddInput("input", tensor.Float32, graph.ShapeOf(shape))
}

func (m *maker) weights(scale float32, shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape...)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = scale * float32(m.rng.NormFloat64())
	}
	m.n++
	return m.g.AddConst(fmt.Sprintf("w%d", m.n), t)
}

func (m *maker) ints(v ...int) *graph.Value {
	m.n++
	return m.g.AddConst(fmt.Sprintf("i%d", m.n), tensor.Of(graph.Int64s(v), len(v)))
}

func (m *maker) op(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	m.n++
	return m.g.Add(op, fmt.Sprintf("%s%d", op, m.n), attrs, in...)
}

// conv adds a k×k convolution from in to out channels that keeps the size.
func (m *maker) conv(x *graph.Value, in, out, k, groups int) *graph.Value {
	p := int64(k / 2)
	return m.op("Conv", graph.Attrs{"kernel_shape": []int64{int64(k), int64(k)}, "pads": []int64{p, p, p, p}, "group": int64(groups)},
		x, m.weights(0.3, out, in/groups, k, k), m.weights(0.1, out))
}

func (m *maker) done(t testing.TB, out *graph.Value) *graph.Graph {
	t.Helper()
	m.g.AddOutput(out)
	if err := m.g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	return m.g
}

// uNet goes down by a pool, up by a transposed convolution and by resampling,
// and classifies every pixel.
func uNet(t testing.TB) *graph.Graph {
	m, x := newMaker(2, 3, 16, 16)
	a := m.op("Relu", nil, m.op("InstanceNormalization", nil, m.conv(x, 3, 8, 3, 1), m.weights(1, 8), m.weights(1, 8)))
	b := m.op("MaxPool", graph.Attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}, a)
	b = m.op("PRelu", nil, m.op("GroupNormalization", graph.Attrs{"num_groups": int64(4)}, m.conv(b, 8, 16, 3, 1), m.weights(1, 16), m.weights(1, 16)), m.weights(1, 16, 1, 1))
	c := m.op("AveragePool", graph.Attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}, b)
	c = m.op("Relu", nil, m.conv(c, 16, 24, 3, 1))
	c = m.op("Resize", graph.Attrs{"mode": "linear", "coordinate_transformation_mode": "half_pixel"}, c, nil, m.g.AddConst("scales", tensor.Of([]float32{1, 1, 2, 2}, 4)))
	c = m.conv(m.op("Concat", graph.Attrs{"axis": int64(1)}, c, b), 40, 16, 1, 1)
	c = m.op("Relu", nil, m.op("ConvTranspose", graph.Attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}, c, m.weights(0.3, 16, 8, 2, 2), m.weights(0.1, 8)))
	c = m.conv(m.op("Concat", graph.Attrs{"axis": int64(1)}, c, a), 16, 8, 3, 1)
	c = m.op("DepthToSpace", graph.Attrs{"blocksize": int64(2)}, m.op("SpaceToDepth", graph.Attrs{"blocksize": int64(2)}, c))
	return m.done(t, m.op("Softmax", graph.Attrs{"axis": int64(1)}, m.conv(c, 8, 5, 1, 1)))
}

// convNeXt is two blocks with a norm and a perceptron over channels-last pixels.
func convNeXt(t testing.TB) *graph.Graph {
	m, x := newMaker(2, 3, 16, 16)
	x = m.op("Conv", graph.Attrs{"kernel_shape": []int64{4, 4}, "strides": []int64{4, 4}}, x, m.weights(0.2, 8, 3, 4, 4), m.weights(0.1, 8))
	for range 2 {
		y := m.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 3, 1}}, m.conv(x, 8, 8, 7, 8))
		y = m.op("LayerNormalization", graph.Attrs{"epsilon": float32(1e-6)}, y, m.weights(1, 8), m.weights(1, 8))
		y = m.op("Gelu", nil, m.op("Add", nil, m.op("MatMul", nil, y, m.weights(0.3, 8, 32)), m.weights(0.1, 32)))
		y = m.op("Add", nil, m.op("MatMul", nil, y, m.weights(0.3, 32, 8)), m.weights(0.1, 8))
		x = m.op("Add", nil, x, m.op("Transpose", graph.Attrs{"perm": []int64{0, 3, 1, 2}}, m.op("Mul", nil, m.weights(1, 8), y)))
	}
	x = m.op("ReduceMean", graph.Attrs{"keepdims": int64(0)}, x, m.ints(2, 3))
	return m.done(t, m.op("Gemm", nil, x, m.weights(0.3, 8, 4), m.weights(0.1, 4)))
}

// attention weighs pixels and channels by what reductions say of them, and
// moves channels about.
func attention(t testing.TB) *graph.Graph {
	m, x := newMaker(2, 3, 8, 8)
	x = m.op("Relu", nil, m.conv(x, 3, 12, 3, 1))
	top := m.op("ReduceMax", nil, x, m.ints(1))
	mean := m.op("ReduceMean", nil, x, m.ints(1))
	x = m.op("Mul", nil, x, m.op("Sigmoid", nil, m.conv(m.op("Concat", graph.Attrs{"axis": int64(1)}, top, mean), 2, 1, 7, 1)))
	x = m.op("Mul", nil, x, m.op("Sigmoid", nil, m.op("ReduceL2", nil, x, m.ints(2, 3))))
	x = m.conv(m.op("Gather", graph.Attrs{"axis": int64(1)}, x, m.ints(11, 3, 5, 7, 1, 0, 2, 4, 6, 8, 10, 9)), 12, 12, 3, 3)
	y := m.op("Reshape", nil, m.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 1, 3, 4}}, m.op("Reshape", nil, x, m.ints(0, 3, 4, 8, 8))), m.ints(0, 12, 8, 8))
	z := m.op("Where", nil, m.op("Greater", nil, y, m.weights(1, 12, 1, 1)), y, m.weights(1, 1))
	y = m.op("Sum", nil, m.op("Max", nil, y, z, m.weights(1, 12, 1, 1)), x, m.op("Mean", nil, z, x))
	y = m.op("Tile", nil, y, m.ints(1, 2, 1, 1))
	y = m.op("Slice", nil, m.conv(y, 24, 12, 1, 1), m.ints(2), m.ints(10), m.ints(1))
	y = m.op("GlobalMaxPool", nil, y)
	return m.done(t, m.op("Gemm", nil, m.op("Flatten", nil, y), m.weights(0.3, 8, 4), m.weights(0.1, 4)))
}

// TestLayoutStays checks that whole networks run on kernels of the engine, and
// change the layout nowhere but at their borders.
func TestLayoutStays(t *testing.T) {
	hand := map[string]func(testing.TB) *graph.Graph{"u-net": uNet, "convnext": convNeXt, "attention": attention}
	for _, c := range []struct {
		spec  string
		plain int // conversions back: segmentation has one at its output
	}{
		{"u-net", 1}, {"convnext", 0}, {"attention", 0},
		{"lenet5", 0}, {"alexnet?size=96&width=0.125", 0}, {"vgg11?size=64&width=0.125", 0}, {"resnet20", 0}, {"resnet50?size=64&width=0.125", 0},
		{"squeezenet1.1?size=64&width=0.5", 0}, {"mobilenetv2?size=64&width=0.125", 0}, {"mobilenetv3-small?size=64&width=0.5", 0},
		{"efficientnet-b0?size=64&width=0.125", 0}, {"shufflenetv1?size=64", 0}, {"shufflenetv2?size=64&width=0.5", 0}, {"densenet121?size=64&width=0.25", 0},
	} {
		t.Run(c.spec, func(t *testing.T) {
			var g *graph.Graph
			if build := hand[c.spec]; build != nil {
				g = build(t)
				compare(t, g, randomInputs(g, 2, 9), 1e-5)
			} else {
				var err error
				if g, err = zoo.Build(c.spec, 1); err != nil {
					t.Fatal(err)
				}
			}
			p, err := engine.Compile(g, engine.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			count := map[string]int{}
			for _, s := range p.Steps() {
				count[s.Kernel]++
				if s.Kernel == "eval" {
					t.Errorf("%s %q runs outside the engine", s.Op, s.Node)
				}
			}
			if count["to-channels-last"] > 1 || count["to-plain"] > c.plain {
				t.Errorf("%d conversions to channels-last and %d back, in %v", count["to-channels-last"], count["to-plain"], count)
			}
			in := []*tensor.Tensor{tensor.New(tensor.Float32, p.InputShape(0)...)}
			out := p.NewOutputs()
			if n := testing.AllocsPerRun(5, func() {
				if err := p.RunInto(context.Background(), in, out); err != nil {
					t.Fatal(err)
				}
			}); n > 0 {
				t.Errorf("%g allocations a run", n)
			}
		})
	}
}
