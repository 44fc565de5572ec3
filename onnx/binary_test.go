package onnx

import (
	"bytes"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// binaryCase is a BinaryConv of some form.
type binaryCase struct {
	name   string
	w      []int // shape of the weight
	x      []int
	packed bool
	more   int // further inputs: scale, bias
	attrs  graph.Attrs
}

var binaryCases = []binaryCase{
	{"plain", []int{8, 5, 3, 3}, []int{2, 5, 7, 6}, false, 2, graph.Attrs{"pads": []int64{1, 1, 1, 1}}},
	{"packed", []int{8, 5, 3, 3}, []int{2, 5, 7, 6}, true, 2, graph.Attrs{"pads": []int64{1, 0, 2, 1}, "strides": []int64{2, 1}, "dilations": []int64{1, 2}}},
	{"bare", []int{4, 4, 3, 3}, []int{1, 4, 6, 6}, false, 0, nil},
	{"grouped, padded with ones", []int{6, 2, 3, 3}, []int{1, 6, 6, 6}, true, 1, graph.Attrs{"group": int64(3), "pads": []int64{1, 1, 0, 2}, "pad_value": float32(1)}},
	{"one dimension", []int{3, 9, 5}, []int{2, 9, 20}, false, 2, graph.Attrs{"auto_pad": "SAME_UPPER", "strides": []int64{2}, "kernel_shape": []int64{5}}},
}

// model builds the graph of a case; the input is x, the output y.
func (c binaryCase) model(t testing.TB) *graph.Graph {
	t.Helper()
	g := graph.New("binary")
	x := g.AddInput("x", tensor.Float32, graph.ShapeOf(c.x))
	w := noise(c.w...)
	attrs := c.attrs.Clone()
	if c.packed {
		var shape []int64
		w, shape = graph.PackSigns(w)
		attrs["weight_shape"] = shape
	}
	in := []*graph.Value{x, g.AddConst("w", w)}
	for _, name := range []string{"scale", "bias"}[:c.more] {
		in = append(in, g.AddConst(name, noise(c.w[0])))
	}
	n := g.Append(g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, "b", in, []string{"y"}, attrs))
	g.AddOutput(n.Outputs[0])
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestBinaryConvFile writes, reads and writes each form again.
func TestBinaryConvFile(t *testing.T) {
	for _, c := range binaryCases {
		t.Run(c.name, func(t *testing.T) {
			g := c.model(t)
			in := map[string]*tensor.Tensor{"x": noise(c.x...)}
			want, err := eval.Run(g, in)
			if err != nil {
				t.Fatal(err)
			}
			data := mustEncode(t, g)
			for _, o := range []Options{{}, {KeepFunctions: true}} {
				back := mustDecode(t, data, o)
				binary := back.Node("b")
				if !graph.IsBinaryConv(binary) || binary.Inputs[1].Data.DType != tensor.Uint8 {
					t.Fatalf("read as %v", binary)
				}
				if err := back.InferShapes(); err != nil {
					t.Fatal(err)
				}
				got, err := eval.Run(back, in)
				if err != nil {
					t.Fatal(err)
				}
				same(t, want, got, 0)
				if again := mustEncode(t, back); !bytes.Equal(again, data) {
					t.Errorf("%d bytes written, %d when read and written again", len(data), len(again))
				}
			}
		})
	}
}

// TestBinaryConvInORT lets ONNX Runtime compute what the file's function says.
func TestBinaryConvInORT(t *testing.T) {
	r := runtime(t)
	for _, c := range binaryCases {
		t.Run(c.name, func(t *testing.T) {
			g := c.model(t)
			x := noise(c.x...)
			x.Float32s()[1] = 0
			in := map[string]*tensor.Tensor{"x": x}
			want, err := eval.Run(g, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, opset := range []int64{13, 18, 21} {
				data, err := Encode(g, WriteOptions{Opset: opset})
				if err != nil {
					t.Fatal(err)
				}
				same(t, want, outputs(t, r, data, in), 0)
			}
		})
	}
}

func TestBinaryConvErrors(t *testing.T) {
	old := binaryCases[0].model(t)
	computed := binaryCases[0].model(t)
	w := computed.Value("w")
	neg := computed.NewNode("", "Neg", "neg", []*graph.Value{w}, []string{"neg"}, nil)
	computed.InsertBefore(computed.Node("b"), neg)
	computed.Node("b").SetInput(1, neg.Outputs[0])
	auto := binaryCases[4].model(t)
	auto.Node("b").Attrs["pad_value"] = float32(-1)
	for _, c := range []struct {
		g     *graph.Graph
		opset int64
		want  string
	}{
		{old, 12, "needs operator set 13"},
		{computed, 0, "computed"},
		{auto, 0, "auto_pad"},
	} {
		if _, err := Encode(c.g, WriteOptions{Opset: c.opset}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}
