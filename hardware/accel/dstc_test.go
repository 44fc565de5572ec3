package accel

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestDSTC(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 64, 64, 16, 3, 1, 1)
	c, err := dstcCost(l)
	if err != nil || math.Abs(c.Cycles-float64(l.MACs())/(dstcCores*dstcMACs)) > 1e-6 {
		t.Errorf("a dense layer that fills its tiles takes %v cycles, %v", c.Cycles, err)
	}
	last := 1.1
	for _, d := range []float64{1, 0.8, 0.5, 0.2, 0.01} {
		share := dstcShare(d, d)
		if share >= last || share < d*d {
			t.Errorf("density %v: %v after %v", d, share, last)
		}
		last = share
	}
	// Empty columns cost nothing.
	if got := dstcShare(1e-9, 1); got > 1e-7 {
		t.Errorf("empty columns cost %v", got)
	}
}
