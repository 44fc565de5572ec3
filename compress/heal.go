package compress

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/train"
)

// batch is the batch size of fine-tuning: 128, less for small data so that an
// epoch has at least fifty steps, down to 32.
func (s *search) batch() int {
	b := 128
	for b > 32 && s.job.Train.Len()/b < 50 {
		b /= 2
	}
	return min(b, s.job.Train.Len())
}

// finetuneStep is the training that pruned networks get: the rate is a fifth
// of what such networks are trained from scratch with, less for small batches,
// on a cosine, with the original network as teacher. The teacher counts nine
// times as much as the labels: a part of the training images alone would teach
// the network less than it has forgotten.
func (s *search) finetuneStep(epochs float64) Step {
	b := s.batch()
	return Step{Finetune: &FinetuneStep{Epochs: epochs, Batch: b, Rate: 0.02 * min(1, float64(b)/64), Decay: 1e-4,
		Distill: 0.9, Temperature: 4, Augment: s.job.Augment}}
}

// trainingLoader gives shuffled, augmented batches.
func (s *search) trainingLoader(batch int, augment string) (*data.Loader, error) {
	a, err := data.ParseAugment(augment)
	if err != nil {
		return nil, err
	}
	return data.NewLoader(s.job.Train, data.LoaderOptions{Batch: batch, DropLast: true, Shuffle: true, Seed: s.recipe.Seed,
		Preprocess: s.pre, Augment: a, Workers: max(s.job.Threads, 1)})
}

// finetune trains g on; checkpoint lets an interrupted run go on.
func (s *search) finetune(ctx context.Context, g *graph.Graph, f *FinetuneStep, checkpoint string) (*graph.Graph, error) {
	l, err := s.trainingLoader(f.Batch, f.Augment)
	if err != nil {
		return nil, err
	}
	steps := max(1, int(math.Round(f.Epochs*float64(l.Len()))))
	c := s.config(f)
	c.Epochs, c.Steps = int(math.Ceil(f.Epochs)), steps
	c.Checkpoint, c.Resume = checkpoint, true
	c.Progress = func(p train.Progress) { s.job.progress(fmt.Sprintf("fine-tune (loss %.3f)", p.Loss), p.Step, steps) }
	r, err := train.Run(ctx, g, l, c)
	if err != nil {
		return nil, err
	}
	os.Remove(checkpoint)
	return r.Graph, nil
}

func (s *search) config(f *FinetuneStep) train.Config {
	c := train.Config{Seed: s.recipe.Seed, Threads: s.job.Threads, Optimizer: train.SGD(f.Rate, 0.9, f.Decay),
		Schedule: train.Schedule{Kind: train.Cosine}, ClipNorm: 5}
	if f.Distill > 0 {
		c.Distill = &train.Distill{Teacher: s.job.Graph, Temperature: float32(f.Temperature), Weight: float32(f.Distill)}
	}
	return c
}

// trainingTime measures how long one epoch of fine-tuning g takes, on a few
// steps.
func (s *search) trainingTime(ctx context.Context, g *graph.Graph) (time.Duration, error) {
	f := s.finetuneStep(1).Finetune
	l, err := s.trainingLoader(f.Batch, f.Augment)
	if err != nil {
		return 0, err
	}
	const timed = 4
	c := s.config(f)
	c.Epochs, c.Steps = 1, min(timed+1, max(l.Len(), 1))
	var first time.Time
	last := time.Now()
	c.Progress = func(p train.Progress) {
		last = time.Now()
		if first.IsZero() {
			first = last
		}
	}
	start := time.Now()
	if _, err := train.Run(ctx, g, l, c); err != nil {
		return 0, err
	}
	per := last.Sub(first) / time.Duration(max(c.Steps-1, 1))
	if c.Steps < 2 {
		per = time.Since(start)
	}
	return per * time.Duration(max(l.Len(), 1)), nil
}

// reestimate measures batch normalisation's statistics on n training images,
// augmented as in training: that is what the statistics of a trained network
// are of.
func (s *search) reestimate(ctx context.Context, g *graph.Graph, n int) (*graph.Graph, error) {
	a, err := data.ParseAugment(s.job.Augment)
	if err != nil {
		return nil, err
	}
	a.Mixup = 0
	n = min(n, s.job.Train.Len())
	l, err := data.NewLoader(data.Spread(s.job.Train, n), data.LoaderOptions{Batch: min(64, n), Preprocess: s.pre, DropLast: true, Augment: a, Seed: s.recipe.Seed})
	if err != nil {
		return nil, err
	}
	out := g.Clone()
	return out, train.ReestimateNorm(ctx, out, l, n, s.job.Threads)
}
