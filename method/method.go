// Package method is the registry of compression methods: what each is called,
// which paper it comes from, what it needs and which options it takes. The
// families fill it; the command line, recipes, compress and the documentation
// read it. Adding a method is a file in its family's package with one call of
// Register.
package method

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Family groups methods that can replace each other.
type Family string

// The families.
const (
	Prune     Family = "prune"     // which channels to remove
	Weights   Family = "weights"   // which single weights to remove
	Layers    Family = "layers"    // which whole blocks to remove
	Allocate  Family = "allocate"  // how much to remove where
	Schedule  Family = "schedule"  // how much to remove when
	Sparsify  Family = "sparsify"  // training that makes channels removable
	Quantize  Family = "quantize"  // grids, rounding and correction
	Calibrate Family = "calibrate" // ranges of activations
	Train     Family = "train"     // optimizers, schedules, losses
)

// Needs says what a method must be given. The zero value needs nothing.
type Needs struct {
	Data   bool `json:"data,omitempty"`   // unlabelled images
	Labels bool `json:"labels,omitempty"` // labelled images
	Train  bool `json:"train,omitempty"`  // training steps
	// Images is how many images it is better off with than with a few hundred.
	Images int `json:"images,omitempty"`
}

// And is what two methods need together.
func (n Needs) And(m Needs) Needs {
	return Needs{n.Data || m.Data, n.Labels || m.Labels, n.Train || m.Train, max(n.Images, m.Images)}
}

func (n Needs) String() string {
	var parts []string
	if n.Labels {
		parts = append(parts, "labels")
	} else if n.Data {
		parts = append(parts, "data")
	}
	if n.Train {
		parts = append(parts, "training")
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Option is a setting of a method.
type Option struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Help    string `json:"help"`
	// Below is what a number must stay below, if not zero.
	Below float64 `json:"below,omitempty"`
}

// Method describes one method.
type Method struct {
	Name    string   `json:"name"`
	Family  Family   `json:"family"`
	Summary string   `json:"summary"`
	Paper   string   `json:"paper"` // authors, title, venue
	Year    int      `json:"year"`
	Needs   Needs    `json:"needs"`
	Options []Option `json:"options,omitempty"`
	// New makes what the family works with (each family states its type).
	New func(options map[string]string) (any, error) `json:"-"`
}

var registry = map[Family]map[string]Method{}

// Register adds a method. It panics on a duplicate or an incomplete entry.
func Register(m Method) {
	if m.Name == "" || m.Family == "" || m.Summary == "" || m.New == nil {
		panic(fmt.Sprintf("method: incomplete entry %+v", m))
	}
	if registry[m.Family] == nil {
		registry[m.Family] = map[string]Method{}
	}
	if _, ok := registry[m.Family][m.Name]; ok {
		panic(fmt.Sprintf("method: %s %q registered twice", m.Family, m.Name))
	}
	registry[m.Family][m.Name] = m
}

// All lists the methods by family and name.
func All() []Method {
	var out []Method
	for _, f := range slices.Sorted(maps.Keys(registry)) {
		out = append(out, Of(f)...)
	}
	return out
}

// Of lists the methods of one family by name.
func Of(f Family) []Method {
	var out []Method
	for _, name := range slices.Sorted(maps.Keys(registry[f])) {
		out = append(out, registry[f][name])
	}
	return out
}

// Names lists the names of a family's methods.
func Names(f Family) []string { return slices.Sorted(maps.Keys(registry[f])) }

// NeedsOf is what methods need together, given as pairs of family and spec; an empty
// spec is no method.
func NeedsOf(pairs ...string) (Needs, error) {
	var n Needs
	for i := 0; i+1 < len(pairs); i += 2 {
		f, spec := Family(pairs[i]), pairs[i+1]
		if spec == "" {
			continue
		}
		name, _, _ := strings.Cut(spec, ":")
		m, ok := registry[f][name]
		if !ok {
			return n, unknown(f, name)
		}
		n = n.And(m.Needs)
	}
	return n, nil
}

// New makes the method that spec names: NAME or NAME:key=value,key=value.
func New[T any](f Family, spec string) (T, error) {
	var zero T
	name, rest, _ := strings.Cut(spec, ":")
	m, ok := registry[f][name]
	if !ok {
		return zero, unknown(f, name)
	}
	options := map[string]string{}
	for _, o := range m.Options {
		options[o.Name] = o.Default
	}
	if rest != "" {
		for _, kv := range strings.Split(rest, ",") {
			k, v, ok := strings.Cut(kv, "=")
			if _, known := options[k]; !ok || !known {
				return zero, fmt.Errorf("%s %s: no option %q (there are: %s)", f, name, kv, strings.Join(optionNames(m), ", "))
			}
			options[k] = v
		}
	}
	made, err := m.New(options)
	if err != nil {
		return zero, fmt.Errorf("%s %s: %w", f, name, err)
	}
	t, ok := made.(T)
	if !ok {
		return zero, fmt.Errorf("%s %s: makes %T, want %T", f, name, made, zero)
	}
	return t, nil
}

func unknown(f Family, name string) error {
	return fmt.Errorf("%s: no method is called %q (there are: %s)", f, name, strings.Join(Names(f), ", "))
}

func optionNames(m Method) []string {
	var out []string
	for _, o := range m.Options {
		out = append(out, o.Name)
	}
	return out
}
