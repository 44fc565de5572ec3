package weights

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// Masks are the masks of a model's weights, by the name of the weight: 1 for
// what stays, 0 for what goes.
type Masks map[string][]float32

// Apply makes zero in g what goes.
func (m Masks) Apply(g *graph.Graph) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v := g.Value(name)
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 || v.Data.Len() != len(m[name]) {
			return fmt.Errorf("the model has no weight %q of %d elements", name, len(m[name]))
		}
		t := v.Data.Clone()
		times(tensor.Data[float32](t), m[name])
		v.SetData(t)
	}
	return nil
}

// times multiplies weights by a mask; what goes becomes +0.
func times(w, mask []float32) {
	for i, m := range mask {
		if m == 0 {
			w[i] = 0
		}
	}
}

func nonZero(w []float32) []float32 {
	m := make([]float32, len(w))
	for i, v := range w {
		if v != 0 {
			m[i] = 1
		}
	}
	return m
}

func magnitudes(w []float32) []float64 {
	out := make([]float64, len(w))
	for i, v := range w {
		out[i] = math.Abs(float64(v))
	}
	return out
}

// Keeper is the hook that keeps masks during training: weights that went stay
// zero, and so does their momentum.
type Keeper struct {
	train.NoHook
	Masks Masks
}

// BeforeForward masks what the run starts from.
func (k *Keeper) BeforeForward(s *train.State) error {
	if s.Step == 0 {
		k.apply(s)
	}
	return nil
}

// AfterStep masks what the optimizer has changed.
func (k *Keeper) AfterStep(s *train.State) error {
	k.apply(s)
	return nil
}

func (k *Keeper) apply(s *train.State) {
	for name, m := range k.Masks {
		if p := s.Param(name); p != nil {
			times(tensor.Data[float32](p), m)
		}
		for _, v := range s.Momentum(name) {
			vec.Binary(vec.Mul, v, v, m)
		}
	}
}

// Course is how a model is pruned: its layers, and how much of them is to go
// when.
type Course struct {
	Layers   []*Layer
	Sparsity float64
	Schedule prune.Schedule
	Pattern  Pattern
	Seed     uint64
	alloc    prune.Allocator
	notes    []string
}

// Note tells the user something.
func (c *Course) Note(format string, a ...any) { c.notes = append(c.notes, fmt.Sprintf(format, a...)) }

// Target is the share to be gone once the share t of the training is done.
func (c *Course) Target(t float64) float64 { return c.Schedule.At(t, c.Sparsity) }

// Choose makes masks that remove the share target of all weights, those of the
// lowest scores by the allocation. What last removed stays removed.
func (c *Course) Choose(target float64, score func(*Layer) []float64, last Masks) (Masks, error) {
	cs := c.candidates(score, last)
	keep := make([]int, len(cs))
	if c.Pattern.M == 0 {
		keep = c.alloc.Keep(cs, target)
	}
	for i, k := range keep {
		keep[i] = min(max(k, 1), len(cs[i].Score)) // an empty layer would silence the network
	}
	m := c.masks(cs, keep)
	for _, l := range c.Layers {
		if err := c.Pattern.Verify(l, m[l.Value.Name]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// candidates lists the layers' units for an allocator. What last removed gets
// the lowest score.
func (c *Course) candidates(score func(*Layer) []float64, last Masks) []prune.Candidate {
	cs := make([]prune.Candidate, len(c.Layers))
	for i, l := range c.Layers {
		s := score(l)
		if m := last[l.Value.Name]; m != nil {
			lowest := min(0, slices.Min(s))
			for k, v := range s {
				// What stays must come before what went, also at score zero.
				s[k] = max(v, math.SmallestNonzeroFloat64)
				if lowest < 0 {
					s[k] = v
				}
				if m[k] == 0 {
					s[k] = lowest * 2
				}
			}
		}
		cs[i] = prune.Candidate{Name: l.Name, Score: c.Pattern.rate(l, s), Shape: l.Shape, Cost: 1}
	}
	return cs
}

// masks keeps the best units of each candidate.
func (c *Course) masks(cs []prune.Candidate, keep []int) Masks {
	m := Masks{}
	for i, l := range c.Layers {
		m[l.Value.Name] = c.Pattern.choose(l, cs[i].Score, keep[i])
	}
	return m
}
