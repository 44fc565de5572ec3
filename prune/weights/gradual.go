package weights

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// gradual is the Learner of a score that rates weights as they are: during
// training, every hundredth part of it, the masks follow the schedule.
type gradual struct{ score Score }

// intervals is how often masks are chosen anew in one training.
const intervals = 100

// gradualHook holds the masks between the updates.
type gradualHook struct {
	Keeper
	g       *gradual
	course  *Course
	updated []float32 // the interval of the last update, +1
}

func (g *gradual) Learn(c *Course) (train.Keeper, error) {
	h := &gradualHook{g: g, course: c, updated: make([]float32, 1)}
	h.Masks = ones(c)
	return h, nil
}

// ones are masks that keep everything.
func ones(c *Course) Masks {
	m := Masks{}
	for _, l := range c.Layers {
		m[l.Value.Name] = slices.Repeat([]float32{1}, len(l.W))
	}
	return m
}

// vectors lists masks in the order of the layers.
func (m Masks) vectors(c *Course, prefix string) []train.Vector {
	var out []train.Vector
	for _, l := range c.Layers {
		out = append(out, train.Vector{Name: prefix + l.Value.Name, Data: m[l.Value.Name]})
	}
	return out
}

// set copies other masks into m, whose memory checkpoints know.
func (m Masks) set(other Masks) {
	for name, v := range other {
		copy(m[name], v)
	}
}

func (h *gradualHook) Vectors() []train.Vector {
	return append(h.Masks.vectors(h.course, ""), train.Vector{Name: "updated", Data: h.updated})
}

func (h *gradualHook) AfterStep(s *train.State) error {
	interval := float32(math.Floor(s.Fraction*intervals)) + 1
	if interval != h.updated[0] {
		h.updated[0] = interval
		m, err := choose(h.course, h.course.Target(s.Fraction), h.g.score, h.Masks, s)
		if err != nil {
			return err
		}
		h.Masks.set(m)
	}
	return h.Keeper.AfterStep(s)
}

// choose rates the weights under training.
func choose(c *Course, target float64, score Score, last Masks, s *train.State) (Masks, error) {
	var failed error
	m, err := c.Choose(target, func(l *Layer) []float64 {
		rated, err := score.Rate(l.with(live(s, l)))
		if err != nil {
			failed = err
			return make([]float64, len(l.W))
		}
		return rated
	}, last)
	if failed != nil {
		return nil, failed
	}
	return m, err
}

// live are a layer's weights under training.
func live(s *train.State, l *Layer) []float32 {
	if p := s.Param(l.Value.Name); p != nil {
		return tensor.Data[float32](p)
	}
	return l.W
}

// Finish removes what is missing for the whole target.
func (g *gradual) Finish(out *graph.Graph, c *Course) (Masks, error) { return finish(out, c, g.score) }

// finish chooses for the last time, among the weights that are not zero.
func finish(out *graph.Graph, c *Course, score Score) (Masks, error) {
	last := Masks{}
	rated := map[string][]float64{}
	for _, l := range c.Layers {
		w := tensor.Data[float32](out.Value(l.Value.Name).Data)
		last[l.Value.Name] = nonZero(w)
		var err error
		if rated[l.Name], err = score.Rate(l.with(w)); err != nil {
			return nil, err
		}
	}
	m, err := c.Choose(c.Sparsity, func(l *Layer) []float64 { return rated[l.Name] }, last)
	if err != nil {
		return nil, err
	}
	return m, m.Apply(out)
}
