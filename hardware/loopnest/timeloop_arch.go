package loopnest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawknife/drawknife/hardware"
)

// timeloopFile tells Timeloop's architecture files from ours.
var timeloopFile = regexp.MustCompile(`(?m)^architecture\s*:`)

// readTimeloop makes an Arch of a Timeloop or Accelergy architecture: a tree
// of subtree and local (version 0.3 and before), or a list of nodes tagged
// !Container and !Component (0.4). Memories become levels in the order of the
// file, the numbers of their instances the axes of the array; the component
// whose class is a multiplier gives the bits of its operands. Constraints on
// bypass, factors and permutations, in the nodes or in a list of targets in
// the same file, are kept, of those on loops in space the factors of 1, which
// keep loops off an axis; operands that they say nothing about may pass by.
// Energies are those of an energy reference table (ERT) in the same file, else
// they are estimated, as for any description without them.
func readTimeloop(root ast.Node) (*Arch, error) {
	r := &timeloopReader{scope: scope{x: 1, y: 1}, arch: &Arch{Doc: "read from a Timeloop architecture"}}
	top := newTree(root)
	list, err := top.pairs()
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		switch p.key {
		case "architecture":
			err = r.architecture(p.value)
		case "architecture_constraints", "mapspace_constraints", "constraints":
			r.later = append(r.later, p.value)
		case "ERT", "energy_reference_table":
			r.tables = append(r.tables, p.value)
		} // problems, component classes and settings are not read
		if err != nil {
			return nil, err
		}
	}
	for _, t := range r.later {
		if err := r.targets(t); err != nil {
			return nil, err
		}
	}
	for _, t := range r.tables {
		if err := r.energies(t); err != nil {
			return nil, err
		}
	}
	return r.finish(top)
}

// scope is what a node inherits from those around it: how many instances
// there are along two directions, and attributes.
type scope struct {
	x, y       int64
	technology float64
}

// barred are loops that may not be spread along the two directions.
type barred [2]uint8

// timeloopReader collects levels.
type timeloopReader struct {
	scope scope
	arch  *Arch
	at    []scope // by level
	mac   scope
	seen  bool // a multiplier
	free  []string
	off   []barred // by level: loops kept off the axes below
	next  barred   // off the axes above the next level, by nodes in between
	later []tree
	words float64 // bits of a word, for what does not say

	tables  []tree    // of energies
	row     []float64 // by level: words of an access
	macName string
}

func (r *timeloopReader) architecture(t tree) error {
	nodes, err := t.get("nodes")
	if err != nil {
		return err
	}
	if nodes.node != nil {
		return r.nodes(nodes)
	}
	sub, err := t.get("subtree")
	if err == nil && sub.node == nil {
		err = t.errorf("the architecture has neither nodes (version 0.4) nor subtree (0.3)")
	}
	if err != nil {
		return err
	}
	return r.subtree(sub, r.scope)
}

// subtree reads version 0.3: components lie in local, what is nested deeper in
// subtree. Instances are written behind names, as in PE[0..167].
func (r *timeloopReader) subtree(t tree, s scope) error {
	items, err := t.items()
	if err != nil {
		return err
	}
	for _, node := range items {
		inner := s
		if _, err := r.instances(node, &inner); err != nil {
			return err
		}
		local, err := node.get("local")
		if err != nil {
			return err
		}
		parts, err := local.items()
		if err != nil {
			return err
		}
		for _, p := range parts {
			own := inner
			name, err := r.instances(p, &own)
			if err != nil {
				return err
			}
			if err := r.component(p, name, own); err != nil {
				return err
			}
		}
		deeper, err := node.get("subtree")
		if err != nil {
			return err
		}
		if err := r.subtree(deeper, inner); err != nil {
			return err
		}
	}
	return nil
}

var ranged = regexp.MustCompile(`^(.*?)\[(\d+)\.\.(\d+)\]$`)

