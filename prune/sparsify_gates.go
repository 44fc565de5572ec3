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
		Name: "gates", Family: method.Sparsify, Summary: "learns a gate for each channel of a network whose weights, also random ones, stay as they are: the shape is found before training",
		Paper: "Wang et al., Pruning from scratch, AAAI", Year: 2020,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "balance", Default: "0.5", Help: "weight of the penalty that holds each group's mean gate at the share of channels to keep"},
			{Name: "rate", Default: "0.01", Help: "learning rate of the gates (Adam)"}},
		New: func(o map[string]string) (any, error) {
			b, err := positive(o, "balance")
			if err != nil {
				return nil, err
			}
			r, err := positive(o, "rate")
			return &gates{b, r}, err
		},
	})
}

// gates multiplies what batch normalization gives of channel c by a gate λ_c
// in [0, 1], 0.5 at the beginning, and trains nothing but these, with
// cross-entropy plus balance·Σ_l (mean(λ_l) − r)² over the groups l, r being the share
// of channels to keep. In the end the scales |γ·λ| rank the channels; removing
// them by a global threshold (allocation global:norm=none) gives a shape to be
// trained from new weights.
type gates struct{ balance, rate float64 }

func (*gates) Score() string { return "bn" }

func (s *gates) Hook(groups []*graph.Group, rate float64) (train.Hook, error) {
	h := &gatesHook{gates: s, keep: 1 - rate, taken: make([]float32, 1)}
	for _, gr := range groups {
		g := gated{size: gr.Size}
		for _, b := range batchNorms(gr) {
			for _, m := range []graph.Member{b.scale, b.shift} {
				g.members = append(g.members, m)
				g.start = append(g.start, m.Value.Data.Clone().Float32s())
			}
		}
		if g.members == nil {
			continue
		}
		for _, v := range []*[]float32{&g.gate, &g.first, &g.second} {
			*v = make([]float32, gr.Size)
		}
		for c := range g.gate {
			g.gate[c] = 0.5
		}
		h.groups = append(h.groups, g)
	}
	if h.groups == nil {
		return nil, errNoNorm
	}
	return h, nil
}

// gated is a group of channels with gates.
type gated struct {
	size          int
	members       []graph.Member // scales and shifts
	start         [][]float32    // their values without gates
	gate          []float32
	first, second []float32 // Adam's moments
}

type gatesHook struct {
	train.NoHook
	*gates
	keep   float64
	groups []gated
	taken  []float32            // 1 once start is that of the run
	frozen map[string][]float32 // all other parameters
}

// Vectors hold the gates, their moments and what they multiply.
func (h *gatesHook) Vectors() []train.Vector {
	out := []train.Vector{{Name: "taken", Data: h.taken}}
	for _, g := range h.groups {
		name := g.members[0].Value.Name
		out = append(out, train.Vector{Name: "gate:" + name, Data: g.gate}, train.Vector{Name: "first:" + name, Data: g.first},
			train.Vector{Name: "second:" + name, Data: g.second})
		for i, m := range g.members {
			out = append(out, train.Vector{Name: "start:" + m.Value.Name, Data: g.start[i]})
		}
	}
	return out
}

func (h *gatesHook) BeforeForward(s *train.State) error {
	if h.frozen == nil {
		h.remember(s)
	}
	h.show(s)
	return nil
}

// remember takes the parameters that are to stay as they are.
func (h *gatesHook) remember(s *train.State) {
	h.frozen = map[string][]float32{}
	for _, name := range s.Params() {
		h.frozen[name] = append([]float32(nil), tensor.Data[float32](s.Param(name))...)
	}
	for _, g := range h.groups {
		for i, m := range g.members {
			if v := h.frozen[m.Value.Name]; v != nil && h.taken[0] == 0 {
				copy(g.start[i], v)
			}
			delete(h.frozen, m.Value.Name)
		}
	}
	h.taken[0] = 1
}

// show puts the gated scales and shifts in place.
func (h *gatesHook) show(s *train.State) {
	for _, g := range h.groups {
		for i, m := range g.members {
			live(s, m, func(w []float32) {
				copy(w, g.start[i])
				for c, at := range m.At {
					for _, k := range at {
						w[k] = g.gate[c] * g.start[i][k]
					}
				}
			})
		}
	}
}

// AfterBackward moves the gates and leaves no gradient to anything else.
func (h *gatesHook) AfterBackward(s *train.State) error {
	for _, g := range h.groups {
		grad := g.gradients(s)
		mean := 0.0
		for _, v := range g.gate {
			mean += float64(v) / float64(g.size)
		}
		for c := range grad {
			grad[c] += 2 * h.balance * (mean - h.keep) / float64(g.size)
		}
		g.step(grad, h.rate, s.Step+1)
	}
	for _, name := range s.Params() {
		if t := s.Grad(name); t != nil {
			clear(tensor.Data[float32](t))
		}
	}
	return nil
}

// gradients are those of the gates: Σ over scales and shifts of gradient times
// what the gate multiplies.
func (g gated) gradients(s *train.State) []float64 {
	out := make([]float64, g.size)
	for i, m := range g.members {
		d := gradientOf(s, m)
		if d == nil {
			continue
		}
		for c, at := range m.At {
			for _, k := range at {
				out[c] += float64(d[k]) * float64(g.start[i][k])
			}
		}
	}
	return out
}

// step is one of Adam, after which the gates are cut to [0, 1].
func (g gated) step(grad []float64, rate float64, n int) {
	const b1, b2 = 0.9, 0.999
	for c, d := range grad {
		g.first[c] = float32(b1*float64(g.first[c]) + (1-b1)*d)
		g.second[c] = float32(b2*float64(g.second[c]) + (1-b2)*d*d)
		m := float64(g.first[c]) / (1 - math.Pow(b1, float64(n)))
		v := float64(g.second[c]) / (1 - math.Pow(b2, float64(n)))
		g.gate[c] = min(max(g.gate[c]-float32(rate*m/(math.Sqrt(v)+1e-8)), 0), 1)
	}
}

// AfterStep undoes what weight decay and momentum did.
func (h *gatesHook) AfterStep(s *train.State) error {
	for name, v := range h.frozen {
		copy(tensor.Data[float32](s.Param(name)), v)
	}
	h.show(s)
	return nil
}
