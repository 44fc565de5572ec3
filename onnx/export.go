package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Operator sets and IR versions of new models, unless the content needs more.
const (
	newOpset = 13
	newIR    = 8
	maxOpset = 25
)

// exporter turns a graph into messages.
type exporter struct {
	g        *graph.Graph
	o        *origin // never nil
	opset    int64
	external *externalWriter // nil: weights go into the model
	rename   map[*graph.Value]string
	used     map[string]bool // names of values and of constants made on the way
	listed   map[string]bool // inputs of the file
	loose    bool            // there is an initializer that is not an input
}

// irOf is the IR version that came with an operator set.
func irOf(opset int64) int64 {
	switch {
	case opset <= 8:
		return 3
	case opset <= 11:
		return opset - 5
	case opset <= 14:
		return 7
	case opset <= 18:
		return 8
	case opset <= 20:
		return 9
	case opset <= 22:
		return 10
	}
	return opset - 12 // 23 came with 11, 24 with 12, 25 with 13
}

// export makes the messages of a model.
func export(g *graph.Graph, o WriteOptions, w *externalWriter) (*rope, error) {
	g, err := lowerOwn(g)
	if err != nil {
		return nil, err
	}
	e := &exporter{g: g, o: originOf(g), external: w}
	if e.o == nil {
		e.o = newOrigin()
	}
	if e.untyped() {
		e.g = g.Clone()
		_ = e.g.InferShapes() // what stays unknown is left out
		g = e.g
	}
	if e.opset, err = targetOpset(g, o.Opset); err != nil {
		return nil, err
	}
	body, err := e.graph(nil)
	if err != nil {
		return nil, err
	}
	r := &rope{}
	m := e.o.model
	r.int(1, e.irVersion())
	if e.o.model == (Info{}) {
		m.Producer = "drawknife"
	}
	r.str(2, m.Producer)
	r.str(3, m.ProducerVersion)
	r.str(4, m.Domain)
	if m.ModelVersion != 0 {
		r.int(5, m.ModelVersion)
	}
	r.str(6, m.Doc)
	r.message(7, body)
	for _, s := range e.opsets() {
		n := &rope{}
		n.blob(1, []byte(s.domain))
		n.int(2, s.version)
		r.message(8, n)
	}
	if err := e.metadata(r); err != nil {
		return nil, err
	}
	e.functions(r)
	r.raw(e.o.unknown)
	return r, nil
}

// untyped reports whether an output lacks the type and shape that ONNX wants
// to see, and the file did not declare any.
func (e *exporter) untyped() bool {
	return slices.ContainsFunc(e.g.Outputs, func(v *graph.Value) bool {
		return (v.Type == tensor.Invalid || v.Shape == nil) && len(e.o.values[v.Name].typ) == 0
	})
}

// metadata writes the model's metadata and log, in order of the keys.
func (e *exporter) metadata(r *rope) error {
	all := maps.Clone(e.g.Metadata)
	if len(e.g.Log) > 0 {
		text, err := json.Marshal(e.g.Log)
		if err != nil {
			return err
		}
		if all == nil {
			all = map[string]string{}
		}
		all[LogKey] = string(text)
	}
	entries(r, 14, all)
	return nil
}

func entries(r *rope, num protowire.Number, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n := &rope{}
		n.blob(1, []byte(k))
		n.blob(2, []byte(m[k]))
		r.message(num, n)
	}
}

// opsets lists the operator sets to import: the file's, and those of domains
// that are new.
func (e *exporter) opsets() []opsetProto {
	var list []opsetProto
	seen := map[string]bool{}
	add := func(s opsetProto) {
		d := ownDomain(s.domain)
		if d == "" {
			s.version = e.opset
		}
		if !seen[d] {
			seen[d] = true
			list = append(list, s)
		}
	}
	for _, s := range e.o.ops {
		add(s)
	}
	if len(list) == 0 {
		add(opsetProto{"", e.opset})
	}
	for _, d := range slices.Sorted(maps.Keys(e.g.Opsets)) {
		add(opsetProto{d, e.g.Opsets[d]})
	}
	for _, n := range e.g.Nodes {
		add(opsetProto{n.Domain, 1})
	}
	return list
}

