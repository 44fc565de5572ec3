package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/zoo"
)

// BenchmarkTrain trains networks with batches of 128, on one thread and on
// two: the rate of the fastest step, loading of the images included. See
// docs/results/torch_train.py for the same of PyTorch.
func BenchmarkTrain(b *testing.B) {
	const batch = 128
	for _, n := range []struct {
		name, spec     string
		channels, size int
	}{
		{"lenet5", "lenet5", 1, 28},
		{"resnet8", "resnet8", 3, 32},
		{"resnet20", "resnet20", 3, 32},
		{"mobilenetv2-0.5", "mobilenetv2?cifar=1&width=0.5&classes=10&size=32", 3, 32},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		x, labels := make([]float32, 2*batch*n.channels*n.size*n.size), make([]int32, 2*batch)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(10))
		}
		ds, err := data.FromFloats(x, n.channels, n.size, n.size, labels, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
		if err != nil {
			b.Fatal(err)
		}
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("%s/%d", n.name, threads), func(b *testing.B) {
				g, err := zoo.Build(n.spec, 1)
				if err != nil {
					b.Fatal(err)
				}
				l, err := data.NewLoader(ds, data.LoaderOptions{Batch: batch, Seed: 1, Workers: 1})
				if err != nil {
					b.Fatal(err)
				}
				best, last, step := time.Duration(math.MaxInt64), time.Time{}, 0
				c := Config{Epochs: 1 << 20, Steps: 6, Threads: threads, Optimizer: SGD(0.05, 0.9, 1e-4), Progress: func(p Progress) {
					now := time.Now()
					if p.Step == step+1 && step > 0 {
						best = min(best, now.Sub(last))
					}
					last, step = now, p.Step
				}}
				for b.Loop() {
					step = 0
					if _, err := Run(context.Background(), g, l, c); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(batch/best.Seconds(), "images/s")
			})
		}
	}
}
