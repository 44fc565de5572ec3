package engine_test

import (
	"context"
	"math"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestSteadyStateAllocatesNothing runs whole networks into prepared outputs.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, spec := range []string{"resnet20", "mobilenetv2?size=64&width=0.25", "mobilenetv2?size=128", "squeezenet1.1?size=64&width=0.5"} {
		for _, threads := range []int{1, 2} {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			p, err := engine.Compile(g, engine.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			in := []*tensor.Tensor{tensor.New(tensor.Float32, p.InputShape(0)...)}
			out := p.NewOutputs()
			ctx := context.Background()
			// A worker that goes to sleep and wakes on a busy machine may cost the
			// runtime an allocation: what a run itself allocates, every run does.
			n := math.Inf(1)
			for try := 0; try < 5 && n > 0; try++ {
				n = min(n, testing.AllocsPerRun(10, func() {
					if err := p.RunInto(ctx, in, out); err != nil {
						t.Fatal(err)
					}
				}))
			}
			if n > 0 {
				t.Errorf("%s, %d threads: %g allocations a run", spec, threads, n)
			}
		}
	}
}
