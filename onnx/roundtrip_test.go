package onnx

import (
	stdbytes "bytes"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/tensor"
)

// sameGraph fails the test unless two graphs say the same.
func sameGraph(t *testing.T, a, b *graph.Graph) {
	t.Helper()
	if a.Name != b.Name || a.Doc != b.Doc || !maps.Equal(a.Opsets, b.Opsets) || !maps.Equal(a.Metadata, b.Metadata) {
		t.Errorf("header differs: %q %q %v %v, %q %q %v %v", a.Name, a.Doc, a.Opsets, a.Metadata, b.Name, b.Doc, b.Opsets, b.Metadata)
	}
	if InfoOf(a) != InfoOf(b) {
		t.Errorf("info differs: %+v, %+v", InfoOf(a), InfoOf(b))
	}
	values := func(what string, x, y []*graph.Value) {
		if len(x) != len(y) {
			t.Fatalf("%d %s became %d", len(x), what, len(y))
		}
		for i, v := range x {
			w := y[i]
			if v == nil || w == nil {
				if v != w {
					t.Errorf("%s %d: %v became %v", what, i, v, w)
				}
				continue
			}
			if v.Name != w.Name || v.Type != w.Type || v.Shape.String() != w.Shape.String() || v.Doc != w.Doc {
				t.Errorf("%s %d: %s %v %v became %s %v %v", what, i, v.Name, v.Type, v.Shape, w.Name, w.Type, w.Shape)
			}
			if (v.Data == nil) != (w.Data == nil) || v.Data != nil && !v.Data.Equal(w.Data) {
				t.Errorf("%s %q: the elements differ", what, v.Name)
			}
		}
	}
	values("inputs", a.Inputs, b.Inputs)
	values("outputs", a.Outputs, b.Outputs)
	values("constants", a.Constants(), b.Constants())
	if len(a.Nodes) != len(b.Nodes) {
		t.Fatalf("%d nodes became %d", len(a.Nodes), len(b.Nodes))
	}
	for i, n := range a.Nodes {
		m := b.Nodes[i]
		if n.Name != m.Name || n.Op != m.Op || n.Domain != m.Domain || n.Doc != m.Doc || !maps.Equal(n.Metadata, m.Metadata) {
			t.Errorf("%v became %v", n, m)
		}
		values(n.Name+" inputs", n.Inputs, m.Inputs)
		values(n.Name+" outputs", n.Outputs, m.Outputs)
		sameAttrs(t, n, m)
	}
}

func sameAttrs(t *testing.T, n, m *graph.Node) {
	t.Helper()
	if len(n.Attrs) != len(m.Attrs) {
		t.Errorf("%v: attributes %v became %v", n, n.Attrs, m.Attrs)
		return
	}
	for k, v := range n.Attrs {
		w := m.Attrs[k]
		same := false
		switch v := v.(type) {
		case int64, float32, string:
			same = v == w
		case []int64:
			x, ok := w.([]int64)
			same = ok && slices.Equal(v, x)
		case []float32:
			x, ok := w.([]float32)
			same = ok && slices.Equal(v, x)
		case []string:
			x, ok := w.([]string)
			same = ok && slices.Equal(v, x)
		case *tensor.Tensor:
			x, ok := w.(*tensor.Tensor)
			same = ok && v.Equal(x)
		case RawAttr:
			x, ok := w.(RawAttr)
			same = ok && string(v) == string(x)
		case *graph.Graph:
			x, ok := w.(*graph.Graph)
			if same = ok; ok {
				sameGraph(t, v, x)
			}
		default:
			t.Errorf("%v: attribute %q is a %T", n, k, v)
		}
		if !same {
			t.Errorf("%v: attribute %q: %v became %v", n, k, v, w)
		}
	}
}

// roundTrip reads a file, writes it to memory, reads that and compares.
func roundTrip(t *testing.T, path string) {
	t.Helper()
	a, err := Read(path, Options{KeepTypes: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(); err != nil {
		t.Fatal(err)
	}
	data, err := Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decode(data, Options{KeepTypes: true})
	if err != nil {
		t.Fatal(err)
	}
	sameGraph(t, a, b)
	again, err := Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !stdbytes.Equal(data, again) {
		t.Error("writing twice gives different bytes")
	}
}

// realModels lists the pretrained models.
func realModels(tb testing.TB) (list []string) {
	err := filepath.WalkDir(testdata.Path(tb, "models"), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".onnx") {
			list = append(list, path)
		}
		return err
	})
	if err != nil || len(list) == 0 {
		tb.Fatalf("no models: %v", err)
	}
	return list
}

func TestRoundTripOfRealModels(t *testing.T) {
	for _, path := range realModels(t) {
		t.Run(filepath.Base(path), func(t *testing.T) { roundTrip(t, path) })
	}
}
