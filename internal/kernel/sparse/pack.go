package sparse

import (
	"cmp"
	"math"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/conv"
)

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

// zeros describes where the weights of a layer are not zero.
type zeros struct {
	weights  int
	nonzero  int
	columns  int // inputs that a block of output channels needs, summed over the blocks
	channels int
}

// census counts the weights.
func census(s conv.Shape, w []float32) zeros {
	z := zeros{weights: len(w), channels: s.K}
	depth := s.C * s.R * s.S
	for k := 0; k < s.K; k += blockRows {
		rows := min(blockRows, s.K-k)
		for i := range depth {
			used := 0
			for r := range rows {
				if w[(k+r)*depth+i] != 0 {
					used++
				}
			}
			z.nonzero += used
			z.columns += min(used, 1)
		}
	}
	return z
}

// shared reports whether it pays to compute blockRows output channels as if
// their non-zeros were in the same places.
func (z *zeros) shared() bool { return float64(blockRows*z.columns) < fillCost*float64(z.nonzero) }

// fillCost is how many products of a block cost as much as one of a row.
const fillCost = 1.5

// vecs is the number of vectors to give a block of pixels.
func (z *zeros) vecs(s conv.Shape) int {
	switch {
	case z.shared():
		return maxBlock
	case s.C*s.R*s.S > deep:
		return 4
	}
	return 7
}

// deep is the number of inputs of an output from which on narrower blocks are
// quicker: more of the panel fits the first-level cache.
const deep = 512

// packed is the non-zero weights as the kernels read them.
type packed struct {
	shared  bool
	stream  []uint32
	groups  []group // of groupOutput output channels
	percent int     // of the weights, not zero
}

// group is the place of some output channels in the stream.
type group struct{ at, strips int }

// weight is a non-zero weight (or the padding of a strip) and the place of its
// inputs in the panel, in bytes.
type weight struct {
	at int
	v  float32
}

// pack lays out the weights of p.
func pack(g *geometry, z zeros, p conv.Params) packed {
	out := packed{shared: z.shared() && g.vecs > 0, percent: int(math.Round(100 * float64(z.nonzero) / float64(max(z.weights, 1))))}
	rows := make([][]weight, groupOutput)
	for k := 0; k < g.K; k += groupOutput {
		n := min(groupOutput, g.K-k)
		order := make([]int, n)
		for i := range n {
			order[i] = i
			rows[i] = g.row(rows[i][:0], p.Weights, k+i)
		}
		size := 1
		switch {
		case out.shared:
			size = blockRows
		case g.vecs == 0:
			size = scalarRows
			// Strips of rows of about the same length need little padding.
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(rows[a]), len(rows[b])) })
		}
		out.groups = append(out.groups, group{at: len(out.stream), strips: ceilDiv(n, size)})
		for i := 0; i < n; i += size {
			out.strip(g, p.Bias, k, order[i:min(i+size, n)], size, rows)
		}
	}
	return out
}

// row appends the non-zero weights of output channel k, in the order of their
// places in the panel.
func (g *geometry) row(to []weight, w []float32, k int) []weight {
	i := k * g.depth()
	for c := range g.C {
		for r := range g.R {
			for s := range g.S {
				if v := w[i]; v != 0 {
					to = append(to, weight{g.at(c, r, s), v})
				}
				i++
			}
		}
	}
	slices.SortFunc(to, func(a, b weight) int { return cmp.Compare(a.at, b.at) })
	return to
}

// strip appends a strip of size rows, those of order and empty ones.
func (p *packed) strip(g *geometry, bias []float32, first int, order []int, size int, rows [][]weight) {
	var columns []int
	steps := 0
	for _, r := range order {
		steps = max(steps, len(rows[r]))
		if p.shared {
			for _, w := range rows[r] {
				columns = append(columns, w.at)
			}
		}
	}
	if p.shared {
		slices.Sort(columns)
		columns = slices.Compact(columns)
		steps = len(columns)
	}
	p.stream = append(p.stream, uint32(steps), 0)
	pitch := max(lanes*g.vecs, 1)
	for i := range size {
		b, at := float32(0), groupOutput // of a row that fills up the strip
		if i < len(order) {
			at = order[i]
			if bias != nil {
				b = bias[first+at]
			}
		}
		p.stream = append(p.stream, uint32(4*pitch*at), math.Float32bits(b))
	}
	if p.shared {
		p.block(columns, order, size, rows)
		return
	}
	for j := range steps {
		for i := range size {
			w := weight{at: g.zeroAt()}
			if i < len(order) && j < len(rows[order[i]]) {
				w = rows[order[i]][j]
			}
			p.stream = append(p.stream, uint32(w.at), math.Float32bits(w.v))
		}
	}
}

// block appends the steps of a strip whose rows share their columns.
func (p *packed) block(columns, order []int, size int, rows [][]weight) {
	for _, at := range columns {
		p.stream = append(p.stream, uint32(at))
		for i := range size {
			v := float32(0)
			if i < len(order) {
				row := rows[order[i]]
				if j, ok := slices.BinarySearchFunc(row, at, func(w weight, at int) int { return cmp.Compare(w.at, at) }); ok {
					v = row[j].v
				}
			}
			p.stream = append(p.stream, math.Float32bits(v))
		}
	}
}

// kernel is the function for a block of so many vectors.
func (p *packed) kernel(k *kernels, vecs int) func(*stripArgs) {
	switch {
	case vecs == 0:
		return k.scalar
	case p.shared:
		return k.block[vecs]
	}
	return k.rows[vecs]
}

// onLine drops up to line-1 floats, so that s starts on a cache line.
func onLine(s []float32) []float32 {
	if off := int(uintptr(unsafe.Pointer(&s[0])) % (4 * line)); off != 0 {
		return s[(4*line-off)/4:]
	}
	return s
}
