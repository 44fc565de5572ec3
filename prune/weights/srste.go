package weights

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "sr-ste", Family: method.Weights, Summary: "learns N:M patterns in training: masks anew in every step, gradients for all weights, and a decay of those masked",
		Paper: "Zhou et al., Learning N:M fine-grained structured sparse neural networks from scratch, ICLR", Year: 2021,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "2e-4", Help: "decay of the weights that are masked"}},
		New: func(o map[string]string) (any, error) {
			l, err := strconv.ParseFloat(o["lambda"], 64)
			if err != nil || !(l >= 0) || math.IsInf(l, 1) {
				return nil, fmt.Errorf("lambda %q: want a number of at least 0", o["lambda"])
			}
			return &srste{lambda: float32(l)}, nil
		},
	})
}

// srste computes with the weights m⊙w of the largest magnitudes, in the
// pattern, and changes all weights by the gradient there (straight through the
// mask) plus λ·(1 − m)⊙w: what is masked fades, unless its gradient brings it
// back, so that masks settle. Masks of N:M are chosen anew in every step, those
// of other patterns in every hundredth of the training, along the cubic
// schedule over its first half.
type srste struct {
	lambda float32
	hook   *srsteHook
}

type srsteHook struct {
	shadow
	lambda  float32
	updated []float32 // the interval of the last choice, +1
}

func (m *srste) Learn(c *Course) (train.Keeper, error) {
	m.hook = &srsteHook{shadow: newShadow(c), lambda: m.lambda, updated: make([]float32, 1)}
	return m.hook, nil
}

func (h *srsteHook) Vectors() []train.Vector {
	return append(h.shadow.Vectors(), train.Vector{Name: "updated", Data: h.updated})
}

func (h *srsteHook) BeforeForward(s *train.State) error {
	interval := float32(math.Floor(s.Fraction*intervals)) + 1
	if h.course.Pattern.M > 0 || interval != h.updated[0] {
		h.updated[0] = interval
		m, err := h.choose(rising(s.Fraction, h.course.Sparsity))
		if err != nil {
			return err
		}
		h.mask.set(m)
	}
	h.show(s)
	return nil
}

func (h *srsteHook) choose(target float64) (Masks, error) {
	return h.course.Choose(target, func(l *Layer) []float64 { return magnitudes(h.full[l.Value.Name]) }, nil)
}

func (h *srsteHook) AfterBackward(s *train.State) error {
	for _, l := range h.course.Layers {
		if g := grad(s, l); g != nil {
			refine(g, h.full[l.Value.Name], h.mask[l.Value.Name], h.lambda)
		}
	}
	return h.shadow.AfterBackward(s)
}

// refine is g ← g + λ·(1 − m)⊙w.
func refine(g, w, mask []float32, lambda float32) {
	for i, m := range mask {
		if m == 0 {
			g[i] += lambda * w[i]
		}
	}
}

func (h *srsteHook) AfterStep(s *train.State) error {
	h.taken(s)
	return nil
}

func (m *srste) Finish(out *graph.Graph, c *Course) (Masks, error) {
	masks, err := m.hook.choose(c.Sparsity)
	if err != nil {
		return nil, err
	}
	for _, l := range c.Layers {
		v := out.Value(l.Value.Name)
		v.SetData(tensor.Of(append([]float32(nil), m.hook.full[l.Value.Name]...), v.Data.Shape...))
	}
	return masks, masks.Apply(out)
}
