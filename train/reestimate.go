package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// ReestimateNorm replaces the running statistics of every batch normalization
// of g by those of about the given number of pictures: their plain average
// over full batches in training mode, without any gradient. It repairs much of
// the damage that pruning and coarse quantization do. A network without batch
// normalization is left as it is.
func ReestimateNorm(ctx context.Context, g *graph.Graph, loader *data.Loader, images, threads int) error {
	fail := func(err error) error { return fmt.Errorf("train: re-estimate: %w", err) }
	if len(g.Inputs) != 1 {
		return fail(fmt.Errorf("the network has %d inputs, want one", len(g.Inputs)))
	}
	work := g.Clone()
	batch := min(loader.Options().Batch, loader.Dataset().Len())
	if err := work.BindInputs(map[string][]int{work.Inputs[0].Name: inputShape(loader, batch)}); err != nil {
		return fail(err)
	}
	for _, n := range slices.Clone(work.Nodes) {
		if n.Is("BatchNormalization") {
			n.Attrs["momentum"] = float32(0) // then the new statistics are the batch's
		} else if n.Is("Dropout") && n.Out(1) == nil {
			work.ReplaceUses(n.Outputs[0], n.Inputs[0])
			work.Remove(n)
		}
	}
	stats, err := training(work, false)
	if err != nil {
		return fail(err)
	}
	if len(stats) == 0 {
		return nil
	}
	work.Outputs = nil
	for _, s := range stats {
		work.AddOutput(s.next)
	}
	work.RemoveDead()
	program, err := engine.Compile(work, engine.Options{Threads: threads})
	if err != nil {
		return fail(err)
	}
	out := program.NewOutputs()
	sums := make([][]float64, len(stats))
	for i, o := range out {
		sums[i] = make([]float64, o.Len())
	}
	count := 0
	for b, err := range loader.Batches(ctx, 0) {
		if err != nil {
			return fail(err)
		}
		if b.N < batch || count*batch >= images {
			break
		}
		if err := program.RunInto(ctx, []*tensor.Tensor{tensor.Of(b.X, inputShape(loader, batch)...)}, out); err != nil {
			return fail(err)
		}
		count++
		for i, o := range out {
			for j, v := range tensor.Data[float32](o) {
				sums[i][j] += float64(v)
			}
		}
	}
	if count == 0 {
		return fail(fmt.Errorf("no full batch of %d pictures", batch))
	}
	for i, s := range stats {
		mean := make([]float32, len(sums[i]))
		for j, v := range sums[i] {
			mean[j] = float32(v / float64(count))
		}
		g.Value(s.name).SetData(tensor.Of(mean, len(mean)))
	}
	g.Record("re-estimate", fmt.Sprintf("running statistics of %d batch normalizations from %d pictures", len(stats)/2, count*batch))
	return nil
}
