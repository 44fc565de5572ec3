// Package zoo builds the classic convolutional networks as graphs of ONNX
// operators, freshly initialised.
//
// A network is asked for by a specification such as
//
//	resnet20?classes=100&width=0.5
//
// Every network takes the keys classes, channels (of the input image), size
// ("224" or "49x10", height first) and width (a multiplier of the channel
// counts); List tells which further keys each one has. The batch dimension is
// the symbol "N", the input is named "input", the output "logits". Batch
// normalization stays a node of its own so that it can be trained, pruned and
// folded later.
package zoo

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Model describes one network of the zoo.
type Model struct {
	// Name is what Build takes.
	Name string
	// Doc is one line about the network, Paper its source and Year that
	// source's year.
	Doc   string
	Paper string
	Year  int
	// Classes, Channels, Height and Width are the defaults of the network's
	// output and input.
	Classes, Channels, Height, Width int
	// Keys are the keys a specification may set beyond the common ones.
	Keys []Key

	build func(b *builder)
}

// Key is one setting of a network's specification.
type Key struct {
	Name    string
	Default string
	// Values lists what the key may be; empty means any non-negative integer.
	Values []string
	Doc    string
}

var models = map[string]*Model{}

// register adds networks; it is called from init functions of the families'
// files and panics on a duplicate.
func register(list ...Model) {
	for _, m := range list {
		if models[m.Name] != nil {
			panic("zoo: registered twice: " + m.Name)
		}
		models[m.Name] = &m
	}
}

// List returns the networks in order of their names.
func List() []Model {
	list := make([]Model, 0, len(models))
	for _, m := range models {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Limits of what a specification may ask for.
const (
	maxSize    = 4096
	maxClasses = 1 << 20
	maxParams  = 1 << 30
)

// Build makes the network that spec names, with Kaiming-initialised weights
// drawn from seed (the same seed gives the same bytes).
func Build(spec string, seed uint64) (*graph.Graph, error) {
	return build(spec, &builder{seed: seed})
}

func build(spec string, b *builder) (*graph.Graph, error) {
	name, query, _ := strings.Cut(strings.TrimPrefix(spec, "zoo:"), "?")
	m := models[name]
	if m == nil {
		return nil, fmt.Errorf("zoo: no network is named %q; there are %s", name, strings.Join(names(), ", "))
	}
	o, err := m.options(query)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", spec, err)
	}
	b.g, b.opts = graph.New(name), o
	b.g.Doc = m.Doc + " (" + m.Paper + ")"
	in := b.g.AddInput("input", tensor.Float32,
		graph.Shape{graph.Sym("N"), graph.D(o.channels), graph.D(o.height), graph.D(o.width)})
	b.in = fmap{v: in, c: o.channels, h: o.height, w: o.width}
	m.build(b)
	if b.err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", spec, b.err)
	}
	if err := b.g.Verify(); err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", spec, err)
	}
	if err := b.g.InferShapes(); err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", spec, err)
	}
	for _, fill := range b.fills {
		fill()
	}
	return b.g, nil
}

func names() []string {
	var out []string
	for _, m := range List() {
		out = append(out, m.Name)
	}
	return out
}

// options are the values of a specification's keys.
type options struct {
	classes, channels, height, width int
	mult                             float64
	extra                            map[string]string
}

// options reads the part of a specification after the question mark.
func (m *Model) options(query string) (options, error) {
	o := options{classes: m.Classes, channels: m.Channels, height: m.Height, width: m.Width, mult: 1, extra: map[string]string{}}
	for _, k := range m.Keys {
		o.extra[k.Name] = k.Default
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return o, err
	}
	for key, values := range q {
		if err := m.set(&o, key, values[len(values)-1]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (m *Model) set(o *options, key, value string) (err error) {
	switch key {
	case "classes":
		o.classes, err = bounded(key, value, maxClasses)
	case "channels":
		o.channels, err = bounded(key, value, 1024)
	case "size":
		h, w, two := strings.Cut(value, "x")
		if o.height, err = bounded(key, h, maxSize); err != nil {
			return err
		}
		o.width = o.height
		if two {
			o.width, err = bounded(key, w, maxSize)
		}
	case "width":
		o.mult, err = strconv.ParseFloat(value, 64)
		if err != nil || !(o.mult > 0 && o.mult <= 16) {
			return fmt.Errorf("width=%s: want a number above 0 and at most 16", value)
		}
	default:
		return m.setExtra(o, key, value)
	}
	return err
}

func (m *Model) setExtra(o *options, key, value string) error {
	i := slices.IndexFunc(m.Keys, func(k Key) bool { return k.Name == key })
	if i < 0 {
		known := []string{"classes", "channels", "size", "width"}
		for _, k := range m.Keys {
			known = append(known, k.Name)
		}
		return fmt.Errorf("no key %q; there are %s", key, strings.Join(known, ", "))
	}
	k := m.Keys[i]
	if len(k.Values) == 0 {
		if _, err := bounded(key, value, 1024); err != nil {
			return err
		}
	} else if !slices.Contains(k.Values, value) {
		return fmt.Errorf("%s=%s: want one of %s", key, value, strings.Join(k.Values, ", "))
	}
	o.extra[key] = value
	return nil
}

func bounded(key, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s=%s: want an integer from 1 to %d", key, value, most)
	}
	return n, nil
}

// scaled multiplies a channel count by the width multiplier, at least 1.
func (o options) scaled(c int) int {
	return max(1, int(math.Round(float64(c)*o.mult)))
}

// divisible multiplies a channel count by the width multiplier and rounds to
// the nearest multiple of 8 that is at least 8 and not below 0.9 of the
// product (the rule of the MobileNet papers' code).
func (o options) divisible(c int) int {
	return makeDivisible(float64(c) * o.mult)
}

func makeDivisible(v float64) int {
	n := max(8, int(v+4)/8*8)
	if float64(n) < 0.9*v {
		n += 8
	}
	return n
}

// number returns an extra key as an integer.
func (o options) number(key string) int {
	n, _ := strconv.Atoi(o.extra[key])
	return n
}
