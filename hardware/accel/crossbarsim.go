package accel

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/tensor"
)

// CrossbarNoise are the ways in which resistive cells differ from what was
// written to them. The zero value is none.
type CrossbarNoise struct {
	// Sigma is the standard deviation of the logarithm of a conductance.
	Sigma float64
	// StuckOff and StuckOn are the shares of cells that cannot be written.
	StuckOff, StuckOn float64
	// Drift is the exponent by which conductances fall with time, (t/t0)^-Drift,
	// and Decades the logarithm of t/t0.
	Drift, Decades float64
	// Seed makes the cells' errors reproducible.
	Seed uint64
}

// Check reports shares outside [0, 1] and negative deviations.
func (n CrossbarNoise) Check() error {
	if !(n.Sigma >= 0 && n.StuckOff >= 0 && n.StuckOn >= 0 && n.StuckOff+n.StuckOn <= 1 && n.Drift >= 0 && n.Decades >= 0) || math.IsInf(n.Sigma, 0) {
		return fmt.Errorf("crossbar noise %+v: deviations must not be negative, and shares of stuck cells at most 1 together", n)
	}
	return nil
}

// Perturb gives the weights that a crossbar really multiplies by: w scaled to
// bits with a sign, spread over cells of cellBits in a pair of arrays for the
// signs, each cell with an error of its own. What comes out is Float32, for
// evaluating a network with. IR drop and converters are left out.
func (n CrossbarNoise) Perturb(w *tensor.Tensor, bits, cellBits int) (*tensor.Tensor, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	if bits < 2 || bits > 24 || cellBits < 1 || cellBits > 8 {
		return nil, fmt.Errorf("weights of %d bits in cells of %d: there can be 2 to 24 and 1 to 8", bits, cellBits)
	}
	in := w.Float32s()
	most := 0.0
	for _, v := range in {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("a weight is %v; it cannot be written to a cell", v)
		}
		most = max(most, math.Abs(float64(v)))
	}
	out := make([]float32, len(in))
	if most == 0 {
		most = 1
	}
	scale := most / float64(int(1)<<(bits-1)-1)
	r := rand.New(rand.NewPCG(n.Seed, 0))
	for i, v := range in {
		q := int(math.RoundToEven(float64(v) / scale))
		out[i] = float32(scale * (n.read(r, max(q, 0), bits-1, cellBits) - n.read(r, max(-q, 0), bits-1, cellBits)))
	}
	return tensor.Of(out, w.Shape...), nil
}

// read is what the cells of a magnitude of that many bits add up to.
func (n CrossbarNoise) read(r *rand.Rand, q, bits, cellBits int) (sum float64) {
	decay := math.Pow(10, -n.Drift*n.Decades)
	for at := 0; at < bits; at += cellBits {
		full := 1<<cellBits - 1
		level := float64(q >> at & full)
		switch u := r.Float64(); {
		case u < n.StuckOff:
			level = 0
		case u < n.StuckOff+n.StuckOn:
			level = float64(full)
		}
		sum += level * math.Exp(n.Sigma*r.NormFloat64()) * decay * float64(int(1)<<at)
	}
	return sum
}

// multiply computes a product bit by bit as the array does: inputs of
// inputBits without sign, dacBits at a time, weights without sign of weightBits
// by columns of cells, activeRows at a time, each sum through a converter of
// that many bits, which clips. weights has a row for each input.
func (x crossbar) multiply(weights [][]uint, inputs []uint, converter int) []uint {
	out := make([]uint, len(weights[0]))
	limit := uint(1)<<converter - 1
	for from := 0; from < len(inputs); from += x.activeRows {
		rows := inputs[from:min(from+x.activeRows, len(inputs))]
		for step := 0; step < x.inputBits; step += x.dacBits {
			for k := range out {
				for cell := 0; cell < x.weightBits; cell += x.cellBits {
					sum := uint(0)
					for i, v := range rows {
						sum += (v >> step & (1<<x.dacBits - 1)) * (weights[from+i][k] >> cell & (1<<x.cellBits - 1))
					}
					out[k] += min(sum, limit) << (step + cell)
				}
			}
		}
	}
	return out
}
