// Package autodiff computes gradients by rewriting: Gradient extends a graph
// by the nodes that compute the derivatives of one of its values.
//
// Each operator has a rule, which adds the nodes that turn the gradients of
// its outputs into those of its inputs: standard ONNX operators where natural,
// operators of domain "drawknife" where a fused one is much faster (package
// graph lists them, package eval defines them). A straight-through estimator
// is a rule like any other.
package autodiff

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Rule adds the nodes that compute the gradients of n's inputs from those of
// its outputs. dy has one entry for each output, nil where no gradient
// arrives (at least one is there). The result has up to one entry for each
// input; nil means that no gradient flows there. A rule should skip inputs for
// which b.Wants is false.
type Rule func(b *Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error)

var rules = map[[2]string]Rule{}

// Register adds the rule of an operator. It panics on a duplicate. Call it
// from init functions only.
func Register(domain, op string, r Rule) {
	key := [2]string{domain, op}
	if rules[key] != nil {
		panic("autodiff: rule registered twice: " + domain + "." + op)
	}
	rules[key] = r
}

func register(r Rule, ops ...string) {
	for _, op := range ops {
		Register("", op, r)
	}
}

// Differentiable reports whether the operator has a rule.
func Differentiable(domain, op string) bool { return rules[[2]string{domain, op}] != nil }

// Gradient adds to g the nodes that compute the derivatives of loss (a value
// of one element; of more, the derivatives of their sum) with respect to each
// of the values wrt, and returns their gradients, which have the shapes of the
// values themselves. A value that loss does not depend on is missing from the
// result. Shapes must have been inferred; the batch size may stay open.
func Gradient(g *graph.Graph, loss *graph.Value, wrt []*graph.Value) (map[*graph.Value]*graph.Value, error) {
	b := &Builder{g: g, depends: map[*graph.Value]bool{}, grads: map[*graph.Value][]*graph.Value{}}
	for _, v := range wrt {
		b.depends[v] = true
	}
	b.canonical()
	for _, n := range g.Nodes {
		if slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool { return v != nil && b.depends[v] }) {
			for _, o := range n.Outputs {
				if o != nil && (o.Type.IsFloat() || o.Type == tensor.Invalid || n.Is("QuantizeLinear")) {
					b.depends[o] = true
				}
			}
		}
	}
	if !b.depends[loss] {
		return nil, fmt.Errorf("autodiff: %q does not depend on any of the %d values asked for", loss.Name, len(wrt))
	}
	seed, err := b.ones(loss)
	if err != nil {
		return nil, fmt.Errorf("autodiff: %w", err)
	}
	b.grads[loss] = []*graph.Value{seed}
	forward := slices.Clone(g.Nodes)
	for i := len(forward) - 1; i >= 0; i-- {
		if err := b.node(forward[i]); err != nil {
			return nil, fmt.Errorf("autodiff: %w", err)
		}
	}
	result := map[*graph.Value]*graph.Value{}
	for _, v := range wrt {
		b.current, b.count = v.Name, 0
		if d := b.total(v); d != nil {
			result[v] = d
		}
	}
	return result, b.err
}

// node applies n's rule if a gradient arrives at it and must go on.
func (b *Builder) node(n *graph.Node) error {
	b.current, b.count = n.Name, 0
	dy := make([]*graph.Value, len(n.Outputs))
	found := false
	for i, o := range n.Outputs {
		if o != nil && b.depends[o] {
			dy[i] = b.total(o)
			found = found || dy[i] != nil
		}
	}
	if !found {
		return b.err
	}
	rule := rules[[2]string{n.Domain, n.Op}]
	if rule == nil {
		return n.Errorf("this operator has no gradient rule; register one with autodiff.Register")
	}
	dx, err := rule(b, n, dy)
	if err == nil {
		err = b.err
	}
	if err != nil {
		return n.Errorf("%w", err)
	}
	for i, d := range dx {
		if d != nil && b.Wants(n, i) {
			b.grads[n.Inputs[i]] = append(b.grads[n.Inputs[i]], d)
		}
	}
	return nil
}

