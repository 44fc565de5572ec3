package dialect

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func images(n int) *tensor.Tensor {
	rng := rand.New(rand.NewPCG(1, 1))
	x := tensor.New(tensor.Float32, n, 1, 16, 16)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64())
	}
	return x
}

// network is a quantized residual network.
func network(t *testing.T, wbits, abits int) *graph.Graph {
	t.Helper()
	g, err := zoo.Build("resnet8?channels=1&size=16&classes=4&width=0.5", 1)
	if err != nil {
		t.Fatal(err)
	}
	o := quantize.Defaults()
	o.WBits, o.ABits = wbits, abits
	x := images(16)
	q, _, err := quantize.Static(t.Context(), g, func(yield func(*data.Batch, error) bool) {
		yield(&data.Batch{N: 16, C: 1, H: 16, W: 16, X: x.Float32s(), Y: make([]int32, 16)}, nil)
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func run(t *testing.T, g *graph.Graph) []float32 {
	t.Helper()
	out, err := eval.Run(g, map[string]*tensor.Tensor{g.Inputs[0].Name: images(4)})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

func same(t *testing.T, what string, a, b []float32, tolerance float64) {
	t.Helper()
	top, diff := 0.0, 0.0
	for i := range a {
		top, diff = max(top, math.Abs(float64(a[i]))), max(diff, math.Abs(float64(a[i]-b[i])))
	}
	if diff > tolerance*top {
		t.Errorf("%s: differs by %g of %g", what, diff, top)
	}
}

func count(g *graph.Graph, op string) (n int) {
	for _, m := range g.Nodes {
		if m.Op == op {
			n++
		}
	}
	return n
}

// reread writes g to a file and reads it.
func reread(t *testing.T, g *graph.Graph) *graph.Graph {
	t.Helper()
	file := filepath.Join(t.TempDir(), "g.onnx")
	if err := onnx.Write(file, g); err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestForms converts to each form, back from QONNX, and compares outputs.
func TestForms(t *testing.T) {
	for _, bits := range [][2]int{{8, 8}, {4, 4}, {3, 6}} {
		q := network(t, bits[0], bits[1])
		want := run(t, q)
		for _, form := range Forms() {
			g := q.Clone()
			if err := Convert(g, form); err != nil {
				t.Fatalf("%v: %v", bits, err)
			}
			if err := g.Verify(); err != nil {
				t.Fatal(err)
			}
			switch form {
			case "qonnx":
				if count(g, "QuantizeLinear") > 0 || count(g, "Quant") == 0 || !IsQONNX(g) {
					t.Errorf("%v: %d QuantizeLinear and %d Quant nodes", bits, count(g, "QuantizeLinear"), count(g, "Quant"))
				}
				g = reread(t, g)
				if err := FromQONNX(g); err != nil {
					t.Fatal(err)
				}
				if IsQONNX(g) || count(g, "QuantizeLinear") != count(q, "QuantizeLinear") {
					t.Errorf("%v: %d QuantizeLinear nodes came back, there were %d", bits, count(g, "QuantizeLinear"), count(q, "QuantizeLinear"))
				}
			case "qoperator":
				if bits[1] == 8 && (count(g, "QLinearConv") != 7 || count(g, "Conv") != 0 || count(g, "QGemm") != 1) {
					t.Errorf("%v: %d QLinearConv, %d Conv, %d QGemm", bits, count(g, "QLinearConv"), count(g, "Conv"), count(g, "QGemm"))
				}
			case "qcdq":
				if bits[1] < 8 && count(g, "Clip") == 0 {
					t.Errorf("%v: nothing is clipped", bits)
				}
			}
			same(t, form, want, run(t, g), 0.02)
		}
	}
}

// TestFormsInORT loads each form but QONNX in ONNX Runtime.
func TestFormsInORT(t *testing.T) {
	lib, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	for _, form := range []string{"qdq", "qcdq", "qoperator"} {
		for _, bits := range []int{8, 4} {
			g := network(t, bits, bits)
			want := run(t, g)
			if err := Convert(g, form); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "g.onnx")
			if err := onnx.Write(file, g); err != nil {
				t.Fatal(err)
			}
			s, err := lib.Load(file, ort.Options{Threads: 1, Config: map[string]string{"session.x64quantprecision": "1"}})
			if err != nil {
				t.Fatalf("%s, %d bits: %v", form, bits, err)
			}
			defer s.Close()
			out, err := s.Run(map[string]*tensor.Tensor{g.Inputs[0].Name: images(4)})
			if err != nil {
				t.Fatalf("%s, %d bits: %v", form, bits, err)
			}
			same(t, form+" in ONNX Runtime", want, out[g.Outputs[0].Name].Float32s(), 0.05)
		}
	}
}

// TestBipolar turns a binary convolution into BipolarQuant nodes and back.
func TestBipolar(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	random := func(shape ...int) *tensor.Tensor {
		x := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
		}
		return x
	}
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(4, 1, 16, 16))
	packed, shape := graph.PackSigns(random(3, 1, 3, 3))
	n := g.Append(g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, "b", []*graph.Value{x, g.AddConst("w", packed), g.AddConst("s", random(3)), g.AddConst("c", random(3))}, []string{"y"},
		graph.Attrs{"pads": []int64{1, 1, 1, 1}, "weight_shape": shape}))
	g.AddOutput(n.Outputs[0])
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	want := run(t, g)
	if err := Convert(g, "qonnx"); err != nil {
		t.Fatal(err)
	}
	if count(g, "BipolarQuant") != 2 || count(g, graph.BinaryConv) != 0 {
		t.Errorf("%d BipolarQuant nodes", count(g, "BipolarQuant"))
	}
	g = reread(t, g)
	if err := FromQONNX(g); err != nil {
		t.Fatal(err)
	}
	if count(g, graph.BinaryConv) != 1 {
		t.Error("BinaryConv did not come back")
	}
	same(t, "bipolar", want, run(t, g), 1e-5)
}

// TestQuantNodes reads Quant nodes as other tools write them.
func TestQuantNodes(t *testing.T) {
	make := func(bits, zero float32, attrs graph.Attrs, scales ...float32) *graph.Graph {
		g := graph.New("g")
		x := g.AddInput("x", tensor.Float32, graph.Dims(4, 1, 16, 16))
		shape := []int{}
		if len(scales) > 1 {
			shape = []int{1, len(scales), 1, 1}
		}
		zeros := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](zeros); i < len(d); i++ {
			d[i] = zero
		}
		n := g.Append(g.NewNode(QONNXDomain, "Quant", "q", []*graph.Value{x, g.AddConst("s", tensor.Of(scales, shape...)), g.AddConst("z", zeros), g.AddConst("b", tensor.Scalar(bits))}, []string{"y"}, attrs))
		n.Outputs[0].Type, n.Outputs[0].Shape = tensor.Float32, x.Shape
		g.AddOutput(n.Outputs[0])
		return g
	}
	for _, c := range []struct {
		bits, zero float32
		attrs      graph.Attrs
		lo, hi     float64
	}{
		{4, 0, graph.Attrs{"signed": int64(1), "narrow": int64(0)}, -8, 7}, {4, 0, graph.Attrs{"signed": int64(1), "narrow": int64(1)}, -7, 7},
		{2, 0, graph.Attrs{"signed": int64(0)}, 0, 3}, {8, 3, graph.Attrs{"signed": int64(0)}, 0, 255}, {12, 0, graph.Attrs{"signed": int64(1)}, -2048, 2047},
	} {
		g := make(c.bits, c.zero, c.attrs, 0.1)
		if err := FromQONNX(g); err != nil {
			t.Fatal(err)
		}
		in := images(4).Float32s()
		for i, y := range run(t, g) {
			q := min(max(math.RoundToEven(float64(in[i]/0.1))+float64(c.zero), c.lo), c.hi)
			if want := (q - float64(c.zero)) * 0.1; math.Abs(want-float64(y)) > 1e-4 {
				t.Fatalf("%g bits: %g became %g, want %g", c.bits, in[i], y, want)
			}
		}
	}
	for want, g := range map[string]*graph.Graph{
		"bit width":     make(40, 0, nil, 1),
		"rounding mode": make(4, 0, graph.Attrs{"rounding_mode": "FLOOR"}, 1),
		"zero point":    make(4, 0.5, nil, 1),
		"scale":         make(4, 0, nil, -1),
		"do not fit":    make(4, 0, nil, 1, 2),
	} {
		if err := FromQONNX(g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if err := Convert(make(4, 0, nil, 1), "magic"); err == nil || !strings.Contains(err.Error(), "there are: qdq") {
		t.Errorf("unknown form: %v", err)
	}
}
