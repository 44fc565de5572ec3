package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestNeurocubeRemote(t *testing.T) {
	if got := ncRemote(hardware.FC("fc", 2, 10, 100)); got != 15*200 {
		t.Errorf("a fully connected layer fetches %v words, want %d", got, 15*200)
	}
	if got := ncRemote(hardware.Conv("c", 1, 1, 8, 4, 16, 1, 1, 0)); got != 0 {
		t.Errorf("a pointwise convolution fetches %v words", got)
	}
	if got, want := ncRemote(hardware.Conv("c", 1, 1, 8, 4, 16, 3, 1, 1)), 16*4*(6*6-4*4.0); got != want {
		t.Errorf("tiles of 4×4 with windows of 3×3 fetch %v words, want %v", got, want)
	}
}

// TestNeurocubeBounds checks which limit a layer meets, and that a faster
// clock never takes more time.
func TestNeurocubeBounds(t *testing.T) {
	layers := []*hardware.Layer{hardware.Conv("conv", 1, 1, 64, 64, 56, 3, 1, 1), hardware.FC("fc", 1, 1000, 1000)}
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: layers}
	last := 0.0
	for i, clock := range []float64{10000, 5000, 1000, 300} {
		r, err := runNeurocube(hardware.Machine{Name: "n", ClockMHz: clock, PeakMACs: ncVaults}, w)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && r.Seconds < last {
			t.Errorf("%v MHz: %v s, a faster clock took %v", clock, r.Seconds, last)
		}
		last = r.Seconds
		if want := map[float64]string{10000: "vaults", 300: "compute"}[clock]; want != "" && r.Layer("fc").Bound != want {
			t.Errorf("%v MHz: fc is bound by %s, want %s", clock, r.Layer("fc").Bound, want)
		}
	}
}
