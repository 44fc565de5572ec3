package onnx

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestLowestOpset writes graphs that never were a file, and checks the
// operator set and IR version chosen for each.
func TestLowestOpset(t *testing.T) {
	x2 := []*tensor.Tensor{noise(2, 3)}
	image := []*tensor.Tensor{noise(1, 2, 6, 6)}
	for _, c := range []struct {
		name      string
		in        []*tensor.Tensor
		build     func(*graph.Graph, []*graph.Value) *graph.Value
		opset, ir int64
	}{
		{"relu", x2, one("Relu", nil), 13, 8},
		{"reduce over constant axes", x2, one("ReduceMean", nil, i64(1)), 13, 8},
		{"reduce over computed axes", []*tensor.Tensor{noise(2, 3), i64(1)}, one("ReduceMean", nil), 18, 8},
		{"reduce over no axes", x2, one("ReduceMean", graph.Attrs{"noop_with_empty_axes": int64(1)}), 18, 8},
		{"hard swish", x2, one("HardSwish", nil), 14, 8},
		{"layer normalization", x2, one("LayerNormalization", nil, f32(1, 2, 3)), 17, 8},
		{"mish", x2, one("Mish", nil), 18, 8},
		{"gelu", x2, one("Gelu", nil), 20, 9},
		{"group normalization", image, one("GroupNormalization", graph.Attrs{"num_groups": int64(1)}, f32(1, 2), f32(0, 0)), 21, 10},
		{"group normalization, even", image, one("GroupNormalization", graph.Attrs{"num_groups": int64(2)}, f32(1, 2), f32(0, 0)), 18, 8},
		{"dilated average pool", image, one("AveragePool", graph.Attrs{"kernel_shape": []int64{2, 2}, "dilations": []int64{2, 2}}), 19, 9},
		{"plain average pool", image, one("AveragePool", graph.Attrs{"kernel_shape": []int64{2, 2}, "dilations": []int64{1, 1}}), 13, 8},
		{"unequal split", []*tensor.Tensor{noise(5)}, func(g *graph.Graph, in []*graph.Value) *graph.Value {
			return g.Append(g.NewNode("", "Split", "split", in, []string{"y", "z"}, graph.Attrs{"num_outputs": int64(2)})).Outputs[0]
		}, 13, 8},
		{"reshape to nothing", x2, one("Reshape", graph.Attrs{"allowzero": int64(1)}, i64(2, 3)), 13, 8},
		{"part of a shape", x2, one("Shape", graph.Attrs{"start": int64(1)}), 15, 8},
		{"pad some axes", x2, one("Pad", nil, i64(1, 1), tensor.Scalar[float32](2), i64(-1)), 13, 8},
		{"wrap", x2, one("Pad", graph.Attrs{"mode": "wrap"}, i64(0, 1, 0, 1)), 19, 9},
		{"resize some axes", image, one("Resize", graph.Attrs{"axes": []int64{2, 3}}, f32(), f32(2, 2)), 13, 8},
		{"resize with antialias", image, one("Resize", graph.Attrs{"antialias": int64(1), "mode": "linear"}, f32(), f32(1, 1, .5, .5)), 18, 8},
		{"int4 weights", []*tensor.Tensor{}, one("DequantizeLinear", nil, tensor.Typed(tensor.Int4, []uint8{0x21}, 2), tensor.Scalar[float32](1)), 21, 10},
		{"int8 weights per channel", []*tensor.Tensor{}, one("DequantizeLinear", graph.Attrs{"axis": int64(0)}, tensor.Of([]int8{1, 2}, 2, 1), f32(1, 2)), 13, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New("new")
			var in []*graph.Value
			for i, x := range c.in {
				in = append(in, g.AddInput(string(rune('a'+i)), x.DType, graph.ShapeOf(x.Shape)))
			}
			g.AddOutput(c.build(g, in))
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			data := mustEncode(t, g)
			p, err := decodeModel(data)
			if err != nil {
				t.Fatal(err)
			}
			if p.opsets[0].version != c.opset || p.ir != c.ir || p.producer != "drawknife" {
				t.Errorf("operator set %d, IR %d, by %q; want %d, %d", p.opsets[0].version, p.ir, p.producer, c.opset, c.ir)
			}
			// What was written means the same when it is read again.
			h := mustDecode(t, data)
			if err := h.InferShapes(); err != nil {
				t.Fatal(err)
			}
			if a, b := g.Outputs[0], h.Outputs[0]; a.Type != b.Type || a.Shape.String() != b.Shape.String() {
				t.Errorf("output %v %v became %v %v", a.Type, a.Shape, b.Type, b.Shape)
			}
			if _, err := Encode(g, WriteOptions{Opset: c.opset - 1}); c.opset > newOpset && (err == nil || !strings.Contains(err.Error(), "needs operator set")) {
				t.Errorf("operator set %d: %v", c.opset-1, err)
			}
		})
	}
}

func TestOpsetOutOfRange(t *testing.T) {
	g := mustDecode(t, relu())
	for _, opset := range []int64{-1, 6, 26} {
		if _, err := Encode(g, WriteOptions{Opset: opset}); err == nil || !strings.Contains(err.Error(), "not one of 7 to 25") {
			t.Errorf("operator set %d: %v", opset, err)
		}
	}
}

func TestNewDomainsAreImported(t *testing.T) {
	g := mustDecode(t, relu())
	n := g.NewNode(graph.MicrosoftDomain, "QLinearAdd", "q", []*graph.Value{g.Inputs[0]}, []string{"z"}, nil)
	n.Outputs[0].Type, n.Outputs[0].Shape = tensor.Uint8, graph.Dims(1)
	g.Append(n)
	p, err := decodeModel(mustEncode(t, g))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.opsets) != 2 || p.opsets[1] != (opsetProto{graph.MicrosoftDomain, 1}) {
		t.Errorf("operator sets %v", p.opsets)
	}
	if len(p.graph.valueInfo) != 1 || p.graph.valueInfo[0].name != "z" {
		t.Error("the type of an output that ONNX cannot infer is not written")
	}
}

func TestOwnOperators(t *testing.T) {
	g := mustDecode(t, relu())
	old := g.Outputs[0]
	n := g.Append(g.NewNode(graph.DrawknifeDomain, "TestTwice", "twice", []*graph.Value{g.Inputs[0]}, []string{"own"}, nil))
	g.ReplaceUses(old, n.Outputs[0])
	g.Remove(g.Nodes[0])
	if _, err := Encode(g); err == nil || !strings.Contains(err.Error(), `node "twice" (drawknife.TestTwice) has no ONNX form`) {
		t.Fatalf("error %v", err)
	}
	RegisterExport("TestTwice", func(g *graph.Graph, n *graph.Node) error {
		add := g.NewNode("", "Add", "", []*graph.Value{n.Inputs[0], n.Inputs[0]}, []string{"sum"}, nil)
		g.InsertBefore(n, add)
		g.ReplaceUses(n.Outputs[0], add.Outputs[0])
		g.Remove(n)
		return nil
	})
	defer delete(lowerings, "TestTwice")
	h := again(t, g)
	if len(h.Nodes) != 1 || h.Nodes[0].Op != "Add" || h.Outputs[0].Name != "y" {
		t.Errorf("lowered to %v", h.Nodes)
	}
	if g.Nodes[0].Op != "TestTwice" {
		t.Error("writing changed the graph")
	}
}
