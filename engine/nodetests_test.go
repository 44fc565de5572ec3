package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// excludedNodeTests lists tests that are not run, by prefix, and why. Those
// that package eval excludes are wrong or not about tensors there too.
var excludedNodeTests = map[string]string{
	"training_dropout":           "random: the expected values come from numpy's generator",
	"identity_opt":               "the input is an optional, not a tensor",
	"identity_sequence":          "the input is a sequence, not a tensor",
	"cast_BFLOAT16_to":           "the data file declares its input as uint16",
	"cast_FLOAT_to_BFLOAT16":     "the data file declares its output as uint16",
	"castlike_BFLOAT16_to":       "the data file declares its input as uint16",
	"castlike_FLOAT_to_BFLOAT16": "the data file declares its output as uint16",
	// ONNX Runtime and PyTorch give our values too.
	"resize_downsample_scales_linear_align_corners": "the expected values take the result's size before rounding down",
	"resize_downsample_scales_cubic_align_corners":  "the expected values take the result's size before rounding down",
	// Programs have fixed shapes and numeric tensors.
	"cast_FLOAT_to_STRING":     "strings have no place in a program",
	"cast_STRING_to_FLOAT":     "strings have no place in a program",
	"castlike_FLOAT_to_STRING": "strings have no place in a program",
	"castlike_STRING_to_FLOAT": "strings have no place in a program",
	"equal_string":             "strings have no place in a program",
	"compress":                 "the output's shape depends on the elements of the input",
	"nonzero":                  "the output's shape depends on the elements of the input",
	"constantofshape":          "the output's shape depends on the elements of the input",
	"range":                    "the output's shape depends on the elements of the input",
	"blackmanwindow":           "the output's shape depends on the elements of the input",
	"hammingwindow":            "the output's shape depends on the elements of the input",
	"hannwindow":               "the output's shape depends on the elements of the input",
}

// nodeTest is one of ONNX's backend tests of single operators.
type nodeTest struct {
	g             *graph.Graph
	inputs, wants []*tensor.Tensor
	tolerance     float64
}

// variants of a node test: what is fixed when the program is compiled.
var nodeVariants = []struct {
	name string
	make func(nodeTest) (*graph.Graph, map[string]*tensor.Tensor)
}{
	{"all inputs given at the run", func(nt nodeTest) (*graph.Graph, map[string]*tensor.Tensor) { return nt.bind(nt.g.Clone(), false) }},
	{"one input given at the run", func(nt nodeTest) (*graph.Graph, map[string]*tensor.Tensor) { return nt.bind(nt.g.Clone(), true) }},
	{"channels last", func(nt nodeTest) (*graph.Graph, map[string]*tensor.Tensor) {
		g, in := nt.bind(nt.g.Clone(), true)
		if !passChannelsLast(g) {
			return nil, nil
		}
		return g, in
	}},
}

// bind names the inputs' tensors and, with fix, turns all but the first into
// constants.
func (nt nodeTest) bind(g *graph.Graph, fix bool) (*graph.Graph, map[string]*tensor.Tensor) {
	in := map[string]*tensor.Tensor{}
	for i, v := range g.Inputs {
		if !fix || i == 0 {
			in[v.Name] = nt.inputs[i]
		} else {
			g.ReplaceUses(v, g.AddConst(g.UniqueName(v.Name), nt.inputs[i]))
		}
	}
	if fix && len(g.Inputs) > 1 {
		g.Inputs = g.Inputs[:1]
	}
	return g, in
}

// passChannelsLast sends every image through a normalization that changes
// nothing, which leaves it in the engine's own layout.
func passChannelsLast(g *graph.Graph) bool {
	found := false
	for _, v := range g.Inputs {
		if v.Type != tensor.Float32 || len(v.Shape) < 3 || len(v.Shape) > 5 || !v.Shape.Known() || len(v.Uses()) == 0 {
			continue
		}
		fill := func(x float32) *graph.Value {
			data := make([]float32, v.Shape[1].Size)
			for i := range data {
				data[i] = x
			}
			return g.AddConst(g.UniqueName("same"), tensor.Of(data, len(data)))
		}
		uses := slices.Clone(v.Uses())
		n := g.NewNode("", "BatchNormalization", g.UniqueNodeName("same"), []*graph.Value{v, fill(1), fill(0), fill(0), fill(1)},
			[]string{g.UniqueName(v.Name)}, graph.Attrs{"epsilon": float32(0)})
		g.InsertBefore(g.Nodes[0], n)
		for _, u := range uses {
			u.Node.SetInput(u.Index, n.Outputs[0])
		}
		found = true
	}
	return found
}

