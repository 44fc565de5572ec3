package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	Register(
		operator("MaxPool", 1, 1, 2, inferPool),
		operator("AveragePool", 1, 1, 1, inferPool),
		operator("LpPool", 1, 1, 1, inferPool),
		operator("MaxUnpool", 2, 3, 1, inferMaxUnpool),
	)
	Register(named(operator("", 1, 1, 1, inferGlobalPool), "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")...)
	average := operator("QLinearAveragePool", 4, 5, 1, inferQLinearPool)
	global := operator("QLinearGlobalAveragePool", 5, 5, 1, inferQLinearPool)
	average.Domain, global.Domain = MicrosoftDomain, MicrosoftDomain
	Register(average, global)
}

func inferPool(n *Node) error {
	s, err := poolShape(n, n.in(0))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	n.set(1, tensor.Int64, s)
	return nil
}

// poolShape infers a pool over x (N, C, spatial…).
func poolShape(n *Node, x Shape) (Shape, error) {
	kernel := n.Ints("kernel_shape")
	if len(kernel) == 0 {
		return nil, fmt.Errorf("lacks its attribute kernel_shape")
	}
	w, err := newWindow(n, kernel)
	if err != nil {
		return nil, err
	}
	for i, k := range kernel {
		if k < 1 {
			return nil, fmt.Errorf("kernel_shape %v: every size must be at least 1", kernel)
		}
		if _, err := w.extent(i); err != nil {
			return nil, err
		}
	}
	if x == nil {
		return unknowns(len(kernel) + 2), nil
	}
	if len(x) != len(kernel)+2 {
		return nil, fmt.Errorf("the input of shape %v has %d dimensions, kernel_shape %v needs %d", x, len(x), kernel, len(kernel)+2)
	}
	out := append(Shape{}, x...)
	for i := range kernel {
		if out[i+2], err = w.out(i, x[i+2]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func globalPoolShape(x Shape) (Shape, error) {
	if x == nil {
		return nil, nil
	}
	if len(x) < 2 {
		return nil, fmt.Errorf("the input of shape %v needs a batch and a channel dimension", x)
	}
	out := append(Shape{}, x...)
	for i := range out[2:] {
		out[i+2] = D(1)
	}
	return out, nil
}

func inferGlobalPool(n *Node) error {
	s, err := globalPoolShape(n.in(0))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	return nil
}

// inferQLinearPool handles ONNX Runtime's integer pools, whose images may be
// channels-last.
func inferQLinearPool(n *Node) error {
	x := n.in(0)
	last := n.Int("channels_last", 0) != 0
	if last && len(x) > 2 {
		x = append(Shape{x[0], x[len(x)-1]}, x[1:len(x)-1]...)
	}
	var s Shape
	var err error
	if n.Op == "QLinearAveragePool" {
		s, err = poolShape(n, x)
	} else {
		s, err = globalPoolShape(x)
	}
	if err != nil {
		return err
	}
	if last && len(s) > 2 {
		s = append(append(Shape{s[0]}, s[2:]...), s[1])
	}
	n.set(0, n.inType(0), s)
	return nil
}

func inferMaxUnpool(n *Node) error {
	if e := n.In(2).elems(); e != nil {
		n.set(0, n.inType(0), dimsOnly(e))
		return nil
	}
	x, kernel := n.in(0), n.Ints("kernel_shape")
	if x == nil || len(x) != len(kernel)+2 {
		return nil
	}
	w, err := newWindow(n, kernel)
	if err != nil {
		return err
	}
	out := append(Shape{}, x...)
	for i, d := range x[2:] {
		out[i+2] = unknown
		if d.Known() && n.In(2) == nil {
			if out[i+2], err = w.transposed(i, d.Size, 0); err != nil {
				return err
			}
		}
	}
	n.set(0, n.inType(0), out)
	return nil
}

// dimsOnly turns elements into dimensions: a negative number is no dimension
// and becomes unknown.
func dimsOnly(e []Dim) Shape {
	s := make(Shape, len(e))
	for i, d := range e {
		s[i] = d
		if d.Known() && d.Size < 0 {
			s[i] = unknown
		}
	}
	return s
}
