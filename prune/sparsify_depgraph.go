package prune

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "depgraph", Family: method.Sparsify, Summary: "weight decay that grows as a channel's group norm shrinks",
		Paper: "Fang et al., DepGraph: Towards any structural pruning, CVPR", Year: 2023,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "reg", Default: "1e-4", Help: "decay of the strongest channel; the weakest gets 16 times that"}},
		New: func(o map[string]string) (any, error) {
			r, err := positive(o, "reg")
			return &depgraphDecay{r}, err
		},
	})
}

// depgraphDecay adds reg·γ_c·w to the gradients of all that computes, scales or
// reads channel c, with γ_c = 2^(4·(I_max − I_c)/(I_max − I_min)) by the score
// "depgraph", taken anew at the beginning of every epoch.
type depgraphDecay struct{ reg float64 }

func (*depgraphDecay) Score() string { return "depgraph" }

func (s *depgraphDecay) Hook(groups []*graph.Group, _ float64) (train.Hook, error) {
	h := &depgraphHook{depgraphDecay: s, groups: groups}
	for _, gr := range groups {
		h.factor = append(h.factor, make([]float32, gr.Size))
	}
	return h, nil
}

type depgraphHook struct {
	train.NoHook
	*depgraphDecay
	groups []*graph.Group
	factor [][]float32 // of each group's channels
}

// Vectors are the factors of the epoch.
func (h *depgraphHook) Vectors() []train.Vector {
	var out []train.Vector
	for i, gr := range h.groups {
		out = append(out, train.Vector{Name: gr.Name, Data: h.factor[i]})
	}
	return out
}

func (h *depgraphHook) BeforeForward(s *train.State) error {
	if s.Step == 0 {
		return h.rate(s)
	}
	return nil
}

func (h *depgraphHook) EpochEnd(s *train.State) error { return h.rate(s) }

func (h *depgraphHook) rate(s *train.State) error {
	mirror(s, h.groups)
	for i, gr := range h.groups {
		score, err := depgraph{2}.Channels(gr)
		if err != nil {
			return err
		}
		copy(h.factor[i], decays(score))
	}
	return nil
}

// decays is 2^(4·(I_max − I)/(I_max − I_min)).
func decays(score []float64) []float32 {
	lo, hi := slices.Min(score), slices.Max(score)
	out := make([]float32, len(score))
	for c, v := range score {
		out[c] = float32(math.Exp2(4 * (hi - v) / max(hi-lo, 1e-30)))
	}
	return out
}

func (h *depgraphHook) AfterBackward(s *train.State) error {
	for i, gr := range h.groups {
		for _, m := range gr.Members {
			g := gradientOf(s, m)
			if g == nil || isStatistic(m) {
				continue
			}
			live(s, m, func(w []float32) {
				for c, at := range m.At {
					f := float32(h.reg) * h.factor[i][c]
					for _, k := range at {
						each(m, k, func(o int) { g[o] += f * w[o] })
					}
				}
			})
		}
	}
	return nil
}
