package graph_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func build(t *testing.T, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// read reads one of the real models and infers its shapes.
func read(t *testing.T, path string) *graph.Graph {
	t.Helper()
	g, err := onnx.Read(testdata.Path(t, "models", path))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestCostTotals checks the counts of the literature.
func TestCostTotals(t *testing.T) {
	for _, c := range []struct {
		spec         string
		params, macs int64
		gbops        float64
	}{
		{"resnet20", 269_722, 40_551_040, 0},
		{"resnet18", 11_689_512, 1_814_073_344, 1857.6}, // Yao et al., HAWQ-V3 (2021) print 1858 for float32
		{"mobilenetv2", 3_504_872, 300_774_272, 0},
		{"shufflenetv2", 2_278_604, 144_907_992, 0},
		{"mobilenetv3-small", 2_542_856, 56_510_400, 0},
		{"squeezenet1.1", 1_235_496, 349_151_936, 0},
	} {
		got := build(t, c.spec).Cost()
		if got.Params != c.params || got.MACs != c.macs {
			t.Errorf("%s: %d parameters, %d MACs, want %d and %d", c.spec, got.Params, got.MACs, c.params, c.macs)
		}
		if c.gbops > 0 && float64(int(float64(got.BOPs)/1e8+0.5))/10 != c.gbops {
			t.Errorf("%s: %d BOPs, want %v G", c.spec, got.BOPs, c.gbops)
		}
		if got.WeightBytes != 4*c.params {
			t.Errorf("%s: %d weight bytes, want 4 a parameter", c.spec, got.WeightBytes)
		}
	}
}

func TestCostOfRealInt8(t *testing.T) {
	q := read(t, "cifar10/resnet8_int8.onnx").Cost()
	p := read(t, "cifar10/resnet8.onnx").Cost()
	if q.Params != p.Params || q.MACs != p.MACs {
		t.Errorf("int8 has %d parameters and %d MACs, float %d and %d", q.Params, q.MACs, p.Params, p.MACs)
	}
	if q.BOPs*16 != p.BOPs {
		t.Errorf("int8 has %d BOPs, float %d: want a sixteenth", q.BOPs, p.BOPs)
	}
	if q.WeightBytes*3 > p.WeightBytes || q.PeakActivationBytes*2 > p.PeakActivationBytes {
		t.Errorf("int8: %d weight bytes and %d peak, float: %d and %d", q.WeightBytes, q.PeakActivationBytes, p.WeightBytes, p.PeakActivationBytes)
	}
}

// TestPeakMemory works a small graph out by hand.
func TestPeakMemory(t *testing.T) {
	g := graph.New("peak")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(2), graph.D(4), graph.D(4)}) // 128 bytes
	conv := func(name string, in *graph.Value, o int) *graph.Value {
		w := g.AddConst(name+".w", tensor.New(tensor.Float32, o, in.Shape[1].Size, 1, 1))
		return g.Add("Conv", name, nil, in, w)
	}
	a := g.Add("Relu", "ra", nil, conv("a", x, 4)) // 256, in place
	b := conv("b", a, 4)                           // 256
	c := conv("c", b, 4)                           // 256; a, b, c alive: 768
	s := g.Add("Add", "s", nil, c, a)              // over c
	f := g.Add("Flatten", "f", nil, g.Add("GlobalAveragePool", "gap", nil, s))
	g.AddOutput(f)
	cost := g.Cost()
	if cost.PeakActivationBytes != 768 {
		t.Errorf("peak is %d bytes, want 768", cost.PeakActivationBytes)
	}
	if cost.Sparsity != 1 {
		t.Errorf("zero weights have sparsity %v", cost.Sparsity)
	}
	if cost.Nodes[0].MACs != 4*2*16 || cost.Nodes[0].ReadBytes != 128+32 || cost.Nodes[0].WriteBytes != 256 {
		t.Errorf("first node: %+v", cost.Nodes[0])
	}
}

func TestDotAndDiff(t *testing.T) {
	g := build(t, "resnet8")
	var dot bytes.Buffer
	if err := g.WriteDot(&dot); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"digraph", "in0 -> n0", " MACs", "-> out0"} {
		if !strings.Contains(dot.String(), want) {
			t.Errorf("the Graphviz text lacks %q", want)
		}
	}
	c := g.Clone()
	d := graph.Compare(g, c)
	if len(d.Added)+len(d.Removed)+len(d.Changed) != 0 || d.Same != len(g.Nodes) {
		t.Errorf("a clone differs: %+v", d)
	}
	n := c.Nodes[0]
	w := n.Inputs[1].Data.Clone()
	tensor.Data[float32](w)[0] += 1
	n.Inputs[1].SetData(w)
	n.SetInt("group", 1)
	y := n.Outputs[0]
	relu := c.NewNode("", "Relu", "extra", []*graph.Value{y}, []string{"extra_out"}, nil)
	c.InsertAfter(n, relu)
	c.ReplaceUses(y, relu.Outputs[0])
	relu.SetInput(0, y)
	if err := c.InferShapes(); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	d = graph.Compare(g, c)
	if len(d.Added) != 1 || len(d.Removed) != 0 || len(d.Changed) != 1 || d.Changed[0].Name != n.Name {
		t.Errorf("diff: added %d, removed %d, changed %v", len(d.Added), len(d.Removed), d.Changed)
	}
	var text bytes.Buffer
	if err := d.WriteText(&text); err != nil || !strings.Contains(text.String(), "+ extra (Relu)") {
		t.Errorf("text: %v\n%s", err, text.String())
	}
}
