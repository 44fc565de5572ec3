package engine_test

import (
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// TestSiLUIsOneTable checks that a quantized x·sigmoid(x), whose factors have
// grids of their own, is one table with the bits of the operators one by one.
func TestSiLUIsOneTable(t *testing.T) {
	for _, zero := range []*tensor.Tensor{tensor.Scalar(uint8(120)), tensor.Scalar(int8(-5))} {
		for _, op := range []string{"Mul", "Add"} {
			for order := range 2 {
				m, x := newMaker(1, 8, 16, 16)
				x = m.quantized(x, zero)
				y := m.quantized(m.op("Sigmoid", nil, x), zero)
				a, b := x, y
				if order == 1 {
					a, b = b, a
				}
				g := m.done(t, m.quantized(m.op("Relu", nil, m.op(op, nil, a, b)), zero))
				in := randomInputs(g, 2, 3)
				p, got, want := both(t, g, in)
				name := g.Outputs[0].Name
				if d := worst(got[name], want[name]); d != 0 {
					t.Errorf("%s, order %d: differs by %.2g of the largest element", op, order, d)
				}
				count := map[string]int{}
				for _, s := range p.Steps() {
					count[s.Kernel]++
				}
				if count["table"] != 1 || count["q"+op] != 0 {
					t.Errorf("%s, order %d: steps %v", op, order, count)
				}
			}
		}
	}
}
