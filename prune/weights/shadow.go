package weights

import (
	"slices"

	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// shadow is the part that learners share whose removed weights live on unseen:
// the network computes with W⊙T, the optimizer changes all of W, and what was
// removed can come back.
type shadow struct {
	train.NoHook
	course *Course
	mask   Masks
	full   Masks // all weights, by name
	// project makes of a layer's full weights what the network computes with;
	// nil multiplies by the mask.
	project func(l *Layer, dst, full, mask []float32)
}

func newShadow(c *Course) shadow {
	s := shadow{course: c, mask: ones(c), full: Masks{}}
	for _, l := range c.Layers {
		s.full[l.Value.Name] = slices.Clone(l.W)
	}
	return s
}

func (h *shadow) Vectors() []train.Vector {
	return append(h.mask.vectors(h.course, "mask:"), h.full.vectors(h.course, "full:")...)
}

// show puts the pruned weights in place.
func (h *shadow) show(s *train.State) {
	for _, l := range h.course.Layers {
		w, full, mask := live(s, l), h.full[l.Value.Name], h.mask[l.Value.Name]
		copy(w, full)
		if h.project != nil {
			h.project(l, w, full, mask)
		} else {
			times(w, mask)
		}
	}
}

// BeforeForward shows the network the pruned weights.
func (h *shadow) BeforeForward(s *train.State) error {
	h.show(s)
	return nil
}

// AfterBackward shows the optimizer all weights.
func (h *shadow) AfterBackward(s *train.State) error {
	for _, l := range h.course.Layers {
		copy(live(s, l), h.full[l.Value.Name])
	}
	return nil
}

// taken remembers what the optimizer made of them.
func (h *shadow) taken(s *train.State) {
	for _, l := range h.course.Layers {
		copy(h.full[l.Value.Name], live(s, l))
	}
}

// EpochEnd shows validation the pruned weights.
func (h *shadow) EpochEnd(s *train.State) error {
	h.show(s)
	return nil
}

// grad is the gradient of a layer's weights in this step, nil if it has none.
func grad(s *train.State, l *Layer) []float32 {
	if t := s.Grad(l.Value.Name); t != nil {
		return tensor.Data[float32](t)
	}
	return nil
}
