package train

import (
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		s       Schedule
		t, want float64
	}{
		{Schedule{}, 0.7, 1},
		{Schedule{Warmup: 10}, 0.05, 0.5},
		{Schedule{Warmup: 10}, 0.2, 1},
		{Schedule{Kind: Step}, 0.49, 1},
		{Schedule{Kind: Step}, 0.5, 0.1},
		{Schedule{Kind: Step}, 0.75, 0.01},
		{Schedule{Kind: Step, Milestones: []float64{30}, Gamma: 0.2}, 0.3, 0.2},
		{Schedule{Kind: Cosine}, 0, 1},
		{Schedule{Kind: Cosine}, 0.5, 0.5},
		{Schedule{Kind: Cosine}, 1, 0},
		{Schedule{Kind: Cosine, Final: 0.1}, 1, 0.1},
		{Schedule{Kind: Cosine, Warmup: 20}, 0.6, 0.5},
		{Schedule{Kind: Polynomial, Power: 2}, 0.5, 0.25},
		{Schedule{Kind: Polynomial}, 0.5, 0.5},
		{Schedule{Kind: OneCycle}, 0, 0.04},
		{Schedule{Kind: OneCycle}, 0.3, 1},
		{Schedule{Kind: OneCycle, Warmup: 50}, 0.75, 0.5},
		{Schedule{Kind: OneCycle}, 1, 0},
		{Schedule{Kind: Cosine}, 7, 0},
	} {
		if err := c.s.check(); err != nil {
			t.Error(err)
		}
		if got := c.s.Factor(c.t, 100); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v at %v: factor %v, want %v", c.s, c.t, got, c.want)
		}
	}
	if (Schedule{Warmup: -1}).check() == nil {
		t.Error("a negative warm-up is accepted")
	}
}
