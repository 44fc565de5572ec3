package loopnest

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// shape is what the cost of a layer depends on.
type shape struct {
	size             [hardware.NumDims]int
	stride, dilation [2]int
}

// Run maps every layer of a workload and reports what they cost. Layers of the
// same shape are searched once. Operands have the architecture's bits, not the
// layer's.
func Run(a *Arch, w *hardware.Workload, o Options) (*hardware.Report, error) {
	m, err := compile(a)
	if err != nil {
		return nil, err
	}
	known := map[shape]*Found{}
	var mappings int64
	recalled := 0
	area := a.AreaMM2()
	r, err := hardware.RunLayers(hardware.Machine{Name: a.Name, ClockMHz: a.ClockMHz, PeakMACs: float64(a.Lanes()), AreaMM2: area}, w,
		func(l *hardware.Layer) (hardware.Cost, error) {
			key := shape{l.Size, l.Stride, l.Dilation}
			f := known[key]
			if f == nil {
				var err error
				if f, err = search(m, l, o); err != nil {
					return hardware.Cost{}, err
				}
				known[key] = f
				mappings += f.Mappings
				if f.Cached {
					recalled++
				}
			}
			return m.cost(f, l), nil
		})
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%d mappings compared for %d distinct layers", mappings, len(known)))
	if recalled > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of these layers were mapped by an earlier run", recalled))
	}
	for _, s := range m.estimated {
		r.Notes = append(r.Notes, "estimated: "+s)
	}
	return r, nil
}

// AreaMM2 adds up what the description gives.
func (a *Arch) AreaMM2() float64 {
	total, instances := float64(a.Lanes())*a.Array.AreaUM2, 1.0
	for i := range a.Levels {
		total += instances * a.Levels[i].AreaUM2
		for _, name := range a.Levels[i].FanOut {
			instances *= float64(a.Array.Axes[a.axis(name)].Size)
		}
	}
	return total / 1e6
}

// cost puts a result into the form of a report.
func (m *machine) cost(f *Found, l *hardware.Layer) hardware.Cost {
	r := &f.Result
	c := hardware.Cost{Cycles: r.Cycles, ComputeCycles: r.Compute, Active: r.Active / float64(m.arch.Lanes()),
		MACEnergy: float64(l.MACs()) * m.mac, NetworkEnergy: r.Wire, Mapping: f.Mapping.Nest(m.arch)}
	if r.Bound >= 0 {
		c.Bound = m.stores[r.Bound].name
	}
	total := c.MACEnergy + c.NetworkEnergy
	for i := range m.stores {
		s := &m.stores[i]
		level := hardware.LevelCost{Name: s.name, Cycles: r.PortCycles[i]}
		for o := range hardware.Operand(hardware.NumOperands) {
			a := &r.Access[i][o]
			out, in := a.Reads+a.Drains, a.Fills+a.Updates
			level.Traffic[o] = hardware.Traffic{Reads: out, Writes: in}
			level.Energy[o] = out*s.read[o] + in*s.write[o]
			if i == 0 {
				c.DRAMBytes += (out + in) * s.bits[o] / 8
			}
		}
		total += level.EnergyPJ()
		c.Levels = append(c.Levels, level)
	}
	c.StaticEnergy = max(0, r.Energy-total)
	return c
}
