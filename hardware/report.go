package hardware

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// Traffic counts the words of one operand that go out of a memory and into it.
type Traffic struct {
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
}

// LevelCost is what one layer does to one level of memory, all its instances
// together.
type LevelCost struct {
	Name    string               `json:"name"`
	Traffic [NumOperands]Traffic `json:"traffic"`
	// Energy is in pJ, by operand.
	Energy [NumOperands]float64 `json:"energy_pj"`
	// Cycles are what the level's ports need for its traffic; 0 where the
	// bandwidth is not limited.
	Cycles float64 `json:"cycles"`
}

// EnergyPJ adds the operands up.
func (l *LevelCost) EnergyPJ() float64 {
	return l.Energy[Weights] + l.Energy[Inputs] + l.Energy[Outputs]
}

// Words adds reads and writes of all operands up.
func (l *LevelCost) Words() (n float64) {
	for _, t := range l.Traffic {
		n += t.Reads + t.Writes
	}
	return n
}

// Cost is what one layer takes on one machine.
type Cost struct {
	Layer string `json:"layer"`
	Op    string `json:"op"`
	Shape string `json:"shape"`
	// Cycles is the whole time; ComputeCycles the part that the arithmetic
	// alone needs.
	Cycles        float64 `json:"cycles"`
	ComputeCycles float64 `json:"compute_cycles"`
	MACs          int64   `json:"macs"`
	// Effectual is the number of MACs that were really done, where the
	// machine skips zeros; else it equals MACs.
	Effectual float64 `json:"effectual_macs"`
	// Active is the share of the array that the mapping uses; Utilization is
	// MACs over the peak in the whole time.
	Active      float64     `json:"active"`
	Utilization float64     `json:"utilization"`
	Levels      []LevelCost `json:"levels,omitempty"`
	// Energies in pJ: arithmetic, network, and leakage and clock. Energy is
	// the sum of these and the levels'; 0 where the machine has no model of
	// energy.
	MACEnergy     float64 `json:"mac_pj"`
	NetworkEnergy float64 `json:"network_pj"`
	StaticEnergy  float64 `json:"static_pj"`
	Energy        float64 `json:"energy_pj"`
	DRAMBytes     float64 `json:"dram_bytes"`
	// Bound names what limits the time: "compute" or a level.
	Bound string `json:"bound"`
	// Mapping is the loop nest, for reading.
	Mapping string `json:"mapping,omitempty"`
}

// AddEnergy sets Energy to the sum of its parts.
func (c *Cost) AddEnergy() {
	c.Energy = c.MACEnergy + c.NetworkEnergy + c.StaticEnergy
	for i := range c.Levels {
		c.Energy += c.Levels[i].EnergyPJ()
	}
}

// Report is what a workload takes on one machine.
type Report struct {
	Machine  string  `json:"machine"`
	Network  string  `json:"network"`
	Batch    int     `json:"batch"`
	ClockMHz float64 `json:"clock_mhz"`
	// PeakMACs is the number of multiply-accumulates per cycle at best.
	PeakMACs float64 `json:"peak_macs_per_cycle"`
	AreaMM2  float64 `json:"area_mm2,omitempty"`
	Layers   []Cost  `json:"layers"`

	Cycles      float64 `json:"cycles"`
	Seconds     float64 `json:"seconds"`
	MACs        int64   `json:"macs"`
	Effectual   float64 `json:"effectual_macs"`
	Energy      float64 `json:"energy_pj"`
	DRAMBytes   float64 `json:"dram_bytes"`
	Utilization float64 `json:"utilization"`
	// PowerW, TOPSPerW are 0 where there is no model of energy. TOPS counts
	// two operations per MAC of the dense network.
	PowerW   float64 `json:"power_w,omitempty"`
	TOPS     float64 `json:"tops"`
	TOPSPerW float64 `json:"tops_per_w,omitempty"`
	// FramesPerSecond counts images.
	FramesPerSecond float64 `json:"frames_per_second"`
	// Bound is what limits most of the time.
	Bound string `json:"bound"`
	// Notes say what is estimated, left out or assumed.
	Notes []string `json:"notes,omitempty"`
}

// Sum fills in the totals from the layers.
func (r *Report) Sum() *Report {
	r.Cycles, r.MACs, r.Effectual, r.Energy, r.DRAMBytes = 0, 0, 0, 0, 0
	bound := map[string]float64{}
	for i := range r.Layers {
		c := &r.Layers[i]
		r.Cycles += c.Cycles
		r.MACs += c.MACs
		r.Effectual += c.Effectual
		r.Energy += c.Energy
		r.DRAMBytes += c.DRAMBytes
		if bound[c.Bound] += c.Cycles; r.Bound == "" || bound[c.Bound] > bound[r.Bound] {
			r.Bound = c.Bound
		}
	}
	r.Finish()
	return r
}

// Finish derives time, rates and power from Cycles, MACs and Energy, for
// machines whose layers overlap and so do not add up.
func (r *Report) Finish() {
	if r.ClockMHz > 0 {
		r.Seconds = r.Cycles / (r.ClockMHz * 1e6)
	}
	if r.Seconds <= 0 {
		return
	}
	if r.PeakMACs > 0 {
		r.Utilization = float64(r.MACs) / (r.PeakMACs * r.Cycles)
	}
	r.TOPS = 2 * float64(r.MACs) / r.Seconds / 1e12
	r.FramesPerSecond = float64(r.Batch) / r.Seconds
	if r.Energy > 0 {
		r.PowerW = r.Energy * 1e-12 / r.Seconds
		r.TOPSPerW = r.TOPS / r.PowerW
	}
}

// Layer finds a layer's cost by name, nil if there is none.
func (r *Report) Layer(name string) *Cost {
	for i := range r.Layers {
		if r.Layers[i].Layer == name {
			return &r.Layers[i]
		}
	}
	return nil
}

// WriteCSV writes a line for each layer; accesses and energies of each level
// and operand have columns of their own.
func (r *Report) WriteCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	head := []string{"layer", "op", "shape", "macs", "effectual_macs", "cycles", "compute_cycles", "active", "utilization", "bound",
		"dram_bytes", "energy_pj", "mac_pj", "network_pj", "static_pj"}
	var levels []string
	for _, c := range r.Layers {
		if len(c.Levels) > len(levels) {
			levels = nil
			for _, l := range c.Levels {
				levels = append(levels, l.Name)
			}
		}
	}
	for _, l := range levels {
		for o := range Operand(NumOperands) {
			for _, what := range []string{"reads", "writes", "pj"} {
				head = append(head, fmt.Sprintf("%s_%s_%s", l, o.Letter(), what))
			}
		}
	}
	if err := w.Write(head); err != nil {
		return err
	}
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
	for _, c := range r.Layers {
		row := []string{c.Layer, c.Op, c.Shape, strconv.FormatInt(c.MACs, 10), num(c.Effectual), num(c.Cycles), num(c.ComputeCycles), num(c.Active),
			num(c.Utilization), c.Bound, num(c.DRAMBytes), num(c.Energy), num(c.MACEnergy), num(c.NetworkEnergy), num(c.StaticEnergy)}
		for i := range levels {
			for o := range NumOperands {
				if i >= len(c.Levels) {
					row = append(row, "", "", "")
					continue
				}
				t := c.Levels[i].Traffic[o]
				row = append(row, num(t.Reads), num(t.Writes), num(c.Levels[i].Energy[o]))
			}
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
