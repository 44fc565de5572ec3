package engine_test

import (
	"context"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestQuantizedStays checks that quantized networks stay in 8 bits and in the
// engine's layout from their first operator to their last, and allocate nothing.
func TestQuantizedStays(t *testing.T) {
	for _, spec := range []string{
		"lenet5", "resnet20", "squeezenet1.1?size=64&width=0.5", "shufflenetv2?size=64&width=0.5", "mobilenetv2?size=64&width=0.25",
		"mobilenetv3-small?size=64&width=0.5", "efficientnet-b0?size=64&width=0.25", "densenet121?size=32&width=0.5",
	} {
		t.Run(spec, func(t *testing.T) {
			ctx := context.Background()
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			settle(g, 3)
			x := randomInputs(g, 4, 5)["input"]
			batches := func(yield func(*data.Batch, error) bool) {
				yield(&data.Batch{N: 4, C: x.Shape[1], H: x.Shape[2], W: x.Shape[3], X: x.Float32s()}, nil)
			}
			q, _, err := quantize.Static(ctx, g, batches, quantize.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			p, err := engine.Compile(q, engine.Options{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			count := map[string]int{}
			for _, s := range p.Steps() {
				count[s.Kernel]++
			}
			if count["eval"] > 0 || count["quantize"] > 1 || count["dequantize"] > 1 || count["to-channels-last"] > 1 || count["to-plain"] > 1 {
				t.Errorf("steps %v", count)
			}
			one := randomInputs(g, 1, 6)
			want, err := eval.Run(q, one)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Run(ctx, one)
			if err != nil {
				t.Fatal(err)
			}
			// Rounding at ties, carried on through the layers, is all that may differ.
			if d := worst(got["logits"], want["logits"]); d > 0.03 {
				t.Errorf("differs by %.2g of the largest element", d)
			}
			in, out := []*tensor.Tensor{tensor.New(tensor.Float32, p.InputShape(0)...)}, p.NewOutputs()
			if n := testing.AllocsPerRun(5, func() {
				if err := p.RunInto(ctx, in, out); err != nil {
					t.Fatal(err)
				}
			}); n > 0 {
				t.Errorf("%g allocations a run", n)
			}
		})
	}
}
