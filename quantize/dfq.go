package quantize

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "dfq", Family: method.Quantize, Summary: "data-free: equalization, absorption of high biases, bias correction (--data-free makes the images)",
		Paper: "Nagel et al., Data-free quantization through weight equalization and bias correction, ICCV", Year: 2019,
		New: func(map[string]string) (any, error) {
			return Preset(func(o *Options) { o.Equalize, o.AbsorbBias, o.BiasCorrection = true, true, true }), nil
		},
	})
}

// moments are the mean and standard deviation of each channel of a layer's
// output, as the batch normalization behind it says: its shift and scale.
type moments struct{ mean, std []float64 }

// scale multiplies channel c by f. A nil m knows nothing and stays so.
func (m *moments) scale(c int, f float32) {
	if m != nil {
		m.mean[c] *= float64(f)
		m.std[c] *= float64(f)
	}
}

// normMoments reads the moments of every convolution that a batch
// normalization follows, by the convolution's name.
func normMoments(g *graph.Graph) map[string]*moments {
	known := map[string]*moments{}
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") || n.Inputs[1].Data == nil || n.Inputs[2].Data == nil {
			continue
		}
		c := n.Inputs[0].Producer()
		if !c.Is("Conv") || n.Inputs[0].SoleUse() != n {
			continue
		}
		m := &moments{}
		gamma, beta := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
		for i := range gamma {
			m.mean = append(m.mean, float64(beta[i]))
			m.std = append(m.std, float64(max(gamma[i], -gamma[i])))
		}
		known[c.Name] = m
	}
	return known
}

// absorb moves c = max(0, mean − 3·std) of each channel before a Relu, which
// then hardly ever cuts anything off, from the bias of one convolution into
// that of the next: b₁ −= c, b₂ += Σ W₂·c (Nagel et al. 2019, section 4.1.3).
// It returns the number of channels. At the border of a padded image the next
// layer is a little off.
func absorb(g *graph.Graph, known map[string]*moments) int {
	own := owner{g, map[*graph.Value]bool{}}
	count := 0
	for _, p := range equalizablePairs(g) {
		m := known[p.a.Name]
		if m == nil || p.a.In(2) == nil || p.b.Inputs[0] == p.a.Outputs[0] {
			continue
		}
		shift := make([]float64, len(m.mean))
		any := false
		for c := range shift {
			if shift[c] = max(0, m.mean[c]-3*m.std[c]); shift[c] > 0 {
				any = true
				count++
			}
		}
		if !any {
			continue
		}
		shape := p.b.Inputs[1].Data.Shape
		if p.b.In(2) == nil {
			p.b.SetInput(2, g.AddConst(p.b.Name+"_bias", tensor.New(tensor.Float32, shape[0])))
		}
		before, behind := own.mutable(p.a, 2), own.mutable(p.b, 2)
		for c := range shift {
			before[c] -= float32(shift[c])
			m.mean[c] -= shift[c]
		}
		w := p.b.Inputs[1].Data.Float32s()
		inner := len(w) / shape[0] / shape[1]
		per := shape[0] / p.b.Int("group", 1)
		for o := range shape[0] {
			for i := range shape[1] {
				sum := 0.0
				for k := range inner {
					sum += float64(w[(o*shape[1]+i)*inner+k])
				}
				behind[o] += float32(sum * shift[o/per*shape[1]+i])
			}
		}
	}
	return count
}
