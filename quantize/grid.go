package quantize

import "math"

// Grid is a uniform quantization of real numbers: x ≈ Scale·(q − Zero), with q
// an integer between Min and Max.
type Grid struct {
	Scale    float32
	Zero     int
	Min, Max int
}

// Affine makes the grid of integers [qmin, qmax] that covers [lo, hi], first
// extended so that it holds zero (which must be exact: it is what padding
// means). Scale = (hi−lo)/(qmax−qmin), Zero = round(qmin − lo/Scale)
// (Jacob et al., "Quantization and training of neural networks for efficient
// integer-arithmetic-only inference", CVPR 2018, eq. 12 f.).
func Affine(lo, hi float32, qmin, qmax int) Grid {
	lo, hi = min(lo, 0), max(hi, 0)
	if !(hi-lo > 0) || hi-lo < 1e-30 {
		return Grid{1, min(max(0, qmin), qmax), qmin, qmax}
	}
	scale := float32((float64(hi) - float64(lo)) / float64(qmax-qmin))
	zero := math.RoundToEven(float64(qmin) - float64(lo)/float64(scale))
	return Grid{scale, int(min(max(zero, float64(qmin)), float64(qmax))), qmin, qmax}
}

// Symmetric makes the grid of integers [−qmax, qmax] with zero point 0 that
// covers [−bound, bound].
func Symmetric(bound float32, qmax int) Grid {
	if !(bound > 0) || bound < 1e-30 {
		return Grid{1, 0, -qmax, qmax}
	}
	return Grid{bound / float32(qmax), 0, -qmax, qmax}
}

// Quantize maps x to the grid: round half to even, then saturate.
func (g Grid) Quantize(x float32) int {
	q := math.RoundToEven(float64(x/g.Scale)) + float64(g.Zero)
	if q != q {
		return g.Zero
	}
	return int(min(max(q, float64(g.Min)), float64(g.Max)))
}

// Value is the real number that q stands for.
func (g Grid) Value(q int) float32 { return float32(q-g.Zero) * g.Scale }

// Error is x minus what the grid makes of it.
func (g Grid) Error(x float32) float32 { return x - g.Value(g.Quantize(x)) }
