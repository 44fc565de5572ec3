package accel

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/hardware"
)

// The TTD engine, Qu et al., TCAD 41, 2022: hardware that decomposes weights.
// Only ratios to processors are known, so its size here is assumed: that of
// TIE's array.
const (
	ttdClock  = 1000.0 // MHz, assumed
	ttdMACs   = 256    // assumed
	ttdBytes  = 12.8e9 // a second, of DRAM, assumed
	ttdWord   = 4      // bytes
	ttdEigen  = 9      // n³ operations of the QR steps with vectors
	ttdSweeps = 8      // of a one-sided Jacobi SVD: 6 to 10
	ttdCores  = 4      // into which a layer is decomposed
)

// Arithmetic and memory accesses of a decomposition.
type svdCost struct{ flops, words float64 }

// gramCost is that of a truncated SVD by AᵀA; the matrix is read twice, and U
// and the factor behind it are written.
func gramCost(m, n, rank float64) svdCost {
	if m < n {
		m, n = n, m
	}
	return svdCost{2*m*n*n + (4.0/3+ttdEigen)*n*n*n + 2*m*n*rank, 2*m*n + (m+n)*rank}
}

// jacobiCost is that of one-sided Jacobi sweeps: n(n−1)/2 pairs of columns,
// each with three products and a rotation of m elements (12·m operations);
// every sweep reads and writes the matrix.
func jacobiCost(m, n float64) svdCost {
	if m < n {
		m, n = n, m
	}
	return svdCost{ttdSweeps * 6 * m * n * (n - 1), ttdSweeps * 2 * m * n}
}

// ttdCost is that of decomposing a matrix into a train, core by core, by either
// SVD. Every unfolding has what the cores before it have left over.
func ttdCost(t ttMatrix, svd func(m, n, rank float64) svdCost) (c svdCost) {
	for k := range len(t.rows) - 1 {
		m := float64(t.ranks[k] * t.rows[k] * t.cols[k])
		n := float64(span(t.rows, k+1, len(t.rows)) * span(t.cols, k+1, len(t.cols)))
		one := svd(m, n, float64(t.ranks[k+1]))
		c.flops += one.flops
		c.words += one.words
	}
	return c
}

func init() {
	m := hardware.Machine{Name: "ttd-engine", ClockMHz: ttdClock, PeakMACs: ttdMACs, DRAMBytes: ttdBytes / (ttdClock * 1e6)}
	hardware.Register(hardware.Accelerator{
		Name: "ttd-engine", Title: "TTD Engine", Kind: hardware.LowRank,
		Paper: "Qu et al., Hardware-Enabled Efficient Data Processing With Tensor-Train Decomposition, TCAD 41(2)", Year: 2022,
		Summary: "Decomposes weights into tensor trains: the SVD of a tall matrix by its small Gram matrix, which is read twice and never swept over.",
		Params: []hardware.Param{
			{Name: "SVD", Value: "AᵀA, Arnoldi with modified Gram-Schmidt, shifted QR", Evidence: hardware.Read},
			{Name: "size", Value: "assumed: 256 MACs at 1 GHz, 12.8 GB/s, words of 4 bytes; the paper's is not at hand", Evidence: hardware.Computed},
		},
		Formulas: `
The costs are those of decomposing each layer's weights once, not of inference:
a layer of K kernels of C·R·S weights becomes a train of 4 cores of rank 4. Each
core but the last is the truncated SVD of an unfolding, which is turned to be
m×n with m ≥ n:

  operations   2·m·n² + (4/3)·n³ + 9·n³ + 2·m·n·r     (r: the rank kept)
               Gram      Lanczos   QR     left factor
  words        2·m·n + (m + n)·r
  cycles       max(operations / 2 / 256, words·4 B / (12.8 GB/s))

Against it, 8 sweeps of a one-sided Jacobi SVD: 8·6·m·n·(n−1) operations and
8·2·m·n words. Squaring halves the digits: singular values below 1e-8 of the
largest are lost, which a truncation drops anyway. Known weights of a
convolution of up to 65536 are decomposed in this way; the error is shown.`,
		Figures: ttdFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			r, err := hardware.RunLayers(m, w, ttdLayer)
			if err == nil {
				r.Notes = append(r.Notes, "time and energy are those of decomposing the weights once, not of inference")
			}
			return r, err
		},
	})
}

