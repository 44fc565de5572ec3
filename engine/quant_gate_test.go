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

// TestGateOfFloats multiplies the channels of quantized images by floats, either
// way round, and clamps: in one pass over bytes, within a step of the grid.
func TestGateOfFloats(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		m, x := newMaker(3, 21, 5, 7)
		gate := m.op("Sigmoid", nil, m.op("GlobalAveragePool", nil, m.op("Relu", nil, x)))
		grid := func(v *graph.Value, scale float32, zero uint8) *graph.Value {
			s, z := m.g.AddConst(m.g.UniqueName("scale"), tensor.Scalar(scale)), m.g.AddConst(m.g.UniqueName("zero"), tensor.Scalar(zero))
			return m.op("DequantizeLinear", nil, m.op("QuantizeLinear", nil, v, s, z), s, z)
		}
		pair := []*graph.Value{grid(x, 0.05, 90), gate}
		if swapped {
			slices.Reverse(pair)
		}
		y := grid(m.op("Relu", nil, m.op("Mul", nil, pair...)), 0.02, 3)
		g := m.done(t, y)
		in := randomInputs(g, 3, 4)
		want, err := eval.Run(g, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{1, 3} {
			p, err := engine.Compile(g, engine.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(p.Steps(), func(s engine.StepTime) bool { return s.Kernel == "qMul by floats" }) {
				t.Errorf("steps %v", p.Steps())
			}
			got, err := p.Run(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			a, b := tensor.Data[float32](got[y.Name]), tensor.Data[float32](want[y.Name])
			for i := range a {
				if d := a[i] - b[i]; d > 0.0201 || d < -0.0201 {
					t.Fatalf("element %d is %v, want %v", i, a[i], b[i])
				}
			}
		}
	}
}