// irVersion is the file's IR version if it can carry the content.
func (e *exporter) irVersion() int64 {
	ir := e.o.model.IRVersion
	if ir == 0 {
		ir = max(newIR, irOf(e.opset))
	} else if e.opset > e.g.Opsets[""] {
		ir = max(ir, irOf(e.opset))
	}
	for _, v := range e.g.Constants() {
		ir = max(ir, irOfType(v.Type))
	}
	if slices.ContainsFunc(e.g.Nodes, hasBody) {
		ir = max(ir, bodyIR)
	}
	if e.loose {
		ir = max(ir, 4) // before, every initializer had to be an input too
	}
	return ir
}

// irOfType is the IR version that introduced an element type.
func irOfType(d tensor.DType) int64 {
	switch d {
	case tensor.BFloat16:
		return 4
	case tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ:
		return 9
	case tensor.Int4, tensor.Uint4:
		return 10
	case tensor.Float4E2M1:
		return 11
	case tensor.Float8E8M0:
		return 12
	case tensor.Int2, tensor.Uint2:
		return 13
	}
	return 0
}

// graph makes the message of the graph; captured are the names that a
// subgraph's captured inputs have outside.
func (e *exporter) graph(captured map[string]string) (*rope, error) {
	e.names(captured)
	forms, err := e.forms()
	if err != nil {
		return nil, err
	}
	r := &rope{}
	read := map[*graph.Value]bool{}
	var extra []*graph.Value // constants that the operator set's forms need
	for _, f := range forms {
		for _, v := range f.in {
			if v != nil && !read[v] {
				read[v] = true
				if v.Data != nil && e.g.Value(v.Name) != v {
					extra = append(extra, v)
				}
			}
		}
	}
	for _, v := range e.g.Outputs {
		read[v] = true
	}
	keep := func(v *graph.Value) bool {
		return read[v] || len(v.Uses()) == 0 && !e.o.synthetic[v.Name]
	}
	for _, v := range extra {
		e.claim(v)
	}
	for _, v := range e.g.Constants() {
		if name, ok := e.o.constants[v.Name]; ok && keep(v) {
			r.message(1, constantNode(e.name(v), name, v))
		}
	}
	for _, f := range forms {
		n, err := e.node(f)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", f.node, err)
		}
		r.message(1, n)
	}
	r.str(2, e.g.Name)
	for _, v := range e.g.Constants() {
		if _, ok := e.o.constants[v.Name]; !ok && keep(v) {
			if err := e.initializer(r, v); err != nil {
				return nil, err
			}
		}
	}
	for _, v := range extra {
		if err := e.initializer(r, v); err != nil {
			return nil, err
		}
	}
	r.str(10, e.g.Doc)
	e.valueInfos(r, keep)
	r.raw(e.o.graphUnknown)
	return r, nil
}

// names fixes the name under which each value is written.
func (e *exporter) names(captured map[string]string) {
	e.rename, e.used, e.listed = map[*graph.Value]string{}, map[string]bool{}, map[string]bool{}
	for _, name := range e.o.inputs {
		e.listed[name] = true
	}
	for i, v := range e.g.Inputs {
		if i >= e.formal() {
			if name, ok := captured[v.Name]; ok {
				e.rename[v] = name
			}
		}
		e.used[e.name(v)] = true
	}
	own := slices.Clone(e.g.Constants())
	for _, n := range e.g.Nodes {
		own = append(own, n.Outputs...)
	}
	for _, v := range own {
		switch {
		case v == nil:
		case e.used[v.Name]: // by a value outside that was renamed
			e.claim(v)
		default:
			e.used[v.Name] = true
		}
	}
}

// formal is the number of inputs that are written: a subgraph's captured ones
// are not.
func (e *exporter) formal() int { return max(0, len(e.g.Inputs)-e.o.captured) }

func (e *exporter) name(v *graph.Value) string {
	if v == nil {
		return ""
	}
	if s, ok := e.rename[v]; ok {
		return s
	}
	return v.Name
}

