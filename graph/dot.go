package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// dotColors fill Graphviz boxes by kind of operator.
var dotColors = map[string]string{
	"Conv": "#bcd7f0", "ConvTranspose": "#bcd7f0", "Gemm": "#bcd7f0", "MatMul": "#bcd7f0", "QLinearConv": "#bcd7f0",
	"QuantizeLinear": "#f6d6a8", "DequantizeLinear": "#f6d6a8", "DynamicQuantizeLinear": "#f6d6a8",
	"BatchNormalization": "#d9ead3", "Add": "#ead1dc", "Concat": "#ead1dc", "Mul": "#ead1dc",
	"MaxPool": "#d0e0e3", "AveragePool": "#d0e0e3", "GlobalAveragePool": "#d0e0e3",
}

// WriteDot writes the graph in Graphviz's language: a box for each node with
// its weight's shape and its MACs, an edge with its shape for each activation.
// Constants are not drawn.
func (g *Graph) WriteDot(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph %s {\n\tnode [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f4f4\", fontname=\"sans-serif\", fontsize=11];\n", quoted(g.Name))
	fmt.Fprintln(b, "\tedge [fontname=\"sans-serif\", fontsize=9];")
	id := map[any]string{}
	for i, v := range g.Inputs {
		id[v] = fmt.Sprintf("in%d", i)
		fmt.Fprintf(b, "\tin%d [shape=ellipse, label=%s];\n", i, quoted(v.Name))
	}
	for i, n := range g.Nodes {
		id[n] = fmt.Sprintf("n%d", i)
		color := dotColors[n.Op]
		if color == "" {
			color = "#f4f4f4"
		}
		fmt.Fprintf(b, "\tn%d [label=%s, fillcolor=\"%s\"];\n", i, quoted(n.dotLabel()), color)
	}
	edge := func(v *Value, to string) {
		var from string
		switch {
		case v == nil || v.Data != nil:
			return
		case v.producer != nil:
			from = id[v.producer]
		default:
			from = id[v]
		}
		if from != "" {
			fmt.Fprintf(b, "\t%s -> %s [label=%s];\n", from, to, quoted(v.Shape.String()))
		}
	}
	for i, n := range g.Nodes {
		for _, v := range n.Inputs {
			edge(v, fmt.Sprintf("n%d", i))
		}
	}
	for i, v := range g.Outputs {
		fmt.Fprintf(b, "\tout%d [shape=ellipse, label=%s];\n", i, quoted(v.Name))
		edge(v, fmt.Sprintf("out%d", i))
	}
	fmt.Fprintln(b, "}")
	return b.Flush()
}

func (n *Node) dotLabel() string {
	c := n.Cost()
	lines := []string{n.Name, c.Op}
	if i := n.weightInput(); i >= 0 && n.In(i) != nil {
		lines[1] += " " + n.In(i).Shape.String()
	}
	if c.MACs > 0 {
		lines = append(lines, Thousands(c.MACs)+" MACs")
	}
	return strings.Join(lines, "\n")
}

// quoted writes a string as Graphviz reads it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}
