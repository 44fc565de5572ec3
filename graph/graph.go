// Package graph is the one representation of a model: ONNX operators, ONNX
// names, ONNX semantics (operators in the newest version of their definition,
// images as N, C, H, W). Import, training, compression, search and export all
// work on it.
//
// A Graph holds inputs, outputs and nodes in topological order. A Value knows
// its producer and its uses, so a rewrite is local: insert, replace, remove,
// then Verify. The operator table (Register, Lookup) gives each operator its
// attributes' defaults, its shape inference and its cost.
package graph

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/drawknife/drawknife/tensor"
)

// Value is an edge of the graph: a graph input, a constant (initializer) or
// the output of a node.
type Value struct {
	Name string
	Type tensor.DType // Invalid while unknown
	// Shape is nil while the rank is unknown; a scalar has an empty one.
	Shape Shape
	// Data holds the elements of a constant or parameter, else nil.
	Data *tensor.Tensor
	// Elems are the elements of a small integer tensor as far as shape
	// inference knows them (shape arithmetic), else nil.
	Elems []Dim
	// Doc is ONNX's doc_string.
	Doc string

	producer *Node
	index    int
	uses     []Use
	graph    *Graph
}

// Use is one place where a value is read: input Index of Node.
type Use struct {
	Node  *Node
	Index int
}

// Node applies an operator.
type Node struct {
	Name   string
	Op     string
	Domain string // "" is ONNX's own
	// Inputs and Outputs hold nil where an optional one is left out. Change
	// inputs with SetInput only, so that uses stay true.
	Inputs  []*Value
	Outputs []*Value
	Attrs   Attrs
	Doc     string
	// Overload and Metadata are kept for a faithful round trip.
	Overload string
	Metadata map[string]string

	graph *Graph
}

// Graph is a model.
type Graph struct {
	Name     string
	Doc      string
	Inputs   []*Value
	Outputs  []*Value
	Nodes    []*Node
	Metadata map[string]string // ONNX metadata_props
	// Opsets is the operator set version of each domain that the file asked
	// for; nodes here are in the newest form all the same.
	Opsets map[string]int64
	// Log tells what was done to the model, oldest first.
	Log []Change
	// Origin carries what the importer needs to write the file back as it
	// was (producer, functions, unknown fields). It belongs to the importer.
	Origin any

	consts []*Value
	names  map[string]*Value
	nodes  map[string]int // node names in use
	serial int
}

// Change is one entry of a graph's log: a rewrite by name, and why.
type Change struct {
	Pass  string   `json:"pass"`
	Why   string   `json:"why"`
	Nodes []string `json:"nodes,omitempty"`
}

// New returns an empty graph.
func New(name string) *Graph {
	return &Graph{Name: name, Metadata: map[string]string{}, Opsets: map[string]int64{},
		names: map[string]*Value{}, nodes: map[string]int{}}
}

// Record appends to the log.
func (g *Graph) Record(pass, why string, nodes ...string) {
	g.Log = append(g.Log, Change{pass, why, nodes})
}

// Value returns the value of that name, or nil.
func (g *Graph) Value(name string) *Value { return g.names[name] }