// total adds up the gradients that arrived at v, nil if there are none.
func (b *Builder) total(v *graph.Value) *graph.Value {
	list := b.grads[v]
	if len(list) == 0 {
		return nil
	}
	sum := list[0]
	for _, d := range list[1:] {
		sum = b.Op("Add", nil, sum, d)
	}
	b.grads[v] = []*graph.Value{sum}
	return sum
}

// canonical rewrites the forward pass to operators that give what their
// gradient needs.
func (b *Builder) canonical() {
	for _, n := range slices.Clone(b.g.Nodes) {
		if n.Is("BatchNormalization") && n.Int("training_mode", 0) != 0 {
			b.trainingNorm(n)
		}
	}
}

// trainingNorm replaces a training-mode BatchNormalization by BatchNormTrain.
func (b *Builder) trainingNorm(n *graph.Node) {
	names := []string{n.Name + "_y", n.Name + "_batch_mean", n.Name + "_batch_inv_std", n.Name + "_new_mean", n.Name + "_new_var"}
	t := b.g.NewNode(graph.DrawknifeDomain, "BatchNormTrain", n.Name+"_train", n.Inputs, names, graph.Attrs{
		"epsilon": n.Float("epsilon", 1e-5), "momentum": n.Float("momentum", 0.9),
	})
	b.g.InsertBefore(n, t)
	if err := t.InferShape(); err != nil {
		b.fail(err)
	}
	for i, to := range []int{0, 3, 4} {
		if o := n.Out(i); o != nil {
			b.g.ReplaceUses(o, t.Outputs[to])
			if b.depends[o] { // wrt an output of the normalization
				b.depends[t.Outputs[to]] = true
			}
		}
	}
	b.g.Remove(n)
}

// Builder adds nodes to the graph on behalf of a rule.
type Builder struct {
	g       *graph.Graph
	depends map[*graph.Value]bool
	grads   map[*graph.Value][]*graph.Value
	one     *graph.Value // the gradient of the loss itself
	current string       // the node whose rule is at work
	count   int
	err     error
}

// Graph is the graph that is being extended.
func (b *Builder) Graph() *graph.Graph { return b.g }

