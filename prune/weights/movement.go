package weights

import (
	"fmt"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "movement", Family: method.Weights, Summary: "the weights that fine-tuning moves towards zero",
		Paper: "Sanh, Wolf and Rush, Movement pruning: Adaptive sparsity by fine-tuning, NeurIPS", Year: 2020,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "rate", Default: "1", Help: "learning rate of the scores"}},
		New: func(o map[string]string) (any, error) {
			r, err := strconv.ParseFloat(o["rate"], 64)
			if err != nil || !(r > 0) {
				return nil, fmt.Errorf("rate %q: want a number above 0", o["rate"])
			}
			return &movement{rate: r}, nil
		},
	})
}

// movement learns scores S ← S − α·(∂L/∂W')⊙W, with the gradient at the pruned
// weights W' and the stored W, and keeps the weights of the highest scores: of
// all layers by the allocation, along the cubic schedule over the first half of
// training. A weight that is masked stays as it was, and may come back.
type movement struct {
	rate  float64
	hooks *movementHook
}

type movementHook struct {
	shadow
	rate  float32
	score Masks
}

func (m *movement) Learn(c *Course) (train.Keeper, error) {
	m.hooks = &movementHook{shadow: newShadow(c), rate: float32(m.rate), score: Masks{}}
	for _, l := range c.Layers {
		m.hooks.score[l.Value.Name] = make([]float32, len(l.W))
	}
	return m.hooks, nil
}

func (h *movementHook) Vectors() []train.Vector {
	return append(h.shadow.Vectors(), h.score.vectors(h.course, "score:")...)
}

func (h *movementHook) AfterBackward(s *train.State) error {
	for _, l := range h.course.Layers {
		g := grad(s, l)
		if g == nil {
			continue
		}
		moved(h.score[l.Value.Name], g, h.full[l.Value.Name], h.rate)
		times(g, h.mask[l.Value.Name])
	}
	return nil
}

// moved is S ← S − α·g⊙w.
func moved(score, g, w []float32, rate float32) {
	for i, v := range g {
		score[i] -= rate * v * w[i]
	}
}

func (h *movementHook) AfterStep(s *train.State) error {
	for _, l := range h.course.Layers { // what is masked keeps its value
		w, full, mask := live(s, l), h.full[l.Value.Name], h.mask[l.Value.Name]
		for i, m := range mask {
			if m != 0 {
				full[i] = w[i]
			}
		}
		for _, v := range s.Momentum(l.Value.Name) {
			vec.Binary(vec.Mul, v, v, mask)
		}
	}
	m, err := h.choose(rising(s.Fraction, h.course.Sparsity))
	if err != nil {
		return err
	}
	h.mask.set(m)
	return nil
}

func (h *movementHook) choose(target float64) (Masks, error) {
	return h.course.Choose(target, func(l *Layer) []float64 {
		out := make([]float64, len(l.W))
		for i, v := range h.score[l.Value.Name] {
			out[i] = float64(v)
		}
		return out
	}, nil)
}

func (m *movement) Finish(out *graph.Graph, c *Course) (Masks, error) {
	masks, err := m.hooks.choose(c.Sparsity)
	if err != nil {
		return nil, err
	}
	for _, l := range c.Layers {
		v := out.Value(l.Value.Name)
		t := tensor.Of(append([]float32(nil), m.hooks.full[l.Value.Name]...), v.Data.Shape...)
		v.SetData(t)
	}
	return masks, masks.Apply(out)
}
