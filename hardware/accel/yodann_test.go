package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestYodaCycles: filters up to 5×5 run in pairs, those above 7×7 in parts.
func TestYodaCycles(t *testing.T) {
	for _, c := range []struct {
		kernel, out int
		want        float64 // windows of one pixel
	}{{7, 32, 16}, {7, 33, 32}, {6, 64, 32}, {5, 64, 16}, {3, 64, 16}, {3, 65, 32}, {8, 32, 64}, {11, 32, 64}} {
		l := hardware.Conv("c", 1, 1, c.out, 16, 20, c.kernel, 1, 0)
		l.Bits.W = 1
		pixels := float64(l.Size[hardware.P] * l.Size[hardware.Q])
		if got := yodaCycles(l) / pixels; got != c.want {
			t.Errorf("%d channels of %d×%d: %v cycles a pixel, want %v", c.out, c.kernel, c.kernel, got, c.want)
		}
		l.Bits.W = 3
		if got := yodaCycles(l) / pixels; got != 3*c.want {
			t.Errorf("3 bits take %v cycles a pixel, 1 bit %v", got, c.want)
		}
	}
}

// TestYodaObjective: the low voltage is slower and takes less energy.
func TestYodaObjective(t *testing.T) {
	a := hardware.Find("yodann")
	fast, err := a.Run(hardware.AlexNet(1), hardware.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slow, err := a.Run(hardware.AlexNet(1), hardware.RunOptions{Objective: hardware.Energy})
	if err != nil {
		t.Fatal(err)
	}
	if slow.Seconds <= fast.Seconds || slow.Energy >= fast.Energy || slow.Cycles != fast.Cycles {
		t.Errorf("slow: %v s, %v pJ; fast: %v s, %v pJ", slow.Seconds, slow.Energy, fast.Seconds, fast.Energy)
	}
}