// instances multiplies s by what a node's name says, and reads the attributes
// that it passes on.
func (r *timeloopReader) instances(t tree, s *scope) (name string, err error) {
	n, err := t.get("name")
	if err != nil {
		return "", err
	}
	if n.node == nil {
		return "", t.errorf("a node has no name")
	}
	if name, err = n.text(); err != nil {
		return "", err
	}
	count := int64(1)
	if m := ranged.FindStringSubmatch(name); m != nil {
		lo, err1 := strconv.ParseInt(m[2], 10, 32)
		hi, err2 := strconv.ParseInt(m[3], 10, 32)
		if err1 != nil || err2 != nil || hi < lo {
			return "", n.errorf("%q is no range of instances", short(name))
		}
		name, count = m[1], hi-lo+1
	}
	attributes, err := t.get("attributes")
	if err != nil {
		return "", err
	}
	if v, err := attributes.get("technology"); err != nil {
		return "", err
	} else if v.node != nil && !v.is("-1") && !v.is("SET ME") { // these stand for unknown
		if s.technology, err = v.number("technology", "nm"); err != nil {
			return "", err
		}
	}
	mesh, err := attributes.get("meshX")
	if err != nil {
		return "", err
	}
	total := s.x * s.y * count
	switch {
	case total > 1<<32:
		return "", n.errorf("%d instances of %q are more than can be modelled", total, name)
	case mesh.node != nil:
		x, err := mesh.number("meshX", "")
		if err != nil {
			return "", err
		}
		if s.x = int64(x); float64(s.x) != x || total%s.x != 0 {
			return "", mesh.errorf("meshX is %v, which does not divide the %d instances of %q", x, total, name)
		}
		s.y = total / s.x
	default:
		s.x *= count
	}
	return name, nil
}

