package engine_test

import (
	"context"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// shuffled adds a channel shuffle in one of the forms that exporters write.
func (m *maker) shuffled(x *graph.Value, form string, groups int) *graph.Value {
	s := x.Shape.Ints()
	n, c, h, w := s[0], s[1], s[2], s[3]
	var split []int
	perm := []int64{0, 2, 1, 3, 4}
	switch form {
	case "five axes":
		split = []int{n, groups, c / groups, h, w}
	case "pixels in one axis":
		split, perm = []int{n, groups, c / groups, h * w}, perm[:4]
	default: // images and groups in one axis are another permutation
		split, perm = []int{n * groups, c / groups, h * w}, []int64{1, 0, 2}
	}
	return m.op("Reshape", nil, m.op("Transpose", graph.Attrs{"perm": perm}, m.op("Reshape", nil, x, m.ints(split...))), m.ints(s...))
}

// quantized puts x on a grid of 8 bits and takes it off again.
func (m *maker) quantized(x *graph.Value, zero *tensor.Tensor) *graph.Value {
	scale := m.g.AddConst(m.g.UniqueName("scale"), tensor.Scalar(float32(0.05)))
	z := m.g.AddConst(m.g.UniqueName("zero"), zero)
	return m.op("DequantizeLinear", nil, m.op("QuantizeLinear", nil, x, scale, z), scale, z)
}

// bytesNet moves quantized pixels and channels about between two convolutions.
func bytesNet(t testing.TB, zero *tensor.Tensor) *graph.Graph {
	m, x := newMaker(2, 3, 6, 5)
	x = m.quantized(m.conv(m.quantized(x, zero), 3, 8, 3, 1), zero)
	x = m.quantized(m.op("Resize", graph.Attrs{"mode": "nearest"}, x, nil, m.g.AddConst("scales", tensor.Of([]float32{1, 1, 2, 1.5}, 4))), zero)
	x = m.quantized(m.op("Gather", graph.Attrs{"axis": int64(1)}, x, m.ints(7, 1, 5, 3)), zero)
	x = m.quantized(m.op("Tile", nil, x, m.ints(1, 2, 1, 1)), zero)
	x = m.quantized(m.op("DepthToSpace", graph.Attrs{"blocksize": int64(2)}, x), zero)
	a, b := m.split(x, 1, 1)
	x = m.quantized(m.concat(m.quantized(b, zero), m.quantized(a, zero)), zero)
	return m.done(t, m.quantized(m.conv(x, 2, 4, 3, 1), zero))
}

// TestMovesStayInBytes checks that operators that only move elements leave
// quantized tensors in 8 bits.
func TestMovesStayInBytes(t *testing.T) {
	for _, zero := range []*tensor.Tensor{tensor.Scalar(uint8(120)), tensor.Scalar(int8(-5))} {
		g := bytesNet(t, zero)
		in := randomInputs(g, 2, 3)
		p, got, want := both(t, g, in)
		name := g.Outputs[0].Name
		if d := worst(got[name], want[name]); d > 0.02 {
			t.Errorf("%v: differs by %.2g of the largest element", zero, d)
		}
		count := map[string]int{}
		for _, s := range p.Steps() {
			count[s.Kernel]++
		}
		// The two convolutions have float weights, and the graph float borders.
		if count["quantize"] != 3 || count["dequantize"] != 3 || count["eval"] > 0 || count["to-plain"] > 1 {
			t.Errorf("%v: steps %v", zero, count)
		}
	}
}

// TestChannelShuffle checks that a shuffle between convolutions is one step
// that keeps the channels last, in float and in 8 bits.
func TestChannelShuffle(t *testing.T) {
	for _, c := range []struct {
		name, form string
		groups     int
		zero       *tensor.Tensor // of the grid, if any
		one        bool           // becomes one step
	}{
		{"float, two groups", "five axes", 2, nil, true},
		{"float, three groups", "five axes", 3, nil, true},
		{"float, flat pixels", "pixels in one axis", 4, nil, true},
		{"float, not a shuffle", "groups among images", 2, nil, false},
		{"uint8", "five axes", 2, tensor.Scalar(uint8(120)), true},
		{"int8", "five axes", 3, tensor.Scalar(int8(-5)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, x := newMaker(2, 3, 6, 5)
			body := func(x *graph.Value) *graph.Value {
				if c.zero == nil {
					return x
				}
				return m.quantized(x, c.zero)
			}
			x = body(m.conv(body(x), 3, 12, 3, 1))
			x = body(m.conv(body(m.shuffled(x, c.form, c.groups)), 12, 4, 3, 1))
			g := m.done(t, x)
			in := randomInputs(g, 2, 3)
			p, got, want := both(t, g, in)
			tolerance := 1e-5
			if c.zero != nil {
				tolerance = 0.02 // a few steps of the grid, of some two hundred
			}
			name := g.Outputs[0].Name
			if d := worst(got[name], want[name]); d > tolerance {
				t.Errorf("differs by %.2g of the largest element", d)
			}
			count := map[string]int{}
			for _, s := range p.Steps() {
				count[s.Kernel]++
			}
			if (count["shuffle"] == 1) != c.one || count["eval"] > 0 || c.one && count["transpose"] > 0 {
				t.Errorf("steps %v", count)
			}
		})
	}
}

// both runs g compiled for two threads, and by the reference interpreter.
func both(t *testing.T, g *graph.Graph, in map[string]*tensor.Tensor) (p *engine.Program, got, want map[string]*tensor.Tensor) {
	t.Helper()
	want, err := eval.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = engine.Compile(g, engine.Options{Threads: 2}); err != nil {
		t.Fatal(err)
	}
	if got, err = p.Run(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	return p, got, want
}

// TestShuffledBytesJoined checks that two quantized halves whose channels are
// shuffled are not joined first.
func TestShuffledBytesJoined(t *testing.T) {
	zero := tensor.Scalar(int8(3))
	m, x := newMaker(2, 3, 6, 5)
	x = m.quantized(x, zero)
	a, b := m.quantized(m.conv(x, 3, 20, 3, 1), zero), m.quantized(m.conv(x, 3, 20, 1, 1), zero)
	x = m.quantized(m.shuffled(m.quantized(m.concat(a, b), zero), "five axes", 2), zero)
	g := m.done(t, m.quantized(m.conv(x, 40, 4, 3, 1), zero))
	in := randomInputs(g, 2, 3)
	p, got, want := both(t, g, in)
	name := g.Outputs[0].Name
	if d := worst(got[name], want[name]); d > 0.02 {
		t.Errorf("differs by %.2g of the largest element", d)
	}
	count := map[string]int{}
	for _, s := range p.Steps() {
		count[s.Kernel]++
	}
	if count["shuffle"] != 1 || count["concat"] != 0 {
		t.Errorf("steps %v", count)
	}
}
