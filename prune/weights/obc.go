package weights

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/gemm"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

func init() {
	method.Register(method.Method{
		Name: "obc", Family: method.Weights, Summary: "exact optimal brain surgeon on each layer's output: needs images but no training",
		Paper: "Frantar and Alistarh, Optimal brain compression: A framework for accurate post-training quantization and pruning, NeurIPS", Year: 2022,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "block", Default: "576", Help: "most columns whose Hessian is taken together"}},
		New: func(o map[string]string) (any, error) {
			b, err := strconv.Atoi(o["block"])
			if err != nil || b < 1 || b > 8192 {
				return nil, fmt.Errorf("block %q: want a whole number from 1 to 8192", o["block"])
			}
			return &obc{block: b}, nil
		},
	})
}

// obc solves min ‖WX − ŴX‖² row by row with H = 2XXᵀ: it takes out the weight
// of the least w_q²/[H⁻¹]_qq, moves the rest of the row, brings H⁻¹ up to date, and
// goes on. How many weights each row loses is decided by ranking the costs of all
// steps of a layer's rows. N:M takes only weights whose group may still lose
// one; blocks are taken out together. Layers too large for that are swept; see
// sweep.
type obc struct {
	block   int
	hess    map[*Layer]*hessians
	inverse map[*Layer][][]float64
}

// damping of H, in units of the mean of its diagonal.
const damping = 1e-2

// width is the block, cut to whole groups of N:M.
func (o *obc) width(l *Layer) int { return max(o.block/(64*l.Taps), 1) * 64 * l.Taps }

func (o *obc) Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error {
	var err error
	if o.hess, err = collect(ctx, g, layers, o.width, d); err != nil {
		return err
	}
	o.inverse = map[*Layer][][]float64{}
	for _, l := range layers {
		h := o.hess[l]
		inv := make([][]float64, len(h.h))
		engine.Pool(d.Threads).For(len(inv), 1, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				_, _, n := h.of(0, i%h.blocks())
				inv[i] = spdInverse(h.h[i], n, damping)
			}
		})
		o.inverse[l] = inv
	}
	return nil
}

// surgeon is that of one block of a row.
func (o *obc) surgeon(l *Layer, row, block int) (*surgeon, int) {
	h := o.hess[l]
	_, first, n := h.of(row, block)
	group := min(row/max(l.Rows/h.groups, 1), h.groups-1)
	w := make([]float64, n)
	for i := range w {
		w[i] = float64(l.W[l.At(row, first+i)])
	}
	return newSurgeon(w, slices.Clone(o.inverse[l][group*h.blocks()+block])), first
}

// Rate is the error that each weight's removal makes, as a share of the layer's
// whole output, so that layers compare.
func (o *obc) Rate(l *Layer) ([]float64, error) {
	out := make([]float64, len(l.W))
	whole := max(o.energy(l), math.SmallestNonzeroFloat64)
	for r := range l.Rows {
		for b := range o.hess[l].blocks() {
			h := o.hess[l]
			_, first, n := h.of(r, b)
			group := min(r/max(l.Rows/h.groups, 1), h.groups-1)
			inv := o.inverse[l][group*h.blocks()+b]
			for i := range n {
				at := l.At(r, first+i)
				w := float64(l.W[at])
				out[at] = w * w / (2 * inv[i*n+i]) / whole
			}
		}
	}
	return out, nil
}

// energy is ½·Σ wᵀHw over the rows: the squares of what the layer computes.
func (o *obc) energy(l *Layer) float64 {
	h := o.hess[l]
	rows := l.Rows / h.groups
	sum := 0.0
	for g := range h.groups {
		for b := range h.blocks() {
			hess, first, n := h.of(g*rows, b)
			w, second, product := make([]float32, rows*n), make([]float32, n*n), make([]float32, rows*n)
			for r := range rows {
				for i := range n {
					w[r*n+i] = l.W[l.At(g*rows+r, first+i)]
				}
			}
			for i, v := range hess {
				second[i] = float32(v)
			}
			gemm.SGEMM(engine.Pool(0), false, false, rows, n, n, 1, w, n, second, n, 0, product, n)
			for i, v := range product {
				sum += float64(w[i]) * float64(v) / 2
			}
		}
	}
	return sum
}

func (o *obc) Update(ctx context.Context, p *Pass) error {
	return p.Each(ctx, p.Layers, func(l *Layer) error {
		mask := p.Mask[l.Value.Name]
		switch {
		case p.Pattern.M > 0 && o.hess[l].blocks() > 1 && 64%p.Pattern.M != 0:
			return fmt.Errorf("layer %q: of patterns N:M on layers this wide, only those with M a power of two", l.Name)
		case o.large(l):
			o.sweep(l, p.Pattern, mask)
		case p.Pattern.M > 0:
			o.each(l, func(s *surgeon, _, _ int, at func(int) int) { o.nm(l, s, p.Pattern, at) }, mask)
		case p.Pattern.Height > 0:
			o.each(l, func(s *surgeon, _, _ int, at func(int) int) {
				var out []int
				for i := range s.w {
					if mask[at(i)] == 0 {
						out = append(out, i)
					}
				}
				s.joint(out)
			}, mask)
		default:
			o.free(l, mask)
		}
		return nil
	})
}

// each lets do take weights out of every block of every row, and writes the
// result to the layer and the mask.
func (o *obc) each(l *Layer, do func(s *surgeon, row, block int, at func(i int) int), mask []float32) {
	blocks := o.hess[l].blocks()
	engine.Pool(0).For(l.Rows*blocks, 1, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			row := k / blocks
			s, first := o.surgeon(l, row, k%blocks)
			at := func(i int) int { return l.At(row, first+i) }
			do(s, row, k%blocks, at)
			for i, v := range s.w {
				l.W[at(i)], mask[at(i)] = float32(v), 1
				if s.gone[i] {
					mask[at(i)] = 0
				}
			}
		}
	})
}

// nm takes out of each M weights along the input channels all but N.
func (o *obc) nm(l *Layer, s *surgeon, p Pattern, _ func(int) int) {
	lost := map[[2]int]int{}
	group := func(q int) [2]int { return [2]int{q / l.Taps / p.M, q % l.Taps} }
	for {
		q := s.cheapest(func(q int) bool { return lost[group(q)] < p.M-p.N })
		if q < 0 {
			return
		}
		lost[group(q)]++
		s.remove(q)
	}
}

// free takes as many weights out of a layer as its mask says, wherever the rows
// miss them least.
func (o *obc) free(l *Layer, mask []float32) {
	total := countZeros(mask)
	blocks := o.hess[l].blocks()
	costs := make([][]float64, l.Rows*blocks) // of each step
	engine.Pool(0).For(len(costs), 1, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			s, _ := o.surgeon(l, k/blocks, k%blocks)
			highest := 0.0
			for range s.w {
				q := s.cheapest(nil)
				highest = max(highest, s.cost(q)) // a step is not to be taken before the one ahead of it
				costs[k] = append(costs[k], highest)
				s.remove(q)
			}
		}
	})
	type step struct {
		of   int
		cost float64
	}
	var all []step
	for k, c := range costs {
		for _, v := range c {
			all = append(all, step{k, v})
		}
	}
	slices.SortStableFunc(all, func(a, b step) int { return cmp.Compare(a.cost, b.cost) })
	count := make([]int, len(costs))
	for _, s := range all[:total] {
		count[s.of]++
	}
	o.each(l, func(s *surgeon, row, block int, _ func(int) int) {
		for range count[row*blocks+block] {
			s.remove(s.cheapest(nil))
		}
	}, mask)
}
