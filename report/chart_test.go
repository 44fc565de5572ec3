package report

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestChartPlacesTicksAndPoints(t *testing.T) {
	c := &chart{Left: 42, Right: 352, Top: 8, Bottom: 204, X: axis{0, 0.9}, Y: axis{90, 93}}
	if x, y := c.at(0, 90); x != 42 || y != 204 {
		t.Errorf("the origin is at %g, %g, want 42, 204", x, y)
	}
	if got := c.points([2]float64{0.9, 93}, [2]float64{0.45, 91.5}); got != "352.00,8.00 197.00,106.00" {
		t.Errorf("points %q", got)
	}
	labels := func(ts []tick) string {
		var s []string
		for _, k := range ts {
			s = append(s, k.Label)
		}
		return strings.Join(s, " ")
	}
	if got, want := labels(c.XTicks()), "0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9"; got != want {
		t.Errorf("ticks %q, want %q", got, want)
	}
	if got, want := labels(c.YTicks()), "90.0 90.5 91.0 91.5 92.0 92.5 93.0"; got != want {
		t.Errorf("ticks %q, want %q", got, want)
	}
}

func TestTicksOfAnyRange(t *testing.T) {
	for _, a := range []axis{{0, 1e-9}, {91.73, 91.77}, {-3, 1e6}, {1, 1.0000001}, {0.5, 0.70001}} {
		ts := a.ticks(a.share)
		if len(ts) < 3 || len(ts) > 11 {
			t.Errorf("%v has %d ticks", a, len(ts))
		}
		seen := map[string]bool{}
		for _, k := range ts {
			if v, err := strconv.ParseFloat(k.Label, 64); err != nil || k.At < -1e-9 || k.At > 1+1e-9 || seen[k.Label] ||
				math.Abs(a.share(v)-k.At) > 0.02 {
				t.Errorf("%v: tick %q at %g", a, k.Label, k.At)
			}
			seen[k.Label] = true
		}
	}
	(axis{1e17, 1e17 + 64}).ticks(func(v float64) float64 { return v }) // numbers too large to count by one
	for _, a := range []axis{{1, 1}, {2, 1}, {0, math.Inf(1)}, {math.NaN(), 1}} {
		if ts := a.ticks(a.share); ts != nil {
			t.Errorf("%v has ticks %v", a, ts)
		}
	}
}
