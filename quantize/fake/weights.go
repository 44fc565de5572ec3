package fake

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(QuantizeWeights, 2, true, []int{1}, quantizeWeights)
	registerGrad(QuantizeWeights+"Grad", 2, 3, quantizeWeightsGrad, 1)
	rule(QuantizeWeights, func(b *autodiff.Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		dx := b.Node(graph.DrawknifeDomain, QuantizeWeights+"Grad", n.Attrs.Clone(), 1, append([]*graph.Value{dy[0]}, n.Inputs...)...)
		if t := n.In(1); t != nil {
			dx = append(dx, b.Zeros(t))
		}
		return dx, nil
	})
}

// Weights are weights on a grid: integer codes and, for each output channel
// (index of axis 0), the step that a unit stands for.
type Weights struct {
	Codes []int
	Steps []float32
	// Min and Max bound the codes.
	Min, Max int
}

// values multiplies out.
func (w Weights) values() []float32 {
	y := make([]float32, len(w.Codes))
	rows(len(y), len(w.Steps), func(i, lo, hi int) {
		for k := lo; k < hi; k++ {
			y[k] = float32(w.Codes[k]) * w.Steps[i]
		}
	})
	return y
}

// weightRule quantizes weights, of which a row is an output channel, and
// computes their gradient from that of the result.
type weightRule struct {
	quantize func(n *graph.Node, w []float32, rows int, t *tensor.Tensor) Weights
	grad     func(n *graph.Node, dw, dy, w []float32, rows int, t *tensor.Tensor)
	// partly says that t, if there, is the share of the result that is quantized.
	partly bool
}

var weightRules map[string]weightRule

func init() {
	identity := func(_ *graph.Node, dw, dy, _ []float32, _ int, _ *tensor.Tensor) { copy(dw, dy) }
	weightRules = map[string]weightRule{
		"dorefa":     {quantize: dorefa, grad: dorefaGrad},
		"sign":       {quantize: signs, grad: identity},
		"stochastic": {quantize: stochastic, grad: identity},
		"xnor":       {quantize: xnor, grad: xnorGrad},
		"layer":      {quantize: layerSigns, grad: identity},
		"lab":        {quantize: lab, grad: identity},
		"irnet":      {quantize: irnet, grad: irnetGrad},
		"magnitude":  {quantize: xnor, grad: clippedGrad, partly: true},
		"ternary":    {quantize: ternary, grad: identity},
	}
}

