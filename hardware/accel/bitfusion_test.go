package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestFusion(t *testing.T) {
	for _, c := range []struct{ w, a, products, passes int }{
		{8, 8, 1, 1}, {4, 8, 2, 1}, {4, 4, 4, 1}, {2, 4, 8, 1}, {2, 2, 16, 1}, {1, 1, 16, 1}, {3, 8, 2, 1}, {5, 5, 1, 1},
		{16, 8, 1, 2}, {16, 16, 1, 4}, {16, 2, 4, 2},
	} {
		if products, passes := fusion(c.w, c.a); products != c.products || passes != c.passes {
			t.Errorf("%d×%d bits: %d products, %d passes", c.w, c.a, products, passes)
		}
	}
}

// TestBitFusionBits: fewer bits do not take longer, but for what is loaded
// before the array starts (more stays resident when it is smaller), and where
// compute bounds the layer four bits are four times as fast as eight.
func TestBitFusionBits(t *testing.T) {
	run := func(bits int) hardware.Cost {
		l := hardware.Conv("c", 4, 1, 64, 256, 16, 3, 1, 1)
		l.Bits = hardware.Bits{W: bits, A: bits, Psum: 32, Out: 8}
		pad := hardware.FC("first", 1, 8, 8) // so that the layer is not unrolled
		r, err := bitFusion.run(&hardware.Workload{Name: "bits", Batch: 4, Layers: []*hardware.Layer{pad, l}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Layers[1]
	}
	last := run(1)
	for bits := 2; bits <= 16; bits++ {
		c := run(bits)
		if c.Cycles < 0.99*last.Cycles || c.ComputeCycles < last.ComputeCycles {
			t.Errorf("%d bits take %v cycles, %d bits %v", bits, c.Cycles, bits-1, last.Cycles)
		}
		last = c
	}
	if a, b, c := run(4).ComputeCycles, run(8).ComputeCycles, run(16).ComputeCycles; b != 4*a || c != 4*b {
		t.Errorf("4, 8, 16 bits compute in %v, %v, %v cycles", a, b, c)
	}
	// the array's cycles of a layer that fills it: MACs over 512 units
	if c := run(8); c.ComputeCycles != float64(c.MACs)/(bfRows*bfColumns) {
		t.Errorf("%v cycles for %d MACs", c.ComputeCycles, c.MACs)
	}
}

// TestBitFusionTraffic: every tensor comes from DRAM at least once.
func TestBitFusionTraffic(t *testing.T) {
	all, err := bitFusionRuns()
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range bitFusionBenches {
		for j, l := range b.network().Layers {
			c := &all[i].Layers[j]
			for _, o := range []hardware.Operand{hardware.Weights, hardware.Outputs} {
				if got := c.Levels[0].Traffic[o].Reads; got < float64(l.Words(o)) {
					t.Errorf("%s %s: %v %v are read of %d", b.name, l.Name, got, o, l.Words(o))
				}
			}
		}
	}
}

// TestBitFusionHuge: a row that no buffer holds is an error, not a hang.
func TestBitFusionHuge(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 8, 1, 4096, 4096, 1, 0)
	w := &hardware.Workload{Name: "huge", Batch: 1, Layers: []*hardware.Layer{l}}
	if _, err := bitFusion.run(w); err == nil {
		t.Error("a filter of 4096×4096 fits")
	}
}

func BenchmarkBitFusionAlexNet(b *testing.B) {
	w := bfAlexNet()
	for b.Loop() {
		if _, err := bitFusion.run(w); err != nil {
			b.Fatal(err)
		}
	}
}
