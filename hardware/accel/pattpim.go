package accel

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/drawknife/drawknife/hardware"
)

// pattPIM are the parameters of PattPIM, DAC 2020 and TCAD 2022: crossbars of
// which a small unit works at a time, equal columns of it stored once.
type pattPIM struct {
	rows, cols int // of an operation unit
	units      int // that work at once
	weightBits int // sign included; a weight takes weightBits−1 columns for each sign
	// lowBits columns of a weight, the least significant ones, may be replaced
	// by a pattern that differs in up to distance rows.
	lowBits, distance int
}

const (
	pattClock = 10.0 // MHz: a step of 100 ns, assumed
	// pJ of a unit's step, scaled from ISAAC: a driver, a converter of 4 bits
	// (9 rows add up to at most 9), a cell; and a bit of a register.
	pattDAC  = 4.0 / 1024 * 100
	pattADC  = 16.0 / 8 / 1.28 / 16
	pattCell = 2.4 / 8 * 100 / (128 * 128)
	pattBit  = 0.02
)

var pattpim = pattPIM{rows: 9, cols: 8, units: 1024, weightBits: 8, lowBits: 2, distance: 1}

func init() {
	m := hardware.Machine{Name: "pattpim", ClockMHz: pattClock}
	hardware.Register(hardware.Accelerator{
		Name: "pattpim", Title: "PattPIM", Kind: hardware.InMemory,
		Paper: "Zhang et al., PattPIM: A Practical ReRAM-Based DNN Accelerator by Reusing Weight Pattern Repetitions, DAC 2020 and TCAD 41", Year: 2020,
		Summary: "Crossbars of small operation units; a column of weight bits that repeats is stored and read once, its result is copied.",
		Params: []hardware.Param{
			{Name: "operation unit", Value: "9 rows × 8 columns at a time, for example", Evidence: hardware.Read},
			{Name: "reuse", Value: "equal patterns stored once, zero patterns dropped, an approximate transform makes more of them equal", Evidence: hardware.Read},
			{Name: "size", Value: "1024 units at once, steps of 100 ns, 1-bit cells: assumed", Evidence: hardware.Computed},
		},
		Formulas: `
Weights of b = 8 bits are kept as magnitudes, positive and negative ones apart:
s = 2·(b−1) columns of 1-bit cells. A unit is h×w = 9×8 cells.

  units of a layer   U = G · ⌈C·R·S/h⌉ · ⌈K·s/w⌉
  stored units       D = Σ over groups of h rows of ⌈different columns / w⌉
  compression        U / D
  cycles             N·P·Q · (bits of inputs) · D / 1024

Columns of zeros are not stored. Known weights of a layer, up to 4 million, are
scaled to 8 bits and counted; their 2 lowest bits may take a stored pattern that
differs in one row (the approximate transform). For unknown weights of density d,
a bit is one with p = d/4 (half of the magnitudes' bits, half for each sign), all
independent:

  different columns  Σ_j≥1 C(h,j)·(1 − (1 − p^j·(1−p)^(h−j))^(K·s))

Energy: drivers, 4-bit converters and cells of the stored units, and 13 bits of
registers (a result and an index) for each copy. There is no peak, as a copy
does any number of MACs; utilization is not given.`,
		Figures: []hardware.Figure{
			{Name: "different columns of random weights, counted over expected", Published: 1, Evidence: hardware.Computed, Tolerance: 0.05,
				Note: "bits of a weight share its sign, which the expectation leaves out; the paper's figures for six networks are not at hand", Ours: pattCheck},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(m, w, pattpim.cost)
		},
	})
}

// columns is the number of cells of a weight in a row.
func (x pattPIM) columns() int { return 2 * (x.weightBits - 1) }

// patternCount says what is left of a layer's columns, each x.rows high.
type patternCount struct {
	columns  float64 // all
	zero     float64 // dropped
	distinct float64 // stored
	units    float64 // that these fill
}

func (n patternCount) add(o patternCount) patternCount {
	return patternCount{n.columns + o.columns, n.zero + o.zero, n.distinct + o.distinct, n.units + o.units}
}

// repetition is the share of the columns that need not be stored.
func (n patternCount) repetition() float64 { return 1 - n.distinct/n.columns }

// all is the number of units of a layer without any reuse.
func (x pattPIM) all(l *hardware.Layer) float64 {
	return float64(l.Size[hardware.G]) * hardware.Ceil(filterSize(l), x.rows) * hardware.Ceil(l.Size[hardware.K]*x.columns(), x.cols)
}

// expected counts patterns for weights of which only the density is known.
func (x pattPIM) expected(l *hardware.Layer) patternCount {
	n := float64(l.Size[hardware.K] * x.columns())
	group := func(h int) (c patternCount) {
		p := l.Density.W / 4
		binomial := 1.0
		c.columns, c.zero = n, n*math.Pow(1-p, float64(h))
		for j := 1; j <= h; j++ {
			binomial *= float64(h-j+1) / float64(j)
			c.distinct += binomial * -math.Expm1(n*math.Log1p(-math.Pow(p, float64(j))*math.Pow(1-p, float64(h-j))))
		}
		c.units = math.Ceil(c.distinct / float64(x.cols))
		return c
	}
	scale := func(c patternCount, by float64) patternCount {
		return patternCount{c.columns * by, c.zero * by, c.distinct * by, c.units * by}
	}
	size, groups := filterSize(l), float64(l.Size[hardware.G])
	total := scale(group(x.rows), groups*float64(size/x.rows))
	if rest := size % x.rows; rest > 0 {
		total = total.add(scale(group(rest), groups))
	}
	return total
}

