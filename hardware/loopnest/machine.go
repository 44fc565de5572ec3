package loopnest

import (
	"fmt"
	"math"
	"slices"
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
	fill      [hardware.NumOperands]float64 // from and to the level above
	drain     [hardware.NumOperands]float64
	readBW    float64 // words per cycle and instance, +Inf without limit
	writeBW   float64
	single    bool
	multicast [hardware.NumOperands]bool
	windows   bool    // overlapping windows are read once
	wire      float64 // pJ a word and receiver
	time      uint8   // loops that may run here in time
	order     order   // in which they run, if it is given
	bounds    sizes   // of these loops that are given, else 0
	axes      []int
}

// energy of an operand's accesses in pJ.
func (s *store) energy(o hardware.Operand, a *Access) float64 {
	return a.Reads*s.read[o] + a.Updates*s.write[o] + a.Fills*s.fill[o] + a.Drains*s.drain[o]
}

// machine is a compiled Arch.
type machine struct {
	arch      *Arch
	stores    []store
	holders   [hardware.NumOperands][]int // levels that hold the operand
	space     []uint8                     // by axis: loops that may spread along it
	owner     []int                       // by axis: the level that fans out
	mac       float64                     // pJ
	leak      float64                     // mW
	areaMM2   float64
	estimated []string // energies and areas that are not in the description

	// optional are the operands that may pass by a level that could hold them;
	// variants are the machine with each subset of them passing by. The first
	// is the machine itself.
	optional []choice
	variants []*machine
}

// choice is an operand that a level may keep or let pass by.
type choice struct {
	level   int
	operand hardware.Operand
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
			if strings.Contains(a.Levels[i].Bypass, o.Letter()) {
				m.optional = append(m.optional, choice{i, o})
			}
		}
		for _, axis := range m.stores[i].axes {
			m.owner[axis] = i
		}
	}
	m.instances(nm)
	m.hold()
	m.variants = []*machine{m}
	for mask := 1; mask < 1<<len(m.optional); mask++ {
		m.variants = append(m.variants, m.without(mask))
	}
	return m, nil
}

// instances adds up leakage and area of all instances. Areas that are not given
// are estimated.
func (m *machine) instances(nm float64) {
	var estimated []string
	area := func(name string, given, estimate, instances float64) {
		if given == 0 && estimate > 0 {
			given = estimate
			estimated = append(estimated, name)
		}
		m.areaMM2 += given * instances / 1e6
	}
	n, b := 1.0, m.arch.Array.Bits
	for i := range m.arch.Levels {
		l, estimate := &m.arch.Levels[i], 0.0
		if l.Bytes > 0 {
			estimate = hardware.SRAMArea(float64(l.Bytes), nm)
		}
		for o := range hardware.Operand(hardware.NumOperands) {
			if p, ok := l.Parts[o.Letter()]; ok {
				estimate += hardware.SRAMArea(float64(p.Words)*m.stores[i].bits[o]/8, nm)
			}
		}
		area(l.Name, l.AreaUM2, estimate, n)
		m.leak += l.LeakMW * n
		for _, axis := range m.stores[i].axes {
			n *= float64(m.arch.Array.Axes[axis].Size)
		}
	}
	area("arithmetic", m.arch.Array.AreaUM2, hardware.MACArea(b.W, b.A, b.Psum)*hardware.AreaScale(nm), float64(m.arch.Lanes()))
	if estimated != nil {
		m.estimated = append(m.estimated, "area of "+strings.Join(estimated, ", ")+", without networks and control")
	}
}

// leakage in pJ: mW times ns.
func (m *machine) leakage(cycles float64) float64 { return m.leak * cycles / m.arch.ClockMHz * 1e3 }

// hold lists the levels that hold each operand.
func (m *machine) hold() {
	for o := range hardware.Operand(hardware.NumOperands) {
		m.holders[o] = nil
		for i := range m.stores {
			if m.stores[i].held[o] {
				m.holders[o] = append(m.holders[o], i)
			}
		}
	}
}

// without is the machine in which the optional operands of mask pass by.
func (m *machine) without(mask int) *machine {
	v := *m
	v.stores = slices.Clone(m.stores)
	for i, c := range m.optional {
		if mask&(1<<i) != 0 {
			v.stores[c.level].held[c.operand] = false
		}
	}
	v.hold()
	return &v
}

// variant finds the machine whose operands pass by as a mapping says.
func (m *machine) variant(p *Mapping) (*machine, error) {
	mask := 0
	for l := range p.Levels {
		for o := range hardware.Operand(hardware.NumOperands) {
			if !strings.Contains(p.Levels[l].Bypass, o.Letter()) {
				continue
			}
			i := slices.Index(m.optional, choice{l, o})
			if i < 0 {
				return nil, fmt.Errorf("level %s: %v may not pass by (see bypass)", m.stores[l].name, o)
			}
			mask |= 1 << i
		}
	}
	return m.variants[mask], nil
}

func (m *machine) store(index int, nm float64) store {
	l := &m.arch.Levels[index]
	b := m.arch.Array.Bits
	s := store{name: l.Name, readBW: unlimited(l.ReadWords), writeBW: unlimited(l.WriteWords), single: l.SingleBuffered,
		windows: l.Network.SharedWindows, wire: l.Network.WordPJ, shared: math.Inf(1)}
	s.time, _ = parseLoops(l.Loops)
	for i := range len(l.Order) {
		s.order.dims[i], _ = hardware.ParseDim(l.Order[i : i+1])
		s.order.n++
	}
	for name, n := range l.Bounds {
		if d, err := hardware.ParseDim(name); err == nil {
			s.bounds[d] = int64(n)
		}
	}
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
		if !m.arch.OuterOnly {
			s.drain[o], s.fill[o] = s.read[o], s.write[o]
		}
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
