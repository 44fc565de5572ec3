package loopnest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// Loop is one loop of a mapping.
type Loop struct {
	Dim   hardware.Dim
	Bound int
}

// Spread is a loop in space: Bound instances along an axis of the array.
type Spread struct {
	Loop
	Axis int // index in Array.Axes
}

// Place is what runs at one level: loops in time, outermost first, and below
// them loops in space over the instances of the next level.
type Place struct {
	Time  []Loop
	Space []Spread
	// Bypass names operands, such as "WI", that pass by this level although it
	// could hold them.
	Bypass string
}

// Mapping is a place for every loop of a layer, by level, outermost first. The
// bounds of a loop over all levels multiply to its size or more; the excess is
// cut off the last iterations.
type Mapping struct {
	Levels []Place
}

// ParseMapping reads the form that String writes, such as
//
//	DRAM: K6 C64 | buffer: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16
//
// with loops in time before the slash and loops in space, with their axes,
// behind it. Levels that are left out run nothing. Operands that pass by a
// level stand behind its name and an exclamation mark, as in "buffer !W:".
func ParseMapping(a *Arch, text string) (*Mapping, error) {
	if len(text) > 1<<14 {
		return nil, fmt.Errorf("a mapping of %d characters is too long", len(text))
	}
	m := &Mapping{Levels: make([]Place, len(a.Levels))}
	for part := range strings.SplitSeq(text, "|") {
		name, loops, ok := strings.Cut(part, ":")
		name, bypass, _ := strings.Cut(name, "!")
		l := levelIndex(a, strings.TrimSpace(name))
		if !ok || l < 0 {
			return nil, fmt.Errorf("mapping: %q does not begin with a level of %s", strings.TrimSpace(part), a.Name)
		}
		if m.Levels[l].Bypass = strings.TrimSpace(bypass); checkOperands(m.Levels[l].Bypass) != nil {
			return nil, fmt.Errorf("mapping: level %s: %w", a.Levels[l].Name, checkOperands(m.Levels[l].Bypass))
		}
		inTime, inSpace, _ := strings.Cut(loops, "/")
		for f := range strings.FieldsSeq(inTime) {
			loop, err := parseLoop(f)
			if err != nil {
				return nil, fmt.Errorf("mapping: level %s: %w", a.Levels[l].Name, err)
			}
			m.Levels[l].Time = append(m.Levels[l].Time, loop)
		}
		for f := range strings.FieldsSeq(inSpace) {
			axis, rest, ok := strings.Cut(f, ":")
			if !ok || a.axis(axis) < 0 {
				return nil, fmt.Errorf("mapping: level %s: %q does not begin with an axis and a colon", a.Levels[l].Name, f)
			}
			loop, err := parseLoop(rest)
			if err != nil {
				return nil, fmt.Errorf("mapping: level %s: %w", a.Levels[l].Name, err)
			}
			m.Levels[l].Space = append(m.Levels[l].Space, Spread{loop, a.axis(axis)})
		}
	}
	return m, nil
}

func levelIndex(a *Arch, name string) int {
	for i := range a.Levels {
		if a.Levels[i].Name == name {
			return i
		}
	}
	return -1
}

func parseLoop(s string) (Loop, error) {
	if s == "" {
		return Loop{}, fmt.Errorf("a loop is missing")
	}
	d, err := hardware.ParseDim(s[:1])
	if err != nil {
		return Loop{}, err
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 1 || n > 1<<30 {
		return Loop{}, fmt.Errorf("loop %q: want a letter and a bound from 1 to 2^30", s)
	}
	return Loop{d, n}, nil
}

// Format writes m in the form that ParseMapping reads.
func (m *Mapping) Format(a *Arch) string {
	var levels []string
	for i, p := range m.Levels {
		if len(p.Time) == 0 && len(p.Space) == 0 && p.Bypass == "" {
			continue
		}
		s := a.Levels[i].Name + ":"
		if p.Bypass != "" {
			s = a.Levels[i].Name + " !" + p.Bypass + ":"
		}
		for _, l := range p.Time {
			s += fmt.Sprintf(" %v%d", l.Dim, l.Bound)
		}
		if len(p.Space) > 0 {
			s += " /"
		}
		for _, l := range p.Space {
			s += fmt.Sprintf(" %s:%v%d", a.Array.Axes[l.Axis].Name, l.Dim, l.Bound)
		}
		levels = append(levels, s)
	}
	return strings.Join(levels, " | ")
}

// Nest writes m as the loops that a person would write.
func (m *Mapping) Nest(a *Arch) string {
	var b strings.Builder
	indent := ""
	for i, p := range m.Levels {
		l := &a.Levels[i]
		held := ""
		for o := range hardware.Operand(hardware.NumOperands) {
			if l.holds(o) && !strings.Contains(p.Bypass, o.Letter()) {
				held += " " + o.String()
			}
		}
		if held == "" {
			held = " nothing"
		}
		fmt.Fprintf(&b, "%s[%s holds%s]\n", indent, l.Name, held)
		for _, t := range p.Time {
			fmt.Fprintf(&b, "%sfor %v in 0..%d\n", indent, t.Dim, t.Bound-1)
			indent += " "
		}
		for _, t := range p.Space {
			fmt.Fprintf(&b, "%sparallel %v in 0..%d along %s\n", indent, t.Dim, t.Bound-1, a.Array.Axes[t.Axis].Name)
			indent += " "
		}
	}
	b.WriteString(indent + "multiply and accumulate\n")
	return b.String()
}
