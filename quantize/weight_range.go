package quantize

import (
	"fmt"
	"math"
	"strings"
)

// weightRanger chooses a grid for each row of weights.
type weightRanger func(rows [][]float32, bits int, o *Options) []Grid

// weightRangers by name: how the range of a row of weights is chosen.
var weightRangers = map[string]weightRanger{
	"minmax": func(rows [][]float32, bits int, o *Options) []Grid {
		grids := make([]Grid, len(rows))
		for i, r := range rows {
			grids[i] = weightGrid(r, bits, 1, o)
		}
		return grids
	},
	"mse": func(rows [][]float32, bits int, o *Options) []Grid {
		grids := make([]Grid, len(rows))
		for i, r := range rows {
			grids[i] = leastErrorGrid(r, bits, o)
		}
		return grids
	},
	"aciq": aciqGrids,
}

// weightRange finds a ranger by name; by default the whole range for 8 bits and
// more, the one with the least error for fewer.
func weightRange(name string, bits int) (weightRanger, error) {
	if name == "" {
		name = "minmax"
		if bits < 8 {
			name = "mse"
		}
	}
	r := weightRangers[name]
	if r == nil {
		return nil, fmt.Errorf("quantize: no range of weights is called %q (there are: %s)", name, strings.Join(WeightRanges(), ", "))
	}
	return r, nil
}

// WeightRanges lists the ways to choose the range of weights.
func WeightRanges() []string { return []string{"aciq", "minmax", "mse"} }

// weightGrid is the grid of a row whose range is shrunk by the factor r.
func weightGrid(row []float32, bits int, r float32, o *Options) Grid {
	lo, hi := float32(0), float32(0)
	for _, v := range row {
		lo, hi = min(lo, v), max(hi, v)
	}
	qmin, qmax := signedRange(bits)
	if o.Asymmetric {
		return Affine(lo*r, hi*r, -1<<(bits-1), qmax)
	}
	if o.ReduceRange && bits == 8 {
		qmin, qmax = -63, 63
	}
	g := Symmetric(max(hi, -lo)*r, qmax)
	g.Min = qmin
	return g
}

// leastErrorGrid tries the fractions 1.00, 0.99, … 0.21 of the range and keeps
// the one with the least Σ|w − ŵ|^2.5 (BRECQ uses 2.4, which costs more to
// compute; outliers weigh more than with squares).
func leastErrorGrid(row []float32, bits int, o *Options) Grid {
	best, at := math.Inf(1), Grid{}
	for step := range 80 {
		g := weightGrid(row, bits, 1-float32(step)/100, o)
		sum := 0.0
		for _, v := range row {
			e := math.Abs(float64(g.Error(v)))
			sum += e * e * math.Sqrt(e)
		}
		if sum < best {
			best, at = sum, g
		}
	}
	return at
}
