package hardware

import (
	"fmt"
	"slices"
	"strings"
)

// Machine is what RunLayers needs to know beside the layers.
type Machine struct {
	Name     string
	ClockMHz float64
	// PeakMACs is the number of multiply-accumulates per cycle at best.
	PeakMACs float64
	AreaMM2  float64
	// DRAMBytes is what DRAM moves per cycle at best, in and out together; 0 is
	// unlimited or unknown.
	DRAMBytes float64
	// Move gives the cost of a layer without MACs; nil leaves these to the
	// host, which a note says.
	Move func(l *Layer) Cost
}

// RunLayers makes a report of a machine that works layer by layer. It calls
// cost for each layer that multiplies; cost fills in what it models, at least
// the cycles. What follows from the layer is filled in here: names, shape,
// MACs, utilization, the sum of energies, and where cost leaves them zero the
// compute cycles, the effectual MACs and the bound.
func RunLayers(m Machine, w *Workload, cost func(l *Layer) (Cost, error)) (*Report, error) {
	r := &Report{Machine: m.Name, Network: w.Name, Batch: w.Batch, ClockMHz: m.ClockMHz, PeakMACs: m.PeakMACs, AreaMM2: m.AreaMM2, PeakDRAM: m.DRAMBytes}
	var host []string
	multiplies := false
	for _, l := range w.Layers {
		if err := l.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if !l.HasMACs() {
			if m.Move != nil {
				r.Layers = append(r.Layers, m.Move(l).Complete(l, m.PeakMACs))
			} else if !slices.Contains(host, l.Op) {
				host = append(host, l.Op)
			}
			continue
		}
		multiplies = true
		c, err := cost(l)
		if err != nil {
			return nil, fmt.Errorf("%s: layer %q: %w", m.Name, l.Name, err)
		}
		r.Layers = append(r.Layers, c.Complete(l, m.PeakMACs))
	}
	if !multiplies {
		return nil, fmt.Errorf("%s: the workload %q has no layer that multiplies", m.Name, w.Name)
	}
	if host != nil {
		slices.Sort(host)
		r.Notes = append(r.Notes, "left to the host: "+strings.Join(host, ", "))
	}
	return r.Sum(), nil
}

// Complete fills in what follows from the layer and the peak of the machine.
func (c Cost) Complete(l *Layer, peak float64) Cost {
	c.Layer, c.Op, c.Shape, c.MACs = l.Name, l.Op, l.Shape(), l.MACs()
	c.MACsInside = l.MACsInside()
	if c.Effectual == 0 {
		c.Effectual = float64(c.MACs)
	}
	if c.ComputeCycles == 0 {
		c.ComputeCycles = c.Cycles
	}
	if c.Bound == "" {
		c.Bound = "compute"
	}
	if peak > 0 && c.Cycles > 0 {
		c.Utilization = float64(c.MACs) / (peak * c.Cycles)
	}
	for i := range c.Levels {
		c.Levels[i].setBytes(l)
	}
	c.AddEnergy()
	return c
}

// Ceil is a/b rounded up, as a float64 for further arithmetic.
func Ceil(a, b int) float64 { return float64((a + b - 1) / b) }