// Wants reports whether a gradient of input i of n is of use.
func (b *Builder) Wants(n *graph.Node, i int) bool {
	v := n.In(i)
	return v != nil && b.depends[v]
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Op adds a node of ONNX's own domain and returns its output.
func (b *Builder) Op(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return b.Node("", op, attrs, 1, in...)[0]
}

// Own adds a node of domain "drawknife" and returns its output.
func (b *Builder) Own(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return b.Node(graph.DrawknifeDomain, op, attrs, 1, in...)[0]
}

// Node adds a node with that many outputs.
func (b *Builder) Node(domain, op string, attrs graph.Attrs, outputs int, in ...*graph.Value) []*graph.Value {
	b.count++
	name := fmt.Sprintf("grad/%s/%s_%d", b.current, op, b.count)
	names := make([]string, outputs)
	for i := range names {
		names[i] = fmt.Sprintf("%s:%d", name, i)
	}
	n := b.g.Append(b.g.NewNode(domain, op, name, in, names, attrs))
	n.TrimInputs()
	if err := n.InferShape(); err != nil {
		b.fail(err)
	}
	return n.Outputs
}

// Const adds a constant.
func (b *Builder) Const(t *tensor.Tensor) *graph.Value {
	b.count++
	return b.g.AddConst(fmt.Sprintf("grad/%s/const_%d", b.current, b.count), t)
}

// Ints adds a constant list of integers.
func (b *Builder) Ints(list ...int) *graph.Value {
	return b.Const(tensor.Of(graph.Int64s(list), len(list)))
}

// Scalar adds a constant of rank 0 with the element type of like.
func (b *Builder) Scalar(like *graph.Value, v float64) *graph.Value {
	if like.Type == tensor.Float64 {
		return b.Const(tensor.Scalar(v))
	}
	t, err := tensor.Scalar(float32(v)).Convert(like.Type)
	if err != nil {
		b.fail(err)
		t = tensor.Scalar(float32(v))
	}
	return b.Const(t)
}

// ones is a tensor of ones like v; for a value of one element, a constant.
func (b *Builder) ones(v *graph.Value) (*graph.Value, error) {
	if !v.Type.IsFloat() {
		return nil, fmt.Errorf("the value %q to differentiate is %v, not a float", v.Name, v.Type)
	}
	if n, ok := tensor.NumElements(v.Shape.Ints()); v.Shape.Known() && ok && n == 1 {
		t := tensor.Of([]float64{1}, v.Shape.Ints()...)
		c, err := t.Convert(v.Type)
		if err != nil {
			return nil, err
		}
		b.one = b.Const(c)
		return b.one, nil
	}
	return b.Op("Expand", nil, b.Scalar(v, 1), b.Op("Shape", nil, v)), nil
}

// Scale multiplies v by a constant.
func (b *Builder) Scale(v *graph.Value, c float64) *graph.Value {
	if c == 1 {
		return v
	}
	return b.Op("Mul", nil, v, b.Scalar(v, c))
}

// Zeros is a tensor of zeros like v.
func (b *Builder) Zeros(v *graph.Value) *graph.Value {
	return b.Op("Expand", nil, b.Scalar(v, 0), b.Op("Shape", nil, v))
}

// Like reshapes v, which has as many elements, to the shape of ref.
func (b *Builder) Like(v, ref *graph.Value) *graph.Value {
	if len(v.Shape) == len(ref.Shape) && v.Shape != nil && same(v.Shape, ref.Shape) {
		return v
	}
	if ref.Shape != nil {
		open := 0
		dims := ref.Shape.Ints()
		for _, d := range dims {
			if d <= 0 {
				open++
			}
		}
		if open <= 1 && !slices.Contains(dims, 0) {
			return b.Op("Reshape", nil, v, b.Ints(dims...))
		}
	}
	return b.Op("Reshape", graph.Attrs{"allowzero": int64(1)}, v, b.Op("Shape", nil, ref))
}

func same(a, b graph.Shape) bool {
	return slices.EqualFunc(a, b, func(x, y graph.Dim) bool { return x.Same(y) })
}

// Sum reduces v over axes, keeping them as 1.
func (b *Builder) Sum(v *graph.Value, axes ...int) *graph.Value {
	if len(axes) == 0 {
		return v
	}
	return b.Op("ReduceSum", graph.Attrs{"keepdims": int64(1)}, v, b.Ints(axes...))
}

// Mean averages v over axes, keeping them as 1.
func (b *Builder) Mean(v *graph.Value, axes ...int) *graph.Value {
	return b.Op("ReduceMean", graph.Attrs{"keepdims": int64(1)}, v, b.Ints(axes...))
}

// Unbroadcast undoes the broadcasting of to: it sums d over the axes along
// which to was repeated.
func (b *Builder) Unbroadcast(d, to *graph.Value) *graph.Value {
	if d.Shape == nil || to.Shape == nil {
		b.fail(fmt.Errorf("the rank of %q is not known: infer shapes first", to.Name))
		return d
	}
	extra := len(d.Shape) - len(to.Shape)
	var axes, front []int
	for i, dim := range d.Shape {
		switch {
		case i < extra:
			axes, front = append(axes, i), append(front, i)
		case isOne(to.Shape[i-extra]) && !isOne(dim):
			axes = append(axes, i)
		}
	}
	d = b.Sum(d, axes...)
	if len(front) > 0 {
		d = b.Op("Squeeze", nil, d, b.Ints(front...))
	}
	return d
}

func isOne(d graph.Dim) bool { return d.Known() && d.Size == 1 }

// elements is the number of elements of the given axes of v, as a constant if
// it is known, else computed.
func (b *Builder) elements(v *graph.Value, axes []int) *graph.Value {
	n := 1
	for _, a := range axes {
		if d := v.Shape[a]; d.Known() && n > 0 && d.Size <= math.MaxInt32 {
			n *= d.Size
		} else {
			n = -1
		}
	}
	if n >= 0 {
		return b.Scalar(v, float64(n))
	}
	dims := b.Op("Gather", graph.Attrs{"axis": int64(0)}, b.Op("Shape", nil, v), b.Ints(axes...))
	count := b.Op("ReduceProd", graph.Attrs{"keepdims": int64(0)}, dims)
	return b.Op("Cast", graph.Attrs{"to": int64(v.Type)}, count)
}
