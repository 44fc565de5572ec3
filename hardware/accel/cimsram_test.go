package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestCIMCounts(t *testing.T) {
	for _, c := range []struct {
		layer                 *hardware.Layer
		arrays, tiles, placed int
	}{
		{hardware.Conv("conv", 1, 1, 128, 3, 32, 3, 1, 1), 9 * 8, 2, 2 * 9 * 16},
		{hardware.Conv("depthwise", 1, 32, 32, 32, 16, 3, 1, 1), 32 * 9, 32, 32 * 9 * 16},
		{hardware.FC("fc", 1, 10, 1024), 8, 1, 64},
	} {
		tiles, placed := cimTiles(c.layer)
		if got := cimArrays(c.layer); got != c.arrays || tiles != c.tiles || placed != c.placed {
			t.Errorf("%s: %d arrays, %d tiles of %d; want %d, %d, %d", c.layer.Name, got, tiles, placed, c.arrays, c.tiles, c.placed)
		}
	}
	steps := 0.0
	for _, l := range vgg8().Layers {
		steps += float64(cimArrays(l)*products(l)) * cim.steps()
	}
	if steps != 2981952 {
		t.Errorf("VGG-8 takes %.0f steps of arrays; the energy of one was fitted for 2981952", steps)
	}
}

// TestCIMBound checks that the first layer of the reference is the slowest.
func TestCIMBound(t *testing.T) {
	r, err := runCIM(vgg8())
	if err != nil || r.Bound != "conv1" {
		t.Errorf("bound by %v, %v", r.Bound, err)
	}
}
