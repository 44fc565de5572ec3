package quantize

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// compareCodes runs q on the engine's integer kernels and holds every tensor
// of integers to within one step of its fake-quantized twin: what stands
// between DQ and Q computed in float, from the integers that the engine has
// there, so that what one layer may differ by does not add up over the layers.
// Kernels that compute several Q at once must give the bits of one at a time.
// It returns how many integers there were and how many differed.
func compareCodes(t testing.TB, q *graph.Graph, feeds map[string]*tensor.Tensor) (codes, off int) {
	t.Helper()
	var keep []string
	for _, n := range q.Nodes {
		if n.Is("QuantizeLinear") && !n.Outputs[0].IsOutput() {
			keep = append(keep, n.Outputs[0].Name)
		}
	}
	run := func(keep []string) map[string]*tensor.Tensor {
		out, err := engine.NewModel(q, engine.Options{Threads: 1, Keep: keep}).Run(context.Background(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	fused, got := run(nil), run(keep)
	for name, y := range fused {
		if !slices.Equal(y.Bytes(), got[name].Bytes()) {
			t.Errorf("%q has other bits if what comes before it is kept", name)
		}
	}
	values := map[*graph.Value]*tensor.Tensor{}
	for _, v := range q.Inputs {
		values[v] = feeds[v.Name]
	}
	for _, n := range q.Nodes {
		in := make([]*tensor.Tensor, len(n.Inputs))
		for i, v := range n.Inputs {
			if v == nil {
				continue
			}
			if in[i] = values[v]; in[i] == nil {
				in[i] = v.Data
			}
		}
		out, err := eval.Node(n, in)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range n.Outputs {
			if v != nil {
				values[v] = out[i]
			}
		}
		if !n.Is("QuantizeLinear") {
			continue
		}
		want, have := out[0].Ints(), got[n.Outputs[0].Name]
		for i, c := range have.Ints() {
			codes++
			if c != want[i] {
				off++
			}
			if d := c - want[i]; d < -1 || d > 1 {
				t.Errorf("%s: element %d is %d in the engine, its twin has %d", n.Name, i, c, want[i])
				break
			}
		}
		values[n.Outputs[0]] = have
	}
	return codes, off
}

// maker builds a graph of 8-bit tensors on random grids, and the data to run it
// on.
type maker struct {
	*graph.Graph
	t     *testing.T
	rng   *rand.Rand
	feeds map[string]*tensor.Tensor
	// signed tensors are int8, others uint8.
	signed bool
}

func (m *maker) between(lo, hi int) int { return lo + m.rng.IntN(hi-lo+1) }

func (m *maker) uniform(lo, hi float64) float32 { return float32(lo + (hi-lo)*m.rng.Float64()) }

// codes is a tensor of random 8-bit integers; some have the extremes only.
func (m *maker) codes(signed bool, lo, hi int, shape ...int) *tensor.Tensor {
	d := tensor.Uint8
	if signed {
		d = tensor.Int8
	}
	n, _ := tensor.NumElements(shape)
	extreme := m.rng.IntN(6) == 0
	list := make([]int, n)
	for i := range list {
		list[i] = m.between(lo, hi)
		if extreme {
			list[i] = []int{lo, hi}[m.rng.IntN(2)]
		}
	}
	return m.integers(d, list, shape...)
}

func (m *maker) integers(d tensor.DType, list []int, shape ...int) *tensor.Tensor {
	t, err := integers(d, list, shape...)
	if err != nil {
		m.t.Fatal(err)
	}
	return t
}

// limits are those of the activations' type.
func (m *maker) limits() (tensor.DType, int, int) {
	if m.signed {
		return tensor.Int8, -128, 127
	}
	return tensor.Uint8, 0, 255
}

// input adds an input of 8 bits and reads it through a DQ.
func (m *maker) input(shape ...int) *graph.Value {
	d, lo, hi := m.limits()
	name := fmt.Sprintf("x%d", len(m.Inputs))
	x := m.AddInput(name, d, graph.Dims(shape...))
	m.feeds[name] = m.codes(m.signed, lo, hi, shape...)
	scale := m.AddConst("scale", tensor.Scalar(float32(math.Exp2(float64(m.uniform(-7, -2))))))
	zero := m.AddConst("zero", m.integers(d, []int{m.between(lo, hi)}))
	return m.Add("DequantizeLinear", name+"_dq", nil, x, scale, zero)
}

// stored puts a Q behind v, on a grid that covers about what v reaches on the
// data: a part of it, so that it saturates, or more.
func (m *maker) stored(v *graph.Value) *graph.Value {
	d, lo, hi := m.limits()
	outs := m.Outputs
	m.Outputs = []*graph.Value{v}
	if err := m.InferShapes(); err != nil {
		m.t.Fatal(err)
	}
	r, err := eval.Run(m.Graph, m.feeds)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Outputs = outs
	x := r[v.Name].Float32s()
	least, most := min(slices.Min(x), 0), max(slices.Max(x), 0)
	reach := float64(m.uniform(0.4, 1.5))
	scale := max(float32(float64(most-least)/255*reach), 1e-4)
	zero := min(max(lo-int(float64(least)*reach/float64(scale)), lo), hi)
	return m.Add("QuantizeLinear", v.Name+"_q", nil, v, m.AddConst("scale", tensor.Scalar(scale)), m.AddConst("zero", m.integers(d, []int{zero})))
}

// read puts a DQ behind a Q.
func (m *maker) read(q *graph.Value) *graph.Value {
	n := q.Producer()
	return m.Add("DequantizeLinear", q.Name+"_dq", nil, q, n.Inputs[1], n.Inputs[2])
}

// weights adds a DQ of int8 weights of random bits with one scale or one for
// each index of axis, and a bias at the scale of the accumulator or in float.
func (m *maker) weights(x *graph.Value, axis int, shape ...int) (w, b *graph.Value) {
	top := 1<<(m.between(2, 8)-1) - 1
	channels := shape[axis]
	scales := make([]float32, channels)
	for i := range scales {
		scales[i] = float32(math.Exp2(float64(m.uniform(-9, -4))))
	}
	st := tensor.Of(scales, channels)
	if m.rng.IntN(3) == 0 {
		st = tensor.Scalar(scales[0])
		for i := range scales {
			scales[i] = scales[0]
		}
	}
	w = m.Add("DequantizeLinear", "w_dq", graph.Attrs{"axis": int64(axis)}, m.AddConst("w", m.codes(true, -top, top, shape...)), m.AddConst("ws", st))
	xs := x.Producer().Inputs[1].Data.Float32s()[0]
	if m.rng.IntN(3) == 0 {
		f := make([]float32, channels)
		for i := range f {
			f[i] = m.uniform(-1, 1) * xs * scales[i] * float32(top) * 100
		}
		return w, m.AddConst("b", tensor.Of(f, channels))
	}
	ib, bs := make([]int32, channels), make([]float32, channels)
	for i := range ib {
		ib[i], bs[i] = int32(m.between(-100*top, 100*top)), xs*scales[i]
	}
	return w, m.Add("DequantizeLinear", "b_dq", graph.Attrs{"axis": int64(0)}, m.AddConst("b", tensor.Of(ib, channels)), m.AddConst("bs", tensor.Of(bs, channels)))
}

// clamped adds one of the activations that kernels take into their store.
func (m *maker) clamped(v *graph.Value) *graph.Value {
	switch m.rng.IntN(3) {
	case 0:
		return m.Add("Relu", v.Name+"_relu", nil, v)
	case 1:
		return m.Add("Clip", v.Name+"_clip", nil, v, m.AddConst("least", tensor.Scalar(m.uniform(-1, 0.2))), m.AddConst("most", tensor.Scalar(m.uniform(0.3, 6))))
	}
	return v
}

func (m *maker) conv(x *graph.Value, groups, in, out int) *graph.Value {
	k := []int{1, 3, 3, 5}[m.rng.IntN(4)]
	attrs := graph.Attrs{"group": int64(groups), "kernel_shape": []int64{int64(k), int64(k)}}
	p := func() int64 { return int64(m.rng.IntN(k/2 + 1)) }
	attrs["pads"] = []int64{p(), p(), p(), p()}
	s := int64(m.between(1, 2))
	attrs["strides"] = []int64{s, s}
	if k == 3 && m.rng.IntN(4) == 0 {
		attrs["dilations"] = []int64{2, 2}
		attrs["pads"] = []int64{2, 2, 2, 2}
	}
	w, b := m.weights(x, 0, out, in/groups, k, k)
	return m.Add("Conv", "conv", attrs, x, w, b)
}

func (m *maker) shape() []int {
	return []int{m.between(1, 2), m.between(1, 40), m.between(5, 9), m.between(5, 9)}
}

// kinds builds one layer of each kind on random 8-bit tensors.
var kinds = map[string]func(m *maker) *graph.Value{
	"conv": func(m *maker) *graph.Value {
		groups := []int{1, 1, 2, 3}[m.rng.IntN(4)]
		s := m.shape()
		s[1] = groups * m.between(1, 24)
		return m.clamped(m.conv(m.input(s...), groups, s[1], groups*m.between(1, 24)))
	},
	"depthwise": func(m *maker) *graph.Value {
		s := m.shape()
		return m.clamped(m.conv(m.input(s...), s[1], s[1], s[1]*m.between(1, 2)))
	},
	"conv and residual": func(m *maker) *graph.Value {
		s := m.shape()
		x := m.input(s...)
		w, b := m.weights(x, 0, s[1], s[1], 3, 3)
		y := m.read(m.stored(m.Add("Conv", "conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, w, b)))
		if m.rng.IntN(2) == 0 {
			return m.clamped(m.Add("Add", "sum", nil, y, x))
		}
		return m.clamped(m.Add("Add", "sum", nil, m.input(s...), y))
	},
	"gemm": func(m *maker) *graph.Value {
		n, k, c := m.between(1, 5), m.between(1, 150), m.between(1, 40)
		x := m.input(n, k)
		if m.rng.IntN(2) == 0 {
			w, b := m.weights(x, 1, k, c)
			return m.Add("Gemm", "gemm", nil, x, w, b)
		}
		w, b := m.weights(x, 0, c, k)
		return m.clamped(m.Add("Gemm", "gemm", graph.Attrs{"transB": int64(1)}, x, w, b))
	},
	"matmul": func(m *maker) *graph.Value {
		k := m.between(1, 150)
		x := m.input(m.between(1, 3), m.between(1, 5), k)
		w, _ := m.weights(x, 1, k, m.between(1, 40))
		return m.Add("MatMul", "matmul", nil, x, w)
	},
	"add": func(m *maker) *graph.Value {
		s := m.shape()
		return m.clamped(m.Add("Add", "add", nil, m.input(s...), m.input(s...)))
	},
	"mul": func(m *maker) *graph.Value {
		s := m.shape()
		return m.clamped(m.Add("Mul", "mul", nil, m.input(s...), m.input(s...)))
	},
	"gate": func(m *maker) *graph.Value {
		s := m.shape()
		return m.clamped(m.Add([]string{"Mul", "Add"}[m.rng.IntN(2)], "gate", nil, m.input(s...), m.input(s[0], s[1], 1, 1)))
	},
	"concat": func(m *maker) *graph.Value {
		s := m.shape()
		var list []*graph.Value
		for range m.between(2, 4) {
			s[1] = m.between(1, 20)
			list = append(list, m.input(s...))
		}
		return m.clamped(m.Add("Concat", "concat", graph.Attrs{"axis": int64(1)}, list...))
	},
	"maxpool": func(m *maker) *graph.Value {
		k := int64(m.between(2, 3))
		p := int64(m.rng.IntN(2))
		// Behind it, something that has a grid of its own.
		return m.Add("Relu", "relu", nil, m.Add("MaxPool", "pool", graph.Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{2, 2}, "pads": []int64{p, p, p, p}}, m.input(m.shape()...)))
	},
	"averagepool": func(m *maker) *graph.Value {
		k := int64(m.between(2, 3))
		p := int64(m.rng.IntN(2))
		return m.clamped(m.Add("AveragePool", "pool", graph.Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{k - 1, 2}, "pads": []int64{p, p, p, p}, "count_include_pad": int64(m.rng.IntN(2))}, m.input(m.shape()...)))
	},
	"globalaveragepool": func(m *maker) *graph.Value {
		return m.clamped(m.Add("GlobalAveragePool", "pool", nil, m.input(m.shape()...)))
	},
}

func init() {
	for _, op := range []string{"Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Softplus", "Gelu"} {
		kinds[op] = func(m *maker) *graph.Value { return m.Add(op, "f", nil, m.input(m.shape()...)) }
	}
	kinds["Clip"] = func(m *maker) *graph.Value {
		return m.Add("Clip", "f", nil, m.input(m.shape()...), m.AddConst("least", tensor.Scalar[float32](0)), m.AddConst("most", tensor.Scalar[float32](6)))
	}
	kinds["x times sigmoid"] = func(m *maker) *graph.Value {
		x := m.input(m.shape()...)
		return m.Add("Mul", "f", nil, x, m.read(m.stored(m.Add("Sigmoid", "s", nil, x))))
	}
}

// TestIntegersWithinOneStep holds the integer kernels of every kind of layer,
// on random shapes, weights and grids, to their fake-quantized twins.
func TestIntegersWithinOneStep(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kind, func(t *testing.T) {
			codes, off := 0, 0
			for i := range rounds {
				m := &maker{Graph: graph.New("layer"), t: t, rng: rand.New(rand.NewPCG(uint64(i), 77)), feeds: map[string]*tensor.Tensor{}}
				m.signed = m.rng.IntN(2) == 0
				y := m.stored(kinds[kind](m))
				m.AddOutput(y)
				if err := m.InferShapes(); err != nil {
					t.Fatal(err)
				}
				p, err := engine.Compile(m.Graph, engine.Options{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range p.Steps() {
					if s.Kernel == "dequantize" || s.Kernel == "quantize" || s.Kernel == "eval" {
						t.Errorf("round %d: %s runs as %s, not in integers", i, s.Node, s.Kernel)
					}
				}
				c, o := compareCodes(t, m.Graph, m.feeds)
				codes, off = codes+c, off+o
				if t.Failed() {
					t.Fatalf("round %d", i)
				}
			}
			t.Logf("%d of %d integers are one step away", off, codes)
		})
	}
}

// TestNetworksWithinOneStep does the same for every layer of whole networks, at
// several widths and for every target.
func TestNetworksWithinOneStep(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(nets)) {
		for _, target := range TargetNames() {
			for i, bits := range [][2]int{{8, 8}, {4, 4}, {4, 8}, {3, 6}} {
				if i > 1 && testing.Short() {
					break
				}
				t.Run(fmt.Sprintf("%s/%s/W%dA%d", name, target, bits[0], bits[1]), func(t *testing.T) {
					g := net(t, nets[name])
					o := Defaults()
					o.Target, o.WBits, o.ABits = target, bits[0], bits[1]
					q, _ := static(t, g, o)
					codes, off := compareCodes(t, q, map[string]*tensor.Tensor{q.Inputs[0].Name: sample(g, 2, 11)})
					t.Logf("%d of %d integers are one step away", off, codes)
				})
			}
		}
	}
}

// TestPretrainedWithinOneStep does the same for pretrained networks on
// photographs.
func TestPretrainedWithinOneStep(t *testing.T) {
	for file, preset := range map[string]string{"resnet8.onnx": "raw", "resnet20.onnx": "imagenet"} {
		g, err := onnx.Read(testdata.Path(t, "models", "cifar10", file))
		if err != nil {
			t.Fatal(err)
		}
		pre, err := data.ParsePreprocess(preset)
		if err != nil {
			t.Fatal(err)
		}
		load := func(split string, n int) Batches {
			ds, err := data.Open("cifar10:"+testdata.Path(t, "cifar10"), data.Options{Split: split})
			if err != nil {
				t.Fatal(err)
			}
			l, err := data.NewLoader(data.Spread(ds, n), data.LoaderOptions{Batch: n, Seed: 1, Preprocess: pre})
			if err != nil {
				t.Fatal(err)
			}
			return l.Batches(t.Context(), 0)
		}
		for _, bits := range [][2]int{{8, 8}, {4, 4}} {
			o := Defaults()
			o.WBits, o.ABits = bits[0], bits[1]
			q, _, err := Static(t.Context(), g, load("train", 32), o)
			if err != nil {
				t.Fatal(err)
			}
			for b, err := range load("test", 2) {
				if err != nil {
					t.Fatal(err)
				}
				codes, off := compareCodes(t, q, map[string]*tensor.Tensor{q.Inputs[0].Name: tensor.Of(b.X, b.N, b.C, b.H, b.W)})
				t.Logf("%s, W%dA%d: %d of %d integers are one step away", file, bits[0], bits[1], off, codes)
			}
		}
	}
}
