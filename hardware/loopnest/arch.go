package loopnest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/drawknife/drawknife/hardware"
)

// Arch describes a machine.
type Arch struct {
	// Base is a description that this one builds on: one of the library, or a
	// file beside this one. What is given here replaces what it says; lists
	// are replaced whole.
	Base  string `yaml:"base,omitempty"`
	Name  string `yaml:"name"`
	Doc   string `yaml:"doc,omitempty"`
	Paper string `yaml:"paper,omitempty"`
	// TechnologyNM scales estimated energies; 0 is 45.
	TechnologyNM float64 `yaml:"technology_nm,omitempty"`
	ClockMHz     float64 `yaml:"clock_mhz"`
	Array        Array   `yaml:"array"`
	// Levels are the memories, outermost first. The first one is DRAM: it
	// holds everything.
	Levels []Level `yaml:"levels"`
	// OuterOnly says that a word that moves between two memories takes the
	// energy of the access to the outer one alone, as tables of normalized
	// energies are often meant (Eyeriss, ISCA 2016). Otherwise it takes both.
	OuterOnly bool `yaml:"outer_only,omitempty"`
	// Overheads are times beside the steady state.
	Overheads Overheads `yaml:"overheads,omitempty"`
	// Vector is the number of operations per cycle for layers without MACs,
	// which read and write the outermost level; 0 means that they are limited
	// by its bandwidth alone.
	Vector float64 `yaml:"vector_ops_per_cycle,omitempty"`

	// file is where it was read from, a name for one of the library; places
	// are those of the levels, which a base may have given.
	file   string
	places []string
}

// Array is the processing elements.
type Array struct {
	// Axes are the directions in which loops can be spread. Each belongs to
	// the level that names it in fan_out.
	Axes []Axis `yaml:"axes"`
	// Bits of the operands; partial sums are kept and moved inside with Psum
	// bits, outputs leave with A bits.
	Bits Precision `yaml:"bits"`
	// MACPJ is the energy of one multiply-accumulate; left out, it is
	// estimated from the bits.
	MACPJ *float64 `yaml:"mac_pj,omitempty"`
	// AreaUM2 is that of one element without memories; left out, it is
	// estimated from the bits.
	AreaUM2 float64 `yaml:"area_um2,omitempty"`
}

// Axis is one direction of the array.
type Axis struct {
	Name string `yaml:"name"`
	Size int    `yaml:"size"`
	// Loops that may be spread along it, such as "KPQ"; empty means any.
	Loops string `yaml:"loops,omitempty"`
}

// Precision is the width of the array's operands in bits.
type Precision struct {
	W    int `yaml:"w"`
	A    int `yaml:"a"`
	Psum int `yaml:"psum"`
}

// Level is one memory, or one memory for each processing element.
type Level struct {
	Name string `yaml:"name"`
	// Holds names the operands that are kept here, such as "IO"; empty means
	// all. Others pass by.
	Holds string `yaml:"holds,omitempty"`
	// Bypass names those of them that a mapping may let pass by instead; the
	// search chooses for each layer.
	Bypass string `yaml:"bypass,omitempty"`
	// Bytes is the capacity that the operands share; 0 with no Parts means
	// unlimited (DRAM).
	Bytes int64 `yaml:"bytes,omitempty"`
	// Parts are separate memories by operand, "W", "I" or "O".
	Parts map[string]Part `yaml:"parts,omitempty"`
	// WordBits overrides the width of a stored word.
	WordBits int `yaml:"word_bits,omitempty"`
	// Bandwidths of one instance in words per cycle, operands together; 0 is
	// unlimited.
	ReadWords  float64 `yaml:"read_words_per_cycle,omitempty"`
	WriteWords float64 `yaml:"write_words_per_cycle,omitempty"`
	// ReadPJ and WritePJ are per word; left out, they are estimated from the
	// capacity.
	ReadPJ  *float64 `yaml:"read_pj,omitempty"`
	WritePJ *float64 `yaml:"write_pj,omitempty"`
	LeakMW  float64  `yaml:"leak_mw,omitempty"` // of one instance
	// AreaUM2 is that of one instance; left out, it is estimated from the
	// capacity.
	AreaUM2 float64 `yaml:"area_um2,omitempty"`
	// DoubleBuffered says that half of the capacity receives the next tiles
	// while the other half is used.
	DoubleBuffered bool `yaml:"double_buffered,omitempty"`
	// SingleBuffered says that the level cannot be used while it is filled:
	// the time of its transfers adds to the rest instead of hiding behind it.
	SingleBuffered bool `yaml:"single_buffered,omitempty"`
	// FanOut names the axes along which this level's data spread to the
	// instances below.
	FanOut []string `yaml:"fan_out,omitempty"`
	// Network is what lies between this level and those instances.
	Network Network `yaml:"network,omitempty"`
	// Loops that may run in time here, such as "KC"; empty means any.
	Loops string `yaml:"loops,omitempty"`
	// Order fixes the order of these loops, outermost first, such as "KCPQ".
	// Loops that it does not name run outside of them.
	Order string `yaml:"order,omitempty"`
	// Bounds fixes how often loops run in time here, such as {R: 3}. A loop
	// that is shorter runs as often as it can.
	Bounds map[string]int `yaml:"bounds,omitempty"`
}

