package graph

import (
	"strconv"
	"strings"
)

// Dim is one dimension: a known size, or a symbol such as "N", or unknown.
type Dim struct {
	// Size is the size if it is known, -1 otherwise.
	Size int
	// Name is the symbol of an unknown size; "" is simply unknown. Two
	// unknown dimensions of the same name are equal.
	Name string
}

// D is a dimension of known size (any integer where Dim stands for an element
// of shape arithmetic).
func D(n int) Dim { return Dim{Size: n, Name: knownMark} }

// knownMark tells a known -1 (an element of a Reshape target) from unknown.
const knownMark = "\x00"

// Sym is a symbolic dimension.
func Sym(name string) Dim { return Dim{Size: -1, Name: name} }

// Known reports whether the size is known.
func (d Dim) Known() bool { return d.Size >= 0 || d.Name == knownMark }

func (d Dim) String() string {
	switch {
	case d.Known():
		return strconv.Itoa(d.Size)
	case d.Name == "":
		return "?"
	}
	return d.Name
}

// Same reports whether two dimensions are certainly equal.
func (d Dim) Same(e Dim) bool {
	if d.Known() || e.Known() {
		return d.Known() && e.Known() && d.Size == e.Size
	}
	return d.Name != "" && d.Name == e.Name
}

// Shape is a list of dimensions.
type Shape []Dim

// Dims makes a shape of known sizes.
func Dims(sizes ...int) Shape { return ShapeOf(sizes) }

// ShapeOf makes a shape of known sizes.
func ShapeOf(sizes []int) Shape {
	s := make(Shape, len(sizes))
	for i, n := range sizes {
		s[i] = D(n)
	}
	return s
}

// Known reports whether every dimension is known. A nil shape is not.
func (s Shape) Known() bool {
	if s == nil {
		return false
	}
	for _, d := range s {
		if !d.Known() || d.Size < 0 {
			return false
		}
	}
	return true
}

// Ints returns the sizes, -1 where unknown.
func (s Shape) Ints() []int {
	out := make([]int, len(s))
	for i, d := range s {
		out[i] = d.Size
		if !d.Known() {
			out[i] = -1
		}
	}
	return out
}

func (s Shape) String() string {
	if s == nil {
		return "?"
	}
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return strings.Join(parts, "x")
}
