package prune

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
		Name: "group-lasso", Family: method.Sparsify, Summary: "a group lasso on each channel's scale and shift, which empties channels from the first epoch on",
		Paper: "Lym et al., PruneTrain: Fast neural network training by dynamic sparse model reconfiguration, SC", Year: 2019,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "1e-3", Help: "weight of the penalty"},
			{Name: "ramp", Default: "0.1", Help: "share of the training over which it grows to that"},
			{Name: "filters", Default: "false", Help: "penalize the filters that compute a channel with its scale and shift; also without batch normalization"},
			{Name: "adapt", Default: "false", Help: "after every epoch raise lambda by half while too few channels are empty, and lower it again while enough are"}},
		New: func(o map[string]string) (any, error) {
			l, err := positive(o, "lambda")
			if err != nil {
				return nil, err
			}
			s := &groupLasso{lambda: l}
			if s.ramp, err = fraction(o, "ramp"); err != nil {
				return nil, err
			}
			for name, to := range map[string]*bool{"filters": &s.filters, "adapt": &s.adapt} {
				if *to, err = strconv.ParseBool(o[name]); err != nil {
					return nil, fmt.Errorf("%s %q: want true or false", name, o[name])
				}
			}
			return s, nil
		},
	})
}

// groupLasso adds λ·Σ_c √|θ_c|·‖θ_c‖ to the loss, θ_c being γ and β of all batch
// normalizations that a channel passes, and the filters that compute it if asked
// to, as a proximal step after each update: θ_c ← θ_c·max(0, 1 − ηλ√|θ_c|/‖θ_c‖).
// |θ_c| counts in units of one γ and β.
type groupLasso struct {
	lambda, ramp   float64
	filters, adapt bool
}

func (s *groupLasso) Score() string {
	if s.filters {
		return "depgraph"
	}
	return "bn"
}

func (s *groupLasso) Hook(groups []*graph.Group, rate float64) (train.Hook, error) {
	h := &groupLassoHook{groupLasso: s, rate: rate, strength: []float32{1}}
	for _, gr := range groups {
		var list []graph.Member
		for _, b := range batchNorms(gr) {
			list = append(list, b.scale, b.shift)
		}
		if s.filters {
			for _, m := range gr.Members {
				if m.Role != graph.Consumes && !isStatistic(m) && !m.Node.Is("BatchNormalization") {
					list = append(list, m)
				}
			}
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
	rate     float64
	groups   []*graph.Group
	members  [][]graph.Member
	strength []float32 // factor of lambda, 1 unless it adapts
}

// Vectors is the strength that was adapted.
func (h *groupLassoHook) Vectors() []train.Vector {
	return []train.Vector{{Name: "strength", Data: h.strength}}
}

func (h *groupLassoHook) AfterStep(s *train.State) error {
	by := s.LR * h.lambda * float64(h.strength[0])
	if h.ramp > 0 {
		by *= min(1, s.Fraction/h.ramp)
	}
	h.channels(s, func(theta []*float32) { proximal(theta, by*math.Sqrt(float64(len(theta))/2)) })
	return nil
}

// EpochEnd adapts the strength.
func (h *groupLassoHook) EpochEnd(s *train.State) error {
	if !h.adapt {
		return nil
	}
	all, empty := 0, 0
	h.channels(s, func(theta []*float32) {
		all++
		for _, v := range theta {
			if *v != 0 {
				return
			}
		}
		empty++
	})
	if float64(empty) < h.rate*float64(all) {
		h.strength[0] *= 1.5
	} else {
		h.strength[0] /= 1.5
	}
	return nil
}

// channels calls do with what is penalized of each channel.
func (h *groupLassoHook) channels(s *train.State, do func(theta []*float32)) {
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
					each(m, k, func(o int) { theta = append(theta, &w[o]) })
				}
			}
			do(theta)
		}
	}
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