// Part is a separate memory of one operand.
type Part struct {
	Words   int64    `yaml:"words"`
	ReadPJ  *float64 `yaml:"read_pj,omitempty"`
	WritePJ *float64 `yaml:"write_pj,omitempty"`
}

// Network is the connection from a level to the instances below it.
type Network struct {
	// Unicast names operands that are read once for every instance that needs
	// them; others are multicast. "O" here means that partial sums of several
	// instances are not added on the way.
	Unicast string `yaml:"unicast,omitempty"`
	// SharedWindows credits input windows that overlap between instances with
	// one read, as diagonal or neighbour links make possible.
	SharedWindows bool `yaml:"shared_windows,omitempty"`
	// WordPJ is the energy of delivering one word to one instance.
	WordPJ float64 `yaml:"word_pj,omitempty"`
}

// Overheads are times beside the steady state.
type Overheads struct {
	LayerCycles float64 `yaml:"layer_cycles,omitempty"`
	// Fill adds the time of the first tiles' way in and the last outputs' way
	// out, through the levels with limited bandwidth.
	Fill bool `yaml:"fill,omitempty"`
	// ReadFirst charges the read before the first write of a partial sum,
	// which is otherwise known to be zero and left out.
	ReadFirst bool `yaml:"read_first,omitempty"`
}

// Limits of a description.
const (
	maxLevels = 8
	maxAxes   = 4
	maxSide   = 1 << 16
	maxBypass = 6 // of operands that may pass by, of all levels together
)

// MarshalJSON writes the description under the names of the YAML form.
func (a *Arch) MarshalJSON() ([]byte, error) { return yaml.MarshalWithOptions(a, yaml.JSON()) }

// Lanes is the number of processing elements.
func (a *Arch) Lanes() int64 {
	n := int64(1)
	for _, x := range a.Array.Axes {
		n *= int64(x.Size)
	}
	return n
}

// fieldError is an error about one place of the description.
type fieldError struct {
	path string // such as levels[1].bytes
	err  error
}

