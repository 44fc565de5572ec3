package loopnest

import (
	"math"
	"slices"
	"strings"
)

// energies reads an energy reference table as Accelergy writes it: for each
// component, by its path, actions with their energies in pJ. An action of a
// memory moves as many words as a row of it holds. Where an action is listed
// for several arguments, such as data that change or do not, the largest
// energy counts. Components that are no part of the model are passed over.
func (r *timeloopReader) energies(t tree) error {
	tables, err := t.get("tables")
	if err != nil {
		return err
	}
	items, err := tables.items()
	if err != nil {
		return err
	}
	for _, item := range items {
		name, err := item.word("name")
		if err != nil {
			return err
		}
		if m := ranged.FindStringSubmatch(name); m != nil {
			name = m[1]
		}
		name = name[strings.LastIndexByte(name, '.')+1:]
		actions, err := item.get("actions")
		if err != nil {
			return err
		}
		level := slices.IndexFunc(r.arch.Levels, func(l Level) bool { return l.Name == name })
		switch {
		case level >= 0:
			err = r.memoryEnergies(level, actions)
		case name == r.macName:
			err = r.macEnergy(actions)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *timeloopReader) memoryEnergies(level int, t tree) error {
	l := &r.arch.Levels[level]
	return t.actions(func(action string, pj float64) {
		pj /= r.row[level]
		switch {
		case strings.Contains(action, "read"):
			l.ReadPJ = larger(l.ReadPJ, pj)
		case strings.Contains(action, "write"), strings.Contains(action, "update"):
			l.WritePJ = larger(l.WritePJ, pj)
		}
	})
}

func (r *timeloopReader) macEnergy(t tree) error {
	return t.actions(func(action string, pj float64) {
		if !strings.Contains(action, "leak") && !strings.Contains(action, "idle") && !strings.Contains(action, "gated") {
			r.arch.Array.MACPJ = larger(r.arch.Array.MACPJ, pj)
		}
	})
}

// larger is the larger of what is known and v.
func larger(known *float64, v float64) *float64 {
	if known != nil {
		v = max(*known, v)
	}
	return &v
}

// actions calls f with the energy of each action of a list.
func (t tree) actions(f func(name string, pj float64)) error {
	items, err := t.items()
	if err != nil {
		return err
	}
	for _, item := range items {
		name, err := item.word("name")
		if err != nil {
			return err
		}
		energy, err := item.get("energy")
		if err != nil {
			return err
		}
		pj, err := energy.pj()
		if err != nil {
			return err
		}
		f(strings.ToLower(name), pj)
	}
	return nil
}

// word is the text of an entry that must be there.
func (t tree) word(key string) (string, error) {
	v, err := t.get(key)
	if err != nil {
		return "", err
	}
	if v.node == nil {
		return "", t.errorf("%s is missing", key)
	}
	return v.text()
}

// pj reads an energy, which may be 0.
func (t tree) pj() (float64, error) {
	if t.node == nil {
		return 0, t.errorf("an action has no energy")
	}
	s, err := t.text()
	if err != nil {
		return 0, err
	}
	if s == "0" || s == "0.0" {
		return 0, nil
	}
	v, err := t.number("energy", "")
	if err == nil && v >= math.MaxInt32 {
		err = t.errorf("energy is %v pJ, out of range", v)
	}
	return v, err
}