// Node returns the first node of that name, or nil.
func (g *Graph) Node(name string) *Node {
	for _, n := range g.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Constants returns the constants and parameters (initializers) in the order
// they were added, unused ones included.
func (g *Graph) Constants() []*Value { return g.consts }

// UniqueName returns base if no value has that name, else base with a number.
func (g *Graph) UniqueName(base string) string {
	if base == "" {
		base = "v"
	}
	if g.names[base] == nil {
		return base
	}
	for {
		g.serial++
		if s := base + "_" + strconv.Itoa(g.serial); g.names[s] == nil {
			return s
		}
	}
}

// UniqueNodeName is UniqueName for nodes.
func (g *Graph) UniqueNodeName(base string) string {
	if g.nodes[base] == 0 && base != "" {
		return base
	}
	for {
		g.serial++
		if s := base + "_" + strconv.Itoa(g.serial); g.nodes[s] == 0 {
			return s
		}
	}
}

func (g *Graph) add(v *Value) *Value {
	v.Name = g.UniqueName(v.Name)
	v.graph = g
	g.names[v.Name] = v
	return v
}

// AddInput appends a graph input.
func (g *Graph) AddInput(name string, t tensor.DType, shape Shape) *Value {
	v := g.add(&Value{Name: name, Type: t, Shape: shape})
	g.Inputs = append(g.Inputs, v)
	return v
}

// AddConst adds a constant or parameter; its name is made unique.
func (g *Graph) AddConst(name string, t *tensor.Tensor) *Value {
	v := g.add(&Value{Name: name, Type: t.DType, Shape: ShapeOf(t.Shape), Data: t})
	g.consts = append(g.consts, v)
	return v
}

// AddOutput declares v a graph output.
func (g *Graph) AddOutput(v *Value) { g.Outputs = append(g.Outputs, v) }

// NewNode makes a node with outputs of the given names ("" leaves one out)
// without placing it in the order: see Append, InsertBefore, InsertAfter.
// An empty name becomes one made from the operator's.
func (g *Graph) NewNode(domain, op, name string, inputs []*Value, outputs []string, attrs Attrs) *Node {
	if name == "" && g.nodes[name] == 0 {
		name = op
	}
	n := &Node{Name: g.UniqueNodeName(name), Op: op, Domain: domain, Attrs: attrs, graph: g}
	if n.Attrs == nil {
		n.Attrs = Attrs{}
	}
	g.nodes[n.Name]++
	for i, v := range inputs {
		n.Inputs = append(n.Inputs, v)
		if v != nil {
			v.uses = append(v.uses, Use{n, i})
		}
	}
	for i, o := range outputs {
		if o == "" {
			n.Outputs = append(n.Outputs, nil)
			continue
		}
		n.Outputs = append(n.Outputs, g.add(&Value{Name: o, producer: n, index: i}))
	}
	return n
}

// Append places n at the end of the order.
func (g *Graph) Append(n *Node) *Node {
	g.Nodes = append(g.Nodes, n)
	return n
}

// Add makes a node of ONNX's own domain with one output, appends it, infers
// its output's shape where the inputs' are known, and returns the output. It
// is the builder's shorthand; an inference error surfaces in Verify or
// InferShapes.
func (g *Graph) Add(op, name string, attrs Attrs, inputs ...*Value) *Value {
	out := name
	if out == "" {
		out = op
	}
	n := g.Append(g.NewNode("", op, name, inputs, []string{out + "_out"}, attrs))
	_ = n.infer()
	return n.Outputs[0]
}

// InsertBefore places n just before at in the order.
func (g *Graph) InsertBefore(at, n *Node) {
	i := slices.Index(g.Nodes, at)
	if i < 0 {
		panic("graph: InsertBefore: no such node")
	}
	g.Nodes = slices.Insert(g.Nodes, i, n)
}

// InsertAfter places n just after at in the order.
func (g *Graph) InsertAfter(at, n *Node) {
	i := slices.Index(g.Nodes, at)
	if i < 0 {
		panic("graph: InsertAfter: no such node")
	}
	g.Nodes = slices.Insert(g.Nodes, i+1, n)
}

// Remove takes n out of the graph. Its outputs must have no uses left and not
// be graph outputs.
func (g *Graph) Remove(n *Node) {
	for _, o := range n.Outputs {
		if o != nil && (len(o.uses) > 0 || o.IsOutput()) {
			panic(fmt.Sprintf("graph: Remove(%s): output %q is in use", n.Name, o.Name))
		}
	}
	i := slices.Index(g.Nodes, n)
	if i < 0 {
		panic("graph: Remove: no such node")
	}
	g.Nodes = slices.Delete(g.Nodes, i, i+1)
	g.detach(n)
}

// detachAll is detach for many nodes: a value that all of them read is visited
// once.
func (g *Graph) detachAll(dead map[*Node]bool) {
	visited := map[*Value]bool{}
	for n := range dead {
		for i, v := range n.Inputs {
			if v != nil && !visited[v] {
				visited[v] = true
				v.uses = slices.DeleteFunc(v.uses, func(u Use) bool { return dead[u.Node] })
			}
			n.Inputs[i] = nil
		}
		g.forget(n)
	}
}

func (g *Graph) detach(n *Node) {
	for i := range n.Inputs {
		n.SetInput(i, nil)
	}
	g.forget(n)
}

// forget drops the names of n and its outputs.
func (g *Graph) forget(n *Node) {
	for _, o := range n.Outputs {
		if o != nil && g.names[o.Name] == o {
			delete(g.names, o.Name)
		}
	}
	if g.nodes[n.Name]--; g.nodes[n.Name] <= 0 {
		delete(g.nodes, n.Name)
	}
}

// RemoveConst drops a constant that has no uses.
func (g *Graph) RemoveConst(v *Value) {
	if len(v.uses) > 0 || v.IsOutput() {
		panic(fmt.Sprintf("graph: RemoveConst(%s): in use", v.Name))
	}
	if i := slices.Index(g.consts, v); i >= 0 {
		g.consts = slices.Delete(g.consts, i, i+1)
		delete(g.names, v.Name)
	}
}

// RemoveDead removes nodes whose outputs nobody reads, then constants without
// uses. It returns the number of nodes removed.
func (g *Graph) RemoveDead() int {
	outputs := map[*Value]bool{}
	for _, o := range g.Outputs {
		outputs[o] = true
	}
	dead := map[*Node]bool{}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		used := slices.ContainsFunc(n.Outputs, func(o *Value) bool {
			return o != nil && (outputs[o] || slices.ContainsFunc(o.uses, func(u Use) bool { return !dead[u.Node] }))
		})
		if !used {
			dead[n] = true
		}
	}
	g.detachAll(dead)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool { return dead[n] })
	g.consts = slices.DeleteFunc(g.consts, func(v *Value) bool {
		gone := len(v.uses) == 0 && !outputs[v]
		if gone {
			delete(g.names, v.Name)
		}
		return gone
	})
	return len(dead)
}

