package prune

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestDistances compares the distances that come of products with those of
// single elements: of points far from the origin, near one another, and equal.
func TestDistances(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, n := range []int{1, 2, 37, 600} {
		p := points{n: n, dim: 1200}
		for i := range n {
			for k := range p.dim {
				v := 3 + float32(rng.NormFloat64())
				if i%5 == 3 { // near, or the same as, the one before
					v = p.x[(i-1)*p.dim+k] + float32(i%2)*1e-3*v
				}
				p.x = append(p.x, v)
			}
		}
		got, angle := p.squaredDistances(), p.cosine()
		for i := range n {
			for j := range n {
				want := squaredDistance(p.row(i), p.row(j))
				if d := got[i*n+j]; math.Abs(d-want) > 1e-5*want {
					t.Fatalf("%d points: %d and %d are %g apart, want %g", n, i, j, d, want)
				}
			}
		}
		for range 50 {
			i, j := rng.IntN(n), rng.IntN(n)
			dot, a, b := 0.0, 0.0, 0.0
			for k, v := range p.row(i) {
				x, y := float64(v), float64(p.row(j)[k])
				dot, a, b = dot+x*y, a+x*x, b+y*y
			}
			if want := 1 - dot/math.Sqrt(a*b); math.Abs(angle[i*n+j]-want) > 1e-6 {
				t.Errorf("the cosine distance of %d and %d is %g, want %g", i, j, angle[i*n+j], want)
			}
		}
	}
}

func BenchmarkSquaredDistances(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	p := points{512, 4608, make([]float32, 512*4608)} // a layer of VGG-16
	for i := range p.x {
		p.x[i] = float32(rng.NormFloat64())
	}
	for b.Loop() {
		p.squaredDistances()
	}
}
