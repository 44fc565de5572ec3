package accel

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// crossbar is an array of resistive cells that multiplies a vector by a matrix:
// a weight's bits lie in neighbouring columns, an input's bits come one group
// after the other.
type crossbar struct {
	rows, cols int
	cellBits   int // of a weight that one cell holds
	weightBits int
	inputBits  int
	dacBits    int // of an input in one step
	activeRows int // rows driven at once
	signed     int // arrays for a matrix: 2 where negative weights have one of their own
}

// perWeight is the number of cells of a weight in one array.
func (x crossbar) perWeight() int { return int(hardware.Ceil(x.weightBits, x.cellBits)) }

// arrays counts the arrays that hold a layer once, the kernels unrolled to
// columns; each group has its own.
func (x crossbar) arrays(l *hardware.Layer) int {
	s := &l.Size
	tall := hardware.Ceil(filterSize(l), x.rows)
	wide := hardware.Ceil(s[hardware.K]*x.perWeight(), x.cols)
	return s[hardware.G] * int(tall*wide) * x.signed
}

// cells counts the cells that a layer's weights take.
func (x crossbar) cells(l *hardware.Layer) float64 {
	return float64(l.Words(hardware.Weights)) * float64(x.perWeight()*x.signed)
}

// size is the number of cells of an array.
func (x crossbar) size() float64 { return float64(x.rows * x.cols) }

// steps is the number of analogue steps of one product.
func (x crossbar) steps() float64 {
	return hardware.Ceil(x.inputBits, x.dacBits) * hardware.Ceil(x.rows, x.activeRows)
}

// adcBits is what a converter needs to read a column without loss.
func (x crossbar) adcBits() int {
	return bits.Len(uint(x.activeRows * (1<<x.cellBits - 1) * (1<<x.dacBits - 1)))
}

// peakMACs is the number of multiply-accumulates per step of n full arrays.
func (x crossbar) peakMACs(n int) float64 {
	return float64(n) * x.size() / float64(x.perWeight()*x.signed) / x.steps()
}

// products counts the matrix-vector products of a layer.
func products(l *hardware.Layer) int {
	return l.Size[hardware.N] * l.Size[hardware.P] * l.Size[hardware.Q]
}

// placed is a layer on crossbars.
type placed struct {
	layer  *hardware.Layer
	arrays int // for one copy
	copies int
	busy   float64 // products that each copy does, one after the other
}

// place puts the layers that multiply on crossbars and copies the slow ones
// until no more fits into budget arrays, so that the slowest layer, which sets
// the pace of the pipeline, is as fast as it can be. A budget that does not
// hold the network once is an error.
func (x crossbar) place(w *hardware.Workload, budget int) ([]placed, error) {
	var ps []placed
	need, slowest := 0, 1
	for _, l := range w.Layers {
		if err := l.Check(); err != nil {
			return nil, err
		}
		if !l.HasMACs() {
			continue
		}
		ps = append(ps, placed{layer: l, arrays: x.arrays(l)})
		need += x.arrays(l)
		slowest = max(slowest, products(l))
	}
	if len(ps) == 0 {
		return nil, fmt.Errorf("the workload %q has no layer that multiplies", w.Name)
	}
	if need > budget {
		return nil, fmt.Errorf("the workload %q needs %d crossbars; there are %d", w.Name, need, budget)
	}
	pace := 1 + sort.Search(slowest-1, func(i int) bool {
		total := 0.0
		for _, p := range ps {
			total += float64(p.arrays) * hardware.Ceil(products(p.layer), i+1)
		}
		return total <= float64(budget)
	})
	for i := range ps {
		p := &ps[i]
		p.copies = int(hardware.Ceil(products(p.layer), pace))
		p.busy = hardware.Ceil(products(p.layer), p.copies)
	}
	return ps, nil
}

