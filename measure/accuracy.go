package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Accuracy runs g on all of ds and counts. Throughput is in images a second.
func Accuracy(ctx context.Context, g *graph.Graph, ds data.Dataset, pre data.Preprocess, o Options) (c *metrics.Classification, throughput float64, err error) {
	name, err := logits(g)
	if err != nil {
		return nil, 0, err
	}
	m := engine.NewModel(g, engine.Options{Threads: o.Threads})
	return AccuracyOf(ctx, g, ds, pre, o, func(x *tensor.Tensor) (*tensor.Tensor, error) {
		out, err := m.Run(ctx, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
		return out[name], err
	})
}

// AccuracyOf is Accuracy with g's outputs computed by run, which takes a batch
// of images and returns the class scores of each.
func AccuracyOf(ctx context.Context, g *graph.Graph, ds data.Dataset, pre data.Preprocess, o Options, run func(x *tensor.Tensor) (*tensor.Tensor, error)) (c *metrics.Classification, throughput float64, err error) {
	name, err := logits(g)
	if err != nil {
		return nil, 0, err
	}
	l, err := loader(g, ds, pre, o)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	done := 0
	for b, err := range l.Batches(ctx, 0) {
		if err != nil {
			return nil, 0, err
		}
		x := tensor.Of(b.X, b.N, b.C, b.H, b.W)
		if b.N < l.Options().Batch && g.Inputs[0].Shape[0].Known() {
			x = padded(x, l.Options().Batch)
		}
		y, err := run(x)
		if err != nil {
			return nil, 0, err
		}
		if y.DType != tensor.Float32 || len(y.Shape) < 2 || y.Shape[0] < b.N {
			return nil, 0, fmt.Errorf("measure: output %q is %v, want class scores for each image", name, y)
		}
		classes := y.Len() / y.Shape[0]
		if c == nil {
			c = metrics.New(classes)
		}
		if err := c.Add(y.Float32s()[:b.N*classes], b.Y); err != nil {
			return nil, 0, err
		}
		done += b.N
		if o.Progress != nil {
			o.Progress(done)
		}
	}
	if c == nil {
		return nil, 0, fmt.Errorf("measure: the data set is empty")
	}
	if n := c.N(); n > 0 && c.NonFinite() == n {
		return nil, 0, fmt.Errorf("measure: output %q is NaN or infinite for every image: weights or preprocessing are broken", name)
	}
	return c, float64(done) / time.Since(start).Seconds(), nil
}

// padded fills a batch up to n images with zeros, for models of a fixed batch.
func padded(x *tensor.Tensor, n int) *tensor.Tensor {
	shape := append([]int{n}, x.Shape[1:]...)
	out := tensor.New(tensor.Float32, shape...)
	copy(tensor.Data[float32](out), tensor.Data[float32](x))
	return out
}
