package eval_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// TestNodeTests runs ONNX's own backend tests of single operators.
func TestNodeTests(t *testing.T) {
	dir := os.Getenv("DRAWKNIFE_ONNX_TESTS")
	if dir == "" {
		dir = "/usr/share/libonnx-testdata/data"
	}
	list, _ := filepath.Glob(filepath.Join(dir, "node", "*", "model.onnx"))
	if len(list) == 0 {
		t.Skip("SKIPPED: no ONNX backend tests here (install Debian's libonnx-testdata, or set DRAWKNIFE_ONNX_TESTS to the folder that holds node/)")
	}
	passed, excluded, foreign := 0, 0, map[string]int{}
	for _, path := range list {
		folder := filepath.Dir(path)
		name := strings.TrimPrefix(filepath.Base(folder), "test_")
		if _, ok := exclusion(name); ok {
			excluded++
			continue
		}
		g, err := readModel(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if op := unsupported(g); op != "" {
			foreign[op]++
			continue
		}
		if t.Run(name, func(t *testing.T) { runSets(t, g, folder) }) {
			passed++
		}
	}
	ops := []string{}
	for op, n := range foreign {
		ops = append(ops, fmt.Sprintf("%s (%d)", op, n))
	}
	slices.Sort(ops)
	t.Logf("%d tests passed, %d excluded by name, the rest of %d need operators that are not computed here: %s",
		passed, excluded, len(list), strings.Join(ops, ", "))
	if passed == 0 {
		t.Error("nothing was tested")
	}
}

// exclusions lists tests that are not run although their operators are
// computed, by prefix, and why.
var exclusions = map[string]string{
	"training_dropout":           "random: the expected values come from numpy's generator",
	"identity_opt":               "the input is an optional, not a tensor",
	"identity_sequence":          "the input is a sequence, not a tensor",
	"cast_BFLOAT16_to":           "the data file declares its input as uint16",
	"cast_FLOAT_to_BFLOAT16":     "the data file declares its output as uint16",
	"castlike_BFLOAT16_to":       "the data file declares its input as uint16",
	"castlike_FLOAT_to_BFLOAT16": "the data file declares its input as uint16",
	// ONNX Runtime and PyTorch give our values too.
	"resize_downsample_scales_linear_align_corners": "the expected values take the result's size before rounding down",
	"resize_downsample_scales_cubic_align_corners":  "the expected values take the result's size before rounding down",
}

// training_dropout tests with ratio 0 are not random.
var included = []string{"training_dropout_zero_ratio", "training_dropout_zero_ratio_mask"}

func exclusion(name string) (string, bool) {
	if slices.Contains(included, name) {
		return "", false
	}
	for prefix, why := range exclusions {
		if strings.HasPrefix(name, prefix) {
			return why, true
		}
	}
	return "", false
}

// readModel reads a model in its own types. Operator sets before 7 (of tests
// that never needed an update) are declared as 7, which changes none of the
// operators that are tested with them.
func readModel(path string) (*graph.Graph, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var model []byte
	for rest := data; len(rest) > 0; {
		num, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		field := rest[:n]
		rest = rest[n:]
		if num == 8 { // opset_import: domain 1, version 2
			body, _ := protowire.ConsumeBytes(field[1:])
			if at := bytes.IndexByte(body, 2<<3); at >= 0 && at+2 == len(body) && body[at+1] < 7 {
				body[at+1] = 7
			}
		}
		model = append(model, field...)
	}
	return onnx.Decode(model, onnx.Options{KeepTypes: true})
}

// unsupported names an operator of g that eval does not compute, if any.
func unsupported(g *graph.Graph) string {
	for _, n := range g.Nodes {
		if !eval.Supported(n) {
			return n.Op
		}
	}
	return ""
}

func runSets(t *testing.T, g *graph.Graph, folder string) {
	sets, _ := filepath.Glob(filepath.Join(folder, "test_data_set_*"))
	if len(sets) == 0 {
		t.Fatal("has no data")
	}
	for _, set := range sets {
		inputs := map[string]*tensor.Tensor{}
		for i, v := range g.Inputs {
			inputs[v.Name] = readTensor(t, filepath.Join(set, fmt.Sprintf("input_%d.pb", i)))
		}
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		got, err := eval.Run(g, inputs)
		if err != nil {
			t.Fatal(err)
		}
		err = eval.Trace(g, inputs, func(v *graph.Value, x *tensor.Tensor) error {
			if err := agrees(v, x); err != nil {
				t.Errorf("%v: inferred and computed differ: %v", v.Producer(), err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range g.Outputs {
			want := readTensor(t, filepath.Join(set, fmt.Sprintf("output_%d.pb", i)))
			rel := 1e-5
			if strings.Contains(folder, "window") {
				rel = 1e-3 // expected from float64, the function body computes in float32
			}
			if err := closeTo(got[v.Name], want, rel); err != nil {
				t.Errorf("output %q: %v", v.Name, err)
			}
		}
	}
}

// agrees compares what shape inference knows of a value with the value.
func agrees(v *graph.Value, x *tensor.Tensor) error {
	if v.Type != tensor.Invalid && v.Type != x.DType || v.Shape != nil && len(v.Shape) != x.Rank() {
		return fmt.Errorf("%q is %v%v, inferred %v[%v]", v.Name, x.DType, x.Shape, v.Type, v.Shape)
	}
	for i, d := range v.Shape {
		if d.Known() && d.Size != x.Shape[i] {
			return fmt.Errorf("%q has shape %v, inferred %v", v.Name, x.Shape, v.Shape)
		}
	}
	for i, e := range v.Elems {
		if e.Known() && (i >= x.Len() || int64(e.Size) != x.Int64s()[i]) {
			return fmt.Errorf("%q has elements %v, inferred %v", v.Name, x.Any(), v.Elems)
		}
	}
	return nil
}

// readTensor reads a TensorProto by wrapping it as the initializer of a model.
func readTensor(t *testing.T, path string) *tensor.Tensor {
	t.Helper()
	proto, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	field := func(num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
	}
	model := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 8) // ir_version
	opset := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 17)
	model = append(model, field(8, opset)...)
	model = append(model, field(7, append(field(2, []byte("g")), field(5, proto)...))...)
	g, err := onnx.Decode(model, onnx.Options{KeepTypes: true})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(g.Constants()) != 1 {
		t.Fatalf("%s holds no tensor", path)
	}
	return g.Constants()[0].Data
}

// closeTo compares exactly, floats up to a relative error (that of the type if
// it is narrow).
func closeTo(got, want *tensor.Tensor, rel float64) error {
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if !want.DType.IsFloat() {
		if !got.Equal(want) {
			return fmt.Errorf("got %v, want %v", got.Any(), want.Any())
		}
		return nil
	}
	switch want.DType {
	case tensor.Float16:
		rel = 1.0 / (1 << 10)
	case tensor.BFloat16:
		rel = 1.0 / (1 << 7)
	}
	for i := range want.Len() {
		g, w := got.At(i), want.At(i)
		if g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= 1e-6+rel*math.Abs(w) {
			continue
		}
		return fmt.Errorf("element %d is %v, want %v", i, g, w)
	}
	return nil
}
