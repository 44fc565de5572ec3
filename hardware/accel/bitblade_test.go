package accel

import "testing"

// TestBitBladeCycles: as fast as Bit Fusion, with less energy in the array
// only.
func TestBitBladeCycles(t *testing.T) {
	w := bfSVHN()
	a, err := bitFusion.run(w)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bitBlade.run(w)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Layers {
		x, y := &a.Layers[i], &b.Layers[i]
		if x.Cycles != y.Cycles || y.MACEnergy >= x.MACEnergy || y.Energy >= x.Energy {
			t.Errorf("%s: Bit Fusion %v cycles, %v pJ; BitBlade %v, %v", x.Layer, x.Cycles, x.Energy, y.Cycles, y.Energy)
		}
	}
}
