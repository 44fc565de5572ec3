package eval

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Run interprets g on the given inputs, by name, and returns the outputs by
// name. An input that has data of its own may be left out.
func Run(g *graph.Graph, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	return interpret(g, inputs, nil)
}

// Trace interprets g and calls visit with every input and every value that a
// node computes, in order. An error of visit ends it.
func Trace(g *graph.Graph, inputs map[string]*tensor.Tensor, visit func(v *graph.Value, t *tensor.Tensor) error) error {
	_, err := interpret(g, inputs, visit)
	return err
}

func interpret(g *graph.Graph, inputs map[string]*tensor.Tensor, visit func(*graph.Value, *tensor.Tensor) error) (map[string]*tensor.Tensor, error) {
	if visit == nil {
		visit = func(*graph.Value, *tensor.Tensor) error { return nil }
	}
	values, err := bind(g, inputs)
	if err != nil {
		return nil, err
	}
	for _, v := range g.Inputs {
		if err := visit(v, values[v]); err != nil {
			return nil, err
		}
	}
	left := map[*graph.Value]int{} // reads still to come; then the value is dropped
	for _, v := range g.Outputs {
		left[v]++
	}
	for _, n := range g.Nodes {
		for _, v := range n.Inputs {
			left[v]++
		}
	}
	for _, n := range g.Nodes {
		in := make([]*tensor.Tensor, len(n.Inputs))
		for i, v := range n.Inputs {
			if v == nil {
				continue
			}
			if in[i] = read(values, v); in[i] == nil {
				return nil, fmt.Errorf("eval: %w", n.Errorf("reads %q before it is computed", v.Name))
			}
			if left[v]--; left[v] == 0 {
				delete(values, v)
			}
		}
		out, err := Node(n, in)
		if err != nil {
			return nil, err
		}
		for i, v := range n.Outputs {
			if v == nil {
				continue
			}
			if err := visit(v, out[i]); err != nil {
				return nil, err
			}
			if left[v] > 0 {
				values[v] = out[i]
			}
		}
	}
	results := make(map[string]*tensor.Tensor, len(g.Outputs))
	for _, v := range g.Outputs {
		t := read(values, v)
		if t == nil {
			return nil, fmt.Errorf("eval: output %q is never computed", v.Name)
		}
		results[v.Name] = t
	}
	return results, nil
}

func read(values map[*graph.Value]*tensor.Tensor, v *graph.Value) *tensor.Tensor {
	if t := values[v]; t != nil {
		return t
	}
	return v.Data
}

// bind finds the tensor of each graph input and checks it against the
// declaration.
func bind(g *graph.Graph, inputs map[string]*tensor.Tensor) (map[*graph.Value]*tensor.Tensor, error) {
	values := map[*graph.Value]*tensor.Tensor{}
	for name := range inputs {
		if v := g.Value(name); v == nil || !v.IsInput() {
			return nil, fmt.Errorf("eval: no input is named %q", name)
		}
	}
	for _, v := range g.Inputs {
		t := inputs[v.Name]
		if t == nil {
			t = v.Data
		}
		if t == nil {
			return nil, fmt.Errorf("eval: input %q is missing", v.Name)
		}
		if v.Type != tensor.Invalid && v.Type != t.DType {
			return nil, fmt.Errorf("eval: input %q is %v, the model takes %v", v.Name, t.DType, v.Type)
		}
		if v.Shape != nil && len(v.Shape) != t.Rank() {
			return nil, fmt.Errorf("eval: input %q has shape %v, the model takes %v", v.Name, t.Shape, v.Shape)
		}
		for i, d := range v.Shape {
			if d.Known() && d.Size != t.Shape[i] {
				return nil, fmt.Errorf("eval: input %q has shape %v, the model takes %v", v.Name, t.Shape, v.Shape)
			}
		}
		values[v] = t
	}
	return values, nil
}