// WeightKinds lists the kinds of QuantizeWeights.
func WeightKinds() []string {
	var list []string
	for k := range weightRules {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func ruleOf(n *graph.Node) (weightRule, error) {
	r, ok := weightRules[n.Str("kind", "")]
	if !ok {
		return r, fmt.Errorf("there is no kind %q (there are: %s)", n.Str("kind", ""), strings.Join(WeightKinds(), ", "))
	}
	return r, nil
}

// WeightsOf quantizes w as the QuantizeWeights n does.
func WeightsOf(n *graph.Node, w, t *tensor.Tensor) (Weights, error) {
	r, err := ruleOf(n)
	if err != nil {
		return Weights{}, err
	}
	if len(w.Shape) < 2 || w.Len() == 0 {
		return Weights{}, fmt.Errorf("weights of shape %v", w.Shape)
	}
	return r.quantize(n, w.Float32s(), w.Shape[0], t), nil
}

func quantizeWeights(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	w, err := WeightsOf(n, in[0], input(in, 1))
	if err != nil {
		return nil, err
	}
	y := w.values()
	r, _ := ruleOf(n)
	if share := number(input(in, 1), 1); r.partly && share < 1 {
		// The rest is what the weights are: training that binarizes them later.
		for i, v := range in[0].Float32s() {
			y[i] = v + share*(y[i]-v)
		}
	}
	t, err := like(in[0], y)
	return []*tensor.Tensor{t}, err
}

func quantizeWeightsGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	r, err := ruleOf(n)
	if err != nil {
		return nil, err
	}
	w := in[1]
	if len(w.Shape) < 2 || w.Len() == 0 {
		return nil, fmt.Errorf("weights of shape %v", w.Shape)
	}
	dw := make([]float32, w.Len())
	r.grad(n, dw, in[0].Float32s(), w.Float32s(), w.Shape[0], input(in, 2))
	t, err := like(w, dw)
	return []*tensor.Tensor{t}, err
}

// dorefa is 2·quantize(tanh(w)/(2·max|tanh(w)|) + ½) − 1 on 2^bits levels
// (Zhou et al., DoReFa-Net, 2016): odd multiples of 1/(2^bits − 1).
func dorefa(n *graph.Node, w []float32, _ int, _ *tensor.Tensor) Weights {
	top, levels := 0.0, float64(int(1)<<n.Int("bits", 2)-1)
	for _, v := range w {
		top = max(top, math.Abs(math.Tanh(float64(v))))
	}
	out := Weights{Codes: make([]int, len(w)), Steps: []float32{float32(1 / levels)}, Min: -int(levels), Max: int(levels)}
	for i, v := range w {
		u := 0.5
		if top > 0 {
			u += math.Tanh(float64(v)) / (2 * top)
		}
		out.Codes[i] = 2*int(math.RoundToEven(u*levels)) - int(levels)
	}
	return out
}

// dorefaGrad passes through rounding and goes on through the hyperbolic tangent
// and the maximum.
func dorefaGrad(_ *graph.Node, dw, dy, w []float32, _ int, _ *tensor.Tensor) {
	top, at, dot := 0.0, 0, 0.0
	for i, v := range w {
		if t := math.Abs(math.Tanh(float64(v))); t > top {
			top, at = t, i
		}
	}
	if top == 0 {
		copy(dw, dy)
		return
	}
	for i, v := range w {
		t := math.Tanh(float64(v))
		dw[i] = float32(float64(dy[i]) * (1 - t*t) / top)
		dot += float64(dy[i]) * t
	}
	t := math.Tanh(float64(w[at]))
	dw[at] -= float32(math.Copysign(1, t) * (1 - t*t) * dot / (top * top))
}

// signCodes are the signs; zero counts as positive.
func signCodes(w []float32) []int {
	codes := make([]int, len(w))
	for i, v := range w {
		codes[i] = -1
		if v >= 0 {
			codes[i] = 1
		}
	}
	return codes
}

// signs is the sign times the attribute scale (Courbariaux et al.,
// BinaryConnect, 2015).
func signs(n *graph.Node, w []float32, _ int, _ *tensor.Tensor) Weights {
	return Weights{signCodes(w), []float32{n.Float("scale", 1)}, -1, 1}
}

// HardSigmoid is clip((x+1)/2, 0, 1): the probability of +1.
func HardSigmoid(x float32) float32 { return min(max((x+1)/2, 0), 1) }

// stochastic draws +1 with probability HardSigmoid(w/scale); t is the number
// of the step, which decides the draw. A negative t, as outside training, takes
// the sign.
func stochastic(n *graph.Node, w []float32, rows int, t *tensor.Tensor) Weights {
	out := signs(n, w, rows, nil)
	step := number(t, -1)
	if step < 0 {
		return out
	}
	rng := rand.New(rand.NewPCG(uint64(step), uint64(len(w))*0x9e3779b97f4a7c15+uint64(n.Int("stream", 0))))
	for i, v := range w {
		out.Codes[i] = -1
		if rng.Float32() < HardSigmoid(v/out.Steps[0]) {
			out.Codes[i] = 1
		}
	}
	return out
}

// meanAbs is the mean magnitude of each row.
func meanAbs(w []float32, count int) []float32 {
	out := make([]float32, count)
	rows(len(w), count, func(i, lo, hi int) {
		sum := 0.0
		for _, v := range w[lo:hi] {
			sum += math.Abs(float64(v))
		}
		out[i] = float32(sum / float64(hi-lo))
	})
	return out
}

// xnor is α·sign(w) with α the mean magnitude of the channel, the best
// approximation of that form (Rastegari et al., XNOR-Net, 2016).
func xnor(_ *graph.Node, w []float32, rows int, _ *tensor.Tensor) Weights {
	return Weights{signCodes(w), meanAbs(w, rows), -1, 1}
}

// layerSigns is sign(w) times the mean magnitude of the layer (DoReFa-Net's
// weights of one bit).
func layerSigns(_ *graph.Node, w []float32, _ int, _ *tensor.Tensor) Weights {
	return Weights{signCodes(w), meanAbs(w, 1), -1, 1}
}

// xnorGrad is dy·(1/n + α·1[|w| < 1]), n the size of a channel.
func xnorGrad(_ *graph.Node, dw, dy, w []float32, count int, _ *tensor.Tensor) {
	alpha := meanAbs(w, count)
	rows(len(w), count, func(i, lo, hi int) {
		for k := lo; k < hi; k++ {
			slope := 1 / float32(hi-lo)
			if w[k] > -1 && w[k] < 1 {
				slope += alpha[i]
			}
			dw[k] = dy[k] * slope
		}
	})
}

// clippedGrad is dy·1[|w| ≤ 1].
func clippedGrad(_ *graph.Node, dw, dy, w []float32, _ int, _ *tensor.Tensor) {
	fakequant.SignGrad(dw, dy, w, nil, fakequant.HardTanh, 0)
}

// lab is α·sign(w) with α = ‖d⊙w‖₁/‖d‖₁ for the curvatures t = d (Hou et al.,
// loss-aware binarization, 2017); without them, as at the start, d is constant.
func lab(_ *graph.Node, w []float32, _ int, t *tensor.Tensor) Weights {
	var d []float32
	if t != nil && t.Len() == len(w) {
		d = t.Float32s()
	}
	sum, weight := 0.0, 0.0
	for i, v := range w {
		c := 1.0
		if d != nil {
			c = float64(d[i])
		}
		sum += c * math.Abs(float64(v))
		weight += c
	}
	if weight == 0 {
		return Weights{signCodes(w), meanAbs(w, 1), -1, 1}
	}
	return Weights{signCodes(w), []float32{float32(sum / weight)}, -1, 1}
}

// standardized is (w − mean)/std of each row, with the unbiased deviation.
func standardized(w []float32, count int) (hat, deviation []float32) {
	hat, deviation = make([]float32, len(w)), make([]float32, count)
	rows(len(w), count, func(i, lo, hi int) {
		mean, square, n := 0.0, 0.0, float64(hi-lo)
		for _, v := range w[lo:hi] {
			mean += float64(v) / n
		}
		for _, v := range w[lo:hi] {
			square += (float64(v) - mean) * (float64(v) - mean)
		}
		std := math.Sqrt(square / max(n-1, 1))
		deviation[i] = float32(std)
		for k := lo; k < hi; k++ {
			if std > 0 {
				hat[k] = float32((float64(w[k]) - mean) / std)
			}
		}
	})
	return hat, deviation
}

// shifts is 2^s with s = round(log2 of the mean magnitude) for each row.
func shifts(hat []float32, count int) []float32 {
	out := meanAbs(hat, count)
	for i, m := range out {
		if m > 0 {
			out[i] = float32(math.Exp2(math.RoundToEven(math.Log2(float64(m)))))
		}
	}
	return out
}

// irnet is 2^s·sign(ŵ) of the balanced and standardized channel ŵ (Qin et al.,
// IR-Net, 2020).
func irnet(_ *graph.Node, w []float32, rows int, _ *tensor.Tensor) Weights {
	hat, _ := standardized(w, rows)
	return Weights{signCodes(hat), shifts(hat, rows), -1, 1}
}

// irnetGrad is that of the error decay estimator at temperature t, through the
// standardization.
func irnetGrad(n *graph.Node, dw, dy, w []float32, count int, t *tensor.Tensor) {
	hat, deviation := standardized(w, count)
	scale := shifts(hat, count)
	fakequant.SignGrad(dw, dy, hat, nil, fakequant.EDE, number(t, n.Float("t", 1)))
	rows(len(w), count, func(i, lo, hi int) {
		mean, dot, size := 0.0, 0.0, float64(hi-lo)
		for k := lo; k < hi; k++ {
			dw[k] *= scale[i]
			mean += float64(dw[k]) / size
			dot += float64(dw[k]) * float64(hat[k])
		}
		for k := lo; k < hi; k++ {
			if deviation[i] > 0 {
				dw[k] = float32((float64(dw[k]) - mean - float64(hat[k])*dot/max(size-1, 1)) / float64(deviation[i]))
			}
		}
	})
}

// ternary is α·{−1, 0, 1} with the threshold 0.7·mean|w| and α the mean
// magnitude above it, of each channel (Li et al., ternary weight networks, 2016).
func ternary(_ *graph.Node, w []float32, count int, _ *tensor.Tensor) Weights {
	mean := meanAbs(w, count)
	out := Weights{Codes: make([]int, len(w)), Steps: make([]float32, count), Min: -1, Max: 1}
	rows(len(w), count, func(i, lo, hi int) {
		sum, n := 0.0, 0
		for k := lo; k < hi; k++ {
			if a := max(w[k], -w[k]); a > 0.7*mean[i] {
				sum += float64(a)
				n++
				out.Codes[k] = 1
				if w[k] < 0 {
					out.Codes[k] = -1
				}
			}
		}
		out.Steps[i] = float32(sum / float64(max(n, 1)))
	})
	return out
}
