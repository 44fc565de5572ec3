package loopnest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawknife/drawknife/hardware"
)

// constrain reads the constraints of a node of version 0.4.
func (r *timeloopReader) constrain(level int, t tree) error {
	list, err := t.pairs()
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := r.one(level, p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// targets reads a list of constraints on levels by name.
func (r *timeloopReader) targets(t tree) error {
	if list, err := t.get("targets"); err == nil && list.node != nil {
		t = list
	}
	items, err := t.items()
	if err != nil {
		return err
	}
	for _, c := range items {
		var words [2]string
		for i, key := range []string{"target", "type"} {
			v, err := c.get(key)
			if err == nil && v.node == nil {
				err = c.errorf("a constraint has no %s", key)
			}
			if err == nil {
				words[i], err = v.text()
			}
			if err != nil {
				return err
			}
		}
		level := slices.IndexFunc(r.arch.Levels, func(l Level) bool { return l.Name == words[0] })
		if level < 0 {
			continue // of a dummy or of a component that stores nothing
		}
		if err := r.one(level, words[1], c); err != nil {
			return err
		}
	}
	return nil
}

var operandNames = map[string]string{"Weights": "W", "Weight": "W", "Inputs": "I", "Input": "I", "Outputs": "O", "Output": "O"}

// one applies one constraint.
func (r *timeloopReader) one(level int, kind string, t tree) error {
	switch kind {
	case "bypass", "datatype", "dataspace":
		for _, key := range []string{"keep", "bypass"} {
			if err := r.kept(level, key, t); err != nil {
				return err
			}
		}
	case "temporal":
		return r.temporal(level, t)
	case "spatial":
		mask, err := t.offAxis()
		if err != nil {
			return err
		}
		r.off[level][0] |= mask
		r.off[level][1] |= mask
	}
	return nil // constraints on utilization and the like are left to the search
}

func (r *timeloopReader) kept(level int, key string, t tree) error {
	v, err := t.get(key)
	if err != nil {
		return err
	}
	items, err := v.items()
	if err != nil {
		return err
	}
	l := &r.arch.Levels[level]
	for _, x := range items {
		name, err := x.text()
		if err != nil {
			return err
		}
		o := operandNames[name]
		if o == "" {
			return x.errorf("no operand is called %q; there are Weights, Inputs, Outputs", short(name))
		}
		r.free[level] = strings.ReplaceAll(r.free[level], o, "")
		if key == "bypass" && level > 0 {
			if l.Holds == "" {
				l.Holds = "WIO"
			}
			l.Holds = strings.ReplaceAll(l.Holds, o, "")
		}
	}
	if l.Holds == "" && key == "bypass" && len(items) == hardware.NumOperands && level > 0 {
		return t.errorf("level %q keeps nothing", l.Name)
	}
	return nil
}

var factor = regexp.MustCompile(`([A-Z])\s*(<=|=)?\s*(\d+)`)

// temporal reads factors, such as "R=3 C1" (0 is whatever is left), and a
// permutation, which Timeloop writes from the innermost loop outwards.
func (r *timeloopReader) temporal(level int, t tree) error {
	l := &r.arch.Levels[level]
	for _, key := range []string{"factors", "permutation"} {
		v, err := t.get(key)
		if err != nil {
			return err
		}
		if v.node == nil {
			continue
		}
		text, err := v.joined()
		if err != nil {
			return err
		}
		text = strings.ReplaceAll(text, "M", "K")
		if key == "permutation" {
			l.Order = ""
			for _, d := range text {
				if d != ' ' && d != ',' {
					l.Order = string(d) + l.Order
				}
			}
			continue
		}
		for _, m := range factor.FindAllStringSubmatch(text, -1) {
			n, err := strconv.Atoi(m[3])
			if err != nil || n == 0 || m[2] == "<=" {
				continue
			}
			if l.Bounds == nil {
				l.Bounds = map[string]int{}
			}
			l.Bounds[m[1]] = n
		}
	}
	return nil
}

// joined is a scalar, or a list of scalars one after the other.
func (t tree) joined() (string, error) {
	if _, ok := t.node.(*ast.SequenceNode); !ok {
		return t.text()
	}
	items, err := t.items()
	if err != nil {
		return "", err
	}
	var words []string
	for _, x := range items {
		w, err := x.text()
		if err != nil {
			return "", err
		}
		words = append(words, w)
	}
	return strings.Join(words, " "), nil
}

// loopsBut names all loops but some, or none if that leaves all.
func loopsBut(mask uint8) (names string) {
	if mask == 0 {
		return ""
	}
	for d := range hardware.Dim(numDims) {
		if mask&(1<<d) == 0 {
			names += d.String()
		}
	}
	return names
}