func (e *fieldError) Error() string { return e.path + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

func at(path, format string, args ...any) error {
	return &fieldError{path, fmt.Errorf(format, args...)}
}

// Check reports what is impossible in a description.
func (a *Arch) Check() error {
	switch {
	case a.Name == "":
		return at("name", "is missing")
	case !(a.ClockMHz > 0 && a.ClockMHz < 1e6):
		return at("clock_mhz", "%v; it must be above 0 and below 10^6", a.ClockMHz)
	case a.TechnologyNM < 0 || a.TechnologyNM > 1000:
		return at("technology_nm", "%v is out of range", a.TechnologyNM)
	case len(a.Levels) < 2 || len(a.Levels) > maxLevels:
		return at("levels", "%d levels; there must be from 2 (DRAM and one memory) to %d", len(a.Levels), maxLevels)
	case len(a.Array.Axes) > maxAxes:
		return at("array.axes", "%d axes; there may be at most %d", len(a.Array.Axes), maxAxes)
	case !(a.Vector >= 0) || !(a.Overheads.LayerCycles >= 0):
		return at("overheads", "must not be negative")
	}
	if err := a.checkArray(); err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range a.Levels {
		path := fmt.Sprintf("levels[%d]", i)
		if err := a.checkLevel(path, i, &a.Levels[i]); err != nil {
			return err
		}
		if names[a.Levels[i].Name] {
			return at(path+".name", "%q is used twice", a.Levels[i].Name)
		}
		names[a.Levels[i].Name] = true
	}
	if a.Levels[0].Holds != "" && len(a.Levels[0].Holds) < hardware.NumOperands {
		return at("levels[0].holds", "the outermost level must hold all operands, or some have no way to the array")
	}
	return a.checkFanOut()
}

func (a *Arch) checkArray() error {
	names := map[string]bool{}
	for i, x := range a.Array.Axes {
		path := fmt.Sprintf("array.axes[%d]", i)
		if x.Name == "" || names[x.Name] {
			return at(path+".name", "%q is empty or used twice", x.Name)
		}
		names[x.Name] = true
		if x.Size < 1 || x.Size > maxSide {
			return at(path+".size", "%d; it must be from 1 to %d", x.Size, maxSide)
		}
		if _, err := parseLoops(x.Loops); err != nil {
			return at(path+".loops", "%w", err)
		}
	}
	if a.Lanes() > 1<<32 {
		return at("array.axes", "%d processing elements are more than can be modelled", a.Lanes())
	}
	for _, b := range []struct {
		name string
		bits int
	}{{"w", a.Array.Bits.W}, {"a", a.Array.Bits.A}, {"psum", a.Array.Bits.Psum}} {
		if b.bits < 1 || b.bits > 64 {
			return at("array.bits."+b.name, "%d; it must be from 1 to 64", b.bits)
		}
	}
	return checkEnergy("array.mac_pj", a.Array.MACPJ)
}

func checkEnergy(path string, e *float64) error {
	if e != nil && !(*e >= 0 && *e < 1e9) {
		return at(path, "%v pJ is out of range", *e)
	}
	return nil
}

func (a *Arch) checkLevel(path string, index int, l *Level) error {
	if l.Name == "" {
		return at(path+".name", "is missing")
	}
	if err := checkOperands(l.Holds); err != nil {
		return at(path+".holds", "%w", err)
	}
	if err := a.checkMapping(path, index, l); err != nil {
		return err
	}
	if err := checkOperands(l.Network.Unicast); err != nil {
		return at(path+".network.unicast", "%w", err)
	}
	switch {
	case l.Bytes < 0 || l.Bytes > 1<<50:
		return at(path+".bytes", "%d is no possible capacity", l.Bytes)
	case l.Bytes > 0 && len(l.Parts) > 0:
		return at(path+".parts", "a level has either a shared capacity (bytes) or parts")
	case l.Bytes == 0 && len(l.Parts) == 0 && index > 0:
		return at(path, "level %q has no capacity: give bytes or parts", l.Name)
	case l.WordBits < 0 || l.WordBits > 4096:
		return at(path+".word_bits", "%d; it must be from 1 to 4096", l.WordBits)
	case l.DoubleBuffered && l.SingleBuffered:
		return at(path+".single_buffered", "contradicts double_buffered")
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"read_words_per_cycle", l.ReadWords}, {"write_words_per_cycle", l.WriteWords}, {"leak_mw", l.LeakMW}, {"area_um2", l.AreaUM2}, {"network.word_pj", l.Network.WordPJ}} {
		if !(v.value >= 0 && v.value < 1e15) {
			return at(path+"."+v.name, "%v is out of range; leave it out for no limit", v.value)
		}
	}
	if err := checkEnergy(path+".read_pj", l.ReadPJ); err != nil {
		return err
	}
	if err := checkEnergy(path+".write_pj", l.WritePJ); err != nil {
		return err
	}
	if _, err := parseLoops(l.Loops); err != nil {
		return at(path+".loops", "%w", err)
	}
	if err := l.checkParts(path); err != nil {
		return err
	}
	return a.checkSmallest(path, l)
}

// checkSmallest rejects a level too small for a word of each operand, which no
// layer fits.
func (a *Arch) checkSmallest(path string, l *Level) error {
	share, half := 1, ""
	if l.DoubleBuffered {
		share, half = 2, "half of "
	}
	need := 0
	for o := range hardware.Operand(hardware.NumOperands) {
		name, bits := o.Letter(), [hardware.NumOperands]int{a.Array.Bits.W, a.Array.Bits.A, a.Array.Bits.Psum}[o]
		if l.WordBits > 0 {
			bits = l.WordBits
		}
		if p, ok := l.Parts[name]; ok && p.Words < int64(share) {
			return at(path+".parts."+name+".words", "%s%d is less than a word", half, p.Words)
		}
		if l.holds(o) && !strings.Contains(l.Bypass, name) {
			need += bits
		}
	}
	if l.Bytes > 0 && 8*l.Bytes/int64(share) < int64(need) {
		return at(path+".bytes", "%s%d is less than a word of each operand, %d bits", half, l.Bytes, need)
	}
	return nil
}

