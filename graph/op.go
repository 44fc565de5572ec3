package graph

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/tensor"
)

// DrawknifeDomain is the domain of operators that ONNX lacks.
const DrawknifeDomain = "drawknife"

// MicrosoftDomain is the domain of ONNX Runtime's own operators.
const MicrosoftDomain = "com.microsoft"

// Op describes an operator: what every consumer of the graph needs to know.
type Op struct {
	Domain, Name string
	// Number of inputs and outputs; MaxIn or MaxOut < 0 means any number.
	MinIn, MaxIn, MinOut, MaxOut int
	// Infer sets Type, Shape and (for shape arithmetic) Elems of the outputs
	// from the inputs, as far as they are known, and rejects what the
	// operator's definition forbids. Nil leaves the outputs as declared.
	Infer func(n *Node) error
	// MACs counts multiply-accumulates at the inferred shapes, an unknown
	// dimension counting as 1. Nil means none.
	MACs func(n *Node) int64
	// Learned lists the inputs that are trained if they are constants.
	Learned []int
	// KeepsWeight marks an operator that only re-represents its input 0, such
	// as fake quantization: a weight behind it is still counted as the
	// reader's parameter.
	KeepsWeight bool
}

var ops = map[string]*Op{}

// Register adds operators to the table. It panics on a duplicate.
func Register(list ...Op) {
	for _, op := range list {
		key := op.Domain + "\x00" + op.Name
		if ops[key] != nil {
			panic("graph: operator registered twice: " + op.Domain + "." + op.Name)
		}
		ops[key] = &op
	}
}

// Lookup finds an operator, nil if it is not in the table.
func Lookup(domain, name string) *Op { return ops[domain+"\x00"+name] }

// Ops lists the table in order of domain and name.
func Ops() iter.Seq[*Op] {
	return func(yield func(*Op) bool) {
		list := make([]*Op, 0, len(ops))
		for _, op := range ops {
			list = append(list, op)
		}
		slices.SortFunc(list, func(a, b *Op) int {
			return strings.Compare(a.Domain+"\x00"+a.Name, b.Domain+"\x00"+b.Name)
		})
		for _, op := range list {
			if !yield(op) {
				return
			}
		}
	}
}

// infer runs one node's shape inference.
func (n *Node) infer() error {
	op := Lookup(n.Domain, n.Op)
	if op == nil {
		return nil
	}
	in, out := len(n.Inputs), len(n.Outputs)
	if in < op.MinIn || op.MaxIn >= 0 && in > op.MaxIn {
		return n.Errorf("has %d inputs, want %s", in, span(op.MinIn, op.MaxIn))
	}
	if out < op.MinOut || op.MaxOut >= 0 && out > op.MaxOut {
		return n.Errorf("has %d outputs, want %s", out, span(op.MinOut, op.MaxOut))
	}
	for i := range op.MinIn {
		if n.Inputs[i] == nil {
			return n.Errorf("lacks its required input %d", i)
		}
	}
	if op.Infer == nil {
		return nil
	}
	for _, v := range n.Inputs {
		if v != nil && !v.Shape.fits() {
			return n.Errorf("input %q of shape %v is too large", v.Name, v.Shape)
		}
	}
	for _, o := range n.Outputs {
		if o != nil {
			o.Elems = nil
		}
	}
	if err := op.Infer(n); err != nil {
		return n.Errorf("%w", err)
	}
	for _, o := range n.Outputs {
		if o != nil && !o.Shape.fits() {
			return n.Errorf("output %q of shape %v is too large", o.Name, o.Shape)
		}
	}
	return nil
}

// fits reports whether a tensor of this shape, an unknown dimension counting
// as 1, is of a size that we are ready to handle.
func (s Shape) fits() bool {
	sizes := make([]int, len(s))
	for i, d := range s {
		sizes[i] = d.size()
	}
	_, ok := tensor.NumElements(sizes)
	for _, n := range sizes {
		ok = ok && n <= tensor.MaxElements
	}
	return ok
}

func span(lo, hi int) string {
	switch {
	case hi < 0:
		return fmt.Sprintf("at least %d", lo)
	case lo == hi:
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// InferShapes runs shape inference over the whole graph, in order. Outputs of
// operators that are not in the table keep what the file declared.
func (g *Graph) InferShapes() error {
	for _, n := range g.Nodes {
		if err := n.infer(); err != nil {
			return err
		}
	}
	return nil
}

// InferShape runs the shape inference of one node.
func (n *Node) InferShape() error { return n.infer() }

// ClearShapes forgets the inferred types, shapes and elements of every value
// that a node computes, so that inference starts afresh (after an input's
// shape was changed). Outputs of operators that are not in the table keep
// theirs.
func (g *Graph) ClearShapes() {
	for _, n := range g.Nodes {
		if op := Lookup(n.Domain, n.Op); op == nil || op.Infer == nil {
			continue
		}
		for _, o := range n.Outputs {
			if o != nil {
				o.Shape, o.Elems = nil, nil
			}
		}
	}
}

// BindInputs gives the graph's inputs concrete shapes, by input name, and
// infers afresh. A symbol that an input's shape binds (such as "N") binds the
// same symbol everywhere.
func (g *Graph) BindInputs(shapes map[string][]int) error {
	bound := map[string]int{}
	for name, shape := range shapes {
		v := g.Value(name)
		if v == nil || !v.IsInput() {
			return fmt.Errorf("graph: no input is named %q", name)
		}
		if _, ok := tensor.NumElements(shape); !ok {
			return fmt.Errorf("graph: input %q: invalid shape %v", name, shape)
		}
		if v.Shape != nil && len(v.Shape) != len(shape) {
			return fmt.Errorf("graph: input %q: shape %v has %d dimensions, the model takes %v", name, shape, len(shape), v.Shape)
		}
		for i, d := range v.Shape {
			switch {
			case d.Known() && d.Size != shape[i]:
				return fmt.Errorf("graph: input %q: shape %v does not fit the model's %v", name, shape, v.Shape)
			case !d.Known() && d.Name != "":
				if b, ok := bound[d.Name]; ok && b != shape[i] {
					return fmt.Errorf("graph: input %q: %s is both %d and %d", name, d.Name, b, shape[i])
				}
				bound[d.Name] = shape[i]
			}
		}
	}
	for _, v := range g.Inputs {
		if s, ok := shapes[v.Name]; ok {
			v.Shape = ShapeOf(s)
			continue
		}
		for i, d := range v.Shape {
			if b, ok := bound[d.Name]; ok && !d.Known() {
				v.Shape[i] = D(b)
			}
		}
	}
	g.ClearShapes()
	return g.InferShapes()
}
