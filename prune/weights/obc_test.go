package weights

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// observed is a layer of 16 filters over 8 correlated channels, and obc that
// has seen its inputs.
func observed(t *testing.T) (*Layer, *obc) {
	t.Helper()
	g := graph.New("pair")
	rng := rand.New(rand.NewPCG(6, 6))
	weight := func(name string, shape ...int) *graph.Value {
		w := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
		}
		return g.AddConst(name, w)
	}
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(1), graph.D(8), graph.D(8)})
	h := g.Add("Relu", "r", nil, g.Add("Conv", "first", nil, x, weight("w1", 8, 1, 3, 3)))
	g.AddOutput(g.Add("Conv", "second", nil, h, weight("w2", 16, 8, 3, 3)))
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	layers, _, err := Layers(g, nil, Pattern{})
	if err != nil {
		t.Fatal(err)
	}
	o := &obc{block: 576}
	if err := o.Observe(context.Background(), g, layers, images(t, 32, 8)); err != nil {
		t.Fatal(err)
	}
	return layers[1], o
}

// wrong is ½·Σ δᵀHδ over the rows, what a layer's outputs miss.
func wrong(o *obc, l *Layer, before []float32) float64 {
	missing := slices.Clone(before)
	for i, v := range l.W {
		missing[i] -= v
	}
	kept := l.W
	l.W = missing
	e := o.energy(l)
	l.W = kept
	return e
}

// TestSweep compares the short cut for large layers with the exact order, and
// both with leaving the other weights alone.
func TestSweep(t *testing.T) {
	l, o := observed(t)
	before := slices.Clone(l.W)
	for _, pattern := range []Pattern{{}, {N: 2, M: 4}, {Height: 4, Width: 1}} {
		mask := func() []float32 {
			score, err := o.Rate(l)
			if err != nil {
				t.Fatal(err)
			}
			units := pattern.rate(l, score)
			return pattern.choose(l, units, len(units)/2)
		}
		copy(l.W, before)
		m := mask()
		gone := countZeros(m)
		times(l.W, m)
		plain := wrong(o, l, before)

		copy(l.W, before)
		m = mask()
		o.sweep(l, pattern, m)
		swept := wrong(o, l, before)
		if countZeros(m) != gone || countZeros(l.W) != gone {
			t.Errorf("%s: %d weights of the mask and %d of the layer are zero, want %d", pattern, countZeros(m), countZeros(l.W), gone)
		}
		if err := pattern.Verify(l, m); err != nil {
			t.Error(err)
		}

		copy(l.W, before)
		m = mask()
		if pattern == (Pattern{}) {
			o.free(l, m)
		} else {
			o.each(l, func(s *surgeon, _, _ int, at func(int) int) {
				if pattern.M > 0 {
					o.nm(l, s, pattern, at)
					return
				}
				var out []int
				for i := range s.w {
					if m[at(i)] == 0 {
						out = append(out, i)
					}
				}
				s.joint(out)
			}, m)
		}
		exact := wrong(o, l, before)
		if !(exact <= swept && swept < 0.5*plain) {
			t.Errorf("%s: without making up for what goes the error is %.4g, one by one %.4g, swept %.4g", pattern, plain, exact, swept)
		}
	}
}

// TestSweepWithoutCorrelation is pruning by magnitude.
func TestSweepWithoutCorrelation(t *testing.T) {
	l, o := observed(t)
	h := o.hess[l]
	_, _, n := h.of(0, 0)
	for b := range h.h {
		clear(h.h[b])
		clear(o.inverse[l][b])
		for i := range n {
			h.h[b][i*n+i], o.inverse[l][b][i*n+i] = 1, 1
		}
	}
	before := slices.Clone(l.W)
	want := Pattern{}.choose(l, magnitudes(l.W), len(l.W)/2)
	mask := slices.Clone(want)
	o.sweep(l, Pattern{}, mask)
	for i, v := range l.W {
		if mask[i] != 0 && v != before[i] || mask[i] == 0 && v != 0 {
			t.Fatalf("weight %d is %g, was %g", i, v, before[i])
		}
	}
	if !slices.Equal(mask, want) {
		t.Error("other weights went than those of the smallest magnitude")
	}
}

func TestSmallest(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		x := make([]float32, 1+rng.IntN(40))
		for i := range x {
			x[i] = float32(rng.IntN(9))
		}
		sorted := slices.Sorted(slices.Values(x))
		n := 1 + rng.IntN(len(x))
		if got := smallest(slices.Clone(x), n); got != sorted[n-1] {
			t.Fatalf("number %d of %v is %g", n, sorted, got)
		}
	}
}
