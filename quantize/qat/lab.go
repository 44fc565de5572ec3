package qat

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("lab", "loss-aware binarization: a proximal Newton step with the curvature that Adam keeps",
		"Hou et al., Loss-aware binarization of deep networks, ICLR", 2017,
		[]method.Option{{Name: "activations", Default: "false", Help: "binarize activations too (LAB2)"}, steOption("hardtanh")},
		func(o opts) *Method {
			signs := signInputs(o.estimator())
			m := &Method{WBits: 1, ABits: 32, Recipe: Recipe{Optimizer: "adam", LR: 3e-3, NoDecay: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					w := l.Node.Inputs[1]
					d := b.Variable(l, "weights/curvature", tensor.New(tensor.Float32, w.Data.Shape...))
					b.Curvatures[w.Name] = d.Name
					return binaryWeights(b, l, "lab", nil, d)
				},
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{&curvature{of: b.Curvatures}, unitClamp(b), temperatures(b)}
				}}
			if o.yes("activations") {
				m.ABits, m.Inputs, m.Structure = 1, signs, hardTanh
			}
			return m
		})
}

// curvature hands on the square root of Adam's second moments (Hou et al., LAB).
type curvature struct {
	train.NoHook
	of map[string]string
}

func (h *curvature) AfterStep(s *train.State) error {
	for weight, to := range h.of {
		m, t := s.Momentum(weight), s.Param(to)
		if len(m) < 2 || t == nil {
			continue
		}
		d := tensor.Data[float32](t)
		for i, v := range m[1] {
			d[i] = float32(math.Sqrt(float64(v))) + 1e-8
		}
	}
	return nil
}
