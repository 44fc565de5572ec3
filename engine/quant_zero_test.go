package engine_test

import (
	"fmt"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestZeroPointsOfChannels runs convolutions whose weights have a zero point for
// each output channel: in integers, exactly as in floats.
func TestZeroPointsOfChannels(t *testing.T) {
	for _, c := range []struct {
		d      tensor.DType
		lo     int
		groups int
	}{{tensor.Int8, -128, 1}, {tensor.Uint8, 0, 1}, {tensor.Int8, -128, 24}, {tensor.Uint8, 0, 24}, {tensor.Int8, -128, 3}, {tensor.Uint4, 0, 1}} {
		t.Run(fmt.Sprint(c.d, c.groups), func(t *testing.T) {
			const k = 24
			b, x := newBinaryNet(4, 1, k, 6, 7)
			span := 1 << c.d.Bits()
			as := func(name string, shape ...int) *graph.Value {
				n := 1
				for _, d := range shape {
					n *= d
				}
				list := make([]int64, n)
				for i := range list {
					list[i] = int64(c.lo + b.rng.IntN(span))
				}
				v, err := tensor.Of(list, shape...).Convert(c.d)
				if err != nil {
					t.Fatal(err)
				}
				return b.AddConst(name, v)
			}
			scales := make([]float32, k)
			for i := range scales {
				scales[i] = 0.01 + 0.001*float32(b.rng.IntN(10))
			}
			scale, zero := b.AddConst("scale", tensor.Scalar[float32](0.05)), b.AddConst("zero", tensor.Scalar[uint8](90))
			q := b.Add("QuantizeLinear", "quantize", nil, x, scale, zero)
			dx := b.Add("DequantizeLinear", "dx", nil, q, scale, zero)
			dw := b.Add("DequantizeLinear", "dw", graph.Attrs{"axis": int64(0)}, as("q", k, k/c.groups, 3, 3), b.AddConst("scales", tensor.Of(scales, k)), as("zeros", k))
			g := b.finish(t, b.Add("Conv", "conv", graph.Attrs{"pads": pads, "group": int64(c.groups)}, dx, dw))
			compare(t, g, randomInputs(g, 1, 2), 1e-5)
			if k := kernels(t, g); k["eval"] != 0 || k["quantize"] != 1 || k["dequantize"] != 0 {
				t.Errorf("steps %v", k)
			}
		})
	}
}
