package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// LogKey is the key of the model's metadata under which the graph's log is
// stored as JSON.
const LogKey = "drawknife.log"

// importer turns one file's messages into a graph.
type importer struct {
	opts      Options
	data      []byte // the file
	own       bool   // data may be changed
	ext       externalFiles
	opset     int64 // of ONNX's own domain
	densified int   // bytes of dense tensors made of sparse ones
	functions map[string]*functionProto
	inlined   int // nodes after the calls of functions were replaced
}

// model builds the graph of a model.
func (im *importer) model(p *modelProto) (*graph.Graph, error) {
	if p.graph == nil {
		return nil, errors.New("no graph inside; is this an ONNX model?")
	}
	opsets := map[string]int64{}
	for _, o := range p.opsets {
		d := ownDomain(o.domain)
		if v, ok := opsets[d]; ok && v != o.version {
			return nil, fmt.Errorf("two versions of operator set %q: %d and %d", o.domain, v, o.version)
		}
		opsets[d] = o.version
	}
	im.opset = opsets[""]
	if err := im.checkOpset(p); err != nil {
		return nil, err
	}
	if err := im.takeFunctions(p, opsets); err != nil {
		return nil, err
	}
	g, err := im.graph(p.graph, nil)
	if err != nil {
		return nil, err
	}
	g.Opsets = opsets
	o := originOf(g)
	o.ops, o.unknown = p.opsets, p.unknown
	o.model = Info{p.ir, p.producer, p.producerVersion, p.domain, p.version, p.doc}
	for _, e := range p.metadata {
		if e.key == LogKey && json.Unmarshal([]byte(e.value), &g.Log) == nil {
			continue
		}
		g.Metadata[e.key] = e.value
	}
	if !im.opts.KeepTypes {
		if err := toFloat32(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// ownDomain gives ONNX's own domain its short name.
func ownDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// minOpset is the oldest operator set that is read, but for operators that
// were settled before.
const minOpset = 7

func (im *importer) checkOpset(p *modelProto) error {
	if im.opset >= minOpset {
		return nil
	}
	for _, n := range p.graph.nodes {
		if ownDomain(n.domain) != "" {
			continue
		}
		if im.opset <= 0 {
			return errors.New("the file does not say which ONNX operator set it uses; export it again with a newer exporter")
		}
		if v, ok := settled[n.op]; !ok || v > im.opset {
			return fmt.Errorf("%v: operator set %d is older than %d; export the model again, or convert it with onnx.version_converter", n, im.opset, minOpset)
		}
	}
	return nil
}

// builder builds one graph (the model's, or a subgraph).
type builder struct {
	*importer
	p        *graphProto
	g        *graph.Graph
	o        *origin
	declared map[string]*valueProto // inputs, outputs and value_info by name
	reserved map[string]bool        // every value name of the file's graph
	names    map[string]bool        // every node name of the file's graph
	serial   map[string]int         // numbers used to make names unique
	dropped  []*graph.Value         // constants that a conversion stopped using
	inferred int                    // nodes whose shapes were inferred
}

// graph builds a graph; outer gives the values that a subgraph captures.
func (im *importer) graph(p *graphProto, outer func(name string) *graph.Value) (*graph.Graph, error) {
	b := &builder{importer: im, p: p, g: graph.New(p.name), o: newOrigin(),
		declared: map[string]*valueProto{}, reserved: map[string]bool{}, names: map[string]bool{}, serial: map[string]int{}}
	b.g.Doc, b.g.Origin, b.o.graphUnknown = p.doc, b.o, p.unknown
	for _, list := range [][]*valueProto{p.valueInfo, p.outputs, p.inputs} {
		for _, v := range list {
			b.declared[v.name] = v
		}
	}
	if err := im.inline(p); err != nil {
		return nil, err
	}
	for _, n := range p.nodes {
		b.names[n.name] = true
		for _, o := range n.outputs {
			b.reserved[o] = true
		}
	}
	if err := b.build(outer); err != nil {
		return nil, err
	}
	return b.g, nil
}

func (b *builder) build(outer func(name string) *graph.Value) error {
	if err := b.constants(); err != nil {
		return err
	}
	if err := b.inputs(outer); err != nil {
		return err
	}
	nodes, err := b.order()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := b.node(n); err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
	}
	if err := b.outputs(); err != nil {
		return err
	}
	for _, v := range b.dropped {
		if b.g.Value(v.Name) == v && len(v.Uses()) == 0 && !v.IsOutput() {
			b.g.RemoveConst(v)
		}
	}
	return nil
}

// constants adds the initializers.
func (b *builder) constants() error {
	for i, p := range b.p.initializers {
		if err := b.free("initializer", p.name, i); err != nil {
			return err
		}
		t, err := b.tensor(p)
		if errors.Is(err, errNoHolder) {
			b.opaque(p)
			continue
		}
		if err != nil {
			return err
		}
		b.constant(p, t)
	}
	for i, p := range b.p.sparse {
		if p.values == nil {
			return fmt.Errorf("sparse initializer %d has no values", i)
		}
		if err := b.free("sparse initializer", p.values.name, i); err != nil {
			return err
		}
		t, err := b.dense(p)
		if err != nil {
			return fmt.Errorf("sparse initializer %q: %w", p.values.name, err)
		}
		b.constant(p.values, t)
	}
	return nil
}

func (b *builder) constant(p *tensorProto, t *tensor.Tensor) {
	v := b.g.AddConst(p.name, t)
	v.Doc = p.doc
	if len(p.unknown) > 0 {
		b.o.tensors[p.name] = p.unknown
	}
	if d := b.declared[p.name]; d != nil {
		b.o.values[p.name] = valueOrigin{d.typ, d.unknown}
	}
}

// opaque keeps an initializer of a type that no tensor holds as a Constant
// node with the bytes of its message.
func (b *builder) opaque(p *tensorProto) {
	r := &rope{}
	r.str(1, "value")
	r.blob(5, p.message)
	r.int(20, attrTensor)
	b.g.Append(b.g.NewNode("", "Constant", b.nodeName("", p.name), nil, []string{p.name}, graph.Attrs{"value": RawAttr(r.bytes())}))
}

// free reports an error if a value's name is missing or taken.
func (b *builder) free(kind, name string, i int) error {
	if name == "" {
		return fmt.Errorf("%s %d has no name", kind, i)
	}
	if b.g.Value(name) != nil || b.reserved[name] {
		return fmt.Errorf("%s: the name %q is taken by another value", kind, name)
	}
	return nil
}

// inputs adds the graph's inputs, then those that a subgraph captures.
func (b *builder) inputs(outer func(name string) *graph.Value) error {
	seen := map[string]bool{}
	for i, p := range b.p.inputs {
		if seen[p.name] {
			return fmt.Errorf("two inputs are named %q", p.name)
		}
		seen[p.name] = true
		b.o.inputs = append(b.o.inputs, p.name)
		if v := b.g.Value(p.name); v != nil { // an initializer that may be overridden
			continue
		}
		if err := b.free("input", p.name, i); err != nil {
			return err
		}
		if err := b.declare(b.g.AddInput(p.name, tensor.Invalid, nil)); err != nil {
			return err
		}
	}
	if outer == nil {
		return nil
	}
	for _, name := range freeNames(b.p) {
		if v := outer(name); v != nil {
			b.g.AddInput(name, v.Type, v.Shape)
			b.o.captured++
		}
	}
	return nil
}

// declare gives a value the type, shape and documentation that the file
// declares for it.
func (b *builder) declare(v *graph.Value) (err error) {
	p := b.declared[v.Name]
	if p == nil {
		return nil
	}
	v.Doc = p.doc
	if v.Type, v.Shape, err = decodeType(p.typ); err != nil {
		return fmt.Errorf("type of %q: %w", v.Name, err)
	}
	b.o.values[v.Name] = valueOrigin{p.typ, p.unknown}
	return nil
}

// outputs declares the graph's outputs.
func (b *builder) outputs() error {
	seen := map[string]bool{}
	for _, p := range b.p.outputs {
		v := b.g.Value(p.name)
		if v == nil {
			return fmt.Errorf("output %q is computed nowhere", p.name)
		}
		if seen[p.name] {
			return fmt.Errorf("two outputs are named %q", p.name)
		}
		seen[p.name] = true
		b.g.AddOutput(v)
	}
	for _, p := range b.p.valueInfo {
		if !seen[p.name] && b.g.Value(p.name) != nil {
			seen[p.name] = true
			b.o.valueInfo = append(b.o.valueInfo, p.name)
		}
	}
	return nil
}

// node adds one node in canonical form.
func (b *builder) node(p *nodeProto) error {
	domain := ownDomain(p.domain)
	if domain == "" && p.op == "Constant" {
		done, err := b.constantNode(p)
		if done || err != nil {
			return err
		}
	}
	f := &form{b: b, domain: domain, op: p.op, name: b.nodeName(p.name, p.op), attrs: graph.Attrs{}, outs: slices.Clone(p.outputs), opset: b.opset}
	if p.opset > 0 {
		f.opset = p.opset
	}
	for _, name := range p.inputs {
		f.in = append(f.in, b.g.Value(name)) // "" gives nil
	}
	f.trim()
	if err := b.attributes(p, f); err != nil {
		return err
	}
	if domain == "" {
		if err := f.upgrade(); err != nil {
			return err
		}
	}
	n := b.g.NewNode(domain, f.op, f.name, f.in, f.outs, f.attrs)
	n.Doc, n.Overload = p.doc, p.overload
	for _, e := range p.metadata {
		if n.Metadata == nil {
			n.Metadata = map[string]string{}
		}
		n.Metadata[e.key] = e.value
	}
	if p.name != n.Name || len(p.unknown) > 0 {
		b.o.nodes[n.Name] = nodeOrigin{p.name, p.unknown}
	}
	if err := b.append(n); err != nil {
		return err
	}
	for _, after := range f.after {
		if err := after(); err != nil {
			return err
		}
	}
	return nil
}

// append places a node and gives its outputs their declared types.
func (b *builder) append(n *graph.Node) error {
	b.g.Append(n)
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		if err := b.declare(v); err != nil {
			return err
		}
	}
	return nil
}

// nodeName returns a name for a node that is unique, and not the name of
// another node in the file: the file's own where it can be.
func (b *builder) nodeName(name, op string) string {
	if name != "" {
		if b.names[name] {
			b.names[name] = false // now in use
			return name
		}
	} else {
		name = op
	}
	for base := name; ; {
		if _, taken := b.names[name]; !taken && name != "" {
			b.names[name] = false
			return name
		}
		name = b.number(base)
	}
}

// fresh returns an unused value name.
func (b *builder) fresh(base string) string {
	name := base
	for b.g.Value(name) != nil || b.reserved[name] || b.declared[name] != nil {
		name = b.number(base)
	}
	return name
}

// number appends a number to base, a different one each time.
func (b *builder) number(base string) string {
	b.serial[base]++
	return fmt.Sprintf("%s_%d", base, b.serial[base])
}
