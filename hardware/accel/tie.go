package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// TIE, Deng et al., ISCA 2019: inference on tensor-train layers without
// computing anything twice.
const (
	tieClock    = 1000.0 // MHz
	tiePEs      = 16     // rows of a product at a time
	tieLanes    = 16     // columns at a time
	tieArea     = 1.74   // mm²
	tieMW       = 154.8
	tieRank     = 4 // of the layers that we decompose, as in the paper's networks
	tieMaxCores = 6

	// EIE, the baseline, scaled to 28 nm: 1285 MHz instead of 800.
	eieArea  = 15.7  // mm²
	eieMW    = 590.0 //
	eieScale = 800.0 / 1285
)

func init() {
	m := hardware.Machine{Name: "tie", ClockMHz: tieClock, PeakMACs: tiePEs * tieLanes, AreaMM2: tieArea}
	hardware.Register(hardware.Accelerator{
		Name: "tie", Title: "TIE", Kind: hardware.LowRank,
		Paper: "Deng et al., TIE: Energy-efficient Tensor Train-based Inference Engine for Deep Neural Network, ISCA", Year: 2019,
		Summary: "Layers in tensor-train form, one matrix product for each core; grouped memories make the reshaping in between an address pattern.",
		Params: []hardware.Param{
			{Name: "technology", Value: "28 nm, 1 GHz, 1.74 mm²", Evidence: hardware.Read},
			{Name: "array", Value: "16 elements of 16 multipliers of 16 bits, 154.8 mW", Evidence: hardware.Recalled},
			{Name: "memories", Value: "16 KB of weights, two of 384 KB for the values between stages, which change places from stage to stage", Evidence: hardware.Vague},
		},
		Formulas: `
A matrix of M = Π m_k rows and N = Π n_k columns is a train of d cores of
r_(k−1)·m_k·n_k·r_k elements. Its product with a vector takes a stage for each
core, the last one first: a (r_(k−1)·m_k × n_k·r_k) by (n_k·r_k × V_k) product,
V_k = Π_(j<k) n_j · Π_(j>k) m_j.

  multiplications   Σ r_(k−1)·m_k·n_k·r_k·V_k     (naive: M·N·Σ r_(k−1)·r_k)
  cycles            Σ ⌈V_k/16⌉ · Σ over blocks of ≤ 16 of the r_(k−1)·m_k rows of max(n_k·r_k, rows)
  weights           Σ r_(k−1)·m_k·n_k·r_k

The 16 elements read 16 values a cycle, one each, for n_k·r_k cycles; then they
have rows · 16 sums to store. The two memories change places, so the one that is
written is as wide as the one that is read: 16 values a cycle, while the next
block is computed. Short products wait for it.

A convolution is such a matrix on unrolled inputs, V_k times P·Q. Layers of a
network are decomposed here: K and C·R·S into d factors as equal as their primes
allow, rank 4, d from 1 (the layer itself) to 6, the fastest of these. Its
accuracy is not looked at: rank 4 is what TIE's networks were trained with. A
network that is decomposed already has its stages as layers (d = 1). Energy is
time at 154.8 mW, the power on full load. Without grouped memories each stage would
write and read V_k·r_(k−1)·m_k words more, to transpose them.`,
		Figures: tieFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runTIE(m, w)
		},
	})
}

func runTIE(m hardware.Machine, w *hardware.Workload) (*hardware.Report, error) {
	r, err := hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		groups, vectors := float64(l.Size[hardware.G]), products(l)
		var c hardware.Cost
		for d := 1; d <= tieMaxCores; d++ {
			t := ttLayer(l, d, tieRank)
			cycles := groups * t.cycles(vectors)
			if d == 1 || cycles < c.Cycles {
				c.Cycles = cycles
				c.Mapping = fmt.Sprintf("%v×%v, ranks %v: %d multiplications of a vector (naive %d); %.0f words moved if memories were not grouped",
					t.rows, t.cols, t.ranks, t.mults(), t.naiveMults(), groups*t.transposed(vectors))
				c.Effectual = min(groups*float64(t.mults())*float64(vectors), float64(l.MACs()))
			}
		}
		c.MACEnergy = c.Cycles / tieClock * 1e-6 * tieMW * 1e9 // µs·mW in pJ
		return c, nil
	})
	if err == nil {
		r.Notes = append(r.Notes, "layers are decomposed at rank 4 where that is faster; the accuracy is not looked at")
	}
	return r, err
}