// need counts the arrays that hold the workload once.
func (x crossbar) need(w *hardware.Workload) (n int) {
	for _, l := range w.Layers {
		if l.HasMACs() {
			n += x.arrays(l)
		}
	}
	return n
}

// block is a part of a matrix that lies in one array.
type block struct{ rows, cols int }

// blocks lists the parts of a workload's matrices, one of the arrays for the
// signs standing for all of them.
func (x crossbar) blocks(w *hardware.Workload) (all []block) {
	for _, l := range w.Layers {
		if !l.HasMACs() {
			continue
		}
		tall, wide := filterSize(l), l.Size[hardware.K]*x.perWeight()
		for range l.Size[hardware.G] {
			for r := 0; r < tall; r += x.rows {
				for c := 0; c < wide; c += x.cols {
					all = append(all, block{min(x.rows, tall-r), min(x.cols, wide-c)})
				}
			}
		}
	}
	return all
}

// fits counts the copies of all blocks that so many arrays hold. Blocks share
// an array along its diagonal: their inputs and their sums are their own. The
// largest take their places first.
func (x crossbar) fits(blocks []block, arrays int) (copies int) {
	blocks = slices.Clone(blocks)
	slices.SortStableFunc(blocks, func(a, b block) int { return max(b.rows, b.cols) - max(a.rows, a.cols) })
	return sort.Search(arrays*x.rows, func(n int) bool {
		var free []block
		for _, b := range blocks {
			for range n + 1 {
				i := slices.IndexFunc(free, func(f block) bool { return b.rows <= f.rows && b.cols <= f.cols })
				if i < 0 {
					i = len(free)
					free = append(free, block{x.rows, x.cols})
				}
				free[i].rows -= b.rows
				free[i].cols -= b.cols
				if len(free)*x.signed > arrays {
					return true
				}
			}
		}
		return false
	})
}

// utilization is the share of the cells of budget arrays that hold weights.
func (x crossbar) utilization(ps []placed, budget int) float64 {
	used := 0.0
	for _, p := range ps {
		used += x.cells(p.layer) * float64(p.copies)
	}
	return used / (x.size() * float64(budget))
}

// pipeline reports layers that work at the same time on different images or
// rows: the slowest one is the time of all. cost fills in the energy of one
// layer, whose cycles are known; the clock of m is a step.
func (x crossbar) pipeline(m hardware.Machine, w *hardware.Workload, ps []placed, cost func(p placed, c *hardware.Cost)) *hardware.Report {
	r := &hardware.Report{Machine: m.Name, Network: w.Name, Batch: w.Batch, ClockMHz: m.ClockMHz, PeakMACs: m.PeakMACs, AreaMM2: m.AreaMM2}
	for _, p := range ps {
		l := p.layer
		c := hardware.Cost{Cycles: p.busy * x.steps(), Active: x.cells(l) / (float64(p.arrays) * x.size()),
			Mapping: fmt.Sprintf("%d crossbars × %d copies", p.arrays, p.copies)}
		cost(p, &c)
		r.Layers = append(r.Layers, c.Complete(l, m.PeakMACs))
		if c.Cycles > r.Cycles {
			r.Cycles, r.Bound = c.Cycles, l.Name
		}
	}
	r.Add()
	r.Finish()
	r.Notes = append(r.Notes, "the layers are a pipeline: its time is that of the slowest one; filling it, and programming the cells, are left out")
	var host []string
	for _, l := range w.Layers {
		if !l.HasMACs() && !slices.Contains(host, l.Op) {
			host = append(host, l.Op)
		}
	}
	if host != nil {
		slices.Sort(host)
		r.Notes = append(r.Notes, "left to the periphery: "+strings.Join(host, ", "))
	}
	return r
}

// arrayReads counts the steps of all the arrays that hold a layer, each of
// which reads all its columns.
func (x crossbar) arrayReads(l *hardware.Layer) float64 {
	return float64(products(l)) * x.steps() * float64(x.arrays(l))
}
