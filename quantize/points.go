package quantize

import (
	"fmt"
	"path"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// plan says which activations get a grid and which of them share one.
type plan struct {
	target Target
	// points are the values to quantize, in order of computation.
	points []*graph.Value
	parent map[*graph.Value]*graph.Value // union-find: values on one grid
	nodes  map[*graph.Node]bool          // nodes computed in integers
	float  []Island
}

// Island is a node that stays in float, and why.
type Island struct {
	Node   string `json:"node"`
	Op     string `json:"op"`
	Reason string `json:"reason"`
}

// ByRequest is the reason of a node that Options.Float names.
const ByRequest = "kept float by request"

// grids that an operator passes on: output and input share one.
var keepsGrid = set("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "DepthToSpace", "SpaceToDepth", "Concat", "Pad")

func (p *plan) find(v *graph.Value) *graph.Value {
	for p.parent[v] != nil {
		v = p.parent[v]
	}
	return v
}

func (p *plan) unite(a, b *graph.Value) {
	if a, b = p.find(a), p.find(b); a != b {
		p.parent[b] = a
	}
}

// choose decides what is quantized. skip holds patterns (path.Match) of node
// names that stay float.
func choose(g *graph.Graph, t Target, skip []string) (*plan, error) {
	p := &plan{target: t, parent: map[*graph.Value]*graph.Value{}, nodes: map[*graph.Node]bool{}}
	for _, pattern := range skip {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("quantize: pattern %q: %w", pattern, err)
		}
	}
	if err := unmatched(g, skip); err != nil {
		return nil, err
	}
	at := map[*graph.Value]bool{}
	point := func(v *graph.Value) {
		if !at[v] {
			at[v] = true
			p.points = append(p.points, v)
		}
	}
	for _, n := range g.Nodes {
		if isClamp(n) && p.fusable(n.Inputs[0]) {
			continue // computed by the kernel of the operator before it
		}
		if reason := p.refuse(n, skip); reason != "" {
			p.float = append(p.float, Island{n.Name, n.Op, reason})
			continue
		}
		if keepsGrid[n.Op] && !at[n.Inputs[0]] {
			if n.Op != "Concat" { // nothing to gain: the input is float
				continue
			}
		}
		p.nodes[n] = true
		for _, v := range activations(n) {
			point(v)
		}
		for _, o := range n.Outputs {
			if o == nil || o.IsOutput() && !keepsGrid[n.Op] && last(n) {
				continue
			}
			if c := o.SoleUse(); c != nil && isClamp(c) && last(n) {
				point(c.Outputs[0]) // the activation's output is what is stored
				continue
			}
			point(o)
		}
		if keepsGrid[n.Op] {
			for _, v := range activations(n) {
				for _, o := range n.Outputs {
					if o != nil {
						p.unite(v, o)
					}
				}
			}
		}
	}
	return p, nil
}

// unmatched names the first pattern that fits no node: a misspelt name must not
// pass for a layer kept in float.
func unmatched(g *graph.Graph, patterns []string) error {
	for _, p := range patterns {
		fits := slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { ok, _ := path.Match(p, n.Name); return ok })
		if !fits {
			return fmt.Errorf("quantize: no node's name matches %q", p)
		}
	}
	return nil
}

// last reports whether n's kernel can apply a clamp and leave float output.
func last(n *graph.Node) bool { return n.Is("Conv", "Gemm", "MatMul", "Add") }

func isClamp(n *graph.Node) bool {
	if n.Is("Relu") {
		return true
	}
	if !n.Is("Clip") {
		return false
	}
	for _, v := range n.Inputs[1:] {
		if v != nil && v.Data == nil {
			return false
		}
	}
	return true
}

// fusable reports whether v comes from a quantized node that can take over the
// clamp behind it.
func (p *plan) fusable(v *graph.Value) bool {
	n := v.Producer()
	return n != nil && p.nodes[n] && last(n) && v.SoleUse() != nil
}

// perChannelBias reports whether b holds one element for each output of n.
func perChannelBias(n *graph.Node, b *tensor.Tensor) bool {
	w := n.Inputs[1].Data
	channels := w.Shape[channelAxis(n)]
	return b.Len() == channels && b.Shape[len(b.Shape)-1] == channels
}

// channelAxis is the axis of n's weights that counts outputs.
func channelAxis(n *graph.Node) int {
	if n.Is("MatMul") || n.Is("Gemm") && n.Int("transB", 0) == 0 {
		return len(n.Inputs[1].Shape) - 1
	}
	return 0
}

// activations are the inputs of n that are computed at run time.
func activations(n *graph.Node) []*graph.Value {
	var out []*graph.Value
	for i, v := range n.Inputs {
		if v == nil || v.Data != nil || v.Type != tensor.Float32 {
			continue
		}
		if i > 0 && !n.Is("Add", "Mul", "Concat", "MatMul") {
			continue
		}
		out = append(out, v)
	}
	return out
}

// refuse says why n stays float, "" if it does not.
func (p *plan) refuse(n *graph.Node, skip []string) string {
	for _, pattern := range skip {
		if ok, _ := path.Match(pattern, n.Name); ok {
			return ByRequest
		}
	}
	op := n.Op
	if n.Domain != "" && n.Domain != graph.DrawknifeDomain {
		return "operator of another domain"
	}
	if isClamp(n) {
		return "its input is not computed by an integer kernel that could clamp"
	}
	if !p.target.Ops[op] {
		return "target " + p.target.Name + " computes it in float"
	}
	acts := activations(n)
	if len(acts) == 0 || n.Inputs[0].Type != tensor.Float32 {
		return "no float activation to quantize"
	}
	switch op {
	case "Conv", "Gemm", "MatMul":
		if w := n.Inputs[1]; w.Data == nil || w.Type != tensor.Float32 {
			return "its weights are not a float32 constant"
		}
		if len(n.Inputs[1].Data.Shape) < 2 {
			return "its weights are a vector"
		}
		if b := n.In(2); b != nil && b.Data == nil {
			return "its bias is not constant"
		}
		if b := n.In(2); b != nil && !perChannelBias(n, b.Data) {
			return "its bias is not one number a channel"
		}
		if op == "Gemm" && (n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1) {
			return "Gemm with transA, alpha or beta"
		}
		if n.Inputs[1].Data.HasNaN() {
			return "its weights hold NaN or infinity"
		}
	case "Add", "Mul":
		if len(acts) != 2 {
			return "one operand is constant"
		}
	case "Pad":
		if v := n.In(2); n.Str("mode", "constant") != "constant" || v != nil && (v.Data == nil || v.Data.Len() != 1 || v.Data.At(0) != 0) {
			return "it pads with something other than zeros"
		}
	case "MaxPool":
		if n.Out(1) != nil {
			return "its indices are used"
		}
	}
	return ""
}
