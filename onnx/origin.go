package onnx

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

// origin is what a graph remembers of the file it was read from, so that it
// can be written back as it was. It never changes once the file is read, and
// clones of the graph share it; things are found by the names of values and
// nodes.
type origin struct {
	model        Info
	unknown      []byte // of the model: functions, training information, …
	graphUnknown []byte // of the graph: quantization annotations, …
	ops          []opsetProto

	inputs    []string // the file's inputs, initializers that were listed included
	values    map[string]valueOrigin
	valueInfo []string          // values whose type the file declared, in order
	tensors   map[string][]byte // unknown fields of initializers
	nodes     map[string]nodeOrigin
	constants map[string]string // Constant nodes' names by the value's
	synthetic map[string]bool   // constants made by conversion to canonical form
	captured  int               // how many of a subgraph's inputs, the last, are captured
}

type valueOrigin struct {
	typ     []byte // TypeProto
	unknown []byte
}

type nodeOrigin struct {
	name    string // as in the file: may be empty or not unique
	unknown []byte
}

// Info is what an ONNX file says about itself beside the graph.
type Info struct {
	IRVersion       int64
	Producer        string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
}

// InfoOf returns what the file that g was read from said about itself. The
// zero Info is returned for a graph that was not read from a file.
func InfoOf(g *graph.Graph) Info {
	if o := originOf(g); o != nil {
		return o.model
	}
	return Info{}
}

func originOf(g *graph.Graph) *origin {
	o, _ := g.Origin.(*origin)
	return o
}

func newOrigin() *origin {
	return &origin{values: map[string]valueOrigin{}, tensors: map[string][]byte{}, nodes: map[string]nodeOrigin{},
		constants: map[string]string{}, synthetic: map[string]bool{}}
}

// capturesKey is the attribute under which a node with subgraphs (If, Loop,
// Scan) lists the names that its subgraphs read from the graph around them.
// The node's last inputs are those values, and each subgraph has inputs of
// those names after its own: so the uses of values are complete, and a rewrite
// may rename or replace them. It is never written to a file.
const capturesKey = "@captures"

func nodeString(name, domain, op string) string {
	if domain != "" {
		op = domain + "." + op
	}
	return fmt.Sprintf("node %q (%s)", name, op)
}
