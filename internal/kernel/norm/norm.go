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
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

//go:generate go -C ../_asm run . norm -out ../norm/norm_amd64.s -stubs ../norm/norm_stubs_amd64.go -pkg norm

// level selects the implementation; tests set it to run every one.
var level = cpu.Best()

const (
	sumRows     = 256      // rows that a float32 sum may cover
	pivotRows   = 128      // rows whose mean the moments are taken about
	maxGroups   = 64       // groups of rows that sums are split into, at most
	maxPart     = 64       // columns summed at a time
	blockFloats = 1 << 13  // elements summed before the next columns are
	vectors     = 32       // elements that hold a whole number of all vectors
	streamBytes = 24 << 20 // from which on results go around the caches
)

// Batch describes a batch normalization over Rows rows of C channels followed
// by a clamp to [Lo, Hi] (infinite for none).
type Batch struct {
	Rows, C int
	Eps     float32
	Lo, Hi  float32
}

// groups splits the rows for the sums, whatever the number of workers.
func (b *Batch) groups() (count, rows int) {
	rows = (b.Rows + maxGroups - 1) / maxGroups
	rows = max((rows+sumRows-1)/sumRows*sumRows, sumRows)
	return (b.Rows + rows - 1) / rows, rows
}

// fold is the number of rows that the sums take as one, so that few channels
// fill the vectors and do not wait for each other.
func (b *Batch) fold() int { return max(1, maxPart/b.C) }

// period is the length of the coefficients: whole rows, and whole vectors.
func (b *Batch) period() int {
	n := b.C
	for n%vectors != 0 {
		n *= 2
	}
	for n < 8*vectors {
		n *= 2
	}
	return max(n, b.fold()*b.C)
}

// Scratch is the number of float64s that Forward and Backward need.
func (b *Batch) Scratch() int {
	if b.C == 0 {
		return 0
	}
	count, _ := b.groups()
	return 2*b.C*count + (count*b.fold()*b.C+1)/2 + 3*b.period()
}

// split divides scratch into the sums of the groups, their pivots, and the
// coefficients with the means.
func (b *Batch) split(scratch []float64) (sums []float64, pivots []float32, k coefficients, means []float32) {
	count, _ := b.groups()
	sums, scratch = scratch[:2*b.C*count], scratch[2*b.C*count:]
	n := count * b.fold() * b.C
	pivots = floats(scratch)[:n]
	rest := floats(scratch[(n+1)/2:])
	p := b.period()
	for i, v := range []*[]float32{&k.scale, &k.shift, &k.a, &k.b, &k.c, &means} {
		*v = rest[i*p:][:p]
	}
	return sums, pivots, k, means
}

// affine writes the coefficients of y = x·scale + shift.
func (b *Batch) affine(k *coefficients, gamma, beta, mean, inv []float32) {
	for c := range b.C {
		s := gamma[c] * inv[c]
		k.scale[c], k.shift[c] = s, float32(float64(beta[c])-float64(mean[c])*float64(s))
	}
	repeat(k.scale, b.C)
	repeat(k.shift, b.C)
}

// repeat continues the first c elements of v.
func repeat(v []float32, c int) {
	for n := c; n < len(v); n *= 2 {
		copy(v[n:], v[:n])
	}
}

// run is what one pass needs; its loop bodies are bound once.
type run struct {
	b               Batch
	y, x, add       []float32
	g               Grad
	sums            []float64
	pivots, means   []float32
	k               coefficients
	stream          bool
	moments, total  func(worker, lo, hi int)
	forward, finish func(worker, lo, hi int)
}

var runs reuse.List[run]

// newRun takes a run from the list and divides scratch.
func (b *Batch) newRun(scratch []float64) *run {
	r := runs.Get()
	if r == nil {
		r = &run{}
		r.moments, r.total, r.forward, r.finish = r.someMoments, r.someSums, r.someForward, r.someBackward
	}
	r.b = *b
	r.sums, r.pivots, r.k, r.means = b.split(scratch)
	return r
}

// end gives r back.
func (r *run) end() {
	*r = run{moments: r.moments, total: r.total, forward: r.forward, finish: r.finish}
	runs.Put(r)
}

