// Package measure answers what a model costs and how well it does: accuracy
// on a data set, latency on this machine, parameters, operations, memory and
// file size. Every table of a before and an after comes from here.
package measure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
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

// timer is a program ready to be timed on random inputs.
type timer struct {
	p   *engine.Program
	in  []*tensor.Tensor
	out []*tensor.Tensor
}

func newTimer(g *graph.Graph, threads int) (*timer, error) {
	p, err := engine.Compile(g, engine.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	t := &timer{p: p, out: p.NewOutputs()}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, name := range p.Inputs() {
		x := tensor.New(tensor.Float32, p.InputShape(i)...)
		for j, d := 0, tensor.Data[float32](x); j < len(d); j++ {
			d[j] = float32(rng.NormFloat64())
		}
		x, err := x.Convert(g.Value(name).Type)
		if err != nil {
			return nil, err
		}
		t.in = append(t.in, x)
	}
	return t, nil
}

// run times n runs after one that is not counted.
func (t *timer) run(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, 0, n)
	for i := range n + 1 {
		start := time.Now()
		if err := t.p.RunInto(ctx, t.in, t.out); err != nil {
			return nil, err
		}
		if i > 0 {
			times = append(times, time.Since(start))
		}
	}
	return times, nil
}

// measured is how long the models of one comparison are timed: long enough to
// see past the machine's hiccups, short enough for a search.
const measured = 400 * time.Millisecond

// Latency is the median time of one run of each model at batch 1 on the given
// number of threads (0: all), after warm-up, on random inputs. Several models
// are timed in turn, a few runs each, so that all see the same machine.
func Latency(ctx context.Context, threads int, models ...*graph.Graph) ([]time.Duration, error) {
	times, err := race(ctx, threads, models)
	if err != nil {
		return nil, err
	}
	return ranked(times, 0.5), nil
}

// Fastest is the shortest time of many runs of each model, timed as by
// Latency. Other work on the machine only ever makes a run longer, so it tells
// two models of nearly the same speed apart where medians cannot.
func Fastest(ctx context.Context, threads int, models ...*graph.Graph) ([]time.Duration, error) {
	times, err := race(ctx, threads, models)
	if err != nil {
		return nil, err
	}
	return ranked(times, 0), nil
}

// ranked sorts each list and picks the element at a share of it.
func ranked(times [][]time.Duration, share float64) []time.Duration {
	out := make([]time.Duration, len(times))
	for i, d := range times {
		slices.Sort(d)
		out[i] = d[int(share*float64(len(d)))]
	}
	return out
}

// race times models in turn, a few runs each.
func race(ctx context.Context, threads int, models []*graph.Graph) ([][]time.Duration, error) {
	timers := make([]*timer, len(models))
	times := make([][]time.Duration, len(models))
	slowest := time.Microsecond
	for i, g := range models {
		t, err := newTimer(g, threads)
		if err != nil {
			return nil, err
		}
		timers[i] = t
		first, err := t.run(ctx, 2)
		if err != nil {
			return nil, err
		}
		slowest = max(slowest, first[1])
	}
	const round = 7
	for range int(min(max(measured/(round*slowest), 2), 150)) {
		for i, t := range timers {
			d, err := t.run(ctx, round)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], d...)
		}
	}
	return times, nil
}

// Latencies fills in the latencies of two models, on all threads and on one.
func Latencies(ctx context.Context, threads int, before, after *graph.Graph, b, a *Metrics) error {
	for _, n := range []int{threads, 1} {
		d, err := Latency(ctx, n, before, after)
		if err != nil {
			return err
		}
		x, y := float64(d[0].Nanoseconds())/1e6, float64(d[1].Nanoseconds())/1e6
		if n == 1 {
			b.MedianMs1, a.MedianMs1 = x, y
		}
		if n == threads {
			b.MedianMs, a.MedianMs = x, y
		}
	}
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
