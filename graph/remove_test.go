package graph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// net builds small graphs with random parameters.
type net struct {
	*graph.Graph
	r *rand.Rand
	k int
}

func newNet(shape ...int) (*net, *graph.Value) {
	n := &net{Graph: graph.New("net"), r: rand.New(rand.NewPCG(3, 4))}
	s := graph.Dims(shape...)
	s[0] = graph.Sym("N")
	return n, n.AddInput("x", tensor.Float32, s)
}

func (n *net) name(op string) string {
	n.k++
	return fmt.Sprint(op, n.k)
}

func (n *net) random(shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape...)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = float32(n.r.NormFloat64()) / 2
	}
	return n.AddConst(n.name("p"), t)
}

func (n *net) ints(v ...int64) *graph.Value {
	return n.AddConst(n.name("i"), tensor.Of(v, len(v)))
}

func (n *net) op(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return n.Add(op, n.name(strings.ToLower(op)), attrs, in...)
}

// conv is a convolution with bias and "same" padding.
func (n *net) conv(x *graph.Value, o, k, group int) *graph.Value {
	c := x.Shape[1].Size
	p := int64(k / 2)
	return n.op("Conv", graph.Attrs{"group": int64(group), "pads": []int64{p, p, p, p}}, x, n.random(o, c/group, k, k), n.random(o))
}

func (n *net) relu(x *graph.Value) *graph.Value { return n.op("Relu", nil, x) }

func (n *net) bn(x *graph.Value) *graph.Value {
	c := x.Shape[1].Size
	v := tensor.New(tensor.Float32, c)
	for i, d := 0, tensor.Data[float32](v); i < c; i++ {
		d[i] = 0.5 + n.r.Float32()
	}
	return n.op("BatchNormalization", nil, x, n.random(c), n.random(c), n.random(c), n.AddConst(n.name("v"), v))
}

// head ends a net of images with pooling and a classifier.
func (n *net) head(x *graph.Value) {
	y := n.op("Flatten", nil, n.op("GlobalAveragePool", nil, x))
	n.AddOutput(n.op("Gemm", graph.Attrs{"transB": int64(1)}, y, n.random(5, y.Shape[1].Size), n.random(5)))
}

// shuffle is a channel shuffle of g blocks.
func (n *net) shuffle(x *graph.Value, g int) *graph.Value {
	s := x.Shape.Ints()
	y := n.op("Reshape", nil, x, n.ints(0, int64(g), int64(s[1]/g), int64(s[2]), int64(s[3])))
	y = n.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 1, 3, 4}}, y)
	return n.op("Reshape", nil, y, n.ints(-1, int64(s[1]), int64(s[2]), int64(s[3])))
}

type pattern struct {
	name  string
	build func() *net
	// sizes of the groups that can lose channels, in order.
	sizes []int
}

func i64(v int) int64 { return int64(v) }

