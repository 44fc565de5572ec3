package conv

import "github.com/drawknife/drawknife/internal/kernel/tile"

// Few output channels leave most lanes of a kernel idle. Then some neighbouring pixels
// of a row are computed as the channels of one: channels-last, they lie side by side.
// The kernel is as wide as all their windows together, with zeros where a pixel does
// not look. An infinite or NaN input spreads to the pixels of its block, as zero times
// infinity.

// blocked is a convolution whose pixels are blocks of those that were given.
type blocked struct {
	*dense
	given   Shape
	pixels  int // of a block
	weights []float32
	bias    []float32
}

// blockPixels is the number of pixels of a block that are expected to take least time;
// 1 stands for none.
func blockPixels(set *tile.Set, s *Shape) int {
	pixels, least := 1, blockGain*rowCycles(set, s)
	for n := 2; s.blockable(set, n); n++ {
		if s.Q%n != 0 {
			continue
		}
		w := s.blocks(n)
		if c := rowCycles(set, &w); c < least {
			pixels, least = n, c
		}
	}
	return pixels
}

// blockable reports whether the kernels take blocks of n pixels, if n divides a row.
func (s *Shape) blockable(set *tile.Set, n int) bool {
	if set == tile.Portable || s.T*s.D*s.OD*s.Groups*s.DilW > 1 || s.S == 1 || s.DstStride != s.K || s.AddStride != s.K || n*s.K > tile.MaxCols {
		return false
	}
	w := s.blocks(n)
	return w.S <= w.W && w.R*w.S <= tile.MaxTaps
}

func newBlocked(set *tile.Set, s Shape, pixels int, lo, hi float32) *blocked {
	w := s.blocks(pixels)
	return &blocked{dense: newDense(set, w, lo, hi), given: s, pixels: pixels,
		weights: make([]float32, w.K*w.C*w.R*w.S), bias: make([]float32, w.K)}
}

// blocks is s with n pixels as one.
func (s Shape) blocks(n int) Shape {
	s.S += (n - 1) * s.StrideW
	s.StrideW *= n
	s.K, s.Q, s.DstStride, s.AddStride = n*s.K, s.Q/n, n*s.DstStride, n*s.AddStride
	return s
}

// blockGain is the share of the cycles that blocks must do with: the estimate is a
// rough one.
const blockGain = 0.85

// rowCycles estimates the cycles of a row of the output: two multiplications and two
// loads a cycle, and for each pixel the choice of its address by each tap.
func rowCycles(set *tile.Set, s *Shape) float64 {
	const pixel, tap = 10, 5
	taps := s.R * s.S
	if s.C <= 4 { // see plan
		taps = s.R
	}
	vectors := (s.K + set.Lanes - 1) / set.Lanes
	return float64(s.Q) * (float64(s.R*s.S*s.C*vectors)/2 + pixel + float64(tap*taps))
}

func (b *blocked) setWeights(w, bias []float32) {
	s, wide := &b.given, &b.dense.given
	clear(b.weights)
	clear(b.bias)
	for p := range b.pixels {
		for k := range s.K {
			for line := range s.C * s.R {
				to := ((p*s.K+k)*s.C*s.R+line)*wide.S + p*s.StrideW
				copy(b.weights[to:to+s.S], w[(k*s.C*s.R+line)*s.S:])
			}
		}
		copy(b.bias[p*s.K:], bias)
	}
	b.dense.setWeights(b.weights, b.bias)
}
