package eval_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

// TestAgainstONNXRuntime compares single nodes with ONNX Runtime.
func TestAgainstONNXRuntime(t *testing.T) {
	rt, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	for i, c := range cases() {
		t.Run(fmt.Sprintf("%d_%v", i, c), func(t *testing.T) {
			g, feed := c.graph()
			if err := g.InferShapes(); err != nil {
				t.Fatal(err)
			}
			got, err := eval.Run(g, feed)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Outputs {
				if err := agrees(v, got[v.Name]); err != nil {
					t.Errorf("inferred and computed differ: %v", err)
				}
			}
			model, err := onnx.Encode(g)
			if err != nil {
				t.Fatal(err)
			}
			s, err := rt.LoadBytes(model, ort.Options{Threads: 1, Optimize: ort.None})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			want, err := s.Run(feed)
			if err != nil {
				t.Fatal(err)
			}
			for name, w := range want {
				if err := compareWithORT(got[name], w, c.steps); err != nil {
					t.Errorf("output %q: %v", name, err)
				}
			}
		})
	}
}

// compareWithORT allows floats an error of 1e-5 and integers some steps.
func compareWithORT(got, want *tensor.Tensor, steps int) error {
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, ONNX Runtime has %v", got, want)
	}
	for i := range want.Len() {
		g, w := got.At(i), want.At(i)
		tolerance := float64(steps)
		if want.DType.IsFloat() {
			tolerance = 1e-5 * (1 + math.Abs(w))
		}
		if g != w && !(math.Abs(g-w) <= tolerance) {
			return fmt.Errorf("element %d is %v, ONNX Runtime has %v", i, g, w)
		}
	}
	return nil
}