var patterns = []pattern{
	{"residual", func() *net {
		n, x := newNet(1, 3, 6, 6)
		x = n.relu(n.bn(n.conv(x, 8, 3, 1)))
		y := n.conv(n.relu(n.bn(n.conv(x, 6, 3, 1))), 8, 3, 1)
		n.head(n.relu(n.op("Add", nil, y, x)))
		return n
	}, []int{8, 6}},
	{"padded shortcut", func() *net {
		n, x := newNet(1, 3, 6, 6)
		x = n.relu(n.conv(x, 4, 3, 1))
		y := n.op("Conv", graph.Attrs{"strides": []int64{2, 2}, "pads": []int64{1, 1, 1, 1}}, x, n.random(8, 4, 3, 3))
		s := n.op("Slice", nil, x, n.ints(0, 0), n.ints(1<<62, 1<<62), n.ints(2, 3), n.ints(2, 2))
		s = n.op("Pad", nil, s, n.ints(0, 2, 0, 0, 0, 2, 0, 0))
		n.head(n.op("Add", nil, y, s))
		return n
	}, []int{8}},
	{"concat", func() *net {
		n, x := newNet(1, 3, 6, 6)
		a, b := n.relu(n.conv(x, 4, 1, 1)), n.relu(n.conv(x, 6, 3, 1))
		n.head(n.relu(n.bn(n.conv(n.bn(n.op("Concat", graph.Attrs{"axis": i64(1)}, a, b)), 7, 1, 1))))
		return n
	}, []int{4, 6, 7}},
	{"split", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.relu(n.conv(x, 8, 3, 1))
		s := n.Append(n.NewNode("", "Split", "split", []*graph.Value{y}, []string{"s0", "s1"}, graph.Attrs{"axis": i64(1), "num_outputs": i64(2)}))
		if err := s.InferShape(); err != nil {
			panic(err)
		}
		n.head(n.op("Concat", graph.Attrs{"axis": i64(1)}, n.conv(s.Outputs[0], 3, 3, 1), s.Outputs[1]))
		return n
	}, []int{8, 3}},
	{"slices of channels", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.relu(n.conv(x, 9, 3, 1))
		a := n.op("Slice", nil, y, n.ints(1), n.ints(6), n.ints(1))
		b := n.op("Slice", nil, y, n.ints(8), n.ints(0), n.ints(1), n.ints(-2))
		c := n.op("Gather", graph.Attrs{"axis": i64(1)}, y, n.ints(7, -1, 0, 0))
		n.head(n.op("Concat", graph.Attrs{"axis": i64(1)}, a, b, c))
		return n
	}, []int{9}},
	{"depthwise with multiplier", func() *net {
		n, x := newNet(1, 3, 6, 6)
		n.head(n.relu(n.conv(n.relu(n.conv(n.relu(n.conv(x, 5, 1, 1)), 10, 3, 5)), 7, 1, 1)))
		return n
	}, []int{5, 7}},
	{"grouped", func() *net {
		n, x := newNet(1, 3, 6, 6)
		n.head(n.conv(n.relu(n.bn(n.conv(n.relu(n.conv(x, 8, 1, 1)), 12, 3, 2))), 6, 1, 1))
		return n
	}, []int{8, 12, 6}},
	{"grouped shuffle", func() *net {
		n, x := newNet(1, 4, 6, 6)
		y := n.shuffle(n.relu(n.conv(x, 12, 1, 2)), 3)
		y = n.conv(n.bn(n.conv(y, 12, 3, 12)), 12, 1, 3)
		n.head(y)
		return n
	}, []int{12, 12}},
	{"free shuffle", func() *net {
		n, x := newNet(1, 3, 6, 6)
		n.head(n.conv(n.shuffle(n.relu(n.conv(x, 12, 1, 1)), 3), 4, 1, 1))
		return n
	}, []int{12, 4}},
	{"squeeze and excite", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.relu(n.bn(n.conv(x, 8, 3, 1)))
		s := n.op("ReduceMean", nil, y, n.ints(2, 3))
		s = n.op("Sigmoid", nil, n.conv(n.relu(n.conv(s, 4, 1, 1)), 8, 1, 1))
		n.head(n.conv(n.op("Mul", nil, y, s), 6, 1, 1))
		return n
	}, []int{8, 4, 6}},
	{"flatten", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.op("Flatten", nil, n.relu(n.conv(x, 5, 3, 1)))
		y = n.relu(n.op("Gemm", nil, y, n.random(180, 7), n.random(1, 7)))
		n.AddOutput(n.op("MatMul", nil, y, n.random(7, 3)))
		return n
	}, []int{5, 7}},
	{"view by size", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.relu(n.conv(x, 5, 3, 1))
		size := n.op("Gather", nil, n.op("Shape", nil, y), n.ints(0))
		y = n.op("Reshape", nil, y, n.op("Concat", graph.Attrs{"axis": i64(0)}, size, n.ints(180)))
		n.AddOutput(n.op("Gemm", nil, y, n.random(180, 3)))
		return n
	}, []int{5}},
	{"channels last", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 3, 1}}, n.relu(n.conv(x, 5, 3, 1)))
		y = n.op("Add", nil, y, n.random(5))
		y = n.op("Reshape", nil, y, n.ints(0, -1))
		n.AddOutput(n.op("MatMul", nil, y, n.random(180, 3)))
		return n
	}, []int{5}},
	{"ConvNeXt block", func() *net {
		n, x := newNet(1, 3, 6, 6)
		x = n.conv(x, 8, 3, 1)
		y := n.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 3, 1}}, n.conv(x, 8, 3, 8))
		y = n.op("LayerNormalization", nil, y, n.random(8), n.random(8))
		y = n.op("Gelu", nil, n.op("Add", nil, n.op("MatMul", nil, y, n.random(8, 16)), n.random(16)))
		y = n.op("Mul", nil, n.op("Add", nil, n.op("MatMul", nil, y, n.random(16, 8)), n.random(8)), n.random(8))
		y = n.op("Transpose", graph.Attrs{"perm": []int64{0, 3, 1, 2}}, y)
		n.head(n.op("Add", nil, x, y))
		return n
	}, []int{16}},
	{"shared weights", func() *net {
		n, x := newNet(1, 3, 6, 6)
		w, b := n.random(6, 3, 3, 3), n.random(6)
		pads := graph.Attrs{"pads": []int64{1, 1, 1, 1}}
		y, z := n.relu(n.op("Conv", pads, x, w, b)), n.op("Tanh", nil, n.op("Conv", pads, n.relu(x), w, b))
		n.head(n.op("Concat", graph.Attrs{"axis": i64(1)}, y, n.conv(z, 4, 1, 1)))
		return n
	}, []int{6, 4}},
	{"transposed convolution", func() *net {
		n, x := newNet(1, 3, 5, 5)
		y := n.relu(n.conv(x, 6, 3, 1))
		y = n.relu(n.op("ConvTranspose", graph.Attrs{"strides": []int64{2, 2}}, y, n.random(6, 8, 2, 2), n.random(8)))
		y = n.op("ConvTranspose", graph.Attrs{"strides": []int64{2, 2}, "group": i64(8)}, y, n.random(8, 2, 2, 2), n.random(16))
		n.head(y)
		return n
	}, []int{6, 8}},
	{"PRelu and constants", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.op("PRelu", nil, n.conv(x, 6, 3, 1), n.random(6, 1, 1))
		y = n.op("Mul", nil, n.random(1, 6, 1, 1), y)
		y = n.op("Add", nil, y, n.random(6, 6, 6))
		n.head(n.op("InstanceNormalization", nil, y, n.random(6), n.random(6)))
		return n
	}, []int{6}},
	{"space and depth", func() *net {
		n, x := newNet(1, 3, 4, 4)
		y := n.relu(n.conv(x, 5, 3, 1))
		y = n.conv(n.op("SpaceToDepth", graph.Attrs{"blocksize": i64(2)}, y), 12, 1, 1)
		n.head(n.conv(n.op("DepthToSpace", graph.Attrs{"blocksize": i64(2), "mode": "CRD"}, y), 4, 1, 1))
		return n
	}, []int{5, 3, 4}},
	{"resize", func() *net {
		n, x := newNet(1, 3, 4, 4)
		y := n.op("Resize", nil, n.conv(x, 5, 3, 1), nil, nil, n.ints(2, 5, 7, 7))
		n.head(n.op("Resize", nil, n.relu(y), nil, n.AddConst("scales", tensor.Of([]float32{1, 1, 2, 2}, 4))))
		return n
	}, []int{5}},
	{"quantized", func() *net {
		n, x := newNet(1, 3, 6, 6)
		y := n.relu(n.qconv(x, 6, 3))
		scale, zero := n.AddConst("scale", tensor.Scalar[float32](0.05)), n.AddConst("zero", tensor.Scalar[uint8](128))
		y = n.op("DequantizeLinear", nil, n.op("QuantizeLinear", nil, y, scale, zero), scale, zero)
		n.head(n.qconv(y, 4, 1))
		return n
	}, []int{6, 4}},
}

