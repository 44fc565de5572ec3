package qconv

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// same returns an image convolution of a square kernel with "same" padding.
func same(size, c, k, r, stride, groups int) Shape {
	out := (size + stride - 1) / stride
	return Shape{N: 1, H: size, W: size, C: c, K: k, R: r, S: r, P: out, Q: out,
		PadH: (r - 1) / 2, PadW: (r - 1) / 2, StrideH: stride, StrideW: stride, Groups: groups}
}

var layers = []struct {
	name string
	s    Shape
}{
	{"3x3_64_64_56", same(56, 64, 64, 3, 1, 1)},
	{"3x3_128_128_28", same(28, 128, 128, 3, 1, 1)},
	{"3x3_256_256_14", same(14, 256, 256, 3, 1, 1)},
	{"3x3_512_512_7", same(7, 512, 512, 3, 1, 1)},
	{"3x3_64_128_56_s2", same(56, 64, 128, 3, 2, 1)},
	{"1x1_256_256_28", same(28, 256, 256, 1, 1, 1)},
	{"1x1_1024_256_14", same(14, 1024, 256, 1, 1, 1)},
	{"1x1_96_24_56", same(56, 96, 24, 1, 1, 1)},
	{"1x1_16_96_112", same(112, 16, 96, 1, 1, 1)},
	{"1x1_960_160_7", same(7, 960, 160, 1, 1, 1)},
	{"3x3_16_16_32", same(32, 16, 16, 3, 1, 1)},
	{"3x3_32_32_16", same(16, 32, 32, 3, 1, 1)},
	{"3x3_64_64_8", same(8, 64, 64, 3, 1, 1)},
	{"3x3_8_8_32", same(32, 8, 8, 3, 1, 1)},
	{"3x3_16_8_32", same(32, 16, 8, 3, 1, 1)},
	{"3x3_8_16_32", same(32, 8, 16, 3, 1, 1)},
	{"3x3_12_12_32", same(32, 12, 12, 3, 1, 1)},
	{"3x3_24_24_16", same(16, 24, 24, 3, 1, 1)},
	{"stem_7x7_3_64_224_s2", same(224, 3, 64, 7, 2, 1)},
	{"stem_3x3_3_32_224_s2", same(224, 3, 32, 3, 2, 1)},
	{"stem_3x3_3_16_32", same(32, 3, 16, 3, 1, 1)},
	{"lenet_5x5_1_8_28", same(28, 1, 8, 5, 1, 1)},
	{"group32_3x3_128_128_56", same(56, 128, 128, 3, 1, 32)},
	{"fc_256_64", Shape{N: 1, H: 1, W: 1, C: 256, K: 64, P: 1, Q: 1}},
	{"fc_1024_256", Shape{N: 1, H: 1, W: 1, C: 1024, K: 256, P: 1, Q: 1}},
	{"fc_1024_1000", Shape{N: 1, H: 1, W: 1, C: 1024, K: 1000, P: 1, Q: 1}},
	{"dw3x3_96_112", same(112, 96, 96, 3, 1, 96)},
	{"dw3x3_96_112_s2", same(112, 96, 96, 3, 2, 96)},
	{"dw3x3_32_16", same(16, 32, 32, 3, 1, 32)},
	{"dw3x3_384_14", same(14, 384, 384, 3, 1, 384)},
	{"dw5x5_240_28", same(28, 240, 240, 5, 1, 240)},
	{"dw5x5_72_56_s2", same(56, 72, 72, 5, 2, 72)},
	{"dw7x7_96_56", same(56, 96, 96, 7, 1, 96)},
}

// spreads are distributions of weights: as trained weights are spread over 8
// bits and over 7.
var spreads = []struct {
	name         string
	sigma, limit float64
}{{"8bit", 40, 127}, {"7bit", 19, 63}}

// BenchmarkConv reports the speed of the fastest run, which a busy machine
// disturbs least.
func BenchmarkConv(b *testing.B) {
	pool := parallel.New(1)
	defer pool.Close()
	for _, l := range layers {
		for _, spread := range spreads {
			b.Run(l.name+"/"+spread.name, func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				pr := newProblem(rng, l.s)
				for i := range pr.p.Weights {
					pr.p.Weights[i] = int8(max(-spread.limit, min(spread.limit, spread.sigma*rng.NormFloat64())))
				}
				pr.p.Flip, pr.p.WeightZero = 0, nil
				c := New(pr.s, pr.p)
				scratch := make([]byte, c.Scratch(1))
				dst := make([]uint8, pixels(&pr.s)*pr.s.DstStride)
				b.ReportAllocs()
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					c.Run(pool, dst, pr.src, scratch)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(2*float64(pr.s.MACs())/best.Seconds()/1e9, "best-GOP/s")
			})
		}
	}
}

