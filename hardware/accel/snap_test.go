package accel

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestResNet50(t *testing.T) {
	w := resNet50()
	if w.MACs() != 4089184256 || w.Words(hardware.Weights) != 25502912 || len(w.Layers) != 54 {
		t.Errorf("%d layers, %d MACs, %d weights", len(w.Layers), w.MACs(), w.Words(hardware.Weights))
	}
}

// TestSNAPRates: what a PE does in a cycle is limited by its multipliers, by
// the window of the matcher, or by the channels there are.
func TestSNAPRates(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      int
		density hardware.Density
		want    float64 // products a cycle and PE
	}{
		{"multipliers", 256, hardware.Density{W: 0.5, In: 0.5}, 2.25},
		{"window", 256, hardware.Density{W: 0.05, In: 0.9}, 1.6},
		{"channels", 3, hardware.Density{W: 0.5, In: 1}, 1.5},
	} {
		l := hardware.Conv("c", 1, 1, 64, c.in, 14, 1, 1, 0)
		l.Density = c.density
		cost, err := snapCost(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := cost.Effectual / cost.Cycles / snapPEs; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v products, want %v", c.name, got, c.want)
		}
	}
	empty := hardware.Conv("c", 1, 1, 64, 64, 14, 1, 1, 0)
	empty.Density.W = 0
	if c, err := snapCost(empty); err != nil || c.Cycles != 1 {
		t.Errorf("a layer of zeros takes %v cycles, %v", c.Cycles, err)
	}
}