// qconv is a convolution with per-channel int8 weights behind
// DequantizeLinear, and an int32 bias.
func (n *net) qconv(x *graph.Value, o, k int) *graph.Value {
	w := tensor.New(tensor.Int8, o, x.Shape[1].Size, k, k)
	for i, d := 0, tensor.Data[int8](w); i < len(d); i++ {
		d[i] = int8(n.r.IntN(255) - 127)
	}
	b := tensor.New(tensor.Int32, o)
	s, z := tensor.New(tensor.Float32, o), tensor.New(tensor.Int8, o)
	for i := range o {
		tensor.Data[int32](b)[i] = int32(n.r.IntN(100))
		tensor.Data[float32](s)[i] = 0.01 + 0.01*n.r.Float32()
	}
	scale := n.AddConst(n.name("s"), s)
	axis := graph.Attrs{"axis": i64(0)}
	wq := n.op("DequantizeLinear", axis, n.AddConst(n.name("w"), w), scale, n.AddConst(n.name("z"), z))
	bq := n.op("DequantizeLinear", axis, n.AddConst(n.name("b"), b), scale)
	p := int64(k / 2)
	return n.op("Conv", graph.Attrs{"pads": []int64{p, p, p, p}}, x, wq, bq)
}

// TestRemovePatterns proves removal for each way in which channels depend on
// one another.
func TestRemovePatterns(t *testing.T) {
	for _, p := range patterns {
		t.Run(p.name, func(t *testing.T) { p.prove(t) })
	}
}

