package accel

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestCrossbarCounts(t *testing.T) {
	small := crossbar{rows: 4, cols: 6, cellBits: 2, weightBits: 3, inputBits: 5, dacBits: 2, activeRows: 3, signed: 2}
	for _, c := range []struct {
		name   string
		x      crossbar
		layer  *hardware.Layer
		arrays int
		cells  float64
		steps  float64
		adc    int
	}{
		{"isaac, conv1_2 of VGG", isaac, hardware.Conv("c", 1, 1, 64, 64, 224, 3, 1, 1), 5 * 4, 64 * 576 * 8, 16, 9},
		{"isaac, one of each", isaac, hardware.FC("f", 1, 1, 1), 1, 8, 16, 9},
		{"depthwise", isaac, hardware.Conv("d", 1, 32, 32, 32, 16, 3, 1, 1), 32, 32 * 9 * 8, 16, 9},
		{"small", small, hardware.FC("f", 2, 7, 9), 3 * 3 * 2, 63 * 4, 3 * 2, 5}, // 3·3·3 = 27 < 32
	} {
		if got := c.x.arrays(c.layer); got != c.arrays {
			t.Errorf("%s: %d arrays, want %d", c.name, got, c.arrays)
		}
		if got := c.x.cells(c.layer); got != c.cells {
			t.Errorf("%s: %v cells, want %v", c.name, got, c.cells)
		}
		if got := c.x.steps(); got != c.steps {
			t.Errorf("%s: %v steps, want %v", c.name, got, c.steps)
		}
		if got := c.x.adcBits(); got != c.adc {
			t.Errorf("%s: %d bits of converter, want %d", c.name, got, c.adc)
		}
	}
}

// TestCrossbarPlace checks that copies fit, that they balance the pipeline, and
// that more arrays never make it slower.
func TestCrossbarPlace(t *testing.T) {
	w := hardware.AlexNet(1)
	need := isaac.need(w)
	if _, err := isaac.place(w, need-1); err == nil {
		t.Error("a network was placed on fewer crossbars than it needs")
	}
	last := math.Inf(1)
	for _, budget := range []int{need, need + 1, need + 100, 2 * need, 5 * need, 1000 * need} {
		ps, err := isaac.place(w, budget)
		if err != nil {
			t.Fatal(err)
		}
		used, pace := 0, 0.0
		for _, p := range ps {
			used += p.arrays * p.copies
			pace = max(pace, p.busy)
		}
		if used > budget {
			t.Errorf("%d crossbars used of %d", used, budget)
		}
		if pace > last {
			t.Errorf("%d crossbars: pace %v, slower than the %v of fewer", budget, pace, last)
		}
		last = pace
		if u := isaac.utilization(ps, budget); u <= 0 || u > 1 {
			t.Errorf("utilization %v", u)
		}
	}
	if last != 1 {
		t.Errorf("with crossbars for every product the pace is %v, want 1", last)
	}
}

// TestISAACFull checks that a layer that fills a chip runs at its peak and at
// its power.
func TestISAACFull(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 16, 128, isaacChip, 1, 1, 0)
	l.Size[hardware.Q], l.Width = 1, 1
	r, err := runISAAC(&hardware.Workload{Name: "full", Batch: 1, Layers: []*hardware.Layer{l}})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Utilization-1) > 1e-9 || math.Abs(r.PowerW/isaacPower()-1) > 1e-9 {
		t.Errorf("utilization %v, power %v W; want 1 and %v W", r.Utilization, r.PowerW, isaacPower())
	}
}
