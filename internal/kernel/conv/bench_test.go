package conv

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawknife/drawknife/internal/parallel"
)

var layers = []struct {
	name string
	Shape
}{
	{"3x3_64-64_56", Shape{N: 1, H: 56, W: 56, C: 64, K: 64, R: 3, S: 3, P: 56, Q: 56, PadH: 1, PadW: 1}},
	{"3x3_256-256_14", Shape{N: 1, H: 14, W: 14, C: 256, K: 256, R: 3, S: 3, P: 14, Q: 14, PadH: 1, PadW: 1}},
	{"3x3_512-512_7", Shape{N: 1, H: 7, W: 7, C: 512, K: 512, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1}},
	{"1x1_256-256_28", Shape{N: 1, H: 28, W: 28, C: 256, K: 256, P: 28, Q: 28}},
	{"1x1_96-24_56", Shape{N: 1, H: 56, W: 56, C: 96, K: 24, P: 56, Q: 56}},
	{"3x3_16-16_32", Shape{N: 1, H: 32, W: 32, C: 16, K: 16, R: 3, S: 3, P: 32, Q: 32, PadH: 1, PadW: 1}},
	{"7x7s2_3-64_224", Shape{N: 1, H: 224, W: 224, C: 3, K: 64, R: 7, S: 7, P: 112, Q: 112, StrideH: 2, StrideW: 2, PadH: 3, PadW: 3}},
	{"3x3s2_3-32_224", Shape{N: 1, H: 224, W: 224, C: 3, K: 32, R: 3, S: 3, P: 112, Q: 112, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}},
	{"3x3_3-16_32", Shape{N: 1, H: 32, W: 32, C: 3, K: 16, R: 3, S: 3, P: 32, Q: 32, PadH: 1, PadW: 1}},
	{"5x5_1-6_28", Shape{N: 1, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2}},
	{"3x3_g32_128_28", Shape{N: 1, H: 28, W: 28, C: 128, K: 128, R: 3, S: 3, P: 28, Q: 28, PadH: 1, PadW: 1, Groups: 32}},
	{"1x1_g3_240_28", Shape{N: 1, H: 28, W: 28, C: 240, K: 240, P: 28, Q: 28, Groups: 3}},
	{"dw3x3_x2_64_28", Shape{N: 1, H: 28, W: 28, C: 64, K: 128, R: 3, S: 3, P: 28, Q: 28, PadH: 1, PadW: 1, Groups: 64}},
	{"1x1_512-1000_1", Shape{N: 1, H: 1, W: 1, C: 512, K: 1000, P: 1, Q: 1}},
	{"dw3x3_96_112", Shape{N: 1, H: 112, W: 112, C: 96, K: 96, R: 3, S: 3, P: 112, Q: 112, PadH: 1, PadW: 1, Groups: 96}},
	{"dw3x3s2_96_112", Shape{N: 1, H: 112, W: 112, C: 96, K: 96, R: 3, S: 3, P: 56, Q: 56, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, Groups: 96}},
	{"dw3x3_576_14", Shape{N: 1, H: 14, W: 14, C: 576, K: 576, R: 3, S: 3, P: 14, Q: 14, PadH: 1, PadW: 1, Groups: 576}},
	{"dw5x5_672_14", Shape{N: 1, H: 14, W: 14, C: 672, K: 672, R: 5, S: 5, P: 14, Q: 14, PadH: 2, PadW: 2, Groups: 672}},
	{"dw3x3_960_7", Shape{N: 1, H: 7, W: 7, C: 960, K: 960, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1, Groups: 960}},
	{"dw5x5_576_7", Shape{N: 1, H: 7, W: 7, C: 576, K: 576, R: 5, S: 5, P: 7, Q: 7, PadH: 2, PadW: 2, Groups: 576}},
}

// BenchmarkConv runs typical layers on one core.
func BenchmarkConv(b *testing.B) {
	pool := parallel.New(1)
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			p := newProblem(rng, l.Shape)
			p.Min, p.Max = 0, float32(math.Inf(1))
			n := p.normal()
			c := New(p.Shape, p.Params)
			dst, scratch := make([]float32, n.pixels()*n.DstStride), make([]float32, c.Scratch(1))
			measure(b, 2*float64(n.MACs()), func() { c.Run(pool, dst, p.src, nil, scratch) })
		})
	}
}

// measure reports the rate of the fastest iteration: other processes disturb
// the average.
func measure(b *testing.B, flops float64, f func()) {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(flops/float64(best.Nanoseconds()), "GFLOP/s")
}

// BenchmarkCold runs layers whose weights come from memory, as they do in a
// network that is larger than the caches: many copies of a layer in turn.
func BenchmarkCold(b *testing.B) {
	const bytes = 128 << 20
	pool := parallel.New(1)
	for _, l := range []struct {
		name string
		Shape
	}{
		{"1x1_1024-256_14", Shape{N: 1, H: 14, W: 14, C: 1024, K: 256, P: 14, Q: 14}},
		{"1x1_256-1024_14", Shape{N: 1, H: 14, W: 14, C: 256, K: 1024, P: 14, Q: 14}},
		{"1x1_512-512_14", Shape{N: 1, H: 14, W: 14, C: 512, K: 512, P: 14, Q: 14}},
		{"1x1_80-480_14", Shape{N: 1, H: 14, W: 14, C: 80, K: 480, P: 14, Q: 14}},
		{"1x1_2048-512_7", Shape{N: 1, H: 7, W: 7, C: 2048, K: 512, P: 7, Q: 7}},
		{"1x1_512-2048_7", Shape{N: 1, H: 7, W: 7, C: 512, K: 2048, P: 7, Q: 7}},
		{"1x1_160-960_7", Shape{N: 1, H: 7, W: 7, C: 160, K: 960, P: 7, Q: 7}},
		{"1x1_960-160_7", Shape{N: 1, H: 7, W: 7, C: 960, K: 160, P: 7, Q: 7}},
		{"3x3_256-256_14", Shape{N: 1, H: 14, W: 14, C: 256, K: 256, R: 3, S: 3, P: 14, Q: 14, PadH: 1, PadW: 1}},
		{"3x3_512-512_7", Shape{N: 1, H: 7, W: 7, C: 512, K: 512, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1}},
	} {
		b.Run(l.name, func(b *testing.B) {
			p := newProblem(rand.New(rand.NewPCG(1, 2)), l.Shape)
			n := p.normal()
			p.Winograd = l.R == 3
			layers := make([]*Conv, bytes/(4*len(p.Weights)))
			for i := range layers {
				layers[i] = New(p.Shape, p.Params)
			}
			dst, scratch := make([]float32, n.pixels()*n.DstStride), make([]float32, layers[0].Scratch(1))
			measure(b, 2*float64(n.MACs()*len(layers)), func() {
				for _, c := range layers {
					c.Run(pool, dst, p.src, nil, scratch)
				}
			})
		})
	}
}