// prove removes channels of several groups at once, and of each by itself.
func (p pattern) prove(t *testing.T) {
	g := p.build().Graph
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	groups, err := g.Groups()
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, gr := range groups {
		if gr.Frozen == "" {
			sizes = append(sizes, gr.Size)
		}
	}
	if !slices.Equal(sizes, p.sizes) {
		t.Errorf("groups of %v channels, want %v\n%s", sizes, p.sizes, describe(groups))
	}
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 9))
		proveRemoval(t, g, choose(groups, 0.2+0.2*float64(seed), r), r)
	}
	newProver(t, g).every()
}

// TestRemoveRealModels proves removal on the pretrained networks.
func TestRemoveRealModels(t *testing.T) {
	for path, share := range map[string]float64{
		"cifar10/resnet20.onnx": 0.3, "cifar10/resnet8_int8.onnx": 0.3,
		"tiny/kws_dscnn.onnx": 0.5, "tiny/kws_dscnn_int8.onnx": 0.4,
	} {
		t.Run(path, func(t *testing.T) {
			g := read(t, path)
			groups, err := g.Groups()
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(5, 6))
			remove := choose(groups, share, r)
			if len(remove) < 3 {
				t.Errorf("only %d groups can lose channels:\n%s", len(remove), describe(groups))
			}
			proveRemoval(t, g, remove, r)
		})
	}
}

// TestFoldConstants zeroes filters alone, so that removed channels hold what
// bias and normalization leave; folded into the readers it is all there.
func TestFoldConstants(t *testing.T) {
	n, x := newNet(1, 3, 6, 6)
	y := n.op("Sigmoid", nil, n.bn(n.conv(x, 8, 1, 1)))
	y = n.relu(n.bn(n.op("Conv", nil, y, n.random(10, 8, 3, 3)))) // no bias, no padding
	n.head(n.op("Add", nil, n.conv(y, 10, 1, 1), y))
	checkFold(t, n.Graph, 0)

	n, x = newNet(1, 3, 6, 6)
	y = n.op("Flatten", nil, n.op("Tanh", nil, n.conv(x, 5, 1, 1)))
	y = n.op("MatMul", nil, y, n.random(180, 7))
	y = n.op("LeakyRelu", nil, n.op("Add", nil, y, n.random(7)))
	n.AddOutput(n.op("Gemm", nil, y, n.random(7, 3)))
	checkFold(t, n.Graph, 0)

	n, x = newNet(1, 3, 6, 6)
	y = n.shuffle(n.op("Softplus", nil, n.conv(x, 12, 1, 1)), 3)
	n.head(n.conv(n.op("Elu", nil, y), 5, 1, 1))
	checkFold(t, n.Graph, 0)

	n, x = newNet(1, 3, 6, 6)
	n.head(n.conv(n.op("Sigmoid", nil, n.bn(n.conv(x, 8, 3, 1))), 6, 3, 1)) // padding: not exact, and said so
	checkFold(t, n.Graph, 1)
}

