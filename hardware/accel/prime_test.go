package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestPRIMEMats(t *testing.T) {
	if got := prime.arrays(hardware.FC("fc", 1, 512, 512)); got != 2*2*4 {
		t.Errorf("512×512 takes %d mats, want 2·4 for its two 4-bit halves, twice for the signs", got)
	}
	want := map[string]int{"cnn-1": 2 * 5, "cnn-2": 2 * 7, "mlp-s": 2 * 21, "mlp-m": 2 * 53, "mlp-l": 2 * 114, "vgg-d": 2 * 4230}
	for _, w := range mlBench() {
		if got := prime.need(w); got != want[w.Name] {
			t.Errorf("%s takes %d mats, want %d", w.Name, got, want[w.Name])
		}
		before, after, err := primeUtilization(w)
		if err != nil || before <= 0 || after < before || after > 1 {
			t.Errorf("%s: utilization %v, with copies %v, %v", w.Name, before, after, err)
		}
	}
}

// TestCrossbarFits: copies of small blocks lie along a mat's diagonal, those
// of blocks that fill their rows or columns in mats of their own.
func TestCrossbarFits(t *testing.T) {
	for _, c := range []struct {
		blocks []block
		mats   int
		want   int
	}{
		{[]block{{25, 10}}, 2, 10},              // 256/25 rows
		{[]block{{25, 100}}, 2, 2},              // 256/100 columns
		{[]block{{256, 1}}, 6, 3},               // a pair of mats for each
		{[]block{{200, 200}, {56, 56}}, 4, 2},   // together
		{[]block{{200, 200}, {57, 56}}, 4, 1},   // not together
		{[]block{{100, 100}, {256, 256}}, 2, 0}, // not at all
	} {
		if got := prime.fits(c.blocks, c.mats); got != c.want {
			t.Errorf("%v in %d mats: %d copies, want %d", c.blocks, c.mats, got, c.want)
		}
	}
	for _, w := range mlBench() {
		if got := len(prime.blocks(w)) * prime.signed; got != prime.need(w) {
			t.Errorf("%s: %d blocks, %d mats", w.Name, got, prime.need(w))
		}
	}
}

// TestPRIMEOrder checks that larger perceptrons, which fetch more weights on
// the baseline, gain more.
func TestPRIMEOrder(t *testing.T) {
	last := 0.0
	for _, w := range mlBench()[2:5] {
		speed, energy := primeGains(w)
		if speed <= last || energy <= 1 {
			t.Errorf("%s: %v× the speed after %v×, %v× the energy", w.Name, speed, last, energy)
		}
		last = speed
	}
}
