package sparse

import (
	"cmp"
	"math"
	"slices"

	"github.com/drawknife/drawknife/internal/kernel/conv"
)

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

// packed is the non-zero weights as the kernels read them.
type packed struct {
	shared bool // rows by blockRows
	size   int  // output channels of a strip
	// Steps of a row come in groups of so many.
	together int
	depth    int // rows of the panel that are read before the next ones
	stream   []uint32
	groups   []group // of groupOutput output channels
}

// group is the places of some output channels in the stream, one for each
// depth.
type group struct {
	at     []int
	strips int
}

// weight is a non-zero weight (or the padding of a strip) and the place of its
// inputs in the panel, in bytes.
type weight struct {
	at int
	v  float32
}

// split cuts the rows of the panel, or its images, into depths of the same size
// and returns how many there are in one.
func (g *geometry) split(k *kernels, nonzero int, shared bool) int {
	rows, floats := g.panelRows()
	depths := min(ceilDiv(4*rows*floats, k.depthBytes), nonzero/(g.K*k.depthSteps))
	if depths < 2 || shared || g.vecs == 0 { // these do not wait for the cache
		return rows
	}
	return ceilDiv(ceilDiv(rows, depths), 8) * 8
}

// pack lays out the weights of p.
func pack(k *kernels, g *geometry, shared bool, nonzero int, p conv.Params) packed {
	out := packed{shared: shared && g.vecs > 0, size: k.together, together: 1}
	switch {
	case out.shared:
		out.size = blockRows
	case g.vecs == 0:
		out.size = scalarRows
	default:
		out.together = k.steps
	}
	all, floats := g.panelRows()
	out.depth = g.split(k, nonzero, out.shared)
	depths, bytes := ceilDiv(all, out.depth), 4*floats*out.depth
	rows := make([][]weight, groupOutput)
	for first := 0; first < g.K; first += groupOutput {
		rows = rows[:min(groupOutput, g.K-first)]
		for i := range rows {
			rows[i] = g.row(rows[i][:0], p.Weights, first+i)
		}
		var it group
		for d := range depths {
			part := make([][]weight, len(rows))
			for i, r := range rows {
				from, _ := slices.BinarySearchFunc(r, d*bytes, place)
				to, _ := slices.BinarySearchFunc(r, (d+1)*bytes, place)
				part[i] = r[from:to]
			}
			it.at = append(it.at, len(out.stream))
			it.strips = out.strips(g, p.Bias, first, part)
		}
		out.groups = append(out.groups, it)
	}
	return out
}

// place compares a weight's place.
func place(w weight, at int) int { return cmp.Compare(w.at, at) }

// strips appends the output channels from first on, whose weights are rows, and
// returns the number of strips they make.
func (p *packed) strips(g *geometry, bias []float32, first int, rows [][]weight) int {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	if !p.shared {
		// Strips of rows of about the same length need little padding, and the
		// processor foresees the ends of loops that are as long as the last one.
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(rows[a]), len(rows[b])) })
	}
	for i := 0; i < len(rows); i += p.size {
		p.strip(g, bias, first, order[i:min(i+p.size, len(rows))], rows)
	}
	return ceilDiv(len(rows), p.size)
}

// row appends the non-zero weights of output channel k, in the order of their
// places in the panel.
func (g *geometry) row(to []weight, w []float32, k int) []weight {
	i := k * g.inputs()
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
	slices.SortFunc(to, func(a, b weight) int { return place(a, b.at) })
	return to
}

// strip appends a strip of the rows of order and empty ones.
func (p *packed) strip(g *geometry, bias []float32, first int, order []int, rows [][]weight) {
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
	if !p.shared {
		steps = ceilDiv(steps, p.together) * p.together
	}
	p.stream = append(p.stream, uint32(steps), 0)
	pitch := max(g.lanes*g.vecs, 1)
	for i := range p.size {
		b, at := float32(0), groupOutput // only the last group has strips to fill up: nobody's place
		if i < len(order) {
			at = order[i]
			if bias != nil {
				b = bias[first+at]
			}
		}
		p.stream = append(p.stream, uint32(4*pitch*at), math.Float32bits(b))
	}
	if p.shared {
		p.block(columns, order, rows)
		return
	}
	for j := range steps {
		for i := range p.size {
			w := weight{at: g.zeroAt()}
			if i < len(order) && j < len(rows[order[i]]) {
				w = rows[order[i]][j]
			}
			p.stream = append(p.stream, uint32(w.at), math.Float32bits(w.v))
		}
	}
}

// block appends the steps of a strip whose rows share their columns.
func (p *packed) block(columns, order []int, rows [][]weight) {
	for _, at := range columns {
		p.stream = append(p.stream, uint32(at))
		for i := range p.size {
			v := float32(0)
			if i < len(order) {
				row := rows[order[i]]
				if j, ok := slices.BinarySearchFunc(row, at, place); ok {
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
