package tile

import (
	"math"
	"testing"
	"time"
)

// BenchmarkKernel is each kernel at its best: a tile whose operands stay in
// the first-level cache.
func BenchmarkKernel(b *testing.B) {
	const run, tiles = 256, 50
	for _, s := range Sets() {
		for _, k := range s.Kernels {
			b.Run(k.Name, func(b *testing.B) {
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
				for b.Loop() {
					start := time.Now()
					k.Run(a)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(2*float64(rows*k.Cols*run)/float64(best.Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
