package quantize

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Rounding decides for each weight whether it is rounded up or down, from
// images without labels.
type Rounding interface {
	// blocks says which layers are decided together: those between values
	// that everything flows through, or each on its own.
	blocks() bool
	// round chooses the codes of the layers of one unit; those before it are
	// quantized already.
	round(ctx context.Context, r *reconstruction, u *unit) error
}

// reconstruction is the state of a Rounding: the float network, the images and
// the layers that are done.
type reconstruction struct {
	s       *inserter
	images  []*tensor.Tensor
	threads int
	seed    uint64
	done    map[*layer]bool
	left    []*unit // still to be done, the current one included
	// float and quantized are values of the network and of its simulation, from
	// which those behind them are computed, so that no layer runs over the images
	// again for each unit behind it.
	float, quantized known
}

// known holds values of all images, one tensor a batch, by name.
type known map[string][]*tensor.Tensor

// keepImages copies what passes through.
func keepImages(batches Batches, to *[]*tensor.Tensor) Batches {
	return func(yield func(*data.Batch, error) bool) {
		for b, err := range batches {
			if err == nil {
				*to = append(*to, tensor.Of(slices.Clone(b.X), b.N, b.C, b.H, b.W))
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// round chooses the codes of all layers.
func (s *inserter) round(ctx context.Context, layers []*layer, images []*tensor.Tensor) error {
	for _, l := range layers {
		l.round()
	}
	if s.options.Rounding == nil {
		return nil
	}
	r := &reconstruction{s: s, images: images, threads: s.options.Threads, seed: s.options.Seed, done: map[*layer]bool{},
		float: known{}, quantized: known{}}
	units := s.units(s.options.Rounding.blocks())
	for i, u := range units {
		if s.options.Reconstructed != nil {
			s.options.Reconstructed(i, len(units))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.left = units[i:]
		if err := s.options.Rounding.round(ctx, r, u); err != nil {
			return fmt.Errorf("quantize: rounding %s: %w", u.name(), err)
		}
		for _, l := range u.layers {
			r.done[l] = true
		}
	}
	return nil
}

// unit is a part of the network whose output is to be kept.
type unit struct {
	nodes  []*graph.Node
	layers []*layer // those that are quantized
	inputs []*graph.Value
	output *graph.Value
}

func (u *unit) name() string { return u.layers[0].node.Name }

// units cuts the network: into blocks between values that everything flows
// through, or into single layers with the activation behind them.
func (s *inserter) units(blocks bool) []*unit {
	var parts [][]*graph.Node
	if blocks {
		parts = s.segments()
	} else {
		for _, l := range s.layers {
			part := []*graph.Node{l.node}
			if n := l.node.Outputs[0].SoleUse(); n != nil && isClamp(n) {
				part = append(part, n)
			}
			parts = append(parts, part)
		}
	}
	var units []*unit
	for _, part := range parts {
		if u := s.unit(part); len(u.layers) > 0 {
			units = append(units, u)
		}
	}
	return units
}

// segments cuts the nodes wherever only one value is alive. What follows a
// convolution without a layer of its own (an activation, a pooling) stays with it.
func (s *inserter) segments() [][]*graph.Node {
	left := map[*graph.Value]int{}
	alive := map[*graph.Value]bool{}
	for _, v := range s.g.Inputs {
		left[v], alive[v] = len(v.Uses()), true
	}
	var parts [][]*graph.Node
	var part []*graph.Node
	for _, n := range s.g.Nodes {
		part = append(part, n)
		for _, v := range n.Inputs {
			if alive[v] {
				if left[v]--; left[v] == 0 {
					delete(alive, v)
				}
			}
		}
		for _, o := range n.Outputs {
			if o != nil && (len(o.Uses()) > 0 || o.IsOutput()) {
				left[o], alive[o] = len(o.Uses()), true
			}
		}
		if len(alive) == 1 {
			parts = append(parts, part)
			part = nil
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	var merged [][]*graph.Node
	for _, p := range parts {
		has := slices.ContainsFunc(p, func(n *graph.Node) bool { return s.of[n] != nil })
		if k := len(merged) - 1; !has && k >= 0 && slices.IndexFunc(p, func(n *graph.Node) bool { return !isClamp(n) }) < 0 {
			merged[k] = append(merged[k], p...)
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

// unit finds what a part reads from outside and gives.
func (s *inserter) unit(part []*graph.Node) *unit {
	u := &unit{nodes: part}
	inside := map[*graph.Node]bool{}
	for _, n := range part {
		inside[n] = true
		if l := s.of[n]; l != nil {
			u.layers = append(u.layers, l)
		}
	}
	for _, n := range part {
		for _, v := range n.Inputs {
			if v != nil && v.Data == nil && !inside[v.Producer()] && !slices.Contains(u.inputs, v) && !computedFromConstants(v) {
				u.inputs = append(u.inputs, v)
			}
		}
	}
	u.output = part[len(part)-1].Outputs[0]
	return u
}

// computedFromConstants reports whether no input of the graph reaches v.
func computedFromConstants(v *graph.Value) bool {
	n := v.Producer()
	if n == nil {
		return v.Data != nil
	}
	for _, i := range n.Inputs {
		if i != nil && !computedFromConstants(i) {
			return false
		}
	}
	return true
}

// simulated is a copy of the network in which the layers that are done have
// their quantized weights, and activations pass through Q and DQ. Values keep
// their names.
func (r *reconstruction) simulated() (*graph.Graph, error) {
	s := r.s
	g := s.g.Clone()
	nodes := map[string]*graph.Node{}
	for _, n := range g.Nodes {
		nodes[n.Name] = n
	}
	p := &plan{target: s.plan.target, parent: map[*graph.Value]*graph.Value{}}
	sim := &inserter{g: g, plan: p, options: s.options, grids: map[*graph.Value]Grid{}, low: map[*graph.Node]Grid{}}
	for _, v := range s.plan.points {
		w := g.Value(v.Name)
		p.points = append(p.points, w)
		sim.grids[w] = s.grid(v)
	}
	for n, grid := range s.low {
		sim.low[nodes[n.Name]] = grid
	}
	for _, l := range s.layers {
		if r.done[l] {
			n := nodes[l.node.Name]
			n.SetInput(1, g.AddConst(n.Inputs[1].Name+"_quantized", tensor.Of(l.values(), l.shape...)))
		}
	}
	for _, v := range p.points {
		if err := sim.activation(v); err != nil {
			return nil, err
		}
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return nil, err
	}
	return g, g.InferShapes()
}

// observe runs g over the images and returns the values of those names, one
// tensor a batch. It begins with what is known of g, and adds to it.
func (r *reconstruction) observe(ctx context.Context, g *graph.Graph, of known, names ...string) (known, error) {
	g = g.Clone()
	needed := r.needed(g, of)
	out := known{}
	g.Outputs = nil
	for _, name := range names {
		switch v := g.Value(name); {
		case v == nil:
			return nil, fmt.Errorf("there is no value %q", name)
		case v.IsInput():
			out[name] = r.images
		case of[name] != nil:
			out[name] = of[name]
		default:
			g.AddOutput(v)
		}
	}
	maps.DeleteFunc(of, func(name string, _ []*tensor.Tensor) bool { return !needed[name] })
	if len(g.Outputs) == 0 {
		return out, nil
	}
	feeds := known{g.Inputs[0].Name: r.images}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		v := g.Value(name)
		in := g.AddInput(name+"_known", of[name][0].DType, slices.Clone(v.Shape))
		for len(v.Uses()) > 0 {
			use := v.Uses()[0]
			use.Node.SetInput(use.Index, in)
		}
		feeds[in.Name] = of[name]
	}
	g.RemoveDead()
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *graph.Value) bool { return len(v.Uses()) == 0 })
	model := engine.NewModel(g, engine.Options{Threads: r.threads})
	for i := range r.images {
		x := map[string]*tensor.Tensor{}
		for _, v := range g.Inputs {
			x[v.Name] = feeds[v.Name][i]
		}
		y, err := model.Run(ctx, x)
		if err != nil {
			return nil, err
		}
		for name, t := range y {
			out[name] = append(out[name], t)
		}
	}
	for _, v := range g.Outputs {
		of[v.Name] = out[v.Name]
	}
	return out, nil
}

// needed are the known values of g that the units to come begin with.
func (r *reconstruction) needed(g *graph.Graph, of known) map[string]bool {
	reads := map[string]bool{}
	for _, u := range r.left {
		for _, n := range u.nodes {
			reads[n.Name] = true
		}
	}
	needed, seen := map[string]bool{}, map[*graph.Value]bool{}
	var visit func(v *graph.Value)
	visit = func(v *graph.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		if of[v.Name] != nil {
			needed[v.Name] = true
		} else if n := v.Producer(); n != nil {
			for _, i := range n.Inputs {
				visit(i)
			}
		}
	}
	for _, n := range g.Nodes {
		if reads[n.Name] {
			for _, i := range n.Inputs {
				visit(i)
			}
		}
	}
	return needed
}