// nodes reads version 0.4: each node lies inside those before it.
func (r *timeloopReader) nodes(t tree) error {
	items, err := t.items()
	if err != nil {
		return err
	}
	for _, node := range items {
		switch node.tag {
		case "!Container", "!Component":
		case "!Hierarchical", "!Parallel":
			inner, err := node.get("nodes")
			if err != nil {
				return err
			}
			if err := r.nodes(inner); err != nil {
				return err
			}
			continue
		case "!Nothing":
			continue
		default:
			return node.errorf("want a node tagged !Container or !Component, not %q", short(node.tag))
		}
		name, err := r.instances(node, &r.scope)
		if err != nil {
			return err
		}
		if err := r.spatial(node); err != nil {
			return err
		}
		if node.tag == "!Component" {
			if err := r.component(node, name, r.scope); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *timeloopReader) spatial(t tree) error {
	s, err := t.get("spatial")
	if err != nil {
		return err
	}
	var directions []int // in which there are several
	for i, name := range []string{"meshX", "meshY"} {
		to := []*int64{&r.scope.x, &r.scope.y}[i]
		v, err := s.get(name)
		if err != nil {
			return err
		}
		if v.node == nil {
			continue
		}
		n, err := v.number(name, "")
		if err != nil {
			return err
		}
		if n != math.Floor(n) || n > maxSide {
			return v.errorf("%s is %v; want a whole number up to %d", name, n, maxSide)
		}
		if *to *= int64(n); *to > 1<<32 {
			return v.errorf("%d instances are more than can be modelled", *to)
		}
		if n > 1 {
			directions = append(directions, i)
		}
	}
	constraints, err := t.get("constraints")
	if err != nil {
		return err
	}
	if constraints, err = constraints.get("spatial"); err != nil {
		return err
	}
	mask, err := constraints.offAxis()
	if err != nil {
		return err
	}
	for _, i := range directions {
		r.next[i] |= mask
	}
	return nil
}

// offAxis is the set of loops that have a factor of 1.
func (t tree) offAxis() (mask uint8, err error) {
	v, err := t.get("factors")
	if err != nil || v.node == nil {
		return 0, err
	}
	text, err := v.joined()
	if err != nil {
		return 0, err
	}
	for _, m := range factor.FindAllStringSubmatch(strings.ReplaceAll(text, "M", "K"), -1) {
		if d, err := hardware.ParseDim(m[1]); err == nil && m[2] != "<=" && m[3] == "1" {
			mask |= 1 << d
		}
	}
	return mask, nil
}

// component makes a level of a memory and takes the bits of a multiplier.
func (r *timeloopReader) component(t tree, name string, s scope) error {
	c, err := t.get("class")
	if err != nil {
		return err
	}
	if c.node == nil {
		return t.errorf("component %q has no class", name)
	}
	class, err := c.text()
	if err != nil {
		return err
	}
	a, err := t.get("attributes")
	if err != nil {
		return err
	}
	if r.arch.TechnologyNM == 0 && s.technology > 0 {
		r.arch.TechnologyNM = s.technology
		if s.technology < 1 { // in micrometres or metres
			return a.errorf("technology %v; want nanometres, such as 45nm", s.technology)
		}
	}
	lower := strings.ToLower(class)
	switch {
	case strings.Contains(lower, "mac") || strings.Contains(lower, "compute") || strings.Contains(lower, "multiplier"):
		r.macName = name
		return r.multiplier(a, s)
	case strings.Contains(lower, "network") || strings.Contains(lower, "wire") || strings.Contains(lower, "adder") || strings.Contains(lower, "dummy") || lower == "storage" && name == "dummy":
		return nil
	}
	return r.level(t, a, name, lower, s)
}

func (r *timeloopReader) multiplier(a tree, s scope) error {
	r.mac, r.seen = s, true
	bits, err := first(a, "", "datawidth", "word-bits", "width")
	if err != nil || bits == 0 {
		return err
	}
	b := int(min(bits, 1<<20))
	r.arch.Array.Bits = Precision{b, b, b}
	return nil
}

// first reads the first of some attributes that is there, else 0.
func first(a tree, unit string, names ...string) (float64, error) {
	for _, name := range names {
		v, err := a.get(name)
		if err != nil {
			return 0, err
		}
		if v.node != nil {
			return v.number(name, unit)
		}
	}
	return 0, nil
}

func (r *timeloopReader) level(t, a tree, name, class string, s scope) error {
	if len(r.arch.Levels) == maxLevels {
		return t.errorf("memory %q is the ninth; there may be at most %d", name, maxLevels)
	}
	r.arch.places = append(r.arch.places, strconv.Itoa(t.line()))
	l := Level{Name: name}
	var v [8]float64
	for i, names := range [...][]string{{"depth", "memory_depth"}, {"width", "memory_width"}, {"word-bits", "datawidth"}, {"entries"}, {"sizeKB"},
		{"read_bandwidth", "shared_bandwidth"}, {"write_bandwidth", "shared_bandwidth"}, {"block-size"}} {
		var err error
		if v[i], err = first(a, "", names...); err != nil {
			return err
		}
	}
	depth, width, word, entries, kilobytes := v[0], v[1], v[2], v[3], v[4]
	if word > 0 && r.words == 0 {
		r.words = word
	}
	bits := depth * width
	switch {
	case entries > 0:
		bits = entries * max(word, r.words, 1)
	case kilobytes > 0:
		bits = kilobytes * 8192
	}
	if !strings.Contains(class, "dram") || len(r.arch.Levels) > 0 {
		if l.Bytes = int64(min(bits, 1<<54) / 8); l.Bytes == 0 {
			return t.errorf("memory %q has no capacity: give depth and width, entries, or sizeKB as numbers", name)
		}
	}
	l.ReadWords, l.WriteWords = v[5], v[6]
	r.arch.Levels = append(r.arch.Levels, l)
	r.at = append(r.at, s)
	row := v[7] // block-size
	if bits := max(word, r.words); row == 0 && bits > 0 {
		row = width / bits
	}
	r.row = append(r.row, max(row, 1))
	r.free = append(r.free, "WIO")
	r.above()
	r.off = append(r.off, barred{})
	constraints, err := t.get("constraints")
	if err != nil {
		return err
	}
	return r.constrain(len(r.arch.Levels)-1, constraints)
}

// above gives the last level what nodes below it have barred.
func (r *timeloopReader) above() {
	if n := len(r.off); n > 0 {
		r.off[n-1][0] |= r.next[0]
		r.off[n-1][1] |= r.next[1]
	}
	r.next = barred{}
}

// finish makes axes of the numbers of instances and gives the choices of what
// passes by to the innermost levels first.
func (r *timeloopReader) finish(top tree) (*Arch, error) {
	a := r.arch
	switch {
	case len(a.Levels) < 2:
		return nil, top.errorf("the architecture has %d memories; want DRAM and another one at least", len(a.Levels))
	case !r.seen:
		return nil, top.errorf("the architecture has no multiplier: no class with mac, multiplier or compute in its name")
	}
	if a.Array.Bits.W == 0 {
		b := int(min(max(r.words, 1), 1<<20))
		if r.words == 0 {
			b = 16
		}
		a.Array.Bits = Precision{b, b, b}
	}
	a.ClockMHz = 1000
	r.above()
	at := append(slices.Clone(r.at), r.mac)
	for i := range a.Levels {
		for side, d := range []struct {
			name     string
			from, to int64
		}{{"X", at[i].x, at[i+1].x}, {"Y", at[i].y, at[i+1].y}} {
			if d.to%d.from != 0 {
				return nil, top.errorf("the %d instances along %s below %q are no multiple of its own %d", d.to, d.name, a.Levels[i].Name, d.from)
			}
			if d.to == d.from {
				continue
			}
			axis := Axis{Name: fmt.Sprintf("%s%d", d.name, i), Size: int(min(d.to/d.from, math.MaxInt32)), Loops: loopsBut(r.off[i][side])}
			a.Array.Axes = append(a.Array.Axes, axis)
			a.Levels[i].FanOut = append(a.Levels[i].FanOut, axis.Name)
		}
	}
	choices := maxBypass
	for i := len(a.Levels) - 1; i > 0; i-- {
		l := &a.Levels[i]
		for _, o := range r.free[i] {
			if choices > 0 && (l.Holds == "" || strings.ContainsRune(l.Holds, o)) {
				l.Bypass += string(o)
				choices--
			}
		}
	}
	return a, nil
}