func checkFold(t *testing.T, g *graph.Graph, notes int) {
	t.Helper()
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	groups, err := g.Groups()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	remove := choose(groups, 0.5, r)
	masked, sets := onClone(t, g, remove)
	if err := masked.ZeroChannels(sets, graph.Produces); err != nil {
		t.Fatal(err)
	}
	small, sets := onClone(t, masked, remove)
	var said []string
	err = small.RemoveChannels(sets, graph.RemoveOptions{FoldConstants: true, Note: func(s string) { said = append(said, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := small.Verify(); err != nil {
		t.Fatal(err)
	}
	if len(said) != notes {
		t.Errorf("%d notes, want %d: %q", len(said), notes, said)
	}
	x := randomInputs(g, r)
	d := difference(t, execute(t, masked, x...), execute(t, small, x...))
	if exact := d <= 1e-5; exact != (notes == 0) {
		t.Errorf("folding leaves a difference of %.3g", d)
	}
	plain, sets := onClone(t, masked, remove)
	if err := plain.RemoveChannels(sets); err != nil {
		t.Fatal(err)
	}
	if p := difference(t, execute(t, masked, x...), execute(t, plain, x...)); p < 2*d {
		t.Errorf("without folding the difference is %.3g, with it %.3g", p, d)
	}
}

// TestRemoveRefuses lists what must not be removed.
func TestRemoveRefuses(t *testing.T) {
	n, x := newNet(1, 4, 6, 6)
	n.head(n.conv(n.relu(n.conv(x, 8, 3, 2)), 4, 1, 1))
	groups, err := n.Groups()
	if err != nil {
		t.Fatal(err)
	}
	g := groups[0]
	if g.Divisor() != 2 {
		t.Errorf("divisor %d, want 2", g.Divisor())
	}
	last := groups[len(groups)-1]
	for _, c := range []struct {
		gr   *graph.Group
		list []int
		want string
	}{
		{g, []int{0, 1}, "equally many"},
		{g, []int{0, 1, 2, 3, 4, 5, 6, 7}, "keep at least one"},
		{g, []int{0, 0}, "listed twice"},
		{g, []int{8}, "not one of"},
		{last, []int{0}, "output of the graph"},
	} {
		err := n.RemoveChannels(map[*graph.Group][]int{c.gr: c.list})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("removing %v: %v, want an error that contains %q", c.list, err, c.want)
		}
	}
	other := n.Clone()
	if err := other.RemoveChannels(map[*graph.Group][]int{g: {0, 4}}); err == nil {
		t.Error("a group of another graph was accepted")
	}
	if err := n.RemoveChannels(map[*graph.Group][]int{g: {0, 4}}); err != nil {
		t.Fatal(err)
	}
	if err := n.RemoveChannels(map[*graph.Group][]int{g: {0, 4}}); err == nil {
		t.Error("spent groups were accepted")
	}
}

func BenchmarkGroups(b *testing.B) {
	g, err := zoo.Build("resnet50", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := g.Groups(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRemoveChannels(b *testing.B) {
	g, err := zoo.Build("resnet50", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c := g.Clone()
		groups, err := c.Groups()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.RemoveChannels(choose(groups, 0.5, rand.New(rand.NewPCG(1, 1)))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCost(b *testing.B) {
	g, err := zoo.Build("resnet50", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		g.Cost()
	}
}