// ReplaceUses makes every reader of old read new instead. If old is a graph
// output, new becomes the output and takes old's name, which is the user's.
func (g *Graph) ReplaceUses(old, new *Value) {
	if old == new {
		return
	}
	for _, u := range slices.Clone(old.uses) {
		u.Node.SetInput(u.Index, new)
	}
	for i, o := range g.Outputs {
		if o != old {
			continue
		}
		g.Outputs[i] = new
		if new.producer != nil && !slices.Contains(g.Outputs[:i], new) {
			name, free := old.Name, new.Name
			delete(g.names, free)
			old.Name = ""
			g.names[name], new.Name = new, name
			old.Name = g.UniqueName(free)
			g.names[old.Name] = old
		}
	}
}

// Rename gives v a new name, made unique.
func (g *Graph) Rename(v *Value, name string) {
	if v.Name == name {
		return
	}
	delete(g.names, v.Name)
	v.Name = g.UniqueName(name)
	g.names[v.Name] = v
}

// Producer is the node that computes v, nil for inputs and constants.
func (v *Value) Producer() *Node { return v.producer }

// Index is v's position among its producer's outputs.
func (v *Value) Index() int { return v.index }

// Uses lists where v is read, in no particular order. The slice is v's own.
func (v *Value) Uses() []Use { return v.uses }

// IsConst reports whether v is a constant or parameter.
func (v *Value) IsConst() bool { return v != nil && v.Data != nil }

// IsOutput reports whether v is an output of the graph.
func (v *Value) IsOutput() bool { return slices.Contains(v.graph.Outputs, v) }

// IsInput reports whether v is an input of the graph.
func (v *Value) IsInput() bool { return slices.Contains(v.graph.Inputs, v) }

// SoleUse returns the only node that reads v, or nil if there are none or
// several or v is a graph output.
func (v *Value) SoleUse() *Node {
	if len(v.uses) != 1 || v.IsOutput() {
		return nil
	}
	return v.uses[0].Node
}

// SetData replaces the elements of a constant; type and shape follow.
func (v *Value) SetData(t *tensor.Tensor) {
	v.Data, v.Type, v.Shape, v.Elems = t, t.DType, ShapeOf(t.Shape), nil
}

// Graph is the graph n belongs to.
func (n *Node) Graph() *Graph { return n.graph }

// In returns input i, nil if it is left out or beyond the list.
func (n *Node) In(i int) *Value {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return nil
}

// Out returns output i, nil if it is left out or beyond the list.
func (n *Node) Out(i int) *Value {
	if i < len(n.Outputs) {
		return n.Outputs[i]
	}
	return nil
}

// SetInput makes input i read v (nil leaves it out), growing the list if
// needed.
func (n *Node) SetInput(i int, v *Value) {
	for len(n.Inputs) <= i {
		n.Inputs = append(n.Inputs, nil)
	}
	if old := n.Inputs[i]; old != nil {
		if k := slices.Index(old.uses, Use{n, i}); k >= 0 {
			old.uses = slices.Delete(old.uses, k, k+1)
		}
	}
	n.Inputs[i] = v
	if v != nil {
		v.uses = append(v.uses, Use{n, i})
	}
}

// TrimInputs drops left-out inputs from the end of the list.
func (n *Node) TrimInputs() {
	for len(n.Inputs) > 0 && n.Inputs[len(n.Inputs)-1] == nil {
		n.Inputs = n.Inputs[:len(n.Inputs)-1]
	}
}

// SetInputs replaces the whole list of inputs.
func (n *Node) SetInputs(vs ...*Value) {
	for i := range n.Inputs {
		n.SetInput(i, nil)
	}
	n.Inputs = n.Inputs[:0]
	for i, v := range vs {
		n.SetInput(i, v)
	}
}

// AddOutput appends an output named name, made unique.
func (n *Node) AddOutput(name string) *Value {
	v := n.graph.add(&Value{Name: name, producer: n, index: len(n.Outputs)})
	n.Outputs = append(n.Outputs, v)
	return v
}

// Is reports whether n applies one of the given operators of ONNX's domain.
func (n *Node) Is(ops ...string) bool {
	return n != nil && n.Domain == "" && slices.Contains(ops, n.Op)
}

// String names the node the way errors do.
func (n *Node) String() string {
	if n.Domain != "" {
		return fmt.Sprintf("node %q (%s.%s)", n.Name, n.Domain, n.Op)
	}
	return fmt.Sprintf("node %q (%s)", n.Name, n.Op)
}

// Errorf makes an error that names the node.
func (n *Node) Errorf(format string, args ...any) error {
	return fmt.Errorf("%v: %w", n, fmt.Errorf(format, args...))
}
