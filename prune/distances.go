package prune

import (
	"math"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/internal/kernel/gemm"
	"github.com/drawknife/drawknife/internal/kernel/vec"
)

// points are n vectors of one length, row by row: the filters of a layer.
type points struct {
	n, dim int
	x      []float32
}

func (p points) row(i int) []float32 { return p.x[i*p.dim:][:p.dim] }

// pointsOf joins vectors of one length; ok is false if they have several.
func pointsOf(f [][]float32) (p points, ok bool) {
	if len(f) == 0 {
		return p, false
	}
	p = points{len(f), len(f[0]), make([]float32, 0, len(f)*len(f[0]))}
	for _, v := range f {
		if len(v) != p.dim {
			return p, false
		}
		p.x = append(p.x, v...)
	}
	return p, true
}

// Distances are built from products of matrices: of as many elements of each
// vector, and as many vectors, at a time.
const (
	gramDepth = 1024
	gramRows  = 512
)

// gram is the upper triangle of the n×n matrix of inner products, about the
// mean of the points if center is set. Products are float32, their sums over the depth float64.
func (p points) gram(center bool) []float64 {
	pool := engine.Pool(0)
	g := make([]float64, p.n*p.n)
	block := make([]float32, p.n*min(gramDepth, p.dim))
	tile := make([]float32, min(gramRows, p.n)*p.n)
	mean, share := make([]float64, gramDepth), 1/float64(p.n)
	for k := 0; k < p.dim; k += gramDepth {
		depth := min(gramDepth, p.dim-k)
		clear(mean)
		if center {
			for i := range p.n {
				for j, v := range p.row(i)[k:][:depth] {
					mean[j] += float64(v) * share
				}
			}
		}
		for i := range p.n {
			row := block[i*depth:][:depth]
			for j, v := range p.row(i)[k:][:depth] {
				row[j] = float32(float64(v) - mean[j])
			}
		}
		for r := 0; r < p.n; r += gramRows { // the upper triangle, in tiles
			rows, cols := min(gramRows, p.n-r), p.n-r
			gemm.SGEMM(pool, false, true, rows, cols, depth, 1, block[r*depth:], depth, block[r*depth:], depth, 0, tile, cols)
			pool.For(rows, 8, func(_, lo, hi int) {
				for i := lo; i < hi; i++ {
					sums := g[(r+i)*p.n+r:][:cols]
					for j, v := range tile[i*cols:][:cols] {
						sums[j] += float64(v)
					}
				}
			})
		}
	}
	return g
}

// mirrorUpper copies the upper triangle of an n×n matrix to the lower, in
// squares that fit the cache.
func mirrorUpper(g []float64, n int) {
	const side = 32
	for i0 := 0; i0 < n; i0 += side {
		for j0 := 0; j0 <= i0; j0 += side {
			for i := i0; i < min(i0+side, n); i++ {
				for j := j0; j < min(j0+side, i); j++ {
					g[i*n+j] = g[j*n+i]
				}
			}
		}
	}
}

// nearlyEqual is the squared distance, as a share of the squared lengths, below
// which the difference of products says too little.
const nearlyEqual = 1e-2

// squaredDistances is the n×n matrix of ‖x_i − x_j‖², from the Gram matrix;
// where that would cancel, and so for equal points, element by element.
func (p points) squaredDistances() []float64 {
	g := p.gram(true)
	length := make([]float64, p.n)
	for i := range length {
		length[i] = g[i*p.n+i]
	}
	engine.Pool(0).For(p.n, 4, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			for j := i; j < p.n; j++ {
				d := length[i] + length[j] - 2*g[i*p.n+j]
				if d < nearlyEqual*(length[i]+length[j]) {
					d = squaredDistance(p.row(i), p.row(j))
				}
				g[i*p.n+j] = d
			}
		}
	})
	mirrorUpper(g, p.n)
	return g
}

// pairs is the n×n matrix of a distance that is measured pair by pair.
func (p points) pairs(distance func(a, b, buf []float32) float64) []float64 {
	out := make([]float64, p.n*p.n)
	engine.Pool(0).For(p.n, 1, func(_, lo, hi int) {
		buf := make([]float32, p.dim)
		for i := lo; i < hi; i++ {
			for j := i; j < p.n; j++ {
				out[i*p.n+j] = distance(p.row(i), p.row(j), buf)
			}
		}
	})
	mirrorUpper(out, p.n)
	return out
}

func squaredDistance(a, b []float32) float64 {
	s := 0.0
	for i, v := range a {
		d := float64(v) - float64(b[i])
		s += d * d
	}
	return s
}

// euclidean, cityBlock and cosine are the distances that fpgm knows.
func (p points) euclidean() []float64 {
	d := p.squaredDistances()
	for i, v := range d {
		d[i] = math.Sqrt(v)
	}
	return d
}

func (p points) cityBlock() []float64 {
	return p.pairs(func(a, b, buf []float32) float64 {
		vec.Binary(vec.Sub, buf, a, b)
		return float64(vec.Reduce(vec.RedSumAbs, buf))
	})
}

func (p points) cosine() []float64 {
	g := p.gram(false)
	length := make([]float64, p.n)
	for i := range length {
		length[i] = math.Sqrt(g[i*p.n+i])
	}
	for i, a := range length {
		for j := i; j < p.n; j++ {
			if b := length[j]; a*b == 0 {
				g[i*p.n+j] = 1
			} else {
				g[i*p.n+j] = 1 - g[i*p.n+j]/(a*b)
			}
		}
	}
	mirrorUpper(g, p.n)
	return g
}
