package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(operator("Resize", 1, 4, 1, inferResize))
}

// inferResize handles Resize: input, roi, scales, sizes.
func inferResize(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	axes := n.Ints("axes")
	if axes == nil {
		for i := range x {
			axes = append(axes, i)
		}
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	switch {
	case present(n.In(3)):
		err = resizeSizes(n, x, out, axes)
	case present(n.In(2)):
		err = resizeScales(n, x, out, axes)
	default:
		err = fmt.Errorf("needs scales (input 2) or sizes (input 3)")
	}
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), out)
	return nil
}

// present tells a real input from a left-out one; old exporters give an empty
// tensor where they mean none.
func present(v *Value) bool {
	return v != nil && !(len(v.Shape) == 1 && v.Shape[0].Known() && v.Shape[0].Size == 0)
}

func resizeSizes(n *Node, x, out Shape, axes []int) error {
	sizes := n.In(3).elems()
	if sizes == nil {
		for _, a := range axes {
			out[a] = unknown
		}
		return nil
	}
	if len(sizes) != len(axes) {
		return fmt.Errorf("sizes has %d numbers, want %d", len(sizes), len(axes))
	}
	for i, a := range axes {
		if sizes[i].Known() && sizes[i].Size < 0 {
			return fmt.Errorf("sizes %v is negative", Shape(sizes))
		}
		out[a] = sizes[i]
	}
	policy := n.Str("keep_aspect_ratio_policy", "stretch")
	if policy == "stretch" {
		return nil
	}
	scale := math.Inf(1)
	if policy == "not_smaller" {
		scale = 0
	}
	for i, a := range axes {
		if !x[a].Known() || x[a].Size == 0 || !sizes[i].Known() {
			for _, a := range axes {
				out[a] = unknown
			}
			return nil
		}
		s := float64(sizes[i].Size) / float64(x[a].Size)
		if policy == "not_smaller" {
			scale = max(scale, s)
		} else {
			scale = min(scale, s)
		}
	}
	for _, a := range axes {
		out[a] = D(int(math.Floor(scale*float64(x[a].Size) + 0.5)))
	}
	return nil
}

func resizeScales(n *Node, x, out Shape, axes []int) error {
	v := n.In(2)
	if v.Data == nil {
		for i, a := range axes {
			out[a] = unknown
			if e := v.elems(); len(e) == len(axes) && e[i].Known() {
				out[a] = dimMul(x[a], e[i])
			}
		}
		return nil
	}
	scales := v.Data.Float32s()
	if len(scales) != len(axes) {
		return fmt.Errorf("scales has %d numbers, want %d", len(scales), len(axes))
	}
	for i, a := range axes {
		s := float64(scales[i])
		if !(s > 0) || s > tensor.MaxElements {
			return fmt.Errorf("scale %v along dimension %d must be positive", s, a)
		}
		switch {
		case s == 1:
		case x[a].Known():
			size := math.Floor(float64(x[a].Size) * s)
			if size > tensor.MaxElements {
				return fmt.Errorf("output dimension %d is too large", a)
			}
			out[a] = D(int(size))
		default:
			out[a] = unknown
		}
	}
	return nil
}
