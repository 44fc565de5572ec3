package qat

import (
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

// BenchmarkSteps trains ResNet-20 for ten steps of 64 pictures of noise by some
// of the methods.
func BenchmarkSteps(b *testing.B) {
	const n, size = 640, 3 * 32 * 32
	rng := rand.New(rand.NewPCG(1, 1))
	x, labels := make([]float32, n*size), make([]int32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(10))
	}
	ds, err := data.FromFloats(x, 3, 32, 32, labels, make([]string, 10))
	if err != nil {
		b.Fatal(err)
	}
	loader, err := data.NewLoader(ds, data.LoaderOptions{Batch: 64, Seed: 3})
	if err != nil {
		b.Fatal(err)
	}
	for _, spec := range []string{"", "lsq", "lsq:per-channel=true", "pact", "dorefa", "bwn", "irnet", "bireal", "reactnet"} {
		b.Run(spec, func(b *testing.B) {
			g, err := zoo.Build("resnet20", 1)
			if err != nil {
				b.Fatal(err)
			}
			var hooks []train.Hook
			if spec != "" {
				m, err := method.New[*Method](method.Quantize, spec)
				if err != nil {
					b.Fatal(err)
				}
				if g, _, hooks, err = m.Prepare(b.Context(), g, loader.Batches(b.Context(), 0), Options{Threads: 1}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := train.Run(b.Context(), g, loader, train.Config{Threads: 1, Hooks: hooks, Optimizer: train.SGD(1e-4, 0.9, 0)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