// Forward computes mean, variance (population) and inv = 1/√(variance + Eps)
// of each channel of x, and y = clamp((x - mean)·inv·gamma + beta + add). add
// may be nil. y may be x or add.
func (b *Batch) Forward(p *parallel.Pool, y, x, add, gamma, beta, mean, variance, inv []float32, scratch []float64) {
	if b.C == 0 || b.Rows == 0 {
		return
	}
	r := b.newRun(scratch)
	n := b.Rows * b.C
	r.y, r.x = y[:n], x[:n]
	if add != nil {
		r.add = add[:n]
	}
	count, _ := b.groups()
	p.For(count, 1, r.moments)
	b.join(mean, variance, r.sums)
	for c := range b.C {
		inv[c] = float32(1 / math.Sqrt(float64(variance[c])+float64(b.Eps)))
	}
	b.affine(&r.k, gamma, beta, mean, inv)
	r.stream = b.stream(y, x) && b.stream(y, add)
	p.For(n, b.grain(), r.forward)
	r.end()
}

// grain is the number of elements, whole periods, that are worth handing to
// another worker.
func (b *Batch) grain() int { return max(1, 16384/b.period()) * b.period() }

func (r *run) someForward(_, lo, hi int) {
	var add []float32
	if r.add != nil {
		add = r.add[lo:hi]
	}
	forward(r.y[lo:hi], r.x[lo:hi], add, &r.k, r.b.Lo, r.b.Hi, r.stream)
}

// stream reports whether a result should be written around the caches: it is
// too large to be found there by whoever reads it, and writing it where it
// has not been read would fetch it first.
func (b *Batch) stream(dst, src []float32) bool {
	return 4*b.Rows*b.C >= streamBytes && (src == nil || &dst[0] != &src[0])
}

// blocks calls body for blocks of so many rows: rows rows of n columns from
// column c on, the first element at at, stride apart. Columns are those of fold
// rows side by side; a block fits a cache, so that its lines are still there
// for the columns that follow.
func (b *Batch) blocks(last int, body func(at, rows, c, n, stride int)) {
	fold := b.fold()
	width := fold * b.C
	rows := min(sumRows, max(blockFloats/width, 8))
	r := 0
	for r+fold <= last {
		k := min(rows, (last-r)/fold)
		for c := 0; c < width; c += maxPart {
			body(r*b.C+c, k, c, min(maxPart, width-c), width)
		}
		r += k * fold
	}
	if r < last {
		body(r*b.C, 1, 0, (last-r)*b.C, width)
	}
}

// add adds columns from c on to the totals of their channels.
func (b *Batch) add(total []float64, part []float32, c int) {
	if b.fold() == 1 {
		total = total[c:][:len(part)]
		for j, v := range part {
			total[j] += float64(v)
		}
		return
	}
	for ; len(part) > 0; part = part[b.C:] {
		for j, v := range part[:b.C] {
			total[j] += float64(v)
		}
	}
}

// someMoments computes those of the groups lo to hi. A group of rows sums the
// deviations from the mean of its first rows and their squares, so that a mean
// far from zero costs no accuracy.
func (r *run) someMoments(_, lo, hi int) {
	b := &r.b
	_, per := b.groups()
	width := b.fold() * b.C
	for i := lo; i < hi; i++ {
		b.groupMoments(r.sums[2*b.C*i:][:2*b.C], r.pivots[i*width:][:width], r.x[i*per*b.C:min((i+1)*per, b.Rows)*b.C])
	}
}

// join computes mean and variance of each channel from the groups', in
// float64 by the rule of Chan, Golub and LeVeque (1979).
func (b *Batch) join(mean, variance []float32, sums []float64) {
	count, per := b.groups()
	total := sums[:2*b.C]
	n := float64(min(per, b.Rows))
	for i := 1; i < count; i++ {
		group := sums[2*b.C*i:][:2*b.C]
		k := float64(min(per, b.Rows-i*per))
		f := k / (n + k)
		for c := range b.C {
			delta := group[c] - total[c]
			total[c] += delta * f
			total[b.C+c] += group[b.C+c] + delta*delta*n*f
		}
		n += k
	}
	for c := range b.C {
		mean[c], variance[c] = float32(total[c]), float32(max(0, total[b.C+c])/n)
	}
}

