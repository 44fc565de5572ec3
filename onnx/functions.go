package onnx

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
)

// functionProto is a function that a model defines for itself, as PyTorch's
// exporter does for layers.
type functionProto struct {
	name, domain, overload string
	inputs, outputs        []string
	defaults               map[string]*attrProto
	nodes                  []*nodeProto
	opset                  int64
}

// maxInlined bounds the nodes that calls of functions may grow to.
const maxInlined = 1 << 17

func decodeFunction(b []byte) (*functionProto, error) {
	fn := &functionProto{defaults: map[string]*attrProto{}}
	err := fields(b, func(f field) error {
		switch f.tag {
		case 1<<3 | delimited:
			fn.name = f.str()
		case 4<<3 | delimited:
			fn.inputs = append(fn.inputs, f.str())
		case 5<<3 | delimited:
			fn.outputs = append(fn.outputs, f.str())
		case 7<<3 | delimited:
			n, err := decodeNode(f.b, 0)
			fn.nodes = append(fn.nodes, n)
			return err
		case 9<<3 | delimited:
			o, err := decodeOpset(f.b)
			if ownDomain(o.domain) == "" {
				fn.opset = o.version
			}
			return err
		case 10<<3 | delimited:
			fn.domain = f.str()
		case 11<<3 | delimited:
			a, err := decodeAttr(f.b, 0)
			fn.defaults[a.name] = a
			return err
		case 13<<3 | delimited:
			fn.overload = f.str()
		}
		return nil
	})
	return fn, err
}

// takeFunctions decodes the functions among a model's unknown fields. Unless
// they are to be kept they are removed from there: their calls are replaced by
// their bodies. Those of operators of ours always go; writing defines them again.
func (im *importer) takeFunctions(p *modelProto, opsets map[string]int64) error {
	var rest []byte
	im.functions = map[string]*functionProto{}
	domains := map[string]bool{}
	err := fields(p.unknown, func(f field) error {
		if f.tag != 25<<3|delimited {
			rest = append(rest, f.raw...)
			return nil
		}
		fn, err := decodeFunction(f.b)
		switch {
		case err != nil && !im.opts.KeepFunctions:
			return fmt.Errorf("function %q: %w", fn.name, err)
		case err == nil && fn.domain == graph.DrawknifeDomain && bodies[fn.name] != nil:
			return nil
		case im.opts.KeepFunctions:
			rest = append(rest, f.raw...)
			return nil
		}
		if ownDomain(fn.domain) == "" {
			return fmt.Errorf("function %q is in ONNX's own domain", fn.name)
		}
		if fn.opset == 0 {
			fn.opset = im.opset
		}
		if fn.opset < minOpset {
			return fmt.Errorf("function %q: operator set %d is older than %d", fn.name, fn.opset, minOpset)
		}
		im.functions[functionKey(fn.domain, fn.name, fn.overload)] = fn
		domains[fn.domain] = true
		delete(opsets, fn.domain)
		return nil
	})
	p.unknown = rest
	p.opsets = slices.DeleteFunc(p.opsets, func(o opsetProto) bool { return domains[o.domain] })
	return err
}

func functionKey(domain, name, overload string) string {
	return domain + "\x00" + name + "\x00" + overload
}

// inline replaces the calls of functions among a graph's nodes.
func (im *importer) inline(p *graphProto) error {
	if len(im.functions) == 0 {
		return nil
	}
	taken := map[string]bool{}
	for _, n := range p.nodes {
		for _, o := range n.outputs {
			taken[o] = true
		}
	}
	in := &inliner{importer: im, taken: taken}
	nodes, err := in.expand(nil, p.nodes, 0)
	p.nodes = nodes
	return err
}

type inliner struct {
	*importer
	taken  map[string]bool // names of values, and prefixes that were used
	serial int
}

