package accel

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestFigures checks every published figure of every machine. A difference
// above 20 % must come with its cause.
func TestFigures(t *testing.T) {
	for _, a := range hardware.Accelerators() {
		t.Run(a.Name, func(t *testing.T) {
			for i := range a.Figures {
				f := &a.Figures[i]
				ours, err := f.Ours()
				if err != nil {
					t.Errorf("%s: %v", f.Name, err)
					continue
				}
				if !f.Holds(ours) {
					t.Errorf("%s: %v %s, published %v (%+.2f %%), tolerance %v / %v", f.Name, ours, f.Unit, f.Published, 100*f.Error(ours), f.Tolerance, f.Within)
				}
				if (f.Relation == "" || f.Relation == hardware.Near || f.Relation == hardware.Shown) && math.Abs(f.Error(ours)) > 0.2 && f.Note == "" {
					t.Errorf("%s: %v %s is %+.0f %% from the published %v, and no note says why", f.Name, ours, f.Unit, 100*f.Error(ours), f.Published)
				}
			}
		})
	}
}

// workloads are what every machine must be able to run.
func workloads() []*hardware.Workload {
	mixed := &hardware.Workload{Name: "mixed", Batch: 2, Layers: []*hardware.Layer{
		hardware.Conv("stem", 2, 1, 32, 3, 32, 3, 2, 1),
		hardware.Conv("depthwise", 2, 32, 32, 32, 16, 3, 1, 1),
		hardware.Conv("pointwise", 2, 1, 50, 32, 16, 1, 1, 0),
		{Name: "pool", Op: "MaxPool", Ops: 1000, InWords: 1000, OutWords: 250},
		hardware.FC("fc", 2, 10, 50),
	}}
	for _, l := range mixed.Layers {
		if l.HasMACs() {
			l.Density = hardware.Density{W: 0.5, In: 0.6, Out: 0.6}
			l.Bits = hardware.Bits{W: 8, A: 8, Psum: 32, Out: 8}
		}
	}
	return []*hardware.Workload{mixed, hardware.AlexNet(1)}
}

// TestRuns holds every machine to what must be true of any report.
func TestRuns(t *testing.T) {
	for _, a := range hardware.Accelerators() {
		for _, w := range workloads() {
			r, err := a.Run(w, hardware.RunOptions{Seed: 1})
			if err != nil {
				t.Errorf("%s on %s: %v", a.Name, w.Name, err)
				continue
			}
			if r.MACs != w.MACs() {
				t.Errorf("%s on %s: %d MACs, the workload has %d", a.Name, w.Name, r.MACs, w.MACs())
			}
			if !(r.Cycles > 0) || math.IsInf(r.Cycles, 0) || !(r.Seconds > 0) || !(r.FramesPerSecond > 0) {
				t.Errorf("%s on %s: %v cycles, %v s, %v frames/s", a.Name, w.Name, r.Cycles, r.Seconds, r.FramesPerSecond)
			}
			for i := range r.Levels {
				if l := &r.Levels[i]; l.Name == "DRAM" && math.Abs(l.Bytes-r.DRAMBytes) > 1e-6*r.DRAMBytes {
					t.Errorf("%s on %s: %v bytes of DRAM, its level has %v", a.Name, w.Name, r.DRAMBytes, l.Bytes)
				}
			}
			for i := range r.Layers {
				c := &r.Layers[i]
				sum := c.MACEnergy + c.NetworkEnergy + c.StaticEnergy
				for j := range c.Levels {
					sum += c.Levels[j].EnergyPJ()
				}
				if r.PeakDRAM > 0 && c.DRAMBytes > r.PeakDRAM*c.Cycles*(1+1e-9) {
					t.Errorf("%s: %s: %v bytes of DRAM in %v cycles, at most %v a cycle", a.Name, c.Layer, c.DRAMBytes, c.Cycles, r.PeakDRAM)
				}
				if math.Abs(sum-c.Energy) > 1e-9*sum {
					t.Errorf("%s: %s: the energies add up to %v, not %v", a.Name, c.Layer, sum, c.Energy)
				}
				if c.MACs > 0 && (c.Utilization < 0 || c.Utilization > 1+1e-9) && a.Kind != hardware.Sparse && a.Kind != hardware.LowRank {
					t.Errorf("%s: %s: utilization %v", a.Name, c.Layer, c.Utilization)
				}
				if c.Effectual > float64(c.MACs)*(1+1e-9) || c.Cycles < c.ComputeCycles*(1-1e-9) || c.Bound == "" {
					t.Errorf("%s: %s: %v effectual of %d MACs, %v cycles, %v compute, bound %q", a.Name, c.Layer, c.Effectual, c.MACs, c.Cycles, c.ComputeCycles, c.Bound)
				}
			}
			again, err := a.Run(w, hardware.RunOptions{Seed: 1})
			if err != nil || again.Cycles != r.Cycles || again.Energy != r.Energy {
				t.Errorf("%s on %s: a second run differs", a.Name, w.Name)
			}
		}
		if text, err := a.Explain(); err != nil || len(text) < 100 {
			t.Errorf("%s: explain: %v", a.Name, err)
		}
	}
}
