package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
)

// signed is the range of weights of that many bits.
func signed(bits int) (lo, hi int64) {
	hi = 1<<(bits-1) - 1
	if bits >= 8 {
		return -hi, hi
	}
	return -hi - 1, hi
}

// span is the range of activations of l: unsigned unless it reads negative
// numbers.
func span(l *Layer) (lo, hi int64) {
	if l.Least < 0 {
		return -1 << (l.ABits - 1), 1<<(l.ABits-1) - 1
	}
	return 0, 1<<l.ABits - 1
}

// gradScale is 1/√(n·qmax).
func gradScale(n int, qmax int64) float32 {
	return float32(1 / math.Sqrt(float64(max(n, 1))*float64(qmax)))
}

// leastError is the step of the grid from lo to hi times itself that x loses
// least on, in the square. It is 0 if all of x is, or if there is none.
func leastError(x []float32, lo, hi int64) float64 {
	if len(x) == 0 {
		return 0
	}
	least, most := fakequant.Range(x)
	full := max(float64(most)/float64(hi), 0)
	if lo < 0 {
		full = max(full, float64(least)/float64(lo))
	}
	best, step := math.Inf(1), full
	y := make([]float32, len(x))
	for i := range 40 {
		g := fakequant.Grid{Step: float32(full * (1 - float64(i)/42)), Min: float32(lo), Max: float32(hi)}
		g.Quantize(y, x)
		sum := 0.0
		for k, v := range x {
			sum += float64((v - y[k]) * (v - y[k]))
		}
		if sum < best {
			best, step = sum, float64(g.Step)
		}
	}
	return step
}

// reachOption moves the range of activations, which papers fix at 1.
var reachOption = method.Option{Name: "range", Default: "0", Help: "activations reach up to this; 1 in the paper, 0 takes for each layer what loses least on the batches: the same network with its normalization scaled, so that training can begin with a trained one"}

// reach is the step of a grid of activations: unit for a range of 1.
func reach(o opts, l *Layer, lo, hi int64, unit float64) float64 {
	if r := o.number("range"); r > 0 {
		return unit * r
	}
	if step := leastError(l.Sample, lo, hi); step > 0 {
		return step
	}
	return unit
}

// fixedGrid rounds activations to a grid that is not learned; one bit is the
// sign.
func fixedGrid(b *Builder, l *Layer, lo, hi int64, step float64) *graph.Value {
	return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "fixed", "qmin": lo, "qmax": hi}, l.Node.Inputs[0], b.Number(l, "inputs/step", step))
}

// fillUnit scales the weights of a layer that is normalized on its output so
// that step is what they lose least by; the statistics of the normalization
// follow, so that the function stays.
func fillUnit(l *Layer, lo, hi int64, step float64) {
	n := l.Node.Outputs[0].SoleUse()
	best := leastError(l.Node.Inputs[1].Data.Float32s(), lo, hi)
	if !n.Is("BatchNormalization") || n.Inputs[3].Data == nil || n.Inputs[4].Data == nil || l.Node.In(2) != nil || !(best > 0) {
		return
	}
	factor := float32(step / best)
	for i, v := range []*graph.Value{l.Node.Inputs[1], n.Inputs[3], n.Inputs[4]} {
		f := factor
		if i == 2 {
			f *= factor // the variance
		}
		d := v.Data.Clone()
		for k, x := 0, tensor.Data[float32](d); k < len(x); k++ {
			x[k] *= f
		}
		v.SetData(d)
	}
}
