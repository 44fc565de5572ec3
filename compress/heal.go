package compress

import (
	"context"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/train"
)

// batch is the batch size of fine-tuning: 128, less for small data so that an
// epoch has at least fifty steps, down to 32.
func (s *search) batch() int {
	b := 128
	for b > 32 && s.trainset.Len()/b < 50 {
		b /= 2
	}
	return min(b, s.trainset.Len())
}

// training is what pruned networks get: the rate is a fifth of what such
// networks are trained from scratch with, less for small batches, on a cosine,
// with the original network as teacher. The teacher counts nine times as much
// as the labels: a part of the training images alone would teach the network
// less than it has forgotten.
func (s *search) training(epochs float64) Training {
	b := s.batch()
	return Training{Epochs: epochs, Batch: b, LR: 0.02 * min(1, float64(b)/64), DistillWeight: 0.9, Temperature: 4, Augment: s.augment()}
}

// augment is the job's augmentation in the form that a recipe needs.
func (s *search) augment() string {
	if s.job.Augment == "" {
		return "none"
	}
	return s.job.Augment
}

// normStep re-estimates batch normalisation.
func (s *search) normStep() *NormStep {
	return &NormStep{Images: min(normImages, s.trainset.Len()), Augment: s.augment()}
}

// trainingTime measures how long one epoch of fine-tuning g takes, on a few
// steps.
func (s *search) trainingTime(ctx context.Context, g *graph.Graph) (time.Duration, error) {
	w := s.work()
	t := s.training(1)
	a, err := w.augmentation(t.Augment)
	if err != nil {
		return 0, err
	}
	l, err := data.NewLoader(s.trainset, data.LoaderOptions{Batch: t.Batch, DropLast: true, Shuffle: true, Seed: s.recipe.Seed, Preprocess: s.pre, Augment: a,
		Workers: max(s.job.Threads, 1)})
	if err != nil {
		return 0, err
	}
	const timed = 4
	c := w.config(&t, run{})
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
