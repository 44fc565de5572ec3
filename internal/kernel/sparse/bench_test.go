package sparse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/parallel"
)

func pointwise(size, c, k int) conv.Shape {
	return conv.Shape{N: 1, H: size, W: size, C: c, K: k, P: size, Q: size}
}

func square3(size, c, k, stride int) conv.Shape {
	return conv.Shape{N: 1, H: size, W: size, C: c, K: k, R: 3, S: 3, P: size / stride, Q: size / stride,
		StrideH: stride, StrideW: stride, PadH: 1, PadW: 1}
}

// layers are those of the networks that sparse inference is meant for.
var layers = []struct {
	name string
	conv.Shape
}{
	{"MobileNetV1 1x1 32-64 112", pointwise(112, 32, 64)},
	{"MobileNetV1 1x1 64-128 56", pointwise(56, 64, 128)},
	{"MobileNetV1 1x1 128-128 56", pointwise(56, 128, 128)},
	{"MobileNetV1 1x1 256-256 28", pointwise(28, 256, 256)},
	{"MobileNetV1 1x1 512-512 14", pointwise(14, 512, 512)},
	{"MobileNetV1 1x1 1024-1024 7", pointwise(7, 1024, 1024)},
	{"MobileNetV2 1x1 96-24 56", pointwise(56, 96, 24)},
	{"MobileNetV2 1x1 24-144 56", pointwise(56, 24, 144)},
	{"MobileNetV2 1x1 64-384 14", pointwise(14, 64, 384)},
	{"MobileNetV2 1x1 960-160 7", pointwise(7, 960, 160)},
	{"MobileNetV2 1x1 320-1280 7", pointwise(7, 320, 1280)},
	{"ResNet-50 1x1 64-256 56", pointwise(56, 64, 256)},
	{"ResNet-50 1x1 512-128 28", pointwise(28, 512, 128)},
	{"ResNet-50 1x1 1024-256 14", pointwise(14, 1024, 256)},
	{"ResNet-50 1x1 2048-512 7", pointwise(7, 2048, 512)},
	{"ResNet-50 3x3 64-64 56", square3(56, 64, 64, 1)},
	{"ResNet-50 3x3 128-128 28", square3(28, 128, 128, 1)},
	{"ResNet-50 3x3 256-256 14", square3(14, 256, 256, 1)},
	{"ResNet-50 3x3 512-512 7", square3(7, 512, 512, 1)},
	{"ResNet-50 3x3/2 128-128 56", square3(56, 128, 128, 2)},
	{"Gemm 1024-1000, batch 1", pointwise(1, 1024, 1000)},
	{"Gemm 1024-1000, batch 32", conv.Shape{N: 32, H: 1, W: 1, C: 1024, K: 1000, P: 1, Q: 1}},
}

// contenders are the ways that zeros are spread in the layers.
var contenders = []struct {
	name    string
	density float64
	how     pattern
}{
	{"50%", 0.5, anywhere}, {"80%", 0.2, anywhere}, {"90%", 0.1, anywhere}, {"95%", 0.05, anywhere},
	{"2:4", 0, twoOfFour}, {"1:4", 0, oneOfFour}, {"4-block 80%", 0.2, blocks4}, {"4-block 90%", 0.1, blocks4}, {"8-block 80%", 0.2, blocks8}, {"8-block 90%", 0.1, blocks8},
}

// rounds is how often each contender of a comparison runs, in turns; the
// fastest round counts, which other processes disturb least.
const rounds = 12

// BenchmarkAgainstDense compares layers with zeros to the same layer computed
// by package conv, on one core. It prints a table row for each: the dense rate,
// then time ratio and rate on non-zeros at each share of zeros.
func BenchmarkAgainstDense(b *testing.B) {
	pool := parallel.New(1)
	header := "| layer | dense GFLOP/s |"
	for _, c := range contenders {
		header += " " + c.name + " |"
	}
	fmt.Println(header + "\n|" + strings.Repeat("---|", 2+len(contenders)))
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			s := normal(l.Shape)
			rng := rand.New(rand.NewPCG(1, 2))
			p := newProblem(rng, s, 1, anywhere)
			p.Min, p.Max, p.Winograd = 0, posInf, true
			dense := conv.New(s, p.Params)
			dst := make([]float32, s.N*s.P*s.Q*s.K)
			scratch := make([]float32, dense.Scratch(1))
			run := []func(){func() { dense.Run(pool, dst, p.src, nil, scratch) }}
			for _, c := range contenders {
				q := p.Params
				q.Weights = append([]float32(nil), p.Weights...)
				prune(rng, q.Weights, s, c.density, c.how)
				sp := New(s, q)
				scratch := make([]float32, sp.Scratch(1))
				run = append(run, func() { sp.Run(pool, dst, p.src, nil, scratch) })
			}
			best := make([]time.Duration, len(run))
			for b.Loop() {
				for range rounds {
					for i, f := range run {
						start := time.Now()
						f()
						if d := time.Since(start); best[i] == 0 || d < best[i] {
							best[i] = d
						}
					}
				}
			}
			rate := func(i int, share float64) float64 { return share * 2 * float64(s.MACs()) / float64(best[i]) }
			row := fmt.Sprintf("| %s | %.0f |", l.name, rate(0, 1))
			for i, c := range contenders {
				density := c.density
				switch c.how {
				case twoOfFour:
					density = 0.5
				case oneOfFour:
					density = 0.25
				}
				row += fmt.Sprintf(" %.2f (%.0f) |", float64(best[0])/float64(best[1+i]), rate(1+i, density))
			}
			b.ReportMetric(0, "ns/op")
			fmt.Println(row)
		})
	}
}
