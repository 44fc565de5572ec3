package rewrite

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// FoldBatchNorm folds an inference-mode BatchNormalization into the
// convolution (or fully connected layer) before it:
// W'[o] = W[o]·γ/√(σ²+ε), b'[o] = β + (b[o]−μ)·γ/√(σ²+ε).
func FoldBatchNorm(s Scope, n *graph.Node) bool {
	if !n.Is("BatchNormalization") || n.Int("training_mode", 0) != 0 {
		return false
	}
	conv := n.Inputs[0].Producer()
	if !conv.Is("Conv", "Gemm", "ConvTranspose") || s.Only(n.Inputs[0]) != n || s.Constant(conv.In(1)) == nil {
		return false
	}
	if conv.In(2) != nil && s.Constant(conv.In(2)) == nil || conv.Is("ConvTranspose") && conv.Int("group", 1) != 1 {
		return false
	}
	if conv.Is("Gemm") && (conv.Float("alpha", 1) != 1 || conv.Float("beta", 1) != 1) {
		return false
	}
	var p [4][]float32
	for i := range p {
		t := s.Constant(n.In(1 + i))
		if t == nil {
			return false
		}
		p[i] = t.Float32s()
	}
	gamma, beta, mean, variance := p[0], p[1], p[2], p[3]
	w := conv.Inputs[1].Data.Clone()
	axis := 0
	if conv.Is("ConvTranspose") || conv.Is("Gemm") && conv.Int("transB", 0) == 0 {
		axis = 1
	}
	if w.DType != tensor.Float32 || w.Shape[axis] != len(gamma) {
		return false
	}
	eps := float64(n.Float("epsilon", 1e-5))
	bias := make([]float32, len(gamma))
	scale := make([]float64, len(gamma))
	var old []float32
	if conv.In(2) != nil {
		old = conv.Inputs[2].Data.Float32s()
		if len(old) != len(gamma) {
			return false
		}
	}
	for o := range gamma {
		scale[o] = float64(gamma[o]) / math.Sqrt(float64(variance[o])+eps)
		b := 0.0
		if old != nil {
			b = float64(old[o])
		}
		bias[o] = float32(float64(beta[o]) + (b-float64(mean[o]))*scale[o])
	}
	data := tensor.Data[float32](w)
	inner := 1
	for _, d := range w.Shape[axis+1:] {
		inner *= d
	}
	for i := range data {
		data[i] = float32(float64(data[i]) * scale[i/inner%len(gamma)])
	}
	conv.SetInput(1, n.Graph().AddConst(conv.Inputs[1].Name+"_folded", w))
	conv.SetInput(2, n.Graph().AddConst(conv.Name+"_bias", tensor.Of(bias, len(bias))))
	replace(n, conv.Outputs[0])
	return true
}
