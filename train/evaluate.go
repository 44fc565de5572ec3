package train

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Evaluate runs g, a classifier in inference form, over one epoch of loader
// and counts its results.
func Evaluate(ctx context.Context, g *graph.Graph, loader *data.Loader, threads int) (*metrics.Classification, error) {
	if len(g.Inputs) != 1 || len(g.Outputs) == 0 {
		return nil, fmt.Errorf("train: evaluate: the network has %d inputs and %d outputs, want one input", len(g.Inputs), len(g.Outputs))
	}
	batch := min(loader.Options().Batch, loader.Dataset().Len())
	shape := inputShape(loader, batch)
	program, err := engine.Compile(g, engine.Options{Threads: threads, Shapes: map[string][]int{g.Inputs[0].Name: shape}})
	if err != nil {
		return nil, fmt.Errorf("train: evaluate: %w", err)
	}
	out := program.NewOutputs()
	classes := out[0].Len() / batch
	if classes < 1 || out[0].DType != tensor.Float32 {
		return nil, fmt.Errorf("train: evaluate: output %q is %v, want [N, classes] of float32", g.Outputs[0].Name, out[0])
	}
	m := metrics.New(classes)
	m.Probabilities = g.Outputs[0].Producer().Is("Softmax")
	in := tensor.New(tensor.Float32, shape...)
	for b, err := range loader.Batches(ctx, 0) {
		if err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
		x := in
		if b.N == batch {
			x = tensor.Of(b.X, shape...)
		} else { // what is left of the last full batch is not counted
			copy(tensor.Data[float32](in), b.X)
		}
		if err := program.RunInto(ctx, []*tensor.Tensor{x}, out); err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
		if err := m.Add(tensor.Data[float32](out[0])[:b.N*classes], b.Y); err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
	}
	return m, nil
}
