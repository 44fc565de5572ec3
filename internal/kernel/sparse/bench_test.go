package sparse

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	{"ResNet-20 3x3 16-16 32", square3(32, 16, 16, 1)},
	{"ResNet-20 3x3/2 16-32 32", square3(32, 16, 32, 2)},
	{"ResNet-20 3x3 32-32 16", square3(16, 32, 32, 1)},
	{"ResNet-20 3x3 64-64 8", square3(8, 64, 64, 1)},
	{"Gemm 1024-1000, batch 1", pointwise(1, 1024, 1000)},
	{"Gemm 1024-1000, batch 32", conv.Shape{N: 32, H: 1, W: 1, C: 1024, K: 1000, P: 1, Q: 1}},
}

// contenders are the ways that zeros are spread in the layers, with the share of
// the weights that is not zero.
var contenders = []struct {
	name    string
	density float64
	how     pattern
}{
	{"50 %", 0.5, anywhere}, {"75 %", 0.25, anywhere}, {"80 %", 0.2, anywhere}, {"90 %", 0.1, anywhere}, {"95 %", 0.05, anywhere},
	{"2:4", 0.5, twoOfFour}, {"1:4", 0.25, oneOfFour}, {"4-blocks 80 %", 0.2, blocks4}, {"4-blocks 90 %", 0.1, blocks4},
}

// BenchmarkAgainstDense compares layers with zeros to the same layer computed
// by package conv, on one core. It prints a table row for each: the dense rate,
// then, at each share of zeros, how many times faster the layer is and the rate
// on non-zeros.
func BenchmarkAgainstDense(b *testing.B) {
	header := "| layer | dense GFLOP/s |"
	for _, c := range contenders {
		header += " " + c.name + " |"
	}
	fmt.Println(header + "\n|" + strings.Repeat("---|", 2+len(contenders)))
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			s := normal(l.Shape)
			best := fastest(b, contest(s))
			flops := 2 * float64(s.MACs())
			row := fmt.Sprintf("| %s | %.0f |", l.name, flops/best[0])
			for i, c := range contenders {
				row += fmt.Sprintf(" %.2f (%.0f) |", best[0]/best[1+i], c.density*flops/best[1+i])
			}
			b.ReportMetric(0, "ns/op")
			fmt.Println(row)
		})
	}
}

// contest returns runs of the dense layer and then of each contender.
func contest(s conv.Shape) []func() {
	pool := parallel.New(1)
	rng := rand.New(rand.NewPCG(1, 2))
	p := newProblem(rng, s, 1, anywhere)
	p.Min, p.Max, p.Winograd = 0, posInf, true
	dst := make([]float32, s.N*s.P*s.Q*s.K)
	start := func(c interface {
		Scratch(workers int) int
		Run(p *parallel.Pool, dst, src, add, scratch []float32)
	}) func() {
		scratch := make([]float32, c.Scratch(1))
		return func() { c.Run(pool, dst, p.src, nil, scratch) }
	}
	runs := []func(){start(conv.New(s, p.Params))}
	for _, c := range contenders {
		q := p.Params
		q.Weights = slices.Clone(p.Weights)
		prune(rng, q.Weights, s, c.density, c.how)
		runs = append(runs, start(New(s, q)))
	}
	return runs
}

// rounds is how often each contender of a comparison runs, in turns; the
// fastest round counts, which other processes disturb least.
const rounds = 12

// fastest is the shortest time of each run, in nanoseconds.
func fastest(b *testing.B, runs []func()) []float64 {
	best := make([]float64, len(runs))
	for b.Loop() {
		for range rounds {
			for i, run := range runs {
				start := time.Now()
				run()
				if d := float64(time.Since(start)); best[i] == 0 || d < best[i] {
					best[i] = d
				}
			}
		}
	}
	return best
}
