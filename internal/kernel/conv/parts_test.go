package conv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// inParts runs f with batches of every size cut into parts.
func inParts(t *testing.T, f func()) {
	t.Helper()
	bytes, floats := partBytes, partFloats
	defer func() { partBytes, partFloats = bytes, floats }()
	partBytes, partFloats = 0, 4096
	f()
}

func TestParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	shapes := []Shape{
		{N: 6, H: 12, W: 9, C: 32, K: 48, R: 3, S: 3, P: 6, Q: 5, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
		{N: 5, H: 9, W: 9, C: 40, K: 40, R: 3, S: 3, P: 9, Q: 9, PadH: 1, PadW: 1, Groups: 40},
		{N: 7, H: 9, W: 9, C: 24, K: 33, P: 9, Q: 9, DstStride: 36},
		{N: 4, H: 15, W: 15, C: 20, K: 20, P: 8, Q: 8, StrideH: 2, StrideW: 2},
	}
	for range 30 {
		shapes = append(shapes, randomShape(rng))
	}
	for _, s := range shapes {
		for _, set := range tile.Sets() {
			inParts(t, func() {
				checkGradients(t, set, s, rng)
			})
			if t.Failed() {
				t.Fatalf("%s %+v", set.Name, s)
			}
		}
	}
}

// TestGradientsAllocateNothing runs plans of every kind a second time.
func TestGradientsAllocateNothing(t *testing.T) {
	for _, s := range []Shape{
		{N: 9, H: 8, W: 8, C: 12, K: 16, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1},
		{N: 9, H: 8, W: 8, C: 16, K: 16, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1},
		{N: 9, H: 8, W: 8, C: 3, K: 16, R: 3, S: 3, P: 4, Q: 4, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
		{N: 9, H: 8, W: 8, C: 16, K: 96, P: 8, Q: 8},
		{N: 9, H: 8, W: 8, C: 40, K: 40, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1, Groups: 40},
	} {
		run := func(what string) {
			n := s.normal()
			x, dy, w := make([]float32, n.N*n.H*n.W*n.C), make([]float32, n.pixels()*n.K), make([]float32, n.K*n.C/n.Groups*n.R*n.S)
			dx, dw := make([]float32, len(x)), make([]float32, len(w))
			gi, gw := NewGradInput(s), NewGradWeight(s)
			pool := parallel.New(1)
			scratch := make([]float32, max(gi.Scratch(1), gw.Scratch(1)))
			if k := testing.AllocsPerRun(3, func() {
				gi.Run(pool, dx, dy, w, nil, scratch)
				gw.Run(pool, dw, nil, x, dy, scratch)
			}); k != 0 {
				t.Errorf("%s allocates %g times: %+v", what, k, s)
			}
		}
		run("whole")
		inParts(t, func() { run("in parts") })
	}
}

// TestForms makes sure that every form of the weight gradient has a shape that
// wants it.
func TestForms(t *testing.T) {
	got := map[gradForm]bool{}
	for _, s := range cases {
		got[newGradWeight(tile.Best().Level, s).form] = true
	}
	for _, s := range moreGradients {
		got[newGradWeight(tile.Best().Level, s).form] = true
	}
	if tile.Best().Name == "portable" {
		return
	}
	for f := gradTaps; f <= gradPatches; f++ {
		if !got[f] {
			t.Error("no test of form", fmt.Sprint(f))
		}
	}
}
