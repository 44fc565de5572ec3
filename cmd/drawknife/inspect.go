package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/zoo"
)

type inspectCmd struct {
	Model  string   `arg:"" help:"Model file or zoo:NAME."`
	Shape  []string `help:"Concrete shape of an input: NAME=1x3x224x224." placeholder:"NAME=DIMS" sep:"none"`
	Dot    bool     `help:"Print the graph in Graphviz's language instead." xor:"what"`
	Groups bool     `help:"List the channels that must go together instead, and what cannot be pruned, with the reason." xor:"what"`
	Prove  bool     `help:"With --groups: zero channels of each group, remove them, and compare what the network computes (networks of the zoo get random biases and normalizations for it)."`
}

type valueInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []any  `json:"shape"`
}

type inspection struct {
	Model    string            `json:"model"`
	Name     string            `json:"name"`
	Opset    int64             `json:"opset"`
	Opsets   map[string]int64  `json:"opsets"`
	Metadata map[string]string `json:"metadata"`
	Inputs   []valueInfo       `json:"inputs"`
	Outputs  []valueInfo       `json:"outputs"`
	*graph.Cost
	Log []graph.Change `json:"log,omitempty"`
}

func (c *inspectCmd) Run(a *app) error {
	if c.Groups {
		return c.groups(a)
	}
	if c.Prove {
		return usagef("--prove goes with --groups")
	}
	g, err := a.loadAsIs(c.Model)
	if err != nil {
		return err
	}
	if c.Shape != nil {
		shapes, err := inputShapes(g, c.Shape, 1)
		if err != nil {
			return err
		}
		if err := g.BindInputs(shapes); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	if c.Shape == nil {
		if err := g.InferShapes(); err != nil { // the rest can be shown all the same
			a.note("note: %s: shapes behind this point are unknown: %v", c.Model, err)
		}
	}
	if c.Dot {
		return g.WriteDot(a.out)
	}
	r := inspection{Model: c.Model, Name: g.Name, Opset: g.Opsets[""], Opsets: g.Opsets, Metadata: g.Metadata,
		Inputs: infos(g.Inputs), Outputs: infos(g.Outputs), Cost: g.Cost(), Log: g.Log}
	return a.emit(r, r.print)
}

// loadAsIs reads a model with the element types that the file has.
func (a *app) loadAsIs(spec string) (*graph.Graph, error) {
	if len(spec) > 4 && spec[:4] == "zoo:" {
		return zoo.Build(spec[4:], a.Seed)
	}
	return onnx.Read(spec, onnx.Options{KeepTypes: true})
}

func infos(vs []*graph.Value) []valueInfo {
	out := make([]valueInfo, len(vs))
	for i, v := range vs {
		out[i] = valueInfo{v.Name, v.Type.String(), []any{}}
		for _, d := range v.Shape {
			if d.Known() {
				out[i].Shape = append(out[i].Shape, d.Size)
			} else {
				out[i].Shape = append(out[i].Shape, d.String())
			}
		}
	}
	return out
}

func (r *inspection) print(w io.Writer) error {
	rows := [][]string{{"node ", "operator ", "output ", "parameters", "MACs", "activation", "sparsity", "bits"}}
	for _, n := range r.Nodes {
		sparsity, bits, params, macs := "", "", "", ""
		if n.Params > 0 {
			params = graph.Thousands(n.Params)
		}
		if n.MACs > 0 {
			macs = graph.Thousands(n.MACs)
		}
		if n.Bits > 0 {
			sparsity, bits = fmt.Sprintf("%.1f%%", 100*n.Sparsity), fmt.Sprint(n.Bits)
		}
		rows = append(rows, []string{n.Name, n.Op, n.Output, params, macs, size(n.ActivationBytes), sparsity, bits})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	describe := func(vs []valueInfo) string {
		s := ""
		for i, v := range vs {
			if i > 0 {
				s += ", "
			}
			s += fmt.Sprintf("%s %s%v", v.Name, v.Type, v.Shape)
		}
		return s
	}
	kv := []string{
		"model", r.Model + " (" + r.Name + ")",
		"opset", opsetNames(r.Opsets),
		"inputs", describe(r.Inputs), "outputs", describe(r.Outputs),
		"nodes", fmt.Sprint(len(r.Nodes)),
		"parameters", graph.Thousands(r.Params),
		"MACs", graph.Thousands(r.MACs),
		"weights", fmt.Sprintf("%s, %.1f%% zeros", size(r.WeightBytes), 100*r.Sparsity),
		"peak activations", size(r.PeakActivationBytes),
	}
	for _, k := range slices.Sorted(maps.Keys(r.Metadata)) {
		kv = append(kv, k, r.Metadata[k])
	}
	for _, l := range r.Log {
		kv = append(kv, "done: "+l.Pass, l.Why)
	}
	return pairs(w, kv...)
}

func opsetNames(m map[string]int64) string {
	s := ""
	for i, d := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			s += ", "
		}
		if d == "" {
			s += fmt.Sprint(m[d])
		} else {
			s += fmt.Sprintf("%s %d", d, m[d])
		}
	}
	return s
}
