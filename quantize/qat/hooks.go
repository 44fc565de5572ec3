package qat

import (
	"math"

	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// set writes v to the variables of those names.
func set(s *train.State, names []string, v float32) {
	for _, name := range names {
		if t := s.Param(name); t != nil {
			tensor.Data[float32](t)[0] = v
		}
	}
}

// noise tells random rounding the number of the step, and to rest outside
// training.
type noise struct {
	train.NoHook
	names []string
}

func (h *noise) BeforeForward(s *train.State) error {
	set(s, h.names, float32(s.Step%(1<<24)))
	return nil
}

func (h *noise) EpochEnd(s *train.State) error {
	set(s, h.names, -1)
	return nil
}

// decay moves the temperature of the error decay estimator from first to last,
// geometrically over the run: t = T_min·(T_max/T_min)^(i/N) (IR-Net).
type decay struct {
	train.NoHook
	names       []string
	first, last float64
}

func (h *decay) at(fraction float64) float64 {
	return h.first * math.Pow(h.last/h.first, fraction)
}

func (h *decay) BeforeForward(s *train.State) error {
	set(s, h.names, float32(h.at(s.Fraction)))
	return nil
}

// later sets variables to 1 once a share of the run is done, to 0 before.
type later struct {
	train.NoHook
	names []string
	at    float64
}

func (h *later) BeforeForward(s *train.State) error {
	v := float32(0)
	if s.Fraction >= h.at {
		v = 1
	}
	set(s, h.names, v)
	return nil
}

// clamp keeps the weights behind binary ones within bounds, where the
// estimators' gradients live.
type clamp struct {
	train.NoHook
	names []string
	bound func(name string) float32
	// center takes the mean over the input channels off each filter first.
	center bool
}

func (h *clamp) AfterStep(s *train.State) error {
	for _, name := range h.names {
		t := s.Param(name)
		if t == nil {
			continue
		}
		w, b := tensor.Data[float32](t), h.bound(name)
		if h.center && len(t.Shape) > 2 {
			centerFilters(w, t.Shape)
		}
		for i, v := range w {
			w[i] = min(max(v, -b), b)
		}
	}
	return nil
}

// centerFilters takes off each filter's mean over its input channels, tap by
// tap.
func centerFilters(w []float32, shape []int) {
	taps := 1
	for _, d := range shape[2:] {
		taps *= d
	}
	for o := range shape[0] {
		for k := range taps {
			sum := float32(0)
			for c := range shape[1] {
				sum += w[(o*shape[1]+c)*taps+k]
			}
			for c := range shape[1] {
				w[(o*shape[1]+c)*taps+k] -= sum / float32(shape[1])
			}
		}
	}
}

// averages moves the ranges of activations by exponential averages. The
// operator's gradient is the range minus what the batch spans; the optimizer
// never sees it. Before delay, a share of the run, ranges stay empty and nothing
// is rounded.
type averages struct {
	train.NoHook
	names []string
	keep  float32
	delay float64
	moves map[string][2]float32
}

func (h *averages) AfterBackward(s *train.State) error {
	h.moves = map[string][2]float32{}
	for _, name := range h.names {
		g := s.Grad(name)
		if g == nil {
			continue
		}
		d := tensor.Data[float32](g)
		h.moves[name] = [2]float32{d[0], d[1]}
		d[0], d[1] = 0, 0
	}
	return nil
}

func (h *averages) AfterStep(s *train.State) error {
	if s.Fraction < h.delay {
		return nil
	}
	for name, m := range h.moves {
		r := tensor.Data[float32](s.Param(name))
		share := 1 - h.keep
		if r[0] >= r[1] { // the first range is taken as it is
			share = 1
		}
		r[0] -= share * m[0]
		r[1] -= share * m[1]
	}
	return nil
}

// steady lets learned steps change by at most a tenth at once: a rate that suits
// the weights can throw a small step below zero, from where no gradient leads
// back.
type steady struct {
	train.NoHook
	names []string
	old   map[string][]float32
}

// steadyShare is the greatest change of a step, as a share of it.
const steadyShare = 0.1

func (h *steady) BeforeForward(s *train.State) error {
	if h.old == nil {
		h.old = map[string][]float32{}
	}
	for _, name := range h.names {
		if t := s.Param(name); t != nil {
			h.old[name] = append(h.old[name][:0], tensor.Data[float32](t)...)
		}
	}
	return nil
}

func (h *steady) AfterStep(s *train.State) error {
	for name, old := range h.old {
		d := tensor.Data[float32](s.Param(name))
		for i, v := range old {
			d[i] = min(max(d[i], v*(1-steadyShare)), v*(1+steadyShare))
		}
	}
	return nil
}

// pull adds a multiple of the value to the gradient of each variable: an L2 term.
type pull struct {
	train.NoHook
	names []string
	by    float32
}

func (h *pull) AfterBackward(s *train.State) error {
	for _, name := range h.names {
		p, g := s.Param(name), s.Grad(name)
		if p != nil && g != nil {
			tensor.Data[float32](g)[0] += h.by * tensor.Data[float32](p)[0]
		}
	}
	return nil
}

// curvature hands on the square root of Adam's second moments (Hou et al., LAB).
type curvature struct {
	train.NoHook
	of map[string]string
}

func (h *curvature) AfterStep(s *train.State) error {
	for weight, to := range h.of {
		m, t := s.Momentum(weight), s.Param(to)
		if len(m) < 2 || t == nil {
			continue
		}
		d := tensor.Data[float32](t)
		for i, v := range m[1] {
			d[i] = float32(math.Sqrt(float64(v))) + 1e-8
		}
	}
	return nil
}
