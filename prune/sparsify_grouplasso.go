package prune

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "group-lasso", Family: method.Sparsify, Summary: "a group lasso on each channel's scale and shift, which empties channels from the first epoch on",
		Paper: "Lym et al., PruneTrain: Fast neural network training by dynamic sparse model reconfiguration, SC", Year: 2019,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "1e-3", Help: "weight of the penalty"},
			{Name: "ramp", Default: "0.1", Help: "share of the training over which it grows to that"}},
		New: func(o map[string]string) (any, error) {
			l, err := positive(o, "lambda")
			if err != nil {
				return nil, err
			}
			ramp, err := fraction(o, "ramp")
			return &groupLasso{l, ramp}, err
		},
	})
}

// groupLasso adds λ·Σ_c ‖θ_c‖ to the loss, θ_c being γ and β of all batch
// normalizations that a channel passes, as a proximal step after each update:
// θ_c ← θ_c·max(0, 1 − ηλ√|θ_c|/‖θ_c‖).
type groupLasso struct{ lambda, ramp float64 }

func (*groupLasso) Score() string { return "bn" }

func (s *groupLasso) Hook(groups []*graph.Group, _ float64) (train.Hook, error) {
	h := &groupLassoHook{groupLasso: s}
	for _, gr := range groups {
		var list []graph.Member
		for _, b := range batchNorms(gr) {
			list = append(list, b.scale, b.shift)
		}
		if list != nil {
			h.groups, h.members = append(h.groups, gr), append(h.members, list)
		}
	}
	if h.groups == nil {
		return nil, errNoNorm
	}
	return h, nil
}

type groupLassoHook struct {
	train.NoHook
	*groupLasso
	groups  []*graph.Group
	members [][]graph.Member
}

func (h *groupLassoHook) AfterStep(s *train.State) error {
	by := s.LR * h.lambda
	if h.ramp > 0 {
		by *= min(1, s.Fraction/h.ramp)
	}
	for i, gr := range h.groups {
		for c := range gr.Size {
			var theta []*float32
			for _, m := range h.members[i] {
				p := s.Param(m.Value.Name)
				if p == nil {
					continue
				}
				w := tensor.Data[float32](p)
				for _, k := range m.At[c] {
					theta = append(theta, &w[k])
				}
			}
			proximal(theta, by*math.Sqrt(float64(len(theta))/2))
		}
	}
	return nil
}

// proximal is θ ← θ·max(0, 1 − by/‖θ‖).
func proximal(theta []*float32, by float64) {
	sum := 0.0
	for _, v := range theta {
		sum += float64(*v) * float64(*v)
	}
	f := 0.0
	if n := math.Sqrt(sum); n > by {
		f = 1 - by/n
	}
	for _, v := range theta {
		*v = float32(float64(*v) * f)
	}
}