func ttdLayer(l *hardware.Layer) (hardware.Cost, error) {
	svd := ttdCost(ttLayer(l, ttdCores, tieRank), gramCost)
	groups := float64(l.Size[hardware.G])
	c := hardware.Cost{ComputeCycles: groups * svd.flops / 2 / ttdMACs, DRAMBytes: groups * svd.words * ttdWord}
	memory := c.DRAMBytes / ttdBytes * ttdClock * 1e6
	c.Cycles = max(c.ComputeCycles, memory)
	if memory > c.ComputeCycles {
		c.Bound = "DRAM"
	}
	c.MACEnergy = groups * svd.flops / 2 * hardware.MACEnergy(24, 24, 32) // the fractions of float32
	if err := ttdWeights(l, &c); err != nil {
		return c, err
	}
	words := groups * svd.words
	c.Levels = []hardware.LevelCost{{Name: "DRAM", Cycles: memory, Bits: hardware.WordBits(8 * ttdWord),
		Traffic: [hardware.NumOperands]hardware.Traffic{hardware.Weights: {Reads: words}},
		Energy:  [hardware.NumOperands]float64{hardware.Weights: hardware.DRAMEnergy(8 * ttdWord * words)}}}
	return c, nil
}

// ttdWeights decomposes a layer's weights where they are known and not too
// many, and puts the error down as the mapping.
func ttdWeights(l *hardware.Layer, c *hardware.Cost) error {
	const most = 1 << 16
	if l.Weight == nil || l.Op != "Conv" || l.Size[hardware.G] > 1 || l.Weight.Len() > most || int64(l.Weight.Len()) != l.Words(hardware.Weights) {
		return nil
	}
	w := make([]float64, l.Weight.Len())
	for i, x := range l.Weight.Float32s() {
		w[i] = float64(x)
	}
	t := ttLayer(l, ttdCores, tieRank)
	e, err := ttError(t, w)
	c.Mapping = fmt.Sprintf("%v×%v, ranks %v: relative error %.3f", t.rows, t.cols, t.ranks, e)
	return err
}

// ttdReconstruction is the error of a truncation to half the rank over the
// least possible one, for a random matrix of 64×16.
func ttdReconstruction() (float64, error) {
	r := rand.New(rand.NewPCG(1, 1))
	a := mat.NewDense(64, 16, nil)
	for i := range 64 * 16 {
		a.Set(i/16, i%16, r.NormFloat64())
	}
	u, s, v, err := gramSVD(a, 8)
	if err != nil {
		return 0, err
	}
	var exact mat.SVD
	if !exact.Factorize(a, mat.SVDThin) {
		return 0, errors.New("the exact SVD does not converge")
	}
	least := floats.Norm(exact.Values(nil)[8:], 2)
	var us, back mat.Dense
	us.Mul(u, mat.NewDiagDense(8, s))
	back.Mul(&us, v.T())
	back.Sub(a, &back)
	return mat.Norm(&back, 2) / least, nil
}

// ttdGains are operations and words of Jacobi's SVDs over those of the engine.
func ttdGains(t ttMatrix) (flops, words float64) {
	ours := ttdCost(t, gramCost)
	theirs := ttdCost(t, func(m, n, _ float64) svdCost { return jacobiCost(m, n) })
	return theirs.flops / ours.flops, theirs.words / ours.words
}

func ttdFigures() []hardware.Figure {
	gain := func(words bool) func() (float64, error) {
		return func() (float64, error) {
			f, w := ttdGains(tieLayers[1].tt)
			if words {
				f = w
			}
			return f, nil
		}
	}
	shown := func(name string, published float64, words bool, note string) hardware.Figure {
		return hardware.Figure{Name: name, Published: published, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown, Note: note, Ours: gain(words)}
	}
	const flops = "the engine's size and the processors are not at hand; ours is Jacobi's operations over the engine's for VGG's fc7, not a time"
	const words = "the same for words of memory, the larger part of the energy"
	return []hardware.Figure{
		{Name: "error of a truncated SVD over the least possible", Published: 1, Evidence: hardware.Computed, Tolerance: 1e-3, Ours: ttdReconstruction},
		shown("speed over a CPU, least", 14.9, false, flops), shown("speed over a CPU, most", 36.9, false, flops),
		shown("speed over a GPU, least", 4.1, false, flops), shown("speed over a GPU, most", 9.9, false, flops),
		shown("energy over a CPU, least", 14.4, true, words), shown("energy over a GPU, least", 5.4, true, words),
	}
}