// BenchmarkFew compares fully connected layers of a few pixels with weights of
// eight bits, by the kernels for many pixels and by those for few, of four bits
// and of two, in turns: nanoseconds at the fastest.
func BenchmarkFew(b *testing.B) {
	pool := parallel.New(1)
	defer pool.Close()
	for _, l := range []Shape{{C: 64, K: 10}, {C: 256, K: 64}, {C: 1024, K: 256}, {C: 1280, K: 1000}, {C: 4096, K: 1000}, {C: 9216, K: 4096},
		{N: 4, C: 1024, K: 256}, {N: 4, C: 9216, K: 4096}} {
		l = normal(l)
		b.Run(fmt.Sprintf("%dx%d-%d", l.N, l.C, l.K), func(b *testing.B) {
			var runs []func()
			for i, limit := range []float64{127, 127, 7, 1} {
				rng := rand.New(rand.NewPCG(1, 1))
				pr := newProblem(rng, l)
				for i := range pr.p.Weights {
					pr.p.Weights[i] = int8(rng.IntN(int(2*limit)+1) - int(limit))
				}
				pr.p.Flip, pr.p.WeightZero = 0, nil
				c := New(pr.s, pr.p)
				if i == 0 {
					if isaFor(cpu.Best()) == nil {
						b.Skip("no kernels here")
					}
					many := *isaFor(cpu.Best())
					c = plan(pr.s, pr.p)
					c.run = newTiled(c, &many)
				}
				scratch, dst := make([]byte, c.Scratch(1)), make([]uint8, pixels(&pr.s)*pr.s.DstStride)
				runs = append(runs, func() { c.Run(pool, dst, pr.src, scratch) })
			}
			best := []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour}
			for b.Loop() {
				for i, run := range runs {
					start := time.Now()
					run()
					best[i] = min(best[i], time.Since(start))
				}
			}
			for i, name := range []string{"many", "8bit", "4bit", "2bit"} {
				b.ReportMetric(float64(best[i]), name+"-ns")
			}
		})
	}
}

// BenchmarkDeep compares the kernels that multiply 64 values at once with those
// for four, in turns: nanoseconds at the fastest.
func BenchmarkDeep(b *testing.B) {
	deep := isaFor(cpu.Best())
	if deep == nil || !deep.deep {
		b.Skip("no such kernels here")
	}
	pool := parallel.New(1)
	defer pool.Close()
	for _, l := range append(layers, narrowLayers...) {
		if l.s.Groups == l.s.C {
			continue
		}
		b.Run(l.name, func(b *testing.B) {
			pr := newProblem(rand.New(rand.NewPCG(1, 1)), l.s)
			pr.p.Flip, pr.p.WeightZero = 0, nil
			var runs []func()
			for _, i := range []*isa{deep.shallow, deep} {
				c := plan(pr.s, pr.p)
				c.run = newTiled(c, i)
				scratch, dst := make([]byte, c.Scratch(1)), make([]uint8, pixels(&pr.s)*pr.s.DstStride)
				runs = append(runs, func() { c.Run(pool, dst, pr.src, scratch) })
			}
			best := []time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i, run := range runs {
					start := time.Now()
					run()
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(best[0]), "shallow-ns")
			b.ReportMetric(float64(best[1]), "deep-ns")
			b.ReportMetric(float64(best[0])/float64(best[1]), "ratio")
		})
	}
}

// narrowLayers are those of few channels on either side, as mobile networks have
// them.
var narrowLayers = []struct {
	name string
	s    Shape
}{
	{"1x1_8_16_112", same(112, 8, 16, 1, 1, 1)},
	{"1x1_16_16_112", same(112, 16, 16, 1, 1, 1)},
	{"1x1_16_64_112", same(112, 16, 64, 1, 1, 1)},
	{"1x1_24_72_56", same(56, 24, 72, 1, 1, 1)},
	{"1x1_24_144_56", same(56, 24, 144, 1, 1, 1)},
	{"1x1_32_16_112", same(112, 32, 16, 1, 1, 1)},
	{"1x1_32_64_56", same(56, 32, 64, 1, 1, 1)},
	{"1x1_32_192_28", same(28, 32, 192, 1, 1, 1)},
	{"1x1_40_120_28", same(28, 40, 120, 1, 1, 1)},
	{"1x1_48_48_28", same(28, 48, 48, 1, 1, 1)},
	{"1x1_64_24_56", same(56, 64, 24, 1, 1, 1)},
	{"1x1_72_24_56", same(56, 72, 24, 1, 1, 1)},
	{"1x1_80_200_14", same(14, 80, 200, 1, 1, 1)},
	{"1x1_116_116_14", same(14, 116, 116, 1, 1, 1)},
	{"1x1_144_24_56", same(56, 144, 24, 1, 1, 1)},
	{"1x1_144_32_28", same(28, 144, 32, 1, 1, 1)},
	{"1x1_112_672_14", same(14, 112, 672, 1, 1, 1)},
	{"1x1_160_960_7", same(7, 160, 960, 1, 1, 1)},
	{"1x1_64_64_5x25", Shape{N: 1, H: 25, W: 5, C: 64, K: 64, P: 25, Q: 5}},
	{"3x3_4_8_32", same(32, 4, 8, 3, 1, 1)},
	{"3x3_16_32_32_s2", same(32, 16, 32, 3, 2, 1)},
	{"3x3_32_64_16_s2", same(16, 32, 64, 3, 2, 1)},
	{"1x1_16_32_32_s2", same(32, 16, 32, 1, 2, 1)},
	{"1x1_256_512_28_s2", same(28, 256, 512, 1, 2, 1)},
	{"1x1_256_64_4", same(4, 256, 64, 1, 1, 1)},
	{"1x1_256_64_3", same(3, 256, 64, 1, 1, 1)},
	{"3x3_128_32_14", same(14, 128, 32, 3, 1, 1)},
	{"3x3_48_64_28", same(28, 48, 64, 3, 1, 1)},
}
