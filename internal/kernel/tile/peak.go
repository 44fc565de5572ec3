package tile

import (
	"math"
	"time"
)

// Rate is the speed of a kernel on a tile whose operands stay in the first-level
// cache, the fastest of so many runs: operations a second on this core, two a
// multiply-accumulate.
func (k *Kernel) Rate(runs int) float64 {
	const run, tiles = 256, 50
	rows := k.Rows * tiles
	a := &Args{
		Src: make([]float32, k.Rows*run), W: make([]float32, k.Cols*run), Bias: make([]float32, k.Cols),
		Dst: make([]float32, rows*k.Cols), DstStride: k.Cols, Zero: make([]float32, run),
		Base: make([]int, rows), Mask: make([]uint64, rows), Taps: []int{0}, Run: run, Rows: rows,
	}
	for i := range rows {
		a.Base[i], a.Mask[i] = i%k.Rows*run*4, 1
	}
	best := time.Duration(math.MaxInt64)
	for range runs {
		start := time.Now()
		k.Run(a)
		best = min(best, time.Since(start))
	}
	return 2 * float64(rows*k.Cols*run) / best.Seconds()
}

// Peak is the rate of the fastest kernel of the best set: what float32
// arithmetic reaches on one core here. It takes some tens of milliseconds.
func Peak() float64 {
	peak := 0.0
	for i := range Best().Kernels {
		peak = max(peak, Best().Kernels[i].Rate(300))
	}
	return peak
}
