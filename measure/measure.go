// Package measure answers what a model costs and how well it does: accuracy
// on a data set, latency on this machine, parameters, operations, memory and
// file size. Every table of a before and an after comes from here.
package measure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// Metrics is one column of a before/after table. Percentages are in 0..100.
type Metrics struct {
	Top1                float64 `json:"top1"`
	Top5                float64 `json:"top5"`
	Loss                float64 `json:"loss"`
	Params              int64   `json:"params"`
	MACs                int64   `json:"macs"`
	FileBytes           int64   `json:"file_bytes"`
	WeightBytes         int64   `json:"weight_bytes"`
	PeakActivationBytes int64   `json:"peak_activation_bytes"`
	// MedianMs and MedianMs1 are latencies of one image on all threads and on
	// one.
	MedianMs  float64 `json:"median_ms"`
	MedianMs1 float64 `json:"median_ms_1_thread"`
}

// Cost fills in what can be counted without running the model.
func (m *Metrics) Cost(g *graph.Graph) error {
	c := g.Cost()
	m.Params, m.MACs, m.WeightBytes, m.PeakActivationBytes = c.Params, c.MACs, c.WeightBytes, c.PeakActivationBytes
	file, err := onnx.Encode(g)
	if err != nil {
		return err
	}
	m.FileBytes = int64(len(file))
	return nil
}

// Latency is the median time of one run at batch 1 on the given number of
// threads (0: all), after warm-up. Inputs are random.
func Latency(ctx context.Context, g *graph.Graph, threads int) (time.Duration, error) {
	p, err := engine.Compile(g, engine.Options{Threads: threads})
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var in []*tensor.Tensor
	for i, name := range p.Inputs() {
		t := tensor.New(tensor.Float32, p.InputShape(i)...)
		for j, d := 0, tensor.Data[float32](t); j < len(d); j++ {
			d[j] = float32(rng.NormFloat64())
		}
		t, err := t.Convert(g.Value(name).Type)
		if err != nil {
			return 0, err
		}
		in = append(in, t)
	}
	first, err := p.Latency(ctx, in, 3, 1)
	if err != nil {
		return 0, err
	}
	// Long enough to see past the machine's hiccups, short enough for search.
	runs := int(min(max(300*time.Millisecond/max(first[0], time.Microsecond), 11), 1001))
	times, err := p.Latency(ctx, in, 2, runs)
	if err != nil {
		return 0, err
	}
	return times[len(times)/2], nil
}

// Latencies fills in the latency on all threads and on one.
func (m *Metrics) Latencies(ctx context.Context, g *graph.Graph, threads int) error {
	all, err := Latency(ctx, g, threads)
	if err != nil {
		return err
	}
	one, err := Latency(ctx, g, 1)
	if err != nil {
		return err
	}
	m.MedianMs, m.MedianMs1 = float64(all.Nanoseconds())/1e6, float64(one.Nanoseconds())/1e6
	return nil
}

// Options of Accuracy.
type Options struct {
	Threads  int // 0 is one per CPU
	Batch    int // 0 chooses
	Progress func(images int)
}

// logits finds the output to classify by and the number of classes.
func logits(g *graph.Graph) (name string, err error) {
	if len(g.Inputs) != 1 || len(g.Outputs) == 0 {
		return "", fmt.Errorf("measure: the model has %d inputs and %d outputs, want one image in and class scores out", len(g.Inputs), len(g.Outputs))
	}
	return g.Outputs[0].Name, nil
}

// loader prepares ds for g's input.
func loader(g *graph.Graph, ds data.Dataset, pre data.Preprocess, o Options) (*data.Loader, error) {
	s := g.Inputs[0].Shape
	if len(s) == 4 {
		d := s.Ints()
		pre = pre.ForInput(max(d[1], 0), max(d[2], 0), max(d[3], 0))
	}
	batch := o.Batch
	if batch == 0 {
		batch = 16
	}
	if len(s) > 0 && s[0].Known() {
		if o.Batch != 0 && o.Batch != s[0].Size {
			return nil, fmt.Errorf("measure: the model has the fixed batch %d; a batch of %d is not possible", s[0].Size, o.Batch)
		}
		batch = s[0].Size
	}
	return data.NewLoader(ds, data.LoaderOptions{Batch: batch, Preprocess: pre, Workers: o.Threads})
}
