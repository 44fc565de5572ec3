package train

import (
	"fmt"
	"math"
	"slices"
)

// ScheduleKind names the shape of the learning rate over a run.
type ScheduleKind string

// The schedules.
const (
	Constant   ScheduleKind = "constant"
	Step       ScheduleKind = "step"       // times Gamma at each milestone
	Cosine     ScheduleKind = "cosine"     // half a cosine down to Final (Loshchilov and Hutter, 2017)
	Polynomial ScheduleKind = "polynomial" // (1-t)^Power down to Final
	OneCycle   ScheduleKind = "one-cycle"  // cosine up to the rate, then down to Final (Smith and Topin, 2019)
)

// Schedule gives the factor of the learning rate at each step.
type Schedule struct {
	Kind ScheduleKind // default Constant
	// Warmup is the number of epochs (fractions allowed) over which the factor
	// rises linearly to 1; for OneCycle the length of the rise, default 30 % of
	// the run.
	Warmup float64
	// Milestones are the epochs of Step; default half and three quarters of
	// the run.
	Milestones []float64
	Gamma      float64 // of Step, default 0.1
	Power      float64 // of Polynomial, default 1
	Final      float64 // factor at the end, default 0
}

// ScheduleKinds lists the schedules.
func ScheduleKinds() []ScheduleKind {
	return []ScheduleKind{Constant, Step, Cosine, Polynomial, OneCycle}
}

func (s Schedule) check() error {
	if s.Kind != "" && !slices.Contains(ScheduleKinds(), s.Kind) {
		return fmt.Errorf("unknown schedule %q; there are %v", s.Kind, ScheduleKinds())
	}
	if s.Warmup < 0 || s.Gamma < 0 || s.Power < 0 || s.Final < 0 || math.IsNaN(s.Warmup+s.Gamma+s.Power+s.Final) {
		return fmt.Errorf("schedule %+v has a negative number", s)
	}
	return nil
}

// Factor is what the learning rate is multiplied by when the share t (0 to 1)
// of a run of that many epochs is done.
func (s Schedule) Factor(t, epochs float64) float64 {
	t = min(max(t, 0), 1)
	warm := 0.0
	if epochs > 0 {
		warm = min(s.Warmup/epochs, 1)
	}
	if s.Kind == OneCycle {
		if s.Warmup == 0 {
			warm = 0.3
		}
		if t < warm { // from 1/25
			return 0.04 + 0.96*(1-math.Cos(math.Pi*t/warm))/2
		}
		return s.down((t-warm)/max(1-warm, 1e-12), cosine)
	}
	if t < warm {
		return t / warm
	}
	u := (t - warm) / max(1-warm, 1e-12)
	switch s.Kind {
	case Step:
		return s.steps(t, epochs)
	case Cosine:
		return s.down(u, cosine)
	case Polynomial:
		power := s.Power
		if power == 0 {
			power = 1
		}
		return s.down(u, func(u float64) float64 { return math.Pow(1-u, power) })
	}
	return 1
}

func cosine(u float64) float64 { return (1 + math.Cos(math.Pi*u)) / 2 }

// down runs from 1 to Final along a curve from 1 to 0.
func (s Schedule) down(u float64, curve func(float64) float64) float64 {
	return s.Final + (1-s.Final)*curve(min(u, 1))
}

func (s Schedule) steps(t, epochs float64) float64 {
	gamma, at := s.Gamma, s.Milestones
	if gamma == 0 {
		gamma = 0.1
	}
	if len(at) == 0 {
		at = []float64{epochs / 2, epochs * 3 / 4}
	}
	f := 1.0
	for _, m := range at {
		if t*epochs >= m {
			f *= gamma
		}
	}
	return f
}
