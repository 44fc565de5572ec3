package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// Dual-side sparse tensor core, Wang et al., ISCA 2021: outer products of
// condensed columns and rows on a GPU's tensor cores.
const (
	dstcTile  = 32     // rows, and columns, of the output that a warp computes
	dstcDepth = 16     // its inner length
	dstcA     = 8      // rows that an instruction takes of a condensed column
	dstcB     = 16     // columns that it takes of a condensed row
	dstcCores = 640    // tensor cores of a V100
	dstcMACs  = 64     // MACs a cycle of a core
	dstcClock = 1530.0 // MHz
)

func init() {
	peak := hardware.Machine{Name: "dstc", ClockMHz: dstcClock, PeakMACs: dstcCores * dstcMACs}
	hardware.Register(hardware.Accelerator{
		Name: "dstc", Title: "Dual-side sparse tensor core", Kind: hardware.Sparse,
		Paper: "Wang et al., Dual-side Sparse Tensor Core, ISCA", Year: 2021,
		Summary: "A GPU's tensor cores with outer products, which skip zeros of both matrices in steps of 8 rows and 16 columns.",
		Params: []hardware.Param{
			{Name: "base", Value: "V100: 640 tensor cores of 64 MACs, 1530 MHz", Evidence: hardware.Vague},
			{Name: "warp's tile", Value: "32×32×16; instructions of 8×16×1", Evidence: hardware.Vague},
		},
		Formulas: `
A warp computes a tile of 32×32 outputs over an inner length of 16. For each of
these, the non-zeros of a column of A (32 elements) and of a row of B are pushed
together and multiplied in instructions of 8×16:

  share of the dense time = E⌈a/8⌉/4 · E⌈b/16⌉/2,   a ~ B(32, d_A), b ~ B(32, d_B)

This is the floor that keeps it above d_A·d_B. A convolution is a product of
inputs (A, N·P·Q rows) and weights (B, K columns) over C·R·S:

  cycles = G · ⌈N·P·Q/32⌉ · ⌈K/32⌉ · ⌈C·R·S/16⌉ · 256/640 · share

(256 cycles of 64 MACs for a dense tile, 640 cores). Memory is not modelled.`,
		Figures: dstcFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(peak, w, dstcCost)
		},
	})
}

// dstcShare is the time relative to a dense product.
func dstcShare(a, b float64) float64 {
	steps := func(d float64, unit int) float64 {
		return sparsity.Binomial(d).Tile(dstcTile).Ceil(unit).Mean() * float64(unit) / dstcTile
	}
	return steps(a, dstcA) * steps(b, dstcB)
}

func dstcCost(l *hardware.Layer) (hardware.Cost, error) {
	s := &l.Size
	tiles := float64(s[hardware.G]) * hardware.Ceil(s[hardware.N]*s[hardware.P]*s[hardware.Q], dstcTile) *
		hardware.Ceil(s[hardware.K], dstcTile) * hardware.Ceil(s[hardware.C]*s[hardware.R]*s[hardware.S], dstcDepth)
	const perTile = dstcTile * dstcTile * dstcDepth / dstcMACs
	cycles := tiles * perTile / dstcCores * dstcShare(l.Density.In, l.Density.W)
	return hardware.Cost{Cycles: max(cycles, 1), Effectual: l.EffectualMACs()}, nil
}

func dstcFigures() (list []hardware.Figure) {
	for _, f := range []struct{ a, b, published float64 }{
		{0.9, 1, 0.90}, {0.7, 1, 0.72}, {0.5, 1, 0.58}, {0.3, 1, 0.42}, {1, 0.4, 0.54}, {0.5, 0.4, 0.32}, {0.3, 0.4, 0.24},
	} {
		list = append(list, hardware.Figure{Name: fmt.Sprintf("latency at densities %v and %v", f.a, f.b), Published: f.published, Unit: "",
			Evidence: hardware.Rerun, Tolerance: 0.12, Note: "read off a plot", Ours: func() (float64, error) { return dstcShare(f.a, f.b), nil }})
	}
	return list
}
