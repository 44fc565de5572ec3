package graph_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// nodeTests returns the folders of ONNX's backend node tests.
func nodeTests(tb testing.TB) []string {
	tb.Helper()
	dir := os.Getenv("DRAWKNIFE_ONNX_TESTS")
	if dir == "" {
		dir = "/usr/share/libonnx-testdata/data"
	}
	list, _ := filepath.Glob(filepath.Join(dir, "node", "*", "model.onnx"))
	if len(list) == 0 {
		tb.Skip("SKIPPED: no ONNX backend tests here (install Debian's libonnx-testdata, or set DRAWKNIFE_ONNX_TESTS to the folder that holds node/)")
	}
	return list
}

// parameter reads a TensorProto of integers, or of at most eight floats, such
// as an operator takes for a parameter; nil if it is another.
func parameter(path string) *tensor.Tensor {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 4096 {
		return nil
	}
	var shape []int
	var kind uint64
	var raw []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			shape, b = append(shape, int(v)), b[n:]
		case num == 2 && typ == protowire.VarintType:
			kind, n = protowire.ConsumeVarint(b)
			b = b[n:]
		case num == 9 && typ == protowire.BytesType:
			raw, n = protowire.ConsumeBytes(b)
			b = b[n:]
		default:
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return nil
			}
			b = b[n:]
		}
	}
	d := tensor.DType(kind)
	if d != tensor.Int64 && d != tensor.Int32 && (d != tensor.Float32 || len(shape) > 1 || len(raw) > 32) {
		return nil
	}
	t, err := tensor.FromBytes(d, raw, shape...)
	if err != nil {
		return nil
	}
	return t
}

// TestInferNodeTests infers ONNX's node test models afresh, parameters
// taken as constants, and compares with the shapes they declare.
func TestInferNodeTests(t *testing.T) {
	checked, outputs, unknown := 0, 0, 0
	for _, path := range nodeTests(t) {
		name := filepath.Base(filepath.Dir(path))
		g, err := onnx.Read(path)
		if err != nil {
			continue // reported by package onnx's own tests
		}
		covered := len(g.Nodes) > 0
		for _, n := range g.Nodes {
			op := graph.Lookup(n.Domain, n.Op)
			covered = covered && op != nil && op.Infer != nil
		}
		if !covered || strings.HasPrefix(name, "test_training") {
			continue
		}
		want := map[string]string{}
		for _, o := range g.Outputs {
			want[o.Name] = fmt.Sprint(o.Type, " ", o.Shape)
		}
		for i, v := range append([]*graph.Value{}, g.Inputs...) {
			file := filepath.Join(filepath.Dir(path), "test_data_set_0", fmt.Sprintf("input_%d.pb", i))
			if c := parameter(file); c != nil {
				v.Data = c // as if it were a constant
			}
		}
		g.ClearShapes()
		checked++
		if err := g.InferShapes(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, o := range g.Outputs {
			outputs++
			if o.Shape == nil || !o.Shape.Known() {
				unknown++
				t.Logf("%s: output %s has shape %v, declared %s", name, o.Name, o.Shape, want[o.Name])
				continue
			}
			if got := fmt.Sprint(o.Type, " ", o.Shape); got != want[o.Name] {
				t.Errorf("%s: output %s is %s, declared %s", name, o.Name, got, want[o.Name])
			}
		}
	}
	t.Logf("%d models, %d outputs, %d of them not wholly inferred", checked, outputs, unknown)
	if checked < 300 {
		t.Errorf("only %d models were checked", checked)
	}
}