// expand appends nodes to out, calls of functions as the functions' bodies.
func (in *inliner) expand(out, nodes []*nodeProto, depth int) ([]*nodeProto, error) {
	for _, n := range nodes {
		fn := in.functions[functionKey(n.domain, n.op, n.overload)]
		if fn == nil {
			if in.inlined++; depth > 0 && in.inlined > maxInlined {
				return nil, fmt.Errorf("the model's functions grow to more than %d nodes", maxInlined)
			}
			out = append(out, n)
			continue
		}
		if depth > maxDepth {
			return nil, fmt.Errorf("%v: functions call each other deeper than %d", n, maxDepth)
		}
		body, err := in.body(fn, n)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
		if out, err = in.expand(out, body, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// body makes the nodes that stand for one call.
func (in *inliner) body(fn *functionProto, call *nodeProto) ([]*nodeProto, error) {
	if len(call.inputs) > len(fn.inputs) || len(call.outputs) > len(fn.outputs) {
		return nil, fmt.Errorf("has %d inputs and %d outputs, the function %d and %d", len(call.inputs), len(call.outputs), len(fn.inputs), len(fn.outputs))
	}
	prefix := call.name
	if prefix == "" {
		prefix = call.op
	}
	for base := prefix; in.taken[prefix+"/"]; prefix = fmt.Sprintf("%s_%d", base, in.serial) {
		in.serial++
	}
	in.taken[prefix+"/"] = true
	s := &scope{prefix: prefix + "/", names: map[string]string{"": ""}, attrs: map[string]*attrProto{}, opset: fn.opset}
	for name, a := range fn.defaults {
		s.attrs[name] = a
	}
	for _, a := range call.attrs {
		s.attrs[a.name] = a
	}
	for i, name := range fn.inputs {
		s.names[name] = ""
		if i < len(call.inputs) {
			s.names[name] = call.inputs[i]
		}
	}
	var copies []*nodeProto // outputs that are inputs, or outputs twice
	for i, name := range fn.outputs {
		if i >= len(call.outputs) || call.outputs[i] == "" {
			continue
		}
		if from, ok := s.names[name]; ok {
			copies = append(copies, &nodeProto{op: "Identity", name: s.prefix + "copy", inputs: []string{from}, outputs: []string{call.outputs[i]}, opset: fn.opset})
			continue
		}
		s.names[name] = call.outputs[i]
	}
	for _, n := range fn.nodes {
		for _, o := range n.outputs {
			if _, ok := s.names[o]; !ok {
				name := s.prefix + o
				for in.taken[name] {
					in.serial++
					name = fmt.Sprintf("%s%s_%d", s.prefix, o, in.serial)
				}
				in.taken[name] = true
				s.names[o] = name
			}
		}
	}
	return append(s.nodes(fn.nodes, nil), copies...), nil
}

// scope says what names and attributes in a function's body stand for.
type scope struct {
	prefix string
	names  map[string]string
	attrs  map[string]*attrProto
	opset  int64
}

// nodes copies nodes. local are the names that a subgraph defines itself.
func (s *scope) nodes(list []*nodeProto, local map[string]bool) []*nodeProto {
	rename := func(names []string) []string {
		out := slices.Clone(names)
		for i, name := range out {
			if to, ok := s.names[name]; ok && !local[name] {
				out[i] = to
			}
		}
		return out
	}
	out := make([]*nodeProto, len(list))
	for i, n := range list {
		c := *n
		c.inputs, c.outputs, c.attrs, c.opset = rename(n.inputs), rename(n.outputs), nil, s.opset
		if local == nil {
			c.name = s.prefix + n.name
			if n.name == "" {
				c.name += n.op
			}
		}
		for _, a := range n.attrs {
			if a = s.attr(a, local); a != nil {
				c.attrs = append(c.attrs, a)
			}
		}
		out[i] = &c
	}
	return out
}

// attr copies an attribute, or gives what it refers to; nil if that is absent.
func (s *scope) attr(a *attrProto, local map[string]bool) *attrProto {
	c := *a
	switch {
	case a.ref != "":
		from := s.attrs[a.ref]
		if from == nil {
			return nil
		}
		c = *from
		c.name = a.name
		// Kept bytes must say the new name: the last one counts.
		c.raw = protowire.AppendString(protowire.AppendTag(slices.Clone(from.raw), 1, protowire.BytesType), a.name)
	case a.g != nil:
		c.g = s.graph(a.g, local)
	case len(a.graphs) > 0:
		c.graphs = nil
		for _, g := range a.graphs {
			c.graphs = append(c.graphs, s.graph(g, local))
		}
	}
	return &c
}

// graph copies a subgraph of a function's body.
func (s *scope) graph(g *graphProto, outer map[string]bool) *graphProto {
	c := *g
	local := map[string]bool{}
	for name := range outer {
		local[name] = true
	}
	for _, v := range g.inputs {
		local[v.name] = true
	}
	for _, t := range g.initializers {
		local[t.name] = true
	}
	for _, n := range g.nodes {
		for _, o := range n.outputs {
			local[o] = true
		}
	}
	c.free, c.nodes, c.outputs = nil, s.nodes(g.nodes, local), nil
	for _, v := range g.outputs {
		w := *v
		if to, ok := s.names[v.name]; ok && !local[v.name] {
			w.name = to
		}
		c.outputs = append(c.outputs, &w)
	}
	return &c
}
