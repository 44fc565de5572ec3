package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware/sparsity"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/weights"
)

// sparseOrDense is the report of pruned weights beside a small dense network
// of as many parameters (Zhu and Gupta, To prune, or not to prune, 2017).
type sparseOrDense struct {
	*weights.Report
	Dense dense `json:"dense"`

	graph *graph.Graph // of the small one
}

// dense is the small network and how it compares.
type dense struct {
	measure.Metrics
	File string `json:"file"`
	// NonZero is how many parameters the sparse network keeps, which the small
	// one comes near from below; SparseBytes is what those take with a bitmap.
	NonZero     int64 `json:"sparse_parameters"`
	SparseBytes int64 `json:"sparse_bytes"`
}

// nonZeros counts the parameters of a graph with pruned weights that are not
// zero, and the bytes that it takes with a bit for each weight.
func nonZeros(g *graph.Graph, r *weights.Report) (params, bytes int64) {
	c := g.Cost()
	params = c.Params - int64(r.Weights-r.NonZero)
	f := sparsity.Format{Coding: sparsity.Bitmask, Data: 32}
	density := float64(r.NonZero) / float64(max(r.Weights, 1))
	return params, c.WeightBytes - int64(4*r.Weights) + int64(f.Bits(r.Weights, density)/8)
}

// compareDense makes the small network: the same share of channels less in every
// group, those of the smallest filters, until as many parameters are left as the
// sparse network has that are not zero; trained like it.
func (c *pruneCmd) compareDense(a *app, g *graph.Graph, t *trainer, p pruned, out string) (*sparseOrDense, error) {
	r := &sparseOrDense{Report: p.report.(*weights.Report)}
	r.Dense.NonZero, r.Dense.SparseBytes = nonZeros(p.graph, r.Report)
	r.Dense.File = strings.TrimSuffix(out, ".onnx") + "_dense.onnx"
	o := prune.Options{Score: "l1", Budget: "params", Share: float64(r.Dense.NonZero) / float64(g.Cost().Params), RoundTo: 1, MinKeep: 1e-3, Skip: c.Skip}
	small, _, err := prune.Apply(a, g, o, nil)
	if err != nil {
		return nil, fmt.Errorf("the small dense network: %w", err)
	}
	if r.graph, err = t.healed(a, g, small, c.Epochs, ".dense"); err != nil {
		return nil, err
	}
	if c.Data != "" {
		r.graph.Metadata[data.MetadataKey] = t.pre.String()
	}
	return r, onnx.Write(r.Dense.File, r.graph)
}

// measure fills in what is measured of the small network.
func (r *sparseOrDense) measure(a *app, b *beforeAfter, g *graph.Graph, t *trainer) error {
	if err := b.count(a, &r.Dense.Metrics, r.graph, t.test, t.pre); err != nil {
		return err
	}
	var again measure.Metrics
	return measure.Latencies(a, a.Threads, g, r.graph, &again, &r.Dense.Metrics)
}

// print writes the comparison.
func (r *sparseOrDense) print(w io.Writer, b *beforeAfter) error {
	rows := [][]string{{"network ", "parameters", "bytes", "MACs", "top-1 %", "ms, 1 thread"}}
	row := func(name string, params, bytes int64, m measure.Metrics) {
		top, latency := "–", "–"
		if b.measured {
			top = fmt.Sprintf("%.2f", m.Top1)
		}
		if m.MedianMs1 > 0 {
			latency = f3(m.MedianMs1)
		}
		rows = append(rows, []string{name, count(params), size(bytes), count(m.MACs), top, latency})
	}
	row("original", b.Before.Params, b.Before.WeightBytes, b.Before)
	row(fmt.Sprintf("large, sparse (%.1f %% zero)", 100*r.Sparsity), r.Dense.NonZero, r.Dense.SparseBytes, b.After)
	row("small, dense", r.Dense.Params, r.Dense.WeightBytes, r.Dense.Metrics)
	if err := table(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "wrote %s\n\n", r.Dense.File)
	return err
}
