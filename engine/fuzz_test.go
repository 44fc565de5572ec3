package engine_test

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// FuzzCompile compiles and runs networks of which a few attributes, constants
// and shapes were changed at random: they may be refused, but must neither
// panic nor read or write out of bounds, and mean what the reference says.
func FuzzCompile(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(uint8(seed), seed)
	}
	f.Fuzz(func(t *testing.T, which uint8, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, uint64(which)))
		g := fuzzBases[int(which)%len(fuzzBases)](t)
		for range 1 + rng.IntN(3) {
			spoil(g, rng)
		}
		if !small(g) {
			t.Skip()
		}
		p, err := engine.Compile(g, engine.Options{Threads: 1})
		if err != nil {
			return
		}
		in, feed := make([]*tensor.Tensor, len(p.Inputs())), map[string]*tensor.Tensor{}
		for i, name := range p.Inputs() {
			x := tensor.New(tensor.Float32, p.InputShape(i)...)
			for k, d := 0, tensor.Data[float32](x); k < len(d); k++ {
				d[k] = float32(rng.NormFloat64())
			}
			in[i], feed[name] = x, x
		}
		out := p.NewOutputs()
		if p.RunInto(context.Background(), in, out) != nil {
			return
		}
		want, err := eval.Run(g, feed)
		if err != nil {
			return
		}
		for i, name := range p.Outputs() {
			agree(t, name, out[i], want[name])
		}
	})
}

// agree compares an output with the reference up to a few steps of 8 bits;
// outputs that are not finite, or huge, are not compared.
func agree(t *testing.T, name string, got, want *tensor.Tensor) {
	t.Helper()
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
		t.Fatalf("output %q is %v, want %v", name, got, want)
	}
	if want.DType != tensor.Float32 {
		return
	}
	for _, v := range want.Float32s() {
		if !(math.Abs(float64(v)) < 1e6) {
			return
		}
	}
	if d := worst(got, want); d > 0.03 && want.Len() > 0 {
		t.Fatalf("output %q differs by %.2g of its largest element", name, d)
	}
}

// fuzzBases build what FuzzCompile spoils.
var fuzzBases = []func(testing.TB) *graph.Graph{
	uNet, convNeXt, attention, rarities,
	func(t testing.TB) *graph.Graph { return bytesNet(t, tensor.Scalar(uint8(120))) },
	func(t testing.TB) *graph.Graph { return bytesNet(t, tensor.Scalar(int8(-5))) },
}

// rarities uses operators that the other networks lack.
func rarities(t testing.TB) *graph.Graph {
	m, x := newMaker(2, 4, 8, 8)
	x = m.op("LRN", graph.Attrs{"size": int64(3)}, m.op("Pad", nil, x, m.ints(0, 0, 1, 1, 0, 0, 1, 1)))
	x = m.op("Add", nil, x, m.op("Expand", nil, m.weights(1, 4, 1, 1), m.ints(1, 4, 10, 10)))
	a, b := m.split(m.conv(x, 4, 6, 3, 2), 2, 4)
	x = m.op("Concat", graph.Attrs{"axis": int64(1)}, m.op("LeakyRelu", graph.Attrs{"alpha": float32(0.1)}, b), a)
	x = m.op("LpPool", graph.Attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}, "p": int64(2)}, x)
	x = m.op("Clip", nil, x, m.g.AddConst("low", tensor.Scalar(float32(-1))), m.g.AddConst("high", tensor.Scalar(float32(2))))
	x = m.op("LogSoftmax", graph.Attrs{"axis": int64(-1)}, m.op("Transpose", graph.Attrs{"perm": []int64{0, 3, 1, 2}}, x))
	x = m.op("Unsqueeze", nil, m.op("Flatten", graph.Attrs{"axis": int64(1)}, x), m.ints(1))
	x = m.op("Squeeze", nil, m.op("MatMul", nil, x, m.weights(0.2, 150, 12)), m.ints(1))
	return m.done(t, m.op("ArgMax", graph.Attrs{"axis": int64(1)}, m.op("LayerNormalization", nil, x, m.weights(1, 12))))
}

// spoil changes one attribute, integer constant or dimension of the input.
func spoil(g *graph.Graph, rng *rand.Rand) {
	number := func(old int64) int64 {
		return []int64{old, 0, 1, -1, old + 1, old - 1, -old, int64(rng.IntN(9)), 1 << 40}[rng.IntN(9)]
	}
	list := func(v []int64) []int64 {
		v = slices.Clone(v)
		switch k := rng.IntN(len(v) + 2); {
		case k < len(v):
			v[k] = number(v[k])
		case k == len(v):
			v = append(v, number(1))
		case len(v) > 0:
			v = v[:len(v)-1]
		}
		return v
	}
	switch n := g.Nodes[rng.IntN(len(g.Nodes))]; rng.IntN(4) {
	case 0:
		s := g.Inputs[0].Shape.Ints()
		s[rng.IntN(len(s))] = rng.IntN(20)
		g.Inputs[0].Shape = graph.ShapeOf(s)
	case 1:
		for _, v := range n.Inputs {
			if v != nil && v.Data != nil && v.Data.DType == tensor.Int64 {
				e := list(v.Data.Int64s())
				v.SetData(tensor.Of(e, len(e)))
			}
		}
	case 2:
		k := rng.IntN(len(n.Inputs))
		if v := n.Inputs[k]; v != nil && v.Data != nil && v.Data.DType == tensor.Float32 {
			s := slices.Clone(v.Data.Shape)
			if len(s) > 0 {
				s[rng.IntN(len(s))] = rng.IntN(9)
			}
			v.SetData(tensor.New(tensor.Float32, s...))
		}
	default:
		keys := append(slices.Sorted(maps.Keys(n.Attrs)), "group", "axis", "strides", "dilations", "pads", "auto_pad", "output_padding", "keepdims")
		key := keys[rng.IntN(len(keys))]
		if n.Attrs == nil {
			n.Attrs = graph.Attrs{}
		}
		switch a := n.Attrs[key].(type) {
		case []int64:
			n.Attrs[key] = list(a)
		case int64:
			n.Attrs[key] = number(a)
		case float32:
			n.Attrs[key] = float32(number(1))
		case nil:
			switch key {
			case "auto_pad":
				n.Attrs[key] = []string{"SAME_UPPER", "SAME_LOWER", "VALID"}[rng.IntN(3)]
			case "group", "axis", "keepdims":
				n.Attrs[key] = number(1)
			default:
				n.Attrs[key] = []int64{number(1), number(1)}
			}
		}
	}
	g.ClearShapes()
}

// small reports whether a graph is quick to run.
func small(g *graph.Graph) bool {
	h := g.Clone()
	if h.InferShapes() != nil {
		return false
	}
	for _, n := range h.Nodes {
		for _, v := range n.Outputs {
			if k, ok := tensor.NumElements(v.Shape.Ints()); v.Shape.Known() && (!ok || k > 1<<16) {
				return false
			}
		}
	}
	return h.Cost().MACs < 1<<24
}
