package accel

import (
	"slices"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestStripesFullWidth: with 16 bits and whole sets of windows Stripes is as
// fast as the parallel machine, and p bits are 16/p times as fast.
func TestStripesFullWidth(t *testing.T) {
	l := hardware.Conv("c", 2, 1, 300, 40, 16, 3, 1, 1)
	for bits := 1; bits <= 16; bits++ {
		l.Bits.A = bits
		if got, want := stripesCycles(l)*16, dadiannaoCycles(l)*float64(bits); got != want {
			t.Errorf("%d bits: 16 times the cycles are %v, want %v", bits, got, want)
		}
	}
	fc := hardware.FC("fc", 1, 1000, 4096)
	fc.Bits.A = 4
	if stripesCycles(fc) != dadiannaoCycles(fc) {
		t.Error("a fully connected layer gains by fewer bits")
	}
}

func TestStripesNets(t *testing.T) {
	for i := range stripesNets {
		n := &stripesNets[i]
		w := n.workload()
		for _, l := range w.Layers {
			if err := l.Check(); err != nil {
				t.Errorf("%s: %v", n.name, err)
			}
		}
		s := stripesSpeedup(w)
		if least, most := 16/float64(slices.Max(n.bits)), 16/float64(slices.Min(n.bits)); s < 0.9*least || s > most+1e-9 {
			t.Errorf("%s: speed-up %v, its bits allow %v to %v", n.name, s, least, most)
		}
	}
	if got := stripesNet("AlexNet").MACs(); got != 665784864 {
		t.Errorf("AlexNet: %d MACs", got)
	}
	if got := stripesNet("GoogLeNet").MACs(); got < 1.5e9 || got > 1.6e9 {
		t.Errorf("GoogLeNet: %d MACs", got)
	}
	if stripesNet("none") != nil {
		t.Error("found a network that is not there")
	}
}
