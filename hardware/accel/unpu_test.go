package accel

import "testing"

// TestUNPUBits: time grows with the weights' bits, from 2 on in proportion;
// so does energy.
func TestUNPUBits(t *testing.T) {
	last := unpuCost(unpuFull(1))
	for bits := 2; bits <= 32; bits++ {
		c := unpuCost(unpuFull(bits))
		if c.Cycles <= last.Cycles || c.MACEnergy <= last.MACEnergy {
			t.Errorf("%d bits: %v cycles, %v pJ; %d bits: %v, %v", bits, c.Cycles, c.MACEnergy, bits-1, last.Cycles, last.MACEnergy)
		}
		if two := unpuCost(unpuFull(2)).Cycles; c.Cycles*2 != two*float64(bits) {
			t.Errorf("%d bits take %v cycles, 2 bits %v", bits, c.Cycles, two)
		}
		last = c
	}
}

// TestUNPUTables: five inputs need two tables, as eight do.
func TestUNPUTables(t *testing.T) {
	a, b := unpuFull(8), unpuFull(8)
	a.Size[3], b.Size[3] = 5, 8
	if unpuCost(a).Cycles != unpuCost(b).Cycles {
		t.Errorf("5 channels take %v cycles, 8 take %v", unpuCost(a).Cycles, unpuCost(b).Cycles)
	}
}
