package graph

import (
	"maps"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// Attrs are a node's attributes by name. A value is one of int64, float32,
// string, []int64, []float32, []string, *tensor.Tensor, []*tensor.Tensor,
// *Graph, []*Graph, or an importer's own type for what we do not interpret.
type Attrs map[string]any

// Clone copies the map and its slices; tensors and graphs are shared.
func (a Attrs) Clone() Attrs {
	c := maps.Clone(a)
	for k, v := range c {
		switch s := v.(type) {
		case []int64:
			c[k] = slices.Clone(s)
		case []float32:
			c[k] = slices.Clone(s)
		case []string:
			c[k] = slices.Clone(s)
		}
	}
	if c == nil {
		c = Attrs{}
	}
	return c
}

// Int returns an integer attribute, or def if it is absent or of another type.
func (n *Node) Int(name string, def int) int {
	if v, ok := n.Attrs[name].(int64); ok {
		return int(v)
	}
	return def
}

// Float returns a float attribute, or def.
func (n *Node) Float(name string, def float32) float32 {
	switch v := n.Attrs[name].(type) {
	case float32:
		return v
	case int64:
		return float32(v)
	}
	return def
}

// Str returns a string attribute, or def.
func (n *Node) Str(name, def string) string {
	if v, ok := n.Attrs[name].(string); ok {
		return v
	}
	return def
}

// Ints returns a list attribute as ints, or def.
func (n *Node) Ints(name string, def ...int) []int {
	v, ok := n.Attrs[name].([]int64)
	if !ok {
		return def
	}
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// Floats returns a list attribute, or def.
func (n *Node) Floats(name string, def ...float32) []float32 {
	if v, ok := n.Attrs[name].([]float32); ok {
		return v
	}
	return def
}

// Tensor returns a tensor attribute, or nil.
func (n *Node) Tensor(name string) *tensor.Tensor {
	v, _ := n.Attrs[name].(*tensor.Tensor)
	return v
}

// Has reports whether the attribute is present.
func (n *Node) Has(name string) bool { _, ok := n.Attrs[name]; return ok }

// SetInt sets an integer attribute.
func (n *Node) SetInt(name string, v int) { n.Attrs[name] = int64(v) }

// SetInts sets an integer list attribute.
func (n *Node) SetInts(name string, v ...int) { n.Attrs[name] = Int64s(v) }

// Int64s converts a list for use as an attribute or constant.
func Int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}
