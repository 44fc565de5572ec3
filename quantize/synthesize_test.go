package quantize

import (
	"math"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// normalized is a convolution of one channel to two, x and −2x, and a batch
// normalization that remembers images of mean 0.7 and deviation 0.5.
func normalized(t *testing.T) *graph.Graph {
	t.Helper()
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(8, 1, 16, 16))
	y := g.Add("Conv", "c", nil, x, g.AddConst("w", tensor.Of([]float32{1, -2}, 2, 1, 1, 1)))
	list := func(name string, v ...float32) *graph.Value { return g.AddConst(name, tensor.Of(v, len(v))) }
	y = g.Add("BatchNormalization", "n", nil, y, list("scale", 1, 1), list("shift", 0, 0), list("mean", 0.7, -1.4), list("variance", 0.25, 1))
	y = g.Add("Conv", "d", nil, g.Add("Relu", "r", nil, y), g.AddConst("v", tensor.Of([]float32{1, 1}, 1, 2, 1, 1)))
	g.AddOutput(y)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestSynthesize: the images have the statistics that the network remembers,
// and calibrate it.
func TestSynthesize(t *testing.T) {
	g := normalized(t)
	made, err := Synthesize(t.Context(), g, []int{8, 1, 16, 16}, 100, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range made {
		if err != nil {
			t.Fatal(err)
		}
		mean, _, sigma := spread(b.X)
		if math.Abs(mean-0.7) > 0.02 || math.Abs(sigma-0.5) > 0.02 {
			t.Errorf("mean %.3f and deviation %.3f, want 0.7 and 0.5", mean, sigma)
		}
	}
	o := Defaults()
	o.Equalize, o.AbsorbBias = true, true
	if _, r, err := Static(t.Context(), g, made, o); err != nil || r.Images != 8 {
		t.Errorf("calibration on them: %v", err)
	}
	if err := Prepare(g); err != nil {
		t.Fatal(err)
	}
	if _, err := Synthesize(t.Context(), g, []int{8, 1, 16, 16}, 1, 1, 1); err == nil || !strings.Contains(err.Error(), "no batch normalization") {
		t.Errorf("a network without: %v", err)
	}
}
