package eval_test

import (
	"slices"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func TestResizeTaps(t *testing.T) {
	n := &graph.Node{Op: "Resize", Attrs: graph.Attrs{"mode": "linear", "extrapolation_value": float32(7)}}
	scales := tensor.Of([]float32{1, 1, 2, 1}, 4)
	axes, outside, err := eval.ResizeTaps(n, []int{1, 3, 2, 5}, []*tensor.Tensor{nil, nil, scales})
	if err != nil {
		t.Fatal(err)
	}
	if len(axes) != 4 || outside != 7 || !axes[0].Same || !axes[1].Same || axes[2].Same || !axes[3].Same {
		t.Fatalf("axes %+v, outside %v", axes, outside)
	}
	// Pixel centres at -1/4, 1/4, 3/4 and 5/4 of two pixels.
	h := axes[2]
	for o, want := range []float64{0, 0.25, 0.75, 1} {
		x := 0.0
		for i, at := range h.At[o] {
			x += h.Weight[o][i] * float64(at)
		}
		if x != want || h.Outside[o] {
			t.Errorf("row %d is taken at %v, want %v", o, x, want)
		}
	}
	nearest := &graph.Node{Op: "Resize", Attrs: graph.Attrs{"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}}
	axes, _, err = eval.ResizeTaps(nearest, []int{1, 1, 2, 2}, []*tensor.Tensor{nil, nil, scales})
	if err != nil || !slices.Equal(axes[2].At[3], []int{1}) || !slices.Equal(axes[2].At[1], []int{0}) {
		t.Errorf("nearest: %+v, %v", axes, err)
	}
	if _, _, err := eval.ResizeTaps(nearest, []int{1, 1, 2, 2}, []*tensor.Tensor{nil, nil, tensor.Of([]float32{2}, 1)}); err == nil {
		t.Error("one scale for four axes was accepted")
	}
}