// count looks at weights, kernel after kernel, of values up to 2^(bits−1)−1.
func (x pattPIM) count(l *hardware.Layer, weights []int) (n patternCount) {
	size, kernels := filterSize(l), l.Size[hardware.K]
	seen := make([]int, 1<<x.rows) // the last group of rows that has the pattern
	for g := range l.Size[hardware.G] {
		for from := 0; from < size; from += x.rows {
			high := min(x.rows, size-from)
			stamp := g*size + from + 1
			stored := 0
			for k := range kernels {
				column := weights[(g*kernels+k)*size+from:][:high]
				for plane := range x.columns() {
					p := bitPattern(column, plane%(x.weightBits-1), plane >= x.weightBits-1)
					n.columns++
					switch {
					case bits.OnesCount(p) <= x.room(plane):
						n.zero++
					case x.near(seen, p, x.room(plane), stamp):
					default:
						seen[p] = stamp
						stored++
					}
				}
			}
			n.distinct += float64(stored)
			n.units += hardware.Ceil(stored, x.cols)
		}
	}
	return n
}

// room is the number of rows in which a pattern of a plane of bits may change.
func (x pattPIM) room(plane int) int {
	if plane%(x.weightBits-1) < x.lowBits {
		return x.distance
	}
	return 0
}

// near reports whether a group of rows, called stamp, has pattern p or one that
// differs from it in up to distance rows.
func (x pattPIM) near(seen []int, p uint, distance, stamp int) bool {
	if seen[p] == stamp {
		return true
	}
	for flip := uint(1); distance > 0 && flip < uint(len(seen)); flip++ {
		if bits.OnesCount(flip) <= distance && seen[p^flip] == stamp {
			return true
		}
	}
	return false
}

// bitPattern is one bit of the magnitudes of the positive or negative weights.
func bitPattern(weights []int, bit int, negative bool) (p uint) {
	for i, w := range weights {
		if negative {
			w = -w
		}
		if w > 0 {
			p |= uint(w>>bit&1) << i
		}
	}
	return p
}

// pattMost bounds the weights that are looked at one by one.
const pattMost = 1 << 22

// patterns counts a layer's columns: of its weights if they are known, have the
// form of kernels and are no more than pattMost.
func (x pattPIM) patterns(l *hardware.Layer) patternCount {
	w := l.Weight
	if w == nil || l.Transposed || w.Len() > pattMost || len(w.Shape) < 2 || int64(w.Len()) != l.Words(hardware.Weights) || w.Shape[0] != l.Size[hardware.G]*l.Size[hardware.K] {
		return x.expected(l)
	}
	values := w.Float32s()
	most := 0.0
	for _, v := range values {
		if !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) {
			most = max(most, math.Abs(float64(v)))
		}
	}
	limit := float64(int(1)<<(x.weightBits-1) - 1)
	ints := make([]int, len(values))
	for i, v := range values {
		if scaled := math.RoundToEven(float64(v) / most * limit); math.Abs(scaled) <= limit {
			ints[i] = int(scaled)
		}
	}
	return x.count(l, ints)
}

func (x pattPIM) cost(l *hardware.Layer) (hardware.Cost, error) {
	n := x.patterns(l)
	steps := float64(products(l)) * float64(l.Bits.A)
	c := hardware.Cost{Cycles: math.Ceil(steps * max(n.units, 1) / float64(x.units)), Active: min(n.units/float64(x.units), 1)}
	unit := float64(x.rows)*pattDAC + float64(x.cols)*pattADC + float64(x.rows*x.cols)*pattCell
	c.MACEnergy = steps * n.units * unit
	c.NetworkEnergy = steps * (n.columns - n.zero - n.distinct) * 13 * pattBit
	exact := x
	exact.distance = 0
	c.Mapping = fmt.Sprintf("%.0f of %.0f operation units, %.1f %% of the columns repeat or are zero (%.1f %% exactly)",
		n.units, x.all(l), 100*n.repetition(), 100*exact.patterns(l).repetition())
	return c, nil
}

// pattCheck counts the patterns of weights whose bits are independent.
func pattCheck() (float64, error) {
	x := pattpim
	x.distance = 0
	l := hardware.Conv("random", 1, 1, 64, 32, 8, 3, 1, 1)
	weights := make([]int, l.Words(hardware.Weights))
	state := uint64(1)
	for i := range weights {
		state = state*6364136223846793005 + 1442695040888963407
		weights[i] = int(state >> 57) // 7 bits
		if state>>56&1 == 1 {
			weights[i] = -weights[i]
		}
	}
	return x.count(l, weights).distinct / x.expected(l).distinct, nil
}
