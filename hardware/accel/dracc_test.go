package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestDrAccKnobs checks that the model follows its knobs and its cap.
func TestDrAccKnobs(t *testing.T) {
	w := hardware.AlexNet(1)
	run := func(change func(*drAcc)) *hardware.Report {
		d := dracc
		change(&d)
		r, err := d.run(w)
		if err != nil {
			t.Fatal(err)
		}
		if r.PowerW > d.powerW*(1+1e-9) {
			t.Errorf("%v W, the cap is %v", r.PowerW, d.powerW)
		}
		return r
	}
	base := run(func(*drAcc) {})
	for name, c := range map[string]struct {
		change func(*drAcc)
		slower bool
	}{
		"half the power":    {func(d *drAcc) { d.powerW /= 2 }, true},
		"twice the power":   {func(d *drAcc) { d.powerW *= 2 }, false},
		"majority gates":    {func(d *drAcc) { d.perBit = 8 }, true},
		"twenty subarrays":  {func(d *drAcc) { d.subarrays = 20 }, true},
		"narrower rows":     {func(d *drAcc) { d.lanes /= 8; d.subarrays = 40 }, true},
		"a cheaper adder":   {func(d *drAcc) { d.perBit = 3 }, false},
		"no fixed overhead": {func(d *drAcc) { d.fixed = 0 }, false},
	} {
		if r := run(c.change); (r.Cycles > base.Cycles) != c.slower {
			t.Errorf("%s: %v cycles, base %v", name, r.Cycles, base.Cycles)
		}
	}
	d := dracc
	d.powerW = 1e-6
	if _, err := d.run(w); err == nil {
		t.Error("a cap below one subarray was accepted")
	}
}

func TestDrAccSparse(t *testing.T) {
	dense, sparse := hardware.Conv("c", 1, 1, 64, 64, 56, 3, 1, 1), hardware.Conv("c", 1, 1, 64, 64, 56, 3, 1, 1)
	sparse.Density.W = 0.5
	a, _ := dracc.layer(dense, 40)
	b, _ := dracc.layer(sparse, 40)
	if b >= a || b < a/2 {
		t.Errorf("%v row operations dense, %v at half the density", a, b)
	}
	one, busy := dracc.layer(hardware.FC("fc", 1, 1, 1), 40)
	if one != 2*dracc.addition(16) || busy != 1 {
		t.Errorf("one MAC takes %v row operations in %v subarrays", one, busy)
	}
}

// TestDrAccNear brackets the paper's claim over a design next to the memory,
// whose buffers are not known, by one without and one with all reuse.
func TestDrAccNear(t *testing.T) {
	w := hardware.AlexNet(1)
	r, err := dracc.run(w)
	if err != nil {
		t.Fatal(err)
	}
	gain := func(reuse bool) float64 {
		fps, watts := nextToDRAM(w, reuse)
		return r.FramesPerSecond / r.PowerW / (fps / watts)
	}
	if least, most := gain(true), gain(false); least > 2.9 || most < 2.9 {
		t.Errorf("%v to %v times the frames per joule of a unit next to the DRAM; 2.9 does not lie between", least, most)
	}
}
