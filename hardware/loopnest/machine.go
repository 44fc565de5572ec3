package loopnest

import (
	"fmt"
	"math"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// store is a level in the form that evaluation wants.
type store struct {
	name      string
	held      [hardware.NumOperands]bool
	bits      [hardware.NumOperands]float64 // of a word
	words     [hardware.NumOperands]float64 // capacity of a part
	shared    float64                       // capacity in bits that operands share
	read      [hardware.NumOperands]float64 // pJ a word
	write     [hardware.NumOperands]float64
	readBW    float64 // words per cycle and instance, +Inf without limit
	writeBW   float64
	single    bool
	multicast [hardware.NumOperands]bool
	windows   bool    // overlapping windows are read once
	wire      float64 // pJ a word and receiver
	time      uint8   // loops that may run here in time
	axes      []int
}

// machine is a compiled Arch.
type machine struct {
	arch      *Arch
	stores    []store
	holders   [hardware.NumOperands][]int // levels that hold the operand
	space     []uint8                     // by axis: loops that may spread along it
	owner     []int                       // by axis: the level that fans out
	mac       float64                     // pJ
	estimated []string                    // energies that are not in the description
}

func compile(a *Arch) (*machine, error) {
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("architecture %s: %w", a.Name, err)
	}
	m := &machine{arch: a, space: make([]uint8, len(a.Array.Axes)), owner: make([]int, len(a.Array.Axes))}
	nm := a.TechnologyNM
	if nm == 0 {
		nm = 45
	}
	if a.Array.MACPJ != nil {
		m.mac = *a.Array.MACPJ
	} else {
		m.mac = hardware.MACEnergy(a.Array.Bits.W, a.Array.Bits.A, a.Array.Bits.Psum) * hardware.EnergyScale(nm)
		m.estimated = append(m.estimated, fmt.Sprintf("multiply-accumulate %.3g pJ", m.mac))
	}
	for i, x := range a.Array.Axes {
		m.space[i], _ = parseLoops(x.Loops)
	}
	for i := range a.Levels {
		m.stores = append(m.stores, m.store(i, nm))
		for o := range hardware.Operand(hardware.NumOperands) {
			if a.Levels[i].holds(o) {
				m.holders[o] = append(m.holders[o], i)
			}
		}
		for _, axis := range m.stores[i].axes {
			m.owner[axis] = i
		}
	}
	return m, nil
}

func (m *machine) store(index int, nm float64) store {
	l := &m.arch.Levels[index]
	b := m.arch.Array.Bits
	s := store{name: l.Name, readBW: unlimited(l.ReadWords), writeBW: unlimited(l.WriteWords), single: l.SingleBuffered,
		windows: l.Network.SharedWindows, wire: l.Network.WordPJ, shared: math.Inf(1)}
	s.time, _ = parseLoops(l.Loops)
	half := 1.0
	if l.DoubleBuffered {
		half = 0.5
	}
	if l.Bytes > 0 {
		s.shared = half * 8 * float64(l.Bytes)
	}
	for _, name := range l.FanOut {
		s.axes = append(s.axes, m.arch.axis(name))
	}
	for o := range hardware.Operand(hardware.NumOperands) {
		s.held[o] = l.holds(o)
		s.bits[o] = [hardware.NumOperands]float64{float64(b.W), float64(b.A), float64(b.Psum)}[o]
		if index == 0 && o == hardware.Outputs {
			s.bits[o] = float64(b.A)
		}
		if l.WordBits > 0 {
			s.bits[o] = float64(l.WordBits)
		}
		s.multicast[o] = !strings.Contains(l.Network.Unicast, o.Letter())
		s.words[o] = math.Inf(1)
		capacity := float64(l.Bytes)
		read, write := l.ReadPJ, l.WritePJ
		if p, ok := l.Parts[o.Letter()]; ok {
			s.words[o] = half * float64(p.Words)
			capacity = float64(p.Words) * s.bits[o] / 8
			if p.ReadPJ != nil {
				read = p.ReadPJ
			}
			if p.WritePJ != nil {
				write = p.WritePJ
			}
		}
		if !s.held[o] {
			continue
		}
		s.read[o], s.write[o] = m.energies(l.Name, o, capacity, s.bits[o], nm, read, write)
	}
	return s
}

// energies returns the given energies of an access or estimates of them.
func (m *machine) energies(level string, o hardware.Operand, capacity, bits, nm float64, read, write *float64) (r, w float64) {
	if read != nil {
		r = *read
	} else {
		r = hardware.DRAMEnergy(bits)
		if capacity > 0 {
			r = hardware.SRAMEnergy(capacity, bits) * hardware.EnergyScale(nm)
		}
		m.estimated = append(m.estimated, fmt.Sprintf("%s, %v: read %.3g pJ", level, o, r))
	}
	switch {
	case write != nil:
		w = *write
	case capacity > 0:
		w = 1.1 * r
	default:
		w = r
	}
	return r, w
}

func unlimited(bw float64) float64 {
	if bw == 0 {
		return math.Inf(1)
	}
	return bw
}
