package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestBNNAdaptive: no fixed arrangement beats the adaptive one on any layer,
// and over a network adapting gains.
func TestBNNAdaptive(t *testing.T) {
	for name, layers := range map[string][]*hardware.Layer{"vgg": bnnVGG(), "cnv": finnCNV(10), "sfc": finnSFC()} {
		for _, l := range layers {
			best, cycles := bnnBest(l)
			if best.in*best.out*best.pixels != bnnLanes || best.cycles(l) != cycles {
				t.Errorf("%s %s: %v takes %v cycles, not %v", name, l.Name, best, best.cycles(l), cycles)
			}
			if least := float64(l.MACs()) / bnnLanes; cycles < least {
				t.Errorf("%s %s: %v cycles, all lanes busy need %v", name, l.Name, cycles, least)
			}
			for _, a := range bnnArrangements() {
				if a.cycles(l) < cycles {
					t.Errorf("%s %s: %v beats %v", name, l.Name, a, best)
				}
			}
		}
		if g := bnnGain(layers, bnnArrangements()...); g < 1 || name != "sfc" && g <= 1 {
			t.Errorf("%s: adapting gains %v", name, g)
		}
	}
}

func TestBNNBits(t *testing.T) {
	l := bnnVGG()[3]
	_, one := bnnBest(l)
	l.Bits.W, l.Bits.A = 2, 3
	if _, six := bnnBest(l); six != 6*one {
		t.Errorf("2×3 bits take %v cycles, one bit %v", six, one)
	}
}
