package engine_test

import (
	"context"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestBytesJoinInPlace checks quantized convolutions that write where the
// concatenation of their outputs lies, chains of them as in DenseNet, and those
// whose grids differ, which cannot.
func TestBytesJoinInPlace(t *testing.T) {
	grid := func(m *maker, v *graph.Value, scale float32, zero uint8) *graph.Value {
		s, z := m.g.AddConst(m.g.UniqueName("scale"), tensor.Scalar(scale)), m.g.AddConst(m.g.UniqueName("zero"), tensor.Scalar(zero))
		return m.op("DequantizeLinear", nil, m.op("QuantizeLinear", nil, v, s, z), s, z)
	}
	conv := func(m *maker, x *graph.Value, in, out, window int) *graph.Value {
		w := make([]int64, out*in*window*window)
		for i := range w {
			w[i] = int64(i*7919%255) - 127
		}
		q, err := tensor.Of(w, out, in, window, window).Convert(tensor.Int8)
		if err != nil {
			t.Fatal(err)
		}
		s := m.g.AddConst(m.g.UniqueName("ws"), tensor.Scalar[float32](0.003))
		dw := m.op("DequantizeLinear", nil, m.g.AddConst(m.g.UniqueName("w"), q), s)
		return m.op("Conv", graph.Attrs{"pads": []int64{int64(window / 2), int64(window / 2), int64(window / 2), int64(window / 2)}}, x, dw)
	}
	const s, z = 0.1, 120
	for name, c := range map[string]struct {
		build  func(m *maker, x *graph.Value) *graph.Value
		concat int // steps that copy
	}{
		"two": {func(m *maker, x *graph.Value) *graph.Value {
			a, b := grid(m, conv(m, x, 5, 8, 1), s, z), grid(m, conv(m, x, 5, 12, 3), s, z)
			return grid(m, conv(m, grid(m, m.op("Concat", graph.Attrs{"axis": int64(1)}, a, b), s, z), 20, 6, 3), s, z)
		}, 0},
		"chain": {func(m *maker, x *graph.Value) *graph.Value {
			x = grid(m, conv(m, x, 5, 16, 1), s, z)
			for i := range 3 {
				y := grid(m, conv(m, x, 16+8*i, 8, 3), s, z)
				x = grid(m, m.op("Concat", graph.Attrs{"axis": int64(1)}, x, y), s, z)
			}
			return grid(m, conv(m, x, 40, 7, 1), s, z)
		}, 0},
		"other grid": {func(m *maker, x *graph.Value) *graph.Value {
			a, b := grid(m, conv(m, x, 5, 8, 1), 0.2, z), grid(m, conv(m, x, 5, 12, 3), s, z)
			return grid(m, m.op("Concat", graph.Attrs{"axis": int64(1)}, a, b), s, z)
		}, 1},
		"twice the same": {func(m *maker, x *graph.Value) *graph.Value {
			a := grid(m, conv(m, x, 5, 8, 1), s, z)
			return grid(m, conv(m, grid(m, m.op("Concat", graph.Attrs{"axis": int64(1)}, a, a), s, z), 16, 6, 1), s, z)
		}, 1},
		"pooled, too": {func(m *maker, x *graph.Value) *graph.Value {
			a, b := grid(m, conv(m, x, 5, 8, 1), s, z), grid(m, m.pool("MaxPool", x), s, z)
			y := grid(m, m.op("Concat", graph.Attrs{"axis": int64(1)}, a, b), s, z)
			return grid(m, m.op("Add", nil, y, y), 0.2, z)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m, input := newMaker(2, 5, 9, 11)
			g := m.done(t, c.build(m, grid(m, input, s, z)))
			in, o := randomInputs(g, 2, 8), engine.Options{Threads: 1}
			for _, n := range g.Nodes { // bytes that are shown have a place of their own
				if n.Is("QuantizeLinear") {
					o.Keep = append(o.Keep, n.Outputs[0].Name)
				}
			}
			var want *tensor.Tensor
			for _, o := range []engine.Options{o, {Threads: 1}, {Threads: 3}} {
				p, err := engine.Compile(g, o)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Run(context.Background(), in)
				if err != nil {
					t.Fatal(err)
				}
				if y := got[g.Outputs[0].Name]; want == nil {
					want = y
				} else if !want.Equal(y) {
					t.Errorf("%d threads: other bits than without", o.Threads)
				}
			}
			if got := kernels(t, g)["concat"]; got != c.concat {
				t.Errorf("%d steps copy, want %d: %v", got, c.concat, kernels(t, g))
			}
		})
	}
}