// checkMapping checks what a level says about mappings.
func (a *Arch) checkMapping(path string, index int, l *Level) error {
	if err := checkOperands(l.Bypass); err != nil {
		return at(path+".bypass", "%w", err)
	}
	if l.Bypass != "" && index == 0 {
		return at(path+".bypass", "the outermost level holds everything: nothing can pass by")
	}
	for o := range hardware.Operand(hardware.NumOperands) {
		if strings.Contains(l.Bypass, o.Letter()) && !l.holds(o) {
			return at(path+".bypass", "level %q does not hold %s anyway (see holds)", l.Name, o.Letter())
		}
	}
	choices := 0
	for i := range a.Levels {
		choices += len(a.Levels[i].Bypass)
	}
	if choices > maxBypass {
		return at(path+".bypass", "there are %d choices of what passes by; there may be at most %d", choices, maxBypass)
	}
	if _, err := parseLoops(l.Order); err != nil {
		return at(path+".order", "%w", err)
	}
	for i, r := range l.Order {
		if strings.ContainsRune(l.Order[:i], r) {
			return at(path+".order", "loop %c is named twice", r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Bounds)) {
		if _, err := hardware.ParseDim(name); err != nil {
			return at(path+".bounds", "%w", err)
		}
		if n := l.Bounds[name]; n < 1 || n > 1<<30 {
			return at(path+".bounds."+name, "%d; it must be from 1 to 2^30", n)
		}
	}
	return nil
}

func (l *Level) checkParts(path string) error {
	for _, name := range slices.Sorted(maps.Keys(l.Parts)) {
		p, path := l.Parts[name], path+".parts."+name
		if len(name) != 1 || !strings.Contains("WIO", name) {
			return at(path, "no operand is called %q; there are W, I, O", name)
		}
		if l.Holds != "" && !strings.Contains(l.Holds, name) {
			return at(path, "level %q does not hold %s (see holds)", l.Name, name)
		}
		if p.Words < 1 || p.Words > 1<<50 {
			return at(path+".words", "%d is no possible capacity", p.Words)
		}
		if err := checkEnergy(path+".read_pj", p.ReadPJ); err != nil {
			return err
		}
		if err := checkEnergy(path+".write_pj", p.WritePJ); err != nil {
			return err
		}
	}
	if len(l.Parts) == 0 {
		return nil
	}
	for o := range hardware.Operand(hardware.NumOperands) {
		if _, ok := l.Parts[o.Letter()]; !ok && l.holds(o) && l.Holds != "" {
			return at(path+".parts", "there is no part for %s, which the level holds", o.Letter())
		}
	}
	return nil
}

// holds reports whether the operand is kept at this level.
func (l *Level) holds(o hardware.Operand) bool {
	if l.Holds != "" {
		return strings.Contains(l.Holds, o.Letter())
	}
	if len(l.Parts) > 0 {
		_, ok := l.Parts[o.Letter()]
		return ok
	}
	return true
}

func (a *Arch) checkFanOut() error {
	owner := map[string]bool{}
	for i := range a.Levels {
		for j, name := range a.Levels[i].FanOut {
			path := fmt.Sprintf("levels[%d].fan_out[%d]", i, j)
			if a.axis(name) < 0 {
				return at(path, "no axis of the array is called %q", name)
			}
			if owner[name] {
				return at(path, "axis %q fans out at two levels", name)
			}
			owner[name] = true
		}
	}
	for i, x := range a.Array.Axes {
		if !owner[x.Name] {
			return at(fmt.Sprintf("array.axes[%d]", i), "axis %q fans out at no level: name it in a level's fan_out", x.Name)
		}
	}
	return nil
}

func (a *Arch) axis(name string) int {
	return slices.IndexFunc(a.Array.Axes, func(x Axis) bool { return x.Name == name })
}

func checkOperands(s string) error {
	for i, r := range s {
		if !strings.ContainsRune("WIO", r) || strings.ContainsRune(s[:i], r) {
			return fmt.Errorf("%q; want some of the letters W, I, O, each once", s)
		}
	}
	return nil
}

// parseLoops reads a set of loops; the empty one is all of them.
func parseLoops(s string) (mask uint8, err error) {
	if s == "" {
		return math.MaxUint8, nil
	}
	for i := range len(s) {
		d, err := hardware.ParseDim(s[i : i+1])
		if err != nil {
			return 0, err
		}
		mask |= 1 << d
	}
	return mask, nil
}
