package tile

import "testing"

// BenchmarkKernel is each kernel at its best: a tile whose operands stay in
// the first-level cache.
func BenchmarkKernel(b *testing.B) {
	for _, s := range Sets() {
		for i := range s.Kernels {
			k := &s.Kernels[i]
			b.Run(k.Name, func(b *testing.B) {
				best := 0.0
				for b.Loop() {
					best = max(best, k.Rate(1))
				}
				b.ReportMetric(best/1e9, "GFLOP/s")
			})
		}
	}
}