// claim gives a constant made during export a name of its own.
func (e *exporter) claim(v *graph.Value) {
	name := v.Name
	for k := 1; e.used[name]; k++ {
		name = v.Name + "_" + strconv.Itoa(k)
	}
	e.used[name] = true
	e.rename[v] = name
}

// forms brings every node to the operator set that is written.
func (e *exporter) forms() ([]*form, error) {
	list := make([]*form, 0, len(e.g.Nodes))
	for _, n := range e.g.Nodes {
		f := newForm(n, e.opset)
		if n.Domain == "" {
			if need := f.downgrade(); need > 0 {
				return nil, fmt.Errorf("%v needs operator set %d, not %d", n, need, e.opset)
			}
		}
		list = append(list, f)
	}
	return list, nil
}

func newForm(n *graph.Node, opset int64) *form {
	return &form{node: n, domain: n.Domain, op: n.Op, name: n.Name, in: slices.Clone(n.Inputs), attrs: n.Attrs.Clone(), opset: opset}
}

// initializer writes one constant.
func (e *exporter) initializer(r *rope, v *graph.Value) error {
	if v.Data == nil {
		return fmt.Errorf("constant %q has no elements", v.Name)
	}
	e.loose = e.loose || !e.listed[v.Name]
	if e.external != nil && v.Data.DType != tensor.String && v.Data.NBytes() >= externalFrom {
		m, err := e.external.add(e.name(v), v.Data)
		if err != nil {
			return err
		}
		m.str(12, v.Doc)
		m.raw(e.o.tensors[v.Name])
		r.message(5, m)
		return nil
	}
	r.message(5, encodeTensor(e.name(v), v.Doc, v.Data, e.o.tensors[v.Name]))
	return nil
}

// constantNode writes a constant that the file had as a Constant node.
func constantNode(output, name string, v *graph.Value) *rope {
	a := &rope{}
	a.str(1, "value")
	a.message(5, encodeTensor("", "", v.Data, nil))
	a.int(20, attrTensor)
	r := &rope{}
	r.blob(2, []byte(output))
	r.str(3, name)
	r.str(4, "Constant")
	r.message(5, a)
	r.str(6, v.Doc)
	return r
}

// node writes one node.
func (e *exporter) node(f *form) (*rope, error) {
	n := f.node
	captured, _ := f.attrs[capturesKey].([]string)
	formal := len(f.in) - len(captured)
	if formal < 0 {
		return nil, errors.New("lacks the values its subgraphs capture")
	}
	outside := map[string]string{}
	for i, name := range captured {
		outside[name] = e.name(f.in[formal+i])
	}
	r := &rope{}
	f.in = f.in[:formal]
	f.trim()
	for _, v := range f.in {
		r.blob(1, []byte(e.name(v)))
	}
	for _, v := range n.Outputs {
		r.blob(2, []byte(e.name(v)))
	}
	name, unknown := n.Name, []byte(nil)
	if o, ok := e.o.nodes[n.Name]; ok {
		unknown = o.unknown
		if len(e.g.Log) == 0 {
			name = o.name // empty or not unique, but the user's
		}
	}
	r.str(3, name)
	r.str(4, f.op)
	for _, k := range slices.Sorted(maps.Keys(f.attrs)) {
		if k == capturesKey {
			continue
		}
		a, err := e.encodeAttr(k, f.attrs[k], outside)
		if err != nil {
			return nil, err
		}
		r.message(5, a)
	}
	r.str(6, n.Doc)
	r.str(7, n.Domain)
	r.str(8, n.Overload)
	entries(r, 9, n.Metadata)
	r.raw(unknown)
	return r, nil
}

// subgraph writes a graph that is an attribute.
func (e *exporter) subgraph(g *graph.Graph, outside map[string]string) (*rope, error) {
	sub := &exporter{g: g, o: originOf(g), opset: e.opset}
	if sub.o == nil {
		sub.o = newOrigin()
	}
	return sub.graph(outside)
}
