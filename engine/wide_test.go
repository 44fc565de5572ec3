package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func (m *maker) concat(in ...*graph.Value) *graph.Value {
	return m.op("Concat", graph.Attrs{"axis": int64(1)}, in...)
}

func (m *maker) split(x *graph.Value, a, b int) (*graph.Value, *graph.Value) {
	m.n++
	n := m.g.Append(m.g.NewNode("", "Split", fmt.Sprintf("Split%d", m.n), []*graph.Value{x, m.ints(a, b)},
		[]string{fmt.Sprintf("left%d", m.n), fmt.Sprintf("right%d", m.n)}, graph.Attrs{"axis": int64(1)}))
	if err := n.InferShape(); err != nil {
		panic(err)
	}
	return n.Outputs[0], n.Outputs[1]
}

func (m *maker) pool(op string, x *graph.Value) *graph.Value {
	return m.op(op, graph.Attrs{"kernel_shape": []int64{3, 3}, "pads": []int64{1, 1, 1, 1}}, x)
}

// TestConcatInPlace checks values that are computed into the concatenation
// they end in, read from there, and concatenated again.
func TestConcatInPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		copies int // steps that copy channels about
		build  func(m *maker, x *graph.Value) *graph.Value
	}{
		{"branches", 0, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(x, 3, 6, 3, 1)
			return m.conv(m.concat(m.op("Relu", nil, m.conv(x, 6, 5, 1, 1)), m.pool("MaxPool", x), m.pool("AveragePool", x), m.conv(x, 6, 6, 3, 6)), 23, 4, 3, 1)
		}},
		{"nested dense block", 0, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(x, 3, 8, 3, 1)
			for i := range 3 {
				x = m.concat(x, m.op("Relu", nil, m.conv(x, 8+4*i, 4, 3, 1)))
			}
			return m.conv(x, 20, 4, 1, 1)
		}},
		{"flat dense block", 0, func(m *maker, x *graph.Value) *graph.Value {
			list := []*graph.Value{m.conv(x, 3, 8, 3, 1)}
			x = list[0]
			for i := range 3 {
				list = append(list, m.conv(x, 8+4*i, 4, 3, 1))
				x = m.concat(list...)
			}
			return m.conv(x, 20, 4, 1, 1)
		}},
		{"residual inside", 0, func(m *maker, x *graph.Value) *graph.Value {
			a := m.conv(x, 3, 8, 3, 1)
			b := m.op("Add", nil, m.conv(a, 8, 8, 1, 1), a)
			return m.conv(m.concat(b, a), 16, 4, 1, 1)
		}},
		{"read by what follows no pitch", 1, func(m *maker, x *graph.Value) *graph.Value {
			a, b := m.conv(x, 3, 5, 3, 1), m.conv(x, 3, 4, 1, 1)
			return m.op("Mul", nil, m.conv(m.concat(a, b), 9, 5, 1, 1), m.op("Sigmoid", nil, a))
		}},
		{"a power of two of channels", 0, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(m.conv(m.conv(x, 3, 128, 3, 1), 128, 128, 3, 128), 128, 256, 1, 1)
			return m.conv(m.op("Add", nil, m.conv(x, 256, 256, 1, 1), x), 256, 4, 3, 1)
		}},
		{"one from elsewhere", 1, func(m *maker, x *graph.Value) *graph.Value {
			return m.conv(m.concat(m.conv(x, 3, 5, 3, 1), m.op("Tanh", nil, m.conv(x, 3, 4, 1, 1))), 9, 4, 1, 1)
		}},
		{"twice the same", 1, func(m *maker, x *graph.Value) *graph.Value {
			a := m.conv(x, 3, 5, 3, 1)
			return m.conv(m.concat(a, a), 10, 4, 1, 1)
		}},
		{"another order", 1, func(m *maker, x *graph.Value) *graph.Value {
			a, b := m.conv(x, 3, 5, 3, 1), m.conv(x, 3, 4, 1, 1)
			return m.conv(m.concat(m.conv(m.concat(b, a), 9, 4, 1, 1), m.conv(m.concat(a, b), 9, 4, 1, 1), a, b), 17, 4, 1, 1)
		}},
		{"as output", 0, func(m *maker, x *graph.Value) *graph.Value {
			a := m.conv(x, 3, 5, 3, 1)
			return m.concat(a, m.conv(a, 5, 4, 1, 1))
		}},
		{"split, worked on and joined", 1, func(m *maker, x *graph.Value) *graph.Value {
			a, b := m.split(m.conv(x, 3, 12, 3, 1), 5, 7)
			return m.conv(m.concat(a, m.op("Relu", nil, m.conv(b, 7, 7, 3, 7))), 12, 4, 1, 1)
		}},
		{"split, joined again and shown", 0, func(m *maker, x *graph.Value) *graph.Value {
			a, b := m.split(m.conv(x, 3, 12, 3, 1), 5, 7)
			return m.concat(a, b)
		}},
		{"sliced", 1, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(x, 3, 12, 3, 1)
			a := m.op("Slice", nil, x, m.ints(-8), m.ints(11), m.ints(1))
			return m.op("Mul", nil, m.pool("MaxPool", a), a)
		}},
		{"shuffled units", 0, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(x, 3, 12, 3, 1)
			for range 3 {
				a, b := m.split(x, 6, 6)
				x = m.shuffled(m.concat(a, m.op("Relu", nil, m.conv(b, 6, 6, 3, 1))), "five axes", 2)
			}
			return m.conv(x, 12, 4, 1, 1)
		}},
		{"normalized", 0, func(m *maker, x *graph.Value) *graph.Value {
			x = m.conv(x, 3, 6, 3, 1)
			x = m.concat(x, m.conv(x, 6, 5, 1, 1))
			x = m.op("Relu", nil, m.op("BatchNormalization", nil, x, m.weights(1, 11), m.weights(1, 11), m.weights(1, 11), m.g.AddConst("variance", positive(11))))
			return m.concat(m.conv(x, 11, 4, 1, 1), x)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, x := newMaker(2, 3, 9, 7)
			g := m.done(t, c.build(m, x))
			compare(t, g, randomInputs(g, 2, 11), 1e-5)
			p, err := engine.Compile(g, engine.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			copies, kernels := 0, []string{}
			for _, s := range p.Steps() {
				kernels = append(kernels, s.Kernel)
				if s.Kernel == "concat" || s.Kernel == "gather-channels" {
					copies++
				}
			}
			if copies > c.copies {
				t.Errorf("%d copies, want at most %d: %q", copies, c.copies, kernels)
			}
			// The same with every value on show, which must all be right.
			all, err := engine.Compile(g, engine.Options{Threads: 1, All: true})
			if err != nil {
				t.Fatal(err)
			}
			compareKept(t, g, all, randomInputs(g, 2, 11))
		})
	}
}

func positive(n int) *tensor.Tensor {
	d := make([]float32, n)
	for i := range d {
		d[i] = 0.5 + float32(i%3)
	}
	return tensor.Of(d, n)
}

// compareKept compares every value that p shows with the reference.
func compareKept(t *testing.T, g *graph.Graph, p *engine.Program, in map[string]*tensor.Tensor) {
	t.Helper()
	got, err := p.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	if err := eval.Trace(g, in, func(v *graph.Value, x *tensor.Tensor) error {
		if y := got[v.Name]; y != nil {
			seen++
			if d := worst(y, x); d > 1e-5 {
				t.Errorf("value %q differs by %.2g of its largest element", v.Name, d)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if seen < len(g.Nodes) {
		t.Errorf("%d of %d values were compared", seen, len(g.Nodes))
	}
}
