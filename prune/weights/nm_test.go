package weights

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func TestRefine(t *testing.T) {
	g := []float32{1, 1, 1}
	refine(g, []float32{4, 5, -6}, []float32{1, 0, 0}, 0.5)
	if !slices.Equal(g, []float32{1, 3.5, -2}) {
		t.Errorf("gradients %v, want 1, 3.5 and −2", g)
	}
}

// watchPattern checks the weights that the network computes with.
type watchPattern struct {
	train.NoHook
	t      *testing.T
	p      Pattern
	layers []*Layer
	masks  map[string][]float32
	turned int // masks that changed from one step to the next
}

func (h *watchPattern) BeforeForward(s *train.State) error {
	for _, l := range h.layers {
		m := nonZero(tensor.Data[float32](s.Param(l.Value.Name)))
		if err := h.p.Verify(l, m); err != nil {
			h.t.Error(err)
		}
		if last := h.masks[l.Value.Name]; last != nil && !slices.Equal(last, m) {
			h.turned++
		}
		h.masks[l.Value.Name] = m
	}
	return nil
}

// TestSRSTE: the network computes with 2:4 at every step; what is masked can
// come back, and does less so the stronger the decay.
func TestSRSTE(t *testing.T) {
	g := build(t, small)
	d := images(t, 32, 8)
	turned := map[string]int{}
	for _, method := range []string{"sr-ste:lambda=0", "sr-ste:lambda=5"} {
		p := Pattern{N: 2, M: 4}
		layers, _, err := Layers(g.Clone(), nil, p)
		if err != nil {
			t.Fatal(err)
		}
		watch := &watchPattern{t: t, p: p, layers: layers, masks: map[string][]float32{}}
		learn := func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
			return fit(d, 4, "", 0)(ctx, g, k, n, append(hooks, watch))
		}
		if _, _, err := Prune(context.Background(), g, Options{Method: method, Pattern: "2:4"}, d, learn); err != nil {
			t.Fatal(err)
		}
		turned[method] = watch.turned
	}
	if turned["sr-ste:lambda=0"] == 0 || turned["sr-ste:lambda=5"] >= turned["sr-ste:lambda=0"] {
		t.Errorf("masks that changed: %v", turned)
	}
}

// TestPermuteKeepsMore: where the large weights of all filters are those of the
// first channels, an order that mixes them keeps more; the network stays the
// same.
func TestPermuteKeepsMore(t *testing.T) {
	g := build(t, "resnet8?channels=1&size=8&classes=4&width=0.5")
	for _, n := range g.Nodes {
		if !n.Is("Conv") || n.In(1).Data.Shape[1] < 4 {
			continue
		}
		w := n.In(1).Data.Clone()
		per := w.Shape[2] * w.Shape[3]
		for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
			if i/per%w.Shape[1] < w.Shape[1]/2 {
				d[i] *= 10
			}
		}
		n.In(1).SetData(w)
	}
	p := Pattern{N: 2, M: 4}
	c := g.Clone()
	layers, _, err := Layers(c, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	before, after, changed, err := permute(c, layers, p)
	if err != nil {
		t.Fatal(err)
	}
	if changed < 3 || after < before+0.05 {
		t.Errorf("the order of %d groups changed; %.4f of the magnitude is kept, before %.4f", changed, after, before)
	}
	x, y := output(t, g), output(t, c)
	for i := range x {
		if math.Abs(float64(x[i]-y[i])) > 1e-4*max(1, math.Abs(float64(x[i]))) {
			t.Fatalf("output %d became %g, was %g", i, y[i], x[i])
		}
	}
	kept := func(permuted bool) float64 {
		q, r, err := Prune(context.Background(), g, Options{Pattern: "2:4", Permute: permuted}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if permuted && (len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "changed places")) {
			t.Errorf("notes %q", r.Notes)
		}
		sum := 0.0
		list, _, err := Layers(q, nil, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			for _, v := range l.W {
				sum += math.Abs(float64(v))
			}
		}
		return sum
	}
	if a, b := kept(false), kept(true); b < 1.05*a {
		t.Errorf("with permutation %.4g is kept, without %.4g", b, a)
	}
	if _, _, err := Prune(context.Background(), g, Options{Sparsity: 0.5, Permute: true}, nil, nil); err == nil || !strings.Contains(err.Error(), "N:M") {
		t.Errorf("permutation without a pattern: %v", err)
	}
}
