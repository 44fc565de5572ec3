package bconv

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/kernel/qconv"
	"github.com/drawknife/drawknife/internal/parallel"
)

// layers are the 3x3 layers of ResNet-18 and of ResNet-20.
var layers = []struct{ channels, size int }{
	{64, 56}, {128, 28}, {256, 14}, {512, 7}, {16, 32}, {32, 16}, {64, 8},
}

// BenchmarkLayers runs each layer as float32, by Winograd's algorithm where that
// pays and without it, with weights of eight bits to two, and binary: from signs to floats, from floats to floats (the packing included)
// and from signs to signs. It reports the speed of the fastest run, which a
// busy machine disturbs least, in billions of multiplications and additions a
// second.
func BenchmarkLayers(b *testing.B) {
	pool := parallel.New(1)
	defer pool.Close()
	for _, l := range layers {
		s := normal(same(l.size, l.channels, l.channels, 3, 1, 1))
		rng := rand.New(rand.NewPCG(1, 2))
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"float32", floatLayer(rng, pool, s, true)},
			{"float32-direct", floatLayer(rng, pool, s, false)},
			{"int8", intLayer(rng, pool, s, 40, 127)},
			{"int7", intLayer(rng, pool, s, 19, 63)},
			{"int6", intLayer(rng, pool, s, 10, 31)},
			{"int4", intLayer(rng, pool, s, 2.5, 7)},
			{"int2", intLayer(rng, pool, s, 1.4, 1)},
			{"binary", binaryLayer(rng, pool, s, false, false)},
			{"binary-from-floats", binaryLayer(rng, pool, s, true, false)},
			{"binary-to-signs", binaryLayer(rng, pool, s, false, true)},
		} {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", l.size, l.size, l.channels, f.name), func(b *testing.B) {
				b.ReportAllocs()
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					f.run()
					best = min(best, time.Since(start))
				}
				b.ReportMetric(2*float64(s.MACs())/best.Seconds()/1e9, "best-GOP/s")
				b.ReportMetric(best.Seconds()*1e6, "best-µs")
			})
		}
	}
}

func floatLayer(rng *rand.Rand, pool *parallel.Pool, s Shape, winograd bool) func() {
	w, x := make([]float32, s.K*s.C*9), make([]float32, s.H*s.W*s.C)
	for _, list := range [][]float32{w, x} {
		for i := range list {
			list[i] = float32(rng.NormFloat64())
		}
	}
	c := conv.New(s, conv.Params{Weights: w, Bias: make([]float32, s.K), Min: -1, Max: 1, Winograd: winograd})
	dst, scratch := make([]float32, pixels(&s)*s.K), make([]float32, c.Scratch(1))
	return func() { c.Run(pool, dst, x, nil, scratch) }
}

func intLayer(rng *rand.Rand, pool *parallel.Pool, s Shape, sigma, limit float64) func() {
	w, x := make([]int8, s.K*s.C*9), make([]uint8, s.H*s.W*s.C)
	for i := range w {
		w[i] = int8(max(-limit, min(limit, sigma*rng.NormFloat64())))
	}
	for i := range x {
		x[i] = uint8(rng.Uint32())
	}
	c := qconv.New(s, qconv.Params{Weights: w, Bias: make([]int32, s.K), Scale: []float32{1e-3}, SrcZero: 100, DstZero: 100})
	dst, scratch := make([]uint8, pixels(&s)*s.K), make([]byte, c.Scratch(1))
	return func() { c.Run(pool, dst, x, scratch) }
}

func binaryLayer(rng *rand.Rand, pool *parallel.Pool, s Shape, fromFloats, toSigns bool) func() {
	pr := newProblem(rng, s, 0)
	pr.p.ToSigns = toSigns
	c := New(s, pr.p)
	scratch := make([]byte, c.Scratch(1))
	dst, signs := make([]float32, pixels(&s)*s.K), make([]uint64, pixels(&s)*Words(s.K))
	return func() {
		if fromFloats {
			Pack(pr.signs, pr.src, nil, s.C, s.C, 0, s.H*s.W)
		}
		if toSigns {
			c.RunSigns(pool, signs, pr.signs, scratch)
		} else {
			c.Run(pool, dst, pr.signs, nil, scratch)
		}
	}
}