// cycles is TIE's time for the products with a number of vectors.
func (t ttMatrix) cycles(vectors int) (n float64) {
	for k := range t.rows {
		s := t.stage(k)
		full, rest := s.rows/tiePEs, s.rows%tiePEs
		block := float64(full * max(s.depth, tiePEs)) // tiePEs sums of each lane take as many cycles to store
		if rest > 0 {
			block += float64(max(s.depth, rest))
		}
		n += block * hardware.Ceil(s.vectors*vectors, tieLanes)
	}
	return n
}

// transposed counts the words that a machine without grouped memories would
// move between the stages for the products with a number of vectors.
func (t ttMatrix) transposed(vectors int) (words float64) {
	for k := range t.rows {
		s := t.stage(k)
		words += 2 * float64(s.vectors*s.rows*vectors)
	}
	return words
}

// tieLayers are the layers of the paper's evaluation, all of rank 4, with
// EIE's time for the same layer in µs at 800 MHz where it is known.
var tieLayers = []struct {
	name       string
	tt         ttMatrix
	compressed float64
	eie        float64
}{
	{"VGG fc6", ttUniform([]int{4, 4, 4, 4, 4, 4}, []int{2, 7, 8, 8, 7, 4}, 4), 50972, 34.4},
	{"VGG fc7", ttUniform([]int{4, 4, 4, 4, 4, 4}, []int{4, 4, 4, 4, 4, 4}, 4), 14564, 8.7},
	{"LSTM UCF11", ttUniform([]int{4, 4, 4, 4}, []int{8, 20, 20, 18}, 4), 4954, 0},
	{"LSTM Youtube", ttUniform([]int{4, 4, 4, 4}, []int{4, 20, 20, 36}, 4), 4608, 0},
}

// tieTOPS counts the operations of the full matrix.
func tieTOPS(t ttMatrix) float64 { return 2 * float64(t.dense()) / t.cycles(1) * tieClock / 1e6 }

func tieFigures() []hardware.Figure {
	constant := func(v float64) func() (float64, error) { return func() (float64, error) { return v, nil } }
	var fs []hardware.Figure
	for _, l := range tieLayers {
		fs = append(fs, hardware.Figure{Name: l.name + ", compression", Published: l.compressed, Unit: "×", Evidence: hardware.Recalled, Tolerance: 1e-3,
			Ours: constant(float64(l.tt.dense()) / float64(l.tt.storage()))})
	}
	const store = "the memory that is written takes as many values a cycle as the one that is read gives, which is our assumption; without that bound ours is about 25 % above in all four"
	ratio := func(layer int, energy bool) float64 {
		l := tieLayers[layer]
		eieTOPS := 2 * float64(l.tt.dense()) / (l.eie * eieScale) / 1e6
		if energy {
			return tieTOPS(l.tt) / tieMW / (eieTOPS / eieMW)
		}
		return tieTOPS(l.tt) / tieArea / (eieTOPS / eieArea)
	}
	for _, f := range []struct {
		name      string
		published float64
		layer     int
		energy    bool
	}{
		{"throughput per area over EIE, least (fc7)", 7.22, 1, false}, {"throughput per area over EIE, most (fc6)", 10.66, 0, false},
		{"energy efficiency over EIE, least (fc7)", 3.03, 1, true}, {"energy efficiency over EIE, most (fc6)", 4.48, 0, true},
	} {
		fs = append(fs, hardware.Figure{Name: f.name, Published: f.published, Unit: "×", Evidence: hardware.Secondary, Fitted: true, Tolerance: 0.15, Note: store,
			Ours: constant(ratio(f.layer, f.energy))})
	}
	mean := math.Sqrt(tieTOPS(tieLayers[0].tt) * tieTOPS(tieLayers[1].tt))
	const which = "the layer behind it is not named; ours is the geometric mean of VGG's two, chosen with the published figure in view, CirCNN's at 28 nm is taken as 1.28 TOPS and 16 TOPS/W"
	return append(fs,
		hardware.Figure{Name: "throughput over CirCNN", Published: 5.96, Unit: "×", Evidence: hardware.Secondary, Fitted: true, Tolerance: 0.25, Note: which,
			Ours: constant(mean / 1.28)},
		hardware.Figure{Name: "energy efficiency over CirCNN", Published: 4.56, Unit: "×", Evidence: hardware.Secondary, Fitted: true, Relation: hardware.Shown,
			Note: which + ". Speed and energy as published, taken together, have TIE at 104.8 mW here, probably from synthesis, as CirCNN's are; we know 154.8 mW, after layout",
			Ours: constant(mean / (tieMW / 1e3) / 16)})
}
