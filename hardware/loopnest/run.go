package loopnest

import (
	"errors"
	"fmt"
	"math"

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
	r, err := hardware.RunLayers(hardware.Machine{Name: a.Name, ClockMHz: a.ClockMHz, PeakMACs: float64(a.Lanes()), AreaMM2: m.areaMM2, DRAMBytes: m.dramBytes(), Move: m.move}, w,
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
	if bad := (*misfit)(nil); errors.As(err, &bad) {
		return nil, bad // it begins with the file and the line
	}
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

// move is a layer without MACs: it reads and writes the outermost memory, and
// each of its operations takes the energy of a multiply-accumulate, the most
// that it could.
func (m *machine) move(l *hardware.Layer) hardware.Cost {
	s := &m.stores[0]
	in, out, ops := float64(l.InWords), float64(l.OutWords), float64(l.Ops)
	level := m.level(0)
	level.Traffic[hardware.Inputs].Reads, level.Traffic[hardware.Outputs].Writes = in, out
	level.Energy[hardware.Inputs], level.Energy[hardware.Outputs] = in*s.read[hardware.Inputs], out*s.write[hardware.Outputs]
	level.Cycles = max(in/s.readBW, out/s.writeBW)
	c := hardware.Cost{MACEnergy: ops * m.mac, Levels: []hardware.LevelCost{level}, Bound: s.name,
		DRAMBytes: (in*s.bits[hardware.Inputs] + out*s.bits[hardware.Outputs]) / 8}
	if m.arch.Vector > 0 {
		c.ComputeCycles = ops / m.arch.Vector
	}
	if c.Cycles = level.Cycles; c.ComputeCycles > level.Cycles {
		c.Cycles, c.Bound = c.ComputeCycles, "compute"
	}
	c.Cycles += m.arch.Overheads.LayerCycles
	c.StaticEnergy = m.leakage(c.Cycles)
	return c
}

// dramBytes is what the outermost level's ports move per cycle, 0 without
// limit.
func (m *machine) dramBytes() float64 {
	s := &m.stores[0]
	n := s.readBW*max(s.bits[hardware.Weights], s.bits[hardware.Inputs])/8 + s.writeBW*s.bits[hardware.Outputs]/8
	if math.IsInf(n, 1) {
		return 0
	}
	return n
}

// level begins the cost of a level.
func (m *machine) level(i int) hardware.LevelCost {
	return hardware.LevelCost{Name: m.stores[i].name, Bits: m.stores[i].bits}
}

// cost puts a result into the form of a report.
func (m *machine) cost(f *Found, l *hardware.Layer) hardware.Cost {
	r := &f.Result
	c := hardware.Cost{Cycles: r.Cycles, ComputeCycles: r.Compute, Active: r.Active / float64(m.arch.Lanes()),
		MACEnergy: float64(l.MACs()) * m.mac, NetworkEnergy: r.Wire, StaticEnergy: m.leakage(r.Cycles), Mapping: f.Mapping.Nest(m.arch)}
	if r.Bound >= 0 {
		c.Bound = m.stores[r.Bound].name
	}
	for i := range m.stores {
		s, level := &m.stores[i], m.level(i)
		level.Cycles = r.PortCycles[i]
		for o := range hardware.Operand(hardware.NumOperands) {
			a := &r.Access[i][o]
			out, in := a.Reads+a.Drains, a.Fills+a.Updates
			level.Traffic[o] = hardware.Traffic{Reads: out, Writes: in}
			level.Energy[o] = s.energy(o, a)
			if i == 0 {
				c.DRAMBytes += (out + in) * s.bits[o] / 8
			}
		}
		c.Levels = append(c.Levels, level)
	}
	return c
}
