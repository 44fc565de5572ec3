package prune

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "erk", Family: method.Allocate, Summary: "density by the layer's shape (Erdős–Rényi kernel): large layers lose more",
		Paper: "Evci et al., Rigging the lottery: Making all tickets winners, ICML", Year: 2020,
		New: func(map[string]string) (any, error) { return erkAllocator{}, nil },
	})
}

// erkAllocator keeps of a layer with weights [O, C, kh, kw] a share in
// proportion to (O+C+kh+kw)/(O·C·kh·kw), at most all.
type erkAllocator struct{}

func (erkAllocator) Keep(cs []Candidate, strength float64) []int {
	shapes, sizes := make([][]int, len(cs)), make([]int, len(cs))
	for i, c := range cs {
		shapes[i], sizes[i] = c.Shape, len(c.Score)
		if c.Shape == nil {
			shapes[i] = []int{len(c.Score)}
		}
	}
	keep := make([]int, len(cs))
	for i, d := range erk(shapes, sizes, 1-strength) {
		keep[i] = int(math.Round(d * float64(sizes[i])))
	}
	return keep
}

// erk returns the densities that give Σ density·size = density·Σ size.
func erk(shapes [][]int, sizes []int, density float64) []float64 {
	raw := make([]float64, len(shapes))
	total := 0.0
	for i, s := range shapes {
		sum, product := 0.0, 1.0
		for _, d := range s {
			sum += float64(d)
			product *= float64(d)
		}
		raw[i] = sum / max(product, 1)
		total += float64(sizes[i])
	}
	lo, hi := 0.0, 1.0
	at := func(scale float64) float64 {
		kept := 0.0
		for i, r := range raw {
			kept += min(1, scale*r) * float64(sizes[i])
		}
		return kept
	}
	for at(hi) < density*total*(1-1e-12) && hi < 1e12 {
		hi *= 2
	}
	for range 200 {
		if mid := (lo + hi) / 2; at(mid) < density*total {
			lo = mid
		} else {
			hi = mid
		}
	}
	out := make([]float64, len(raw))
	for i, r := range raw {
		out[i] = min(1, hi*r)
	}
	return out
}