// groupMoments computes the means and, after them, the sums of squared
// deviations of the rows x.
func (b *Batch) groupMoments(total []float64, pivot, x []float32) {
	rows := len(x) / b.C
	var zero [maxPart]float32
	var part [2 * maxPart]float32
	clear(total)
	some := min(pivotRows, rows)
	b.blocks(some, func(at, rows, c, n, stride int) {
		moments(part[:n], part[maxPart:], x[at:], zero[:n], rows, n, stride)
		b.add(total, part[:n], c)
	})
	for c := range b.C {
		pivot[c] = float32(total[c] / float64(some))
	}
	repeat(pivot, b.C)
	clear(total)
	b.blocks(rows, func(at, rows, c, n, stride int) {
		moments(part[:n], part[maxPart:], x[at:], pivot[c:], rows, n, stride)
		b.add(total[:b.C], part[:n], c)
		b.add(total[b.C:], part[maxPart:][:n], c)
	})
	n := float64(rows)
	for c := range b.C {
		s := total[c]
		total[c] = float64(pivot[c]) + s/n
		total[b.C+c] -= s * s / n
	}
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
	r := b.newRun(scratch)
	r.g = g
	count, _ := b.groups()
	b.affine(&r.k, g.Gamma, g.Beta, g.Mean, g.Inv)
	copy(r.means, g.Mean[:b.C])
	repeat(r.means, b.C)
	p.For(count, 1, r.total)
	k, n := &r.k, float64(b.Rows)
	for c := range b.C {
		beta, gamma := 0.0, 0.0
		for i := range count {
			beta += r.sums[2*b.C*i+c]
			gamma += r.sums[2*b.C*i+b.C+c]
		}
		// dx = γ/σ·(g - Σg/n - (x-μ)/σ·Σ(g·x̂)/n) as a·g + (b·x + c).
		inv := float64(g.Inv[c])
		g.DBeta[c], g.DGamma[c] = float32(beta), float32(gamma*inv)
		a := float64(g.Gamma[c]) * inv
		kx := -a * inv * float64(g.DGamma[c]) / n
		k.a[c], k.b[c] = float32(a), float32(kx)
		k.c[c] = float32(-a*float64(g.DBeta[c])/n - kx*float64(g.Mean[c]))
	}
	repeat(k.a, b.C)
	repeat(k.b, b.C)
	repeat(k.c, b.C)
	from := g.DY
	if g.DAdd != nil {
		from = g.DAdd
	}
	r.stream = b.stream(g.DX, from)
	p.For(b.Rows*b.C, b.grain(), r.finish)
	r.end()
}

func (r *run) someBackward(_, lo, hi int) {
	g := &r.g
	if g.DAdd != nil {
		backward(g.DX[lo:hi], g.DAdd[lo:hi], g.X[lo:hi], &r.k, r.stream)
		return
	}
	backwardClamp(g.DX[lo:hi], g.DY[lo:hi], g.X[lo:hi], &r.k, r.b.Lo, r.b.Hi, r.stream)
}

// someSums computes Σ g and Σ g·(x - μ) of the groups lo to hi, and writes
// DAdd.
func (r *run) someSums(_, lo, hi int) {
	b := &r.b
	_, per := b.groups()
	for i := lo; i < hi; i++ {
		first, last := i*per*b.C, min((i+1)*per, b.Rows)*b.C
		g := Grad{DY: r.g.DY[first:last], X: r.g.X[first:last]}
		if r.g.DAdd != nil {
			g.DAdd, g.Y = r.g.DAdd[first:last], r.g.Y[first:last]
		}
		b.groupSums(&g, &r.k, r.means, r.sums[2*b.C*i:][:2*b.C], (last-first)/b.C)
	}
}

// groupSums sums g and, after it, g·(x - μ) of so many rows.
func (b *Batch) groupSums(g *Grad, k *coefficients, means []float32, total []float64, rows int) {
	clear(total)
	var part [2 * maxPart]float32
	b.blocks(rows, func(at, rows, c, n, stride int) {
		sum, dot := part[:n], part[maxPart:]
		if g.DAdd != nil {
			columnsAdd(sum, dot, g.DAdd[at:], g.DY[at:], g.X[at:], g.Y[at:], means[c:], rows, n, stride, b.Lo, b.Hi)
		} else {
			columns(sum, dot, g.DY[at:], g.X[at:], means[c:], k.scale[c:], k.shift[c:], rows, n, stride, b.Lo, b.Hi)
		}
		b.add(total[:b.C], sum, c)
		b.add(total[b.C:], dot[:n], c)
	})
}
