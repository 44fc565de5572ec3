package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestCIMCounts(t *testing.T) {
	for _, c := range []struct {
		layer                 *hardware.Layer
		bound                 float64
		tiles, placed, copies int
	}{
		{hardware.Conv("unrolled", 1, 1, 128, 3, 32, 3, 1, 1), 8, 2, 2 * 64, 16},
		{hardware.Conv("conv", 1, 1, 128, 128, 32, 3, 1, 1), 8, 8, 8 * 9 * 16, 16},
		{hardware.Conv("no copies wanted", 1, 1, 256, 128, 8, 3, 1, 1), 8, 4, 4 * 9 * 16, 4},
		{hardware.Conv("odd side", 1, 1, 256, 256, 10, 3, 1, 1), 8, 4, 4 * 9 * 16, 2},
		{hardware.Conv("depthwise", 1, 32, 32, 32, 16, 3, 1, 1), 8, 32, 32 * 64, 64},
		{hardware.FC("fc", 1, 10, 1024), 8, 1, 64, 8},
	} {
		tiles, placed, copies := cimPlace(c.layer, c.bound)
		if tiles != c.tiles || placed != c.placed || copies != c.copies {
			t.Errorf("%s: %d tiles of %d arrays, %d copies; want %d, %d, %d", c.layer.Name, tiles, placed, copies, c.tiles, c.placed, c.copies)
		}
	}
}

// TestCIMPace checks that copies make the convolutions of the reference equally
// fast (but conv5, whose tiles hold two), and that no layer is copied more than
// 8·8 times where tiles are full.
func TestCIMPace(t *testing.T) {
	w := vgg8()
	r, err := runCIM(w)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0.0
	for i := range r.Layers {
		if l := &r.Layers[i]; i < 6 && i != 4 && l.Cycles != 64*8 {
			t.Errorf("%s takes %v steps, want %d", w.Layers[i].Name, l.Cycles, 64*8)
		}
		matrices, tall, wide, _ := cimShape(w.Layers[i])
		steps += float64(matrices*tall*wide*products(w.Layers[i])) * cim.steps()
	}
	if steps != 2457664 {
		t.Errorf("VGG-8 takes %.0f steps of arrays; the energy of one was fitted for 2457664", steps)
	}
	wide := &hardware.Workload{Name: "wide", Batch: 1, Layers: []*hardware.Layer{
		hardware.Conv("large", 1, 1, 64, 512, 224, 3, 1, 1), hardware.Conv("small", 1, 1, 64, 512, 7, 3, 1, 1)}}
	if _, _, copies := cimPlace(wide.Layers[0], cimBound(wide)); copies != cimSpeedUp*cimSpeedUp {
		t.Errorf("%d copies, want %d", copies, cimSpeedUp*cimSpeedUp)
	}
}