// TestNodeTests runs ONNX's own backend tests of single operators, each
// compiled in several ways, on one worker and on two.
func TestNodeTests(t *testing.T) {
	dir := os.Getenv("DRAWKNIFE_ONNX_TESTS")
	if dir == "" {
		dir = "/usr/share/libonnx-testdata/data"
	}
	list, _ := filepath.Glob(filepath.Join(dir, "node", "*", "model.onnx"))
	if len(list) == 0 {
		t.Skip("SKIPPED: no ONNX backend tests here (install Debian's libonnx-testdata, or set DRAWKNIFE_ONNX_TESTS to the folder that holds node/)")
	}
	passed, excluded, foreign := map[string]int{}, 0, 0
	kernels := map[string]int{}
	for _, path := range list {
		folder := filepath.Dir(path)
		name := strings.TrimPrefix(filepath.Base(folder), "test_")
		if excludedNode(name) {
			excluded++
			continue
		}
		nt, err := readNodeTest(path)
		if errors.Is(err, errForeign) {
			foreign++
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		done := 0
		for _, variant := range nodeVariants {
			g, in := variant.make(nt)
			if g == nil {
				continue
			}
			ran, err := nt.run(g, in, kernels)
			if err != nil {
				t.Errorf("%s, %s: %v", name, variant.name, err)
				done++
			} else if ran {
				passed[variant.name]++
				done++
			}
		}
		if done == 0 {
			t.Errorf("%s: its shapes are not known in any way of compiling", name)
		}
	}
	t.Logf("of %d tests %d are excluded by name and %d need operators that are not computed here; passed: %v", len(list), excluded, foreign, passed)
	t.Logf("steps by kernel: %v", kernels)
	if len(passed) < len(nodeVariants) {
		t.Errorf("a way of compiling was never tested: %v", passed)
	}
}

func excludedNode(name string) bool {
	for prefix := range excludedNodeTests {
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "training_dropout_zero_ratio") {
			return true
		}
	}
	return false
}

// run compiles g and compares what it gives. It reports false where the
// program cannot exist because a shape depends on an input's elements.
func (nt nodeTest) run(g *graph.Graph, in map[string]*tensor.Tensor, kernels map[string]int) (bool, error) {
	var first map[string]*tensor.Tensor
	for _, threads := range []int{1, 2} {
		p, err := engine.Compile(g, engine.Options{Shapes: shapesOf(in), Threads: threads})
		if err != nil {
			if strings.Contains(err.Error(), "is not known before the run") {
				return false, nil
			}
			return false, err
		}
		got, err := p.Run(context.Background(), in)
		if err != nil {
			return false, err
		}
		for i, v := range g.Outputs {
			if err := closeTo(got[v.Name], nt.wants[i], nt.tolerance); err != nil {
				return false, fmt.Errorf("%d threads: output %q: %w", threads, v.Name, err)
			}
			if first != nil && !sameBits(first[v.Name], got[v.Name]) {
				return false, fmt.Errorf("output %q of %d threads is not that of one, bit for bit", v.Name, threads)
			}
		}
		if first == nil {
			first = got
			for _, s := range p.Steps() {
				kernels[s.Kernel]++
			}
		}
	}
	return true, nil
}

func sameBits(a, b *tensor.Tensor) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Bytes(), b.Bytes())
}

// errForeign marks a test of an operator that is not computed here.
var errForeign = errors.New("an operator that is not computed here")

func readNodeTest(path string) (nodeTest, error) {
	folder := filepath.Dir(path)
	nt := nodeTest{tolerance: 1e-5}
	g, err := readOldModel(path)
	if err != nil {
		return nt, err
	}
	for _, n := range g.Nodes {
		if !eval.Supported(n) {
			return nt, errForeign
		}
	}
	nt.g = g
	read := func(kind string, count int) (list []*tensor.Tensor) {
		for i := range count {
			file := filepath.Join(folder, "test_data_set_0", fmt.Sprintf("%s_%d.pb", kind, i))
			data, e := os.ReadFile(file)
			if e != nil {
				err = e
				return nil
			}
			_, x, e := onnx.DecodeTensor(data)
			if e != nil {
				err = fmt.Errorf("%s: %w", file, e)
				return nil
			}
			list = append(list, x)
		}
		return list
	}
	nt.inputs, nt.wants = read("input", len(g.Inputs)), read("output", len(g.Outputs))
	if strings.Contains(folder, "window") {
		nt.tolerance = 1e-3 // expected from float64, the function body computes in float32
	}
	return nt, err
}

// readOldModel reads a model in its own types. Operator sets before 7 (of tests
// that never needed an update) are declared as 7, which changes none of the
// operators that are tested with them.
func readOldModel(path string) (*graph.Graph, error) {
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

// closeTo compares exactly, floats up to a relative error (that of the type if
// it is narrow) of the element or of a hundredth of the largest one.
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
	top := 0.0
	for i := range want.Len() {
		if w := math.Abs(want.At(i)); w <= math.MaxFloat32 {
			top = max(top, w)
		}
	}
	for i := range want.Len() {
		g, w := got.At(i), want.At(i)
		if g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= 1e-6+rel*max(math.Abs(w), top/100) {
			continue
		}
		return fmt.Errorf("element %d is %v, want %v", i, g, w)
	}
	return nil
}
