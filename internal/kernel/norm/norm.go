// Package norm holds the kernels of batch normalization in training, forward
// and backward, with the clamp (ReLU, ReLU6) and the residual addition that
// follow it fused in. Tensors are channels-last: rows (pixels) of C channels.
//
// The backward pass streams the tensors twice: once for the sums over each
// channel, once for the gradient. Where there is no residual addition it
// recomputes which outputs were clamped from the input, so the output is not
// read. Results have the same bits for any number of workers.
package norm

import (
	"math"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

//go:generate go -C ../_asm run . norm -out ../norm/norm_amd64.s -stubs ../norm/norm_stubs_amd64.go -pkg norm

// level selects the implementation; tests set it to run every one.
var level = cpu.Best()

const (
	tileSize  = 256 // elements a flat kernel covers with one repeated row
	sumRows   = 256 // rows a float32 partial sum may cover
	maxGroups = 64  // groups of rows that sums are split into, at most
)

// Batch describes a batch normalization over Rows rows of C channels followed
// by a clamp to [Lo, Hi] (infinite for none).
type Batch struct {
	Rows, C int
	Eps     float32
	Lo, Hi  float32
}

// groups splits the rows for the sums: it depends on their number only.
func (b *Batch) groups() (count, rows int) {
	rows = (b.Rows + maxGroups - 1) / maxGroups
	rows = max((rows+sumRows-1)/sumRows*sumRows, sumRows)
	return (b.Rows + rows - 1) / rows, rows
}

// tile is the number of elements that a flat kernel covers at a time, a whole
// number of rows.
func (b *Batch) tile() int { return max(1, tileSize/max(b.C, 1)) * b.C }

// Scratch is the number of float64s that Forward and Backward need.
func (b *Batch) Scratch() int {
	count, _ := b.groups()
	sums := max(2*b.C*count, vec.MeanVarScratch(b.Rows, b.C))
	return sums + (5*b.tile()+1)/2
}

// split divides scratch into sums and the coefficients of the flat kernels.
func (b *Batch) split(scratch []float64) (sums []float64, coef [5][]float32) {
	count, _ := b.groups()
	n := max(2*b.C*count, vec.MeanVarScratch(b.Rows, b.C))
	rest := floats(scratch[n:])
	for i := range coef {
		coef[i] = rest[i*b.tile():][:b.tile()]
	}
	return scratch[:n], coef
}

// affine writes the coefficients of y = x·scale + shift, repeated over a tile.
func (b *Batch) affine(scale, shift, gamma, beta, mean, inv []float32) {
	for c := range b.C {
		s := gamma[c] * inv[c]
		scale[c], shift[c] = s, float32(float64(beta[c])-float64(mean[c])*float64(s))
	}
	repeat(scale, b.C)
	repeat(shift, b.C)
}

func repeat(v []float32, c int) {
	for i := c; i < len(v); i += c {
		copy(v[i:], v[:c])
	}
}

// Forward computes mean, variance (population) and inv = 1/√(variance + Eps)
// of each channel of x, and y = clamp((x - mean)·inv·gamma + beta + add). add
// may be nil. y may be x or add.
func (b *Batch) Forward(p *parallel.Pool, y, x, add, gamma, beta, mean, variance, inv []float32, scratch []float64) {
	if b.C == 0 || b.Rows == 0 {
		return
	}
	sums, coef := b.split(scratch)
	vec.MeanVar(p, mean[:b.C], variance[:b.C], x[:b.Rows*b.C], b.C, sums)
	for c := range b.C {
		inv[c] = float32(1 / math.Sqrt(float64(variance[c])+float64(b.Eps)))
	}
	scale, shift := coef[0], coef[1]
	b.affine(scale, shift, gamma, beta, mean, inv)
	b.flat(p, func(lo, hi int) {
		if add == nil {
			vec.ScaleShiftClamp(y[lo:hi], x[lo:hi], scale, shift, b.Lo, b.Hi)
			return
		}
		forward(y[lo:hi], x[lo:hi], scale[:hi-lo], shift[:hi-lo], add[lo:hi], b.Lo, b.Hi)
	})
}

// flat calls body for tiles that cover all elements.
func (b *Batch) flat(p *parallel.Pool, body func(lo, hi int)) {
	tile, n := b.tile(), b.Rows*b.C
	tiles := (n + tile - 1) / tile
	p.For(tiles, max(1, 16384/tile), func(_, first, last int) {
		for t := first; t < last; t++ {
			body(t*tile, min((t+1)*tile, n))
		}
	})
}

// Grad is what Backward reads and writes.
type Grad struct {
	DX, DY, X []float32 // gradients of input and output, and the input
	// Y is the output. It is read only with a residual addition (DAdd).
	Y []float32
	// DAdd is the gradient of the residual operand, which is the gradient of
	// what entered the clamp; nil if there is none. It may be DY.
	DAdd                   []float32
	Gamma, Beta, Mean, Inv []float32
	DGamma, DBeta          []float32
}

// Backward computes DGamma, DBeta, DX and DAdd. DX may be DY.
func (b *Batch) Backward(p *parallel.Pool, g Grad, scratch []float64) {
	if b.C == 0 || b.Rows == 0 {
		clear(g.DGamma)
		clear(g.DBeta)
		return
	}
	sums, coef := b.split(scratch)
	scale, shift, ka, kb, kc := coef[0], coef[1], coef[2], coef[3], coef[4]
	b.affine(scale, shift, g.Gamma, g.Beta, g.Mean, g.Inv)
	b.sums(p, &g, scale, shift, sums)
	n := float64(b.Rows)
	for c := range b.C {
		// dx = γ/σ·(g - Σg/n - (x-μ)/σ·Σ(g·x̂)/n) as ka·g + (kb·x + kc).
		inv := float64(g.Inv[c])
		a := float64(g.Gamma[c]) * inv
		k := -a * inv * float64(g.DGamma[c]) / n
		ka[c], kb[c] = float32(a), float32(k)
		kc[c] = float32(-a*float64(g.DBeta[c])/n - k*float64(g.Mean[c]))
	}
	repeat(ka, b.C)
	repeat(kb, b.C)
	repeat(kc, b.C)
	b.flat(p, func(lo, hi int) {
		k := hi - lo
		if g.DAdd != nil {
			backward(g.DX[lo:hi], g.DAdd[lo:hi], g.X[lo:hi], ka[:k], kb[:k], kc[:k])
			return
		}
		backwardClamp(g.DX[lo:hi], g.DY[lo:hi], g.X[lo:hi], scale[:k], shift[:k], ka[:k], kb[:k], kc[:k], b.Lo, b.Hi)
	})
}

// sums computes DBeta = Σ g and DGamma = Σ g·(x - μ)/σ, and writes DAdd.
func (b *Batch) sums(p *parallel.Pool, g *Grad, scale, shift []float32, scratch []float64) {
	count, per := b.groups()
	p.For(count, 1, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			b.groupSums(g, scale, shift, scratch[2*b.C*i:][:2*b.C], i*per, min((i+1)*per, b.Rows))
		}
	})
	for c := range b.C {
		beta, gamma := 0.0, 0.0
		for i := range count {
			beta += scratch[2*b.C*i+c]
			gamma += scratch[2*b.C*i+b.C+c]
		}
		g.DBeta[c], g.DGamma[c] = float32(beta), float32(gamma*float64(g.Inv[c]))
	}
}

// maxPart is the number of channels summed at a time.
const maxPart = 64

func (b *Batch) groupSums(g *Grad, scale, shift []float32, total []float64, first, last int) {
	clear(total)
	var part [2 * maxPart]float32
	for r := first; r < last; r += sumRows {
		rows := min(sumRows, last-r)
		for c := 0; c < b.C; c += maxPart {
			n := min(maxPart, b.C-c)
			at := r*b.C + c
			if g.DAdd != nil {
				columnsAdd(part[:n], part[n:2*n], g.DAdd[at:], g.DY[at:], g.X[at:], g.Y[at:], g.Mean[c:], rows, n, b.C, b.Lo, b.Hi)
			} else {
				columns(part[:n], part[n:2*n], g.DY[at:], g.X[at:], g.Mean[c:], scale[c:], shift[c:], rows, n, b.C, b.Lo, b.Hi)
			}
			for j := range n {
				total[c+j] += float64(part[j])
				total[b.C+c+j] += float64(part[n+j])
			}
		}
	}
}
