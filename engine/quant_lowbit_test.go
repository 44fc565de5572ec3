package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestLowBitsStay checks that networks of few bits, however their weights are
// stored, run as integers from their first layer to their last.
func TestLowBitsStay(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		w, a    int
		storage string
	}{{4, 8, quantize.Packed}, {4, 4, quantize.Packed}, {3, 4, quantize.Bytes}, {2, 2, quantize.Packed2}} {
		t.Run(fmt.Sprintf("w%da%d %s", c.w, c.a, c.storage), func(t *testing.T) {
			g, err := zoo.Build("resnet8", 1)
			if err != nil {
				t.Fatal(err)
			}
			settle(g, 3)
			x := randomInputs(g, 2, 5)["input"]
			batches := func(yield func(*data.Batch, error) bool) {
				yield(&data.Batch{N: 2, C: x.Shape[1], H: x.Shape[2], W: x.Shape[3], X: x.Float32s()}, nil)
			}
			o := quantize.Defaults()
			o.WBits, o.ABits, o.Storage = c.w, c.a, c.storage
			q, _, err := quantize.Static(ctx, g, batches, o)
			if err != nil {
				t.Fatal(err)
			}
			count, low := kernels(t, q), 0
			for name, n := range count {
				if strings.Contains(name, "low-bit") {
					low += n
				}
			}
			if count["eval"] > 0 || count["dequantize"] > 1 || cpu.Best() == cpu.AVX2 && low < 5 {
				t.Errorf("steps %v", count)
			}
			one := randomInputs(g, 1, 6)
			want, err := eval.Run(q, one)
			if err != nil {
				t.Fatal(err)
			}
			p, err := engine.Compile(q, engine.Options{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Run(ctx, one)
			if err != nil {
				t.Fatal(err)
			}
			// A sum that rounds the other way is a whole step of a coarse grid.
			if d := worst(got[q.Outputs[0].Name], want[q.Outputs[0].Name]); d > 0.05 {
				t.Errorf("differs by %.2g of the largest element", d)
			}
		})
	}
}

// TestNarrowWeights runs a convolution with weights of each narrow type and
// with their zero points.
func TestNarrowWeights(t *testing.T) {
	for _, c := range []struct {
		d        tensor.DType
		lo, zero int
	}{{tensor.Int4, -8, 0}, {tensor.Int4, -8, -3}, {tensor.Uint4, 0, 8}, {tensor.Int2, -2, 0}, {tensor.Uint2, 0, 1}} {
		t.Run(fmt.Sprint(c.d, c.zero), func(t *testing.T) {
			b, x := newBinaryNet(3, 1, 16, 6, 7)
			span := 1 << c.d.Bits()
			list := make([]int64, 24*16*9)
			for i := range list {
				list[i] = int64(c.lo + b.rng.IntN(span))
			}
			as := func(list []int64, shape ...int) *graph.Value {
				n, err := tensor.Of(list, shape...).Convert(c.d)
				if err != nil {
					t.Fatal(err)
				}
				return b.AddConst("q", n)
			}
			scale, zero := b.AddConst("scale", tensor.Scalar[float32](0.05)), b.AddConst("zero", tensor.Scalar[uint8](90))
			q := b.Add("QuantizeLinear", "quantize", nil, x, scale, zero)
			dx := b.Add("DequantizeLinear", "dx", nil, q, scale, zero)
			dw := b.Add("DequantizeLinear", "dw", nil, as(list, 24, 16, 3, 3), b.AddConst("scale", tensor.Scalar[float32](0.02)), as([]int64{int64(c.zero)}))
			g := b.finish(t, b.Add("Conv", "conv", graph.Attrs{"pads": pads}, dx, dw))
			compare(t, g, randomInputs(g, 1, 2), 1e-5)
			if k := kernels(t, g); k["eval"] != 0 || k["quantize"] != 1 {
				t.Errorf("steps %v", k)
			}
		})
	}
}
