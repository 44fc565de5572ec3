package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestArmDot(t *testing.T) {
	for _, c := range []struct {
		out, in, w, a int
		want          float64
	}{{64, 64, 8, 8, 128}, {61, 62, 4, 2, 128}, {64, 64, 16, 8, 256}, {64, 64, 16, 16, 512}, {1, 1, 8, 8, 0.5}, {65, 64, 8, 8, 136}} {
		l := hardware.FC("fc", 1, c.out, c.in)
		l.Bits.W, l.Bits.A = c.w, c.a
		if got := armCycles(l); got != c.want {
			t.Errorf("%d×%d, %d×%d bits: %v cycles, want %v", c.out, c.in, c.w, c.a, got, c.want)
		}
	}
}
