package onnx

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// bodies says what operators of domain "drawknife" that stay in a file compute,
// in ONNX's own operators, so that other runtimes can run them: the file
// defines them as functions. Reading drops these definitions again.
var bodies = map[string]func(f *body){}

// bodyOpset and bodyIR are the lowest versions in whose words bodies are
// written.
const (
	bodyOpset = 13
	bodyIR    = 8
)

// body builds the FunctionProto of an operator.
type body struct{ r *rope }

// functions writes the bodies of the operators that g's nodes have.
func (e *exporter) functions(r *rope) {
	var done []string
	for _, n := range e.g.Nodes {
		if !hasBody(n) || slices.Contains(done, n.Op) {
			continue
		}
		done = append(done, n.Op)
		f := &body{r: &rope{}}
		f.r.str(1, n.Op)
		bodies[n.Op](f)
		opset := &rope{}
		opset.blob(1, nil)
		opset.int(2, e.opset)
		f.r.message(9, opset)
		f.r.str(10, n.Domain)
		r.message(25, f.r)
	}
}

// hasBody reports whether n is an operator of ours that files define.
func hasBody(n *graph.Node) bool { return n.Domain == graph.DrawknifeDomain && bodies[n.Op] != nil }

func (f *body) inputs(names ...string) { f.names(4, names) }

func (f *body) outputs(names ...string) { f.names(5, names) }

func (f *body) attributes(names ...string) { f.names(6, names) }

func (f *body) names(field protowire.Number, names []string) {
	for _, name := range names {
		f.r.str(field, name)
	}
}

// node adds a node of one output, which names the node too.
func (f *body) node(op string, inputs []string, output string, attrs ...*rope) {
	n := &rope{}
	for _, name := range inputs {
		n.blob(1, []byte(name))
	}
	n.blob(2, []byte(output))
	n.str(3, output)
	n.str(4, op)
	for _, a := range attrs {
		n.message(5, a)
	}
	f.r.message(7, n)
}

// constant adds a Constant node.
func (f *body) constant(name string, t *tensor.Tensor) {
	a := newAttr("value", attrTensor)
	a.message(5, encodeTensor("", "", t, nil))
	f.node("Constant", nil, name, a)
}

func newAttr(name string, kind int) *rope {
	a := &rope{}
	a.str(1, name)
	a.int(20, int64(kind))
	return a
}

// ref is the attribute of that name with the value of an attribute of the call.
func ref(name, of string, kind int) *rope {
	a := newAttr(name, kind)
	a.str(21, of)
	return a
}

func intAttr(name string, v int64) *rope {
	a := newAttr(name, attrInt)
	a.int(3, v)
	return a
}

func stringAttr(name, v string) *rope {
	a := newAttr(name, attrString)
	a.blob(4, []byte(v))
	return a
}
