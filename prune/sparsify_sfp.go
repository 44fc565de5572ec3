package prune

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "sfp", Family: method.Sparsify, Summary: "soft filter pruning: after every epoch the weakest filters become zero, and may grow again",
		Paper: "He et al., Soft filter pruning for accelerating deep CNNs, IJCAI", Year: 2018,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "score", Default: "l2", Help: "which filters are the weakest: a score that needs no images; fpgm gives the soft form of FPGM"},
			{Name: "ramp", Default: "0", Help: "share of the training over which the rate grows to the whole (asymptotic soft filter pruning)"}},
		New: func(o map[string]string) (any, error) {
			score, err := method.New[Score](method.Prune, o["score"])
			if err != nil {
				return nil, err
			}
			if _, ok := score.(Observer); ok {
				return nil, fmt.Errorf("score %s needs images; take one that does not", o["score"])
			}
			ramp, err := fraction(o, "ramp")
			return &sfp{name: o["score"], score: score, ramp: ramp}, err
		},
	})
}

// sfp zeroes ⌊P·n⌋ filters of each group at the end of every epoch, also the
// last; in between they are trained like all others. What batch normalization
// makes of a zero filter is a constant that removal folds into the next layer.
type sfp struct {
	name  string
	score Score
	ramp  float64
}

func (s *sfp) Score() string { return s.name }

func (s *sfp) Hook(groups []*graph.Group, rate float64) (train.Hook, error) {
	return &sfpHook{sfp: s, groups: groups, rate: rate}, nil
}

type sfpHook struct {
	train.NoHook
	*sfp
	groups []*graph.Group
	rate   float64
}

func (h *sfpHook) EpochEnd(s *train.State) error {
	rate := h.rate
	if h.ramp > 0 {
		rate *= min(1, s.Fraction/h.ramp)
	}
	mirror(s, h.groups)
	for _, gr := range h.groups {
		score, err := h.score.Channels(gr)
		if err != nil {
			return fmt.Errorf("group %q: %w", gr.Name, err)
		}
		for _, c := range gr.Choose(ascending(score), int(rate*float64(gr.Size)+1e-9)) {
			for _, m := range gr.Producers() {
				live(s, m, func(w []float32) {
					for _, i := range m.At[c] {
						each(m, i, func(k int) { w[k] = 0 })
					}
				})
			}
		}
	}
	return nil
}
