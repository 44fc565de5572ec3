package hardware

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Traffic counts the words of one operand that go out of a memory and into it.
type Traffic struct {
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
}

// LevelCost is what one layer, or a whole network, does to one level of memory,
// all its instances together.
type LevelCost struct {
	Name    string               `json:"name"`
	Traffic [NumOperands]Traffic `json:"traffic"`
	// Bits is the width of a word by operand; machines that leave it 0 store
	// words as wide as the layer's operands.
	Bits [NumOperands]float64 `json:"-"`
	// Bytes is the traffic of all operands.
	Bytes float64 `json:"bytes"`
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

// WordBits is a width for all operands.
func WordBits(n float64) [NumOperands]float64 { return [NumOperands]float64{n, n, n} }

// setBytes counts bytes where the width of words is known; l tells it where the
// machine does not.
func (c *LevelCost) setBytes(l *Layer) {
	c.Bytes = 0
	for o, t := range c.Traffic {
		bits := c.Bits[o]
		if bits == 0 {
			bits = float64(l.OperandBits(Operand(o)))
		}
		c.Bytes += (t.Reads + t.Writes) * bits / 8
	}
}

// add adds the same level of another layer.
func (c *LevelCost) add(x *LevelCost) {
	for o := range c.Traffic {
		c.Traffic[o].Reads += x.Traffic[o].Reads
		c.Traffic[o].Writes += x.Traffic[o].Writes
		c.Energy[o] += x.Energy[o]
	}
	c.Bytes += x.Bytes
	c.Cycles += x.Cycles
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
	// MACsInside leaves those out whose input is padding.
	MACsInside int64 `json:"macs_inside"`
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

// Level finds a level by name, nil if there is none.
func (c *Cost) Level(name string) *LevelCost { return findLevel(c.Levels, name) }

func findLevel(list []LevelCost, name string) *LevelCost {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
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
	// PeakDRAM is the bytes of DRAM per cycle at best; 0 is unlimited or
	// unknown.
	PeakDRAM float64 `json:"peak_dram_bytes_per_cycle,omitempty"`
	AreaMM2  float64 `json:"area_mm2,omitempty"`
	Layers   []Cost  `json:"layers"`

	Cycles    float64 `json:"cycles"`
	Seconds   float64 `json:"seconds"`
	MACs      int64   `json:"macs"`
	Effectual float64 `json:"effectual_macs"`
	// Levels adds the layers' levels of the same name up; the energies below
	// are the rest of Energy, as in a Cost.
	Levels        []LevelCost `json:"levels,omitempty"`
	MACEnergy     float64     `json:"mac_pj"`
	NetworkEnergy float64     `json:"network_pj"`
	StaticEnergy  float64     `json:"static_pj"`
	Energy        float64     `json:"energy_pj"`
	DRAMBytes     float64     `json:"dram_bytes"`
	Utilization   float64     `json:"utilization"`
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

// Sum fills in the totals from the layers, which work one after the other.
func (r *Report) Sum() *Report {
	r.Add()
	r.Cycles = 0
	bound := map[string]float64{}
	for i := range r.Layers {
		c := &r.Layers[i]
		r.Cycles += c.Cycles
		if bound[c.Bound] += c.Cycles; r.Bound == "" || bound[c.Bound] > bound[r.Bound] {
			r.Bound = c.Bound
		}
	}
	r.Finish()
	return r
}

// Add fills in the totals but for time and what follows from it.
func (r *Report) Add() {
	r.MACs, r.Effectual, r.Energy, r.DRAMBytes = 0, 0, 0, 0
	r.MACEnergy, r.NetworkEnergy, r.StaticEnergy, r.Levels = 0, 0, 0, nil
	for i := range r.Layers {
		c := &r.Layers[i]
		r.MACs += c.MACs
		r.Effectual += c.Effectual
		r.Energy += c.Energy
		r.DRAMBytes += c.DRAMBytes
		r.MACEnergy += c.MACEnergy
		r.NetworkEnergy += c.NetworkEnergy
		r.StaticEnergy += c.StaticEnergy
		for j := range c.Levels {
			x := &c.Levels[j]
			l := findLevel(r.Levels, x.Name)
			if l == nil {
				r.Levels = append(r.Levels, LevelCost{Name: x.Name})
				l = &r.Levels[len(r.Levels)-1]
			}
			l.add(x)
		}
	}
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

// WriteCSV writes a line for each layer of each report; accesses, bytes and
// energies of each level and operand have columns of their own.
func WriteCSV(out io.Writer, reports []*Report) error {
	w := csv.NewWriter(out)
	head := []string{"machine", "layer", "op", "shape", "macs", "effectual_macs", "cycles", "compute_cycles", "active", "utilization", "bound",
		"dram_bytes", "energy_pj", "mac_pj", "network_pj", "static_pj"}
	var levels []string
	for _, r := range reports {
		for _, l := range r.Levels {
			if !slices.Contains(levels, l.Name) {
				levels = append(levels, l.Name)
			}
		}
	}
	for _, l := range levels {
		head = append(head, l+"_bytes")
		for o := range Operand(NumOperands) {
			for _, what := range []string{"reads", "writes", "pj"} {
				head = append(head, fmt.Sprintf("%s_%s_%s", l, o.Letter(), what))
			}
		}
	}
	if err := w.Write(head); err != nil {
		return err
	}
	for _, r := range reports {
		for i := range r.Layers {
			if err := w.Write(r.Layers[i].record(r.Machine, levels)); err != nil {
				return err
			}
		}
	}
	w.Flush()
	return w.Error()
}

// record is a line of CSV; fields of levels that the machine lacks are empty.
func (c *Cost) record(machine string, levels []string) []string {
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
	row := []string{machine, c.Layer, c.Op, c.Shape, strconv.FormatInt(c.MACs, 10), num(c.Effectual), num(c.Cycles), num(c.ComputeCycles), num(c.Active),
		num(c.Utilization), c.Bound, num(c.DRAMBytes), num(c.Energy), num(c.MACEnergy), num(c.NetworkEnergy), num(c.StaticEnergy)}
	for _, name := range levels {
		l := c.Level(name)
		if l == nil {
			row = append(row, make([]string, 1+3*NumOperands)...)
			continue
		}
		row = append(row, num(l.Bytes))
		for o, t := range l.Traffic {
			row = append(row, num(t.Reads), num(t.Writes), num(l.Energy[o]))
		}
	}
	return row
}
