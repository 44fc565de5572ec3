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
