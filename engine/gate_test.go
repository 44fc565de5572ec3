package engine_test

import (
	"context"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestGates compares squeezed and excited layers to the reference, where the gate
// goes to the weights and where it cannot.
func TestGates(t *testing.T) {
	for _, v := range []struct {
		size, c, k, window, batch int
		swapped, kept, fused      bool
	}{
		{size: 24, c: 19, k: 40, window: 1, fused: true}, {size: 24, c: 64, k: 16, window: 1, swapped: true, fused: true}, {size: 17, c: 24, k: 33, window: 1, fused: true},
		{size: 12, c: 24, k: 40, window: 1}, {size: 24, c: 19, k: 20, window: 3}, {size: 24, c: 19, k: 20, window: 1, batch: 2}, {size: 24, c: 19, k: 20, window: 1, kept: true},
	} {
		m, input := newMaker(max(v.batch, 1), 3, v.size, v.size)
		x := m.conv(input, 3, v.c, 3, 1)
		gate := m.op("Sigmoid", nil, m.conv(m.op("GlobalAveragePool", nil, x), v.c, v.c, 1, 1))
		pair := []*graph.Value{x, gate}
		if v.swapped {
			slices.Reverse(pair)
		}
		x = m.op("Mul", nil, pair...)
		name := x.Name
		y := m.op("Relu", nil, m.conv(x, v.c, v.k, v.window, 1))
		g := m.done(t, y)
		o := engine.Options{Threads: 2}
		if v.kept {
			o.Keep = []string{name}
		}
		p, err := engine.Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		if fused := !slices.ContainsFunc(p.Steps(), func(s engine.StepTime) bool { return s.Op == "Mul" }); fused != v.fused {
			t.Errorf("%+v: gate in the weights: %v", v, fused)
		}
		in := randomInputs(g, 2, 3)
		got, err := p.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		want, err := eval.Run(g, in)
		if err != nil {
			t.Fatal(err)
		}
		if d := worst(got[y.Name], want[y.Name]); d > 1e-5 {
			t.Errorf("%+v: differs by %.2g of the largest element", v, d)
		}
	}
}

// TestComputedBias runs a convolution whose weights are constant and whose bias is
// an input.
func TestComputedBias(t *testing.T) {
	m, in := newMaker(1, 8, 9, 9)
	b := m.g.AddInput("bias", tensor.Float32, graph.ShapeOf([]int{5}))
	g := m.done(t, m.op("Conv", nil, in, m.weights(0.3, 5, 8, 1, 1), b))
	compare(t, g, randomInputs(g, 4, 5), 1e-5)
}
