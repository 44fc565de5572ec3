package main

import (
	"context"
	"fmt"
	"os"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/weights"
	"github.com/drawknife/drawknife/train"
)

// trainer does what `prune` needs data for: images to look at, training, and
// the statistics of batch normalization. Without --data it does nothing.
type trainer struct {
	c     *pruneCmd
	pre   data.Preprocess
	test  data.Dataset
	train data.Dataset
	aug   data.Augment
	seed  uint64
	steps func(what string, done, total int) // progress
	// base is the beginning of the names of checkpoints, made lists those that
	// may exist, rounds what the rounds of pruned weights leave behind.
	base   string
	made   []string
	rounds weights.Options
}

func (c *pruneCmd) trainer(a *app, g *graph.Graph, out string) (*trainer, error) {
	t := &trainer{c: c, base: out + ".checkpoint", seed: a.Seed, steps: a.steps()}
	if c.Data == "" {
		return t, nil
	}
	var err error
	if t.test, err = openData(c.Data, c.Labels, "test", c.Limit); err != nil {
		return nil, err
	}
	if t.train, err = openData(c.Data, c.Labels, "train", 0); err != nil {
		return nil, err
	}
	if t.pre, err = c.preprocess(a, g); err != nil {
		return nil, err
	}
	// The statistics of a trained network are those of augmented images.
	if small(g) {
		t.aug, err = data.ParseAugment("crop4,flip")
	}
	return t, err
}

// file is the name of a checkpoint.
func (t *trainer) file(suffix string) string { return t.base + suffix }

// forget removes the checkpoints.
func (t *trainer) forget() {
	for _, f := range t.made {
		os.Remove(f)
	}
	weights.Forget(t.rounds)
}

// look gives the images that methods, pairs of family and spec, rate g by; nil without
// data.
func (t *trainer) look(g *graph.Graph, methods ...string) (*prune.Data, error) {
	if t.train == nil {
		return nil, nil
	}
	needs, err := method.NeedsOf(methods...)
	if err != nil {
		return nil, err
	}
	n := min(prune.Looks(t.c.Images, needs, g.Cost().MACs), t.train.Len())
	l, err := data.NewLoader(data.Spread(t.train, n), data.LoaderOptions{Batch: min(16, n), Preprocess: t.pre, DropLast: true})
	if err != nil {
		return nil, err
	}
	return &prune.Data{Loader: l, Images: n, Progress: t.steps}, nil
}

// norm measures batch normalization's statistics again.
func (t *trainer) norm(a *app, p, g *graph.Graph) error {
	if t.train == nil || t.c.NoNorm {
		return nil
	}
	n := min(2048, t.train.Len())
	l, err := data.NewLoader(data.Spread(t.train, n), data.LoaderOptions{Batch: min(64, n), Preprocess: fit(t.pre, g), DropLast: true, Augment: t.aug, Seed: t.seed})
	if err != nil {
		return err
	}
	return train.ReestimateNorm(a, p, l, n, a.Threads)
}

// heal re-estimates batch normalization and trains what round k of n left.
func (t *trainer) heal(a *app, g, p *graph.Graph, k, n int) (*graph.Graph, error) {
	return t.healed(a, g, p, roundPart(t.c.Epochs, k, n), fmt.Sprintf(".train%d", k+1))
}

// healed re-estimates batch normalization and trains p, which was made of g,
// for some epochs or what the policy makes of them; checkpoints have the suffix.
func (t *trainer) healed(a *app, g, p *graph.Graph, epochs int, suffix string) (*graph.Graph, error) {
	policy := prune.Retrain(t.c.Retrain)
	if policy != prune.Finetune {
		p = prune.Reinit(p, t.seed)
	} else if err := t.norm(a, p, g); err != nil {
		return nil, err
	}
	epochs = policy.Epochs(epochs, g.Cost().MACs, p.Cost().MACs)
	if epochs == 0 || t.train == nil {
		return p, nil
	}
	cfg := t.config(a, epochs, suffix)
	if t.c.Distill && policy == prune.Finetune {
		cfg.Distill = &train.Distill{Teacher: g, Temperature: 4, Weight: 0.7}
	}
	return t.run(a, p, cfg)
}

// roundPart gives round k of n its part of the epochs.
func roundPart(epochs, k, n int) int { return epochs*(k+1)/n - epochs*k/n }

// fit is how pruned weights are trained; nil without epochs.
func (t *trainer) fit(a *app, g *graph.Graph) weights.Fit {
	if t.c.Epochs == 0 {
		return nil
	}
	return func(_ context.Context, p *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
		epochs := t.c.Epochs
		if k >= 0 && !lottery(t.c.Schedule) {
			epochs = max(roundPart(epochs, k, n), 1)
		}
		cfg := t.config(a, epochs, fmt.Sprintf(".train%d", k+1))
		cfg.Hooks = hooks
		if t.c.Distill && !lottery(t.c.Schedule) {
			cfg.Distill = &train.Distill{Teacher: g, Temperature: 4, Weight: 0.7}
		}
		return t.run(a, p, cfg)
	}
}

func lottery(schedule string) bool { return len(schedule) >= 7 && schedule[:7] == "lottery" }

// sparsify trains g so that channels become removable; it returns the score
// that then tells which.
func (t *trainer) sparsify(a *app, g *graph.Graph, o prune.Options) (*graph.Graph, string, error) {
	h, score, err := prune.Sparsify(g, t.c.Sparsify, o)
	if err != nil {
		return nil, "", err
	}
	p, err := t.before(a, g, h)
	return p, score, err
}

// before is the training that comes before something is removed. Its result is
// kept in a file until the end.
func (t *trainer) before(a *app, g *graph.Graph, h train.Hook) (*graph.Graph, error) {
	done := t.file(".sparse.onnx")
	t.made = append(t.made, done)
	if !t.c.Resume || !exists(done) {
		epochs := t.c.Before
		if epochs == 0 {
			epochs = t.c.Epochs
		}
		cfg := t.config(a, epochs, ".sparsify")
		cfg.Hooks = []train.Hook{h}
		p, err := t.run(a, g, cfg)
		if err != nil {
			return nil, err
		}
		if err := onnx.Write(done, p); err != nil {
			return nil, err
		}
	}
	p, err := onnx.Read(done) // what follows must not depend on an interruption
	if err != nil {
		return nil, err
	}
	return p, p.InferShapes()
}

func (t *trainer) config(a *app, epochs int, suffix string) train.Config {
	t.made = append(t.made, t.file(suffix))
	return train.Config{Epochs: epochs, Steps: t.c.Steps, Seed: t.seed, Threads: a.Threads, Optimizer: train.SGD(t.c.Lr, t.c.Moment, t.c.Decay),
		Schedule: train.Schedule{Kind: train.Cosine}, ClipNorm: 5, Progress: (&trainCmd{}).watch(a), Checkpoint: t.file(suffix), Resume: t.c.Resume}
}

func (t *trainer) run(a *app, g *graph.Graph, cfg train.Config) (*graph.Graph, error) {
	l, err := data.NewLoader(t.train, data.LoaderOptions{Batch: t.c.Batch, Preprocess: fit(t.pre, g), Augment: t.aug, Shuffle: true, DropLast: true, Seed: t.seed, Workers: a.Threads})
	if err != nil {
		return nil, err
	}
	r, err := train.Run(a, g, l, cfg)
	if err != nil {
		return nil, err
	}
	return r.Graph, nil
}
