package conv

import (
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestPost checks that each result, and nothing else, is changed once.
func TestPost(t *testing.T) {
	pool := parallel.New(3)
	defer pool.Close()
	for _, set := range tile.Sets() {
		for _, l := range layers {
			if l.H > 56 {
				l.H, l.W, l.P, l.Q = l.H/4, l.W/4, l.P/4, l.Q/4
			}
			s := l.Shape
			for _, wider := range []int{0, 5} {
				if wider > 0 {
					s.DstStride = s.K + wider
				}
				rng := rand.New(rand.NewPCG(1, 2))
				p := newProblem(rng, s)
				p.Winograd = true
				n := p.normal()
				run := func(post func([]float32)) []float32 {
					p.Post = post
					c := newWith(set, p.Shape, p.Params)
					dst, scratch := make([]float32, n.pixels()*n.DstStride), make([]float32, c.Scratch(3))
					c.Run(pool, dst, p.src, nil, scratch)
					return dst
				}
				want := run(nil)
				got := run(func(x []float32) {
					for i := range x {
						x[i] = 2*x[i] + 1
					}
				})
				for i, v := range want {
					if i%n.DstStride < n.K {
						v = 2*v + 1
					}
					if got[i] != v {
						t.Fatalf("%s, %s, stride %d: element %d is %g, want %g", set.Name, l.name, n.DstStride, i, got[i], v)
					}
				}
			}
		}
	}
}
