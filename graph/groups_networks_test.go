package graph_test

import (
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// cbr is convolution, batch normalization, Relu.
func (n *net) cbr(x *graph.Value, o, k, group, stride int) *graph.Value {
	p := int64(k / 2)
	y := n.op("Conv", graph.Attrs{"group": int64(group), "pads": []int64{p, p, p, p}, "strides": []int64{int64(stride), int64(stride)}},
		x, n.random(o, x.Shape[1].Size/group, k, k))
	return n.relu(n.bn(y))
}

func (n *net) concat(x ...*graph.Value) *graph.Value {
	return n.op("Concat", graph.Attrs{"axis": i64(1)}, x...)
}

func (n *net) add(x, y *graph.Value) *graph.Value { return n.op("Add", nil, x, y) }

func (n *net) maxPool(x *graph.Value, k, stride, pad int) *graph.Value {
	p, s := int64(pad), int64(stride)
	return n.op("MaxPool", graph.Attrs{"kernel_shape": []int64{int64(k), int64(k)}, "strides": []int64{s, s}, "pads": []int64{p, p, p, p}}, x)
}

func (n *net) twice(x *graph.Value) *graph.Value {
	return n.op("Resize", nil, x, nil, n.AddConst(n.name("scales"), tensor.Of([]float32{1, 1, 2, 2}, 4)))
}

// like resizes x to the height and width of y, as exporters write it: the sizes
// are computed from the shapes of both.
func (n *net) like(x, y *graph.Value) *graph.Value {
	own := n.op("Slice", nil, n.op("Shape", nil, x), n.ints(0), n.ints(2), n.ints(0))
	theirs := n.op("Slice", nil, n.op("Shape", nil, y), n.ints(2), n.ints(4), n.ints(0))
	return n.op("Resize", nil, x, nil, nil, n.op("Concat", graph.Attrs{"axis": i64(0)}, own, theirs))
}

// regnet is a block of RegNetY: a grouped convolution with squeeze and
// excitation inside a bottleneck.
func (n *net) regnet(x *graph.Value, o, group, stride int) *graph.Value {
	y := n.cbr(n.cbr(x, o, 1, 1, 1), o, 3, group, stride)
	s := n.relu(n.conv(n.op("GlobalAveragePool", nil, y), 3, 1, 1))
	y = n.op("Mul", nil, y, n.op("Sigmoid", nil, n.conv(s, o, 1, 1)))
	y = n.bn(n.op("Conv", nil, y, n.random(o, o, 1, 1)))
	if stride != 1 {
		x = n.bn(n.op("Conv", graph.Attrs{"strides": []int64{i64(stride), i64(stride)}}, x, n.random(o, x.Shape[1].Size, 1, 1)))
	}
	return n.relu(n.add(y, x))
}

// networkPatterns are the backbones and heads of families that the zoo does
// not have.
var networkPatterns = []pattern{
	{"RegNet", func() *net {
		n, x := newNet(1, 3, 8, 8)
		x = n.regnet(n.cbr(x, 8, 3, 1, 2), 12, 3, 2)
		n.head(n.regnet(x, 12, 3, 1))
		return n
	}, []int{8, 12, 12, 3, 12, 12, 12, 3}},
	{"Inception", func() *net {
		n, x := newNet(1, 3, 8, 8)
		x = n.cbr(x, 6, 3, 1, 1)
		for range 2 {
			a := n.cbr(x, 4, 1, 1, 1)
			b := n.cbr(n.cbr(x, 3, 1, 1, 1), 5, 3, 1, 1)
			c := n.cbr(x, 3, 1, 1, 1)
			c = n.relu(n.op("Conv", graph.Attrs{"pads": []int64{0, 3, 0, 3}}, c, n.random(4, 3, 1, 7), n.random(4)))
			c = n.relu(n.op("Conv", graph.Attrs{"pads": []int64{3, 0, 3, 0}}, c, n.random(6, 4, 7, 1), n.random(6)))
			d := n.op("AveragePool", graph.Attrs{"kernel_shape": []int64{3, 3}, "pads": []int64{1, 1, 1, 1}, "count_include_pad": i64(1)}, x)
			x = n.concat(a, b, c, n.cbr(d, 2, 1, 1, 1))
		}
		a := n.cbr(x, 4, 3, 1, 2) // a reduction: two strides and a pool
		n.head(n.concat(a, n.cbr(n.cbr(x, 3, 1, 1, 1), 5, 3, 1, 2), n.maxPool(x, 3, 2, 1)))
		return n
	}, []int{6, 4, 3, 5, 3, 4, 6, 2, 4, 3, 5, 3, 4, 6, 2, 4, 3, 5}},
	{"U-Net", func() *net {
		n, x := newNet(1, 3, 8, 8)
		a := n.cbr(x, 6, 3, 1, 1)
		b := n.cbr(n.maxPool(a, 2, 2, 0), 8, 3, 1, 1)
		c := n.cbr(n.maxPool(b, 2, 2, 0), 10, 3, 1, 1)
		up := func(x *graph.Value, o int) *graph.Value {
			return n.op("ConvTranspose", graph.Attrs{"strides": []int64{2, 2}}, x, n.random(x.Shape[1].Size, o, 2, 2), n.random(o))
		}
		y := n.cbr(n.concat(b, up(c, 8)), 7, 3, 1, 1)
		y = n.cbr(n.concat(a, up(y, 5)), 4, 3, 1, 1)
		n.AddOutput(n.conv(y, 2, 1, 1))
		return n
	}, []int{6, 8, 10, 8, 7, 5, 4}},
	{"DeepLab", func() *net {
		n, x := newNet(1, 3, 8, 8)
		low := n.cbr(x, 6, 3, 1, 2)
		y := n.relu(n.bn(n.op("Conv", graph.Attrs{"pads": []int64{2, 2, 2, 2}, "dilations": []int64{2, 2}}, low, n.random(8, 6, 3, 3))))
		pooled := n.like(n.relu(n.conv(n.op("GlobalAveragePool", nil, y), 3, 1, 1)), y)
		wide := n.relu(n.op("Conv", graph.Attrs{"pads": []int64{3, 3, 3, 3}, "dilations": []int64{3, 3}}, y, n.random(5, 8, 3, 3), n.random(5)))
		y = n.cbr(n.concat(n.cbr(y, 4, 1, 1, 1), wide, pooled), 7, 1, 1, 1)
		y = n.conv(n.cbr(n.concat(n.cbr(low, 2, 1, 1, 1), y), 5, 3, 1, 1), 3, 1, 1)
		n.AddOutput(n.op("Softmax", graph.Attrs{"axis": i64(1)}, n.like(y, x)))
		return n
	}, []int{6, 8, 3, 5, 4, 7, 2, 5}},
	{"feature pyramid with shared heads", func() *net {
		n, x := newNet(1, 3, 8, 8)
		c2 := n.cbr(x, 6, 3, 1, 2)
		c3 := n.cbr(c2, 8, 3, 1, 2)
		p3 := n.conv(c3, 5, 1, 1)
		p2 := n.add(n.conv(c2, 5, 1, 1), n.twice(p3))
		w, b := n.random(4, 5, 3, 3), n.random(4)
		class, box := n.random(2, 4, 1, 1), n.random(4, 4, 1, 1)
		for _, p := range []*graph.Value{p2, p3} {
			h := n.relu(n.op("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, p, w, b))
			n.AddOutput(n.op("Conv", nil, h, class))
			n.AddOutput(n.op("Conv", nil, h, box))
		}
		return n
	}, []int{6, 8, 5, 4}},
	{"single-shot heads", func() *net {
		n, x := newNet(1, 3, 8, 8)
		c2 := n.cbr(x, 6, 3, 1, 2)
		c3 := n.cbr(c2, 8, 3, 1, 2)
		var boxes []*graph.Value
		for _, c := range []*graph.Value{c2, c3} {
			y := n.op("Transpose", graph.Attrs{"perm": []int64{0, 2, 3, 1}}, n.conv(c, 12, 3, 1))
			boxes = append(boxes, n.op("Reshape", nil, y, n.ints(0, -1, 4)))
		}
		n.AddOutput(n.concat(boxes...))
		return n
	}, []int{6, 8}},
	{"detector of splits and pools", func() *net {
		n, x := newNet(1, 3, 8, 8)
		y := n.cbr(n.cbr(x, 6, 3, 1, 2), 8, 1, 1, 1)
		s := n.Append(n.NewNode("", "Split", "halves", []*graph.Value{y}, []string{"h0", "h1"}, graph.Attrs{"axis": i64(1), "num_outputs": i64(2)}))
		if err := s.InferShape(); err != nil {
			panic(err)
		}
		h := s.Outputs[1]
		y = n.cbr(n.concat(s.Outputs[0], h, n.add(h, n.cbr(n.cbr(h, 3, 3, 1, 1), 4, 3, 1, 1))), 9, 1, 1, 1)
		a := n.cbr(y, 4, 1, 1, 1)
		b := n.maxPool(a, 3, 1, 1)
		y = n.cbr(n.concat(a, b, n.maxPool(b, 3, 1, 1)), 7, 1, 1, 1)
		n.AddOutput(n.op("Sigmoid", nil, n.conv(n.twice(y), 5, 1, 1)))
		return n
	}, []int{6, 8, 3, 9, 4, 7}},
	{"heads of several tasks", func() *net {
		n, x := newNet(1, 3, 8, 8)
		y := n.cbr(x, 6, 3, 1, 1)
		n.head(n.cbr(y, 4, 3, 1, 2)) // an auxiliary classifier
		y = n.cbr(y, 8, 3, 1, 2)
		n.AddOutput(n.op("Tanh", nil, n.conv(y, 2, 1, 1)))
		n.head(y)
		return n
	}, []int{6, 4, 8}},
	{"ConvNeXt", func() *net {
		n, x := newNet(1, 3, 8, 8)
		x = n.op("Conv", graph.Attrs{"strides": []int64{2, 2}}, x, n.random(6, 3, 2, 2), n.random(6))
		for range 2 { // with convolutions of 1×1 and normalization over the channels spelled out
			y := n.conv(x, 6, 3, 6)
			m := n.op("Sub", nil, y, n.op("ReduceMean", nil, y, n.ints(1)))
			v := n.op("ReduceMean", nil, n.op("Mul", nil, m, m), n.ints(1))
			y = n.op("Div", nil, m, n.op("Sqrt", nil, n.op("Add", nil, v, n.AddConst(n.name("eps"), tensor.Scalar[float32](1e-6)))))
			y = n.conv(n.op("Gelu", nil, n.conv(y, 12, 1, 1)), 6, 1, 1)
			x = n.add(x, n.op("Mul", nil, y, n.random(6, 1, 1)))
		}
		n.head(x)
		return n
	}, []int{12, 12}},
	{"grouped transposed convolution", func() *net {
		n, x := newNet(1, 3, 5, 5)
		y := n.relu(n.conv(x, 8, 3, 1))
		y = n.relu(n.op("ConvTranspose", graph.Attrs{"strides": []int64{2, 2}, "group": i64(2)}, y, n.random(8, 3, 2, 2), n.random(6)))
		n.head(y)
		return n
	}, []int{8, 6}},
}

// TestRemoveNetworks proves removal on the families that the zoo does not have,
// of several groups at once and of each by itself.
func TestRemoveNetworks(t *testing.T) {
	for _, p := range networkPatterns {
		t.Run(p.name, func(t *testing.T) { p.prove(t) })
	}
}
