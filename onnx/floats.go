package onnx

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// otherFloat reports whether d is one of the float types that are computed as
// float32.
func otherFloat(d tensor.DType) bool {
	return d == tensor.Float16 || d == tensor.BFloat16 || d == tensor.Float64
}

// toFloat32 makes float32 of every float16, bfloat16 and float64 constant,
// value, attribute and cast, and says so in the log.
func toFloat32(g *graph.Graph) error {
	found := map[tensor.DType]int{}
	if err := widen(g, found); err != nil {
		return err
	}
	for _, d := range []tensor.DType{tensor.Float16, tensor.BFloat16, tensor.Float64} {
		if found[d] > 0 {
			g.Record("read", fmt.Sprintf("%v computed as float32 (%d places)", d, found[d]))
		}
	}
	return nil
}

func widen(g *graph.Graph, found map[tensor.DType]int) error {
	value := func(v *graph.Value) {
		if v != nil && otherFloat(v.Type) {
			found[v.Type]++
			v.Type = tensor.Float32
		}
	}
	for _, v := range g.Constants() {
		if !otherFloat(v.Type) {
			continue
		}
		t, err := v.Data.Convert(tensor.Float32)
		if err != nil {
			return fmt.Errorf("constant %q: %w", v.Name, err)
		}
		found[v.Type]++
		v.SetData(t)
	}
	for _, v := range g.Inputs {
		value(v)
	}
	for _, n := range g.Nodes {
		for _, v := range n.Outputs {
			value(v)
		}
		if err := widenAttrs(n, found); err != nil {
			return n.Errorf("%w", err)
		}
	}
	return nil
}

func widenAttrs(n *graph.Node, found map[tensor.DType]int) error {
	for key, value := range n.Attrs {
		switch v := value.(type) {
		case *tensor.Tensor:
			if !otherFloat(v.DType) {
				continue
			}
			t, err := v.Convert(tensor.Float32)
			if err != nil {
				return err
			}
			found[v.DType]++
			n.Attrs[key] = t
		case int64:
			typeAttr := key == "to" && n.Is("Cast") || key == "dtype" || key == "stash_type" || key == "output_dtype"
			if typeAttr && v > 0 && v < 256 && otherFloat(tensor.DType(v)) {
				found[tensor.DType(v)]++
				n.Attrs[key] = int64(tensor.Float32)
			}
		case *graph.Graph:
			if err := widen(v, found); err != nil {
				return err
			}
		case []*graph.Graph:
			for _, g := range v {
				if err := widen(g, found); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
