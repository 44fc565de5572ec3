package compress

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/train"
)

// work is what a step works with.
type work struct {
	images   data.Dataset // images to look at and to train on
	pre      data.Preprocess
	original *graph.Graph // the teacher
	augment  string       // where a step does not say
	seed     uint64
	threads  int
	progress func(what string, done, total int)
	// scratch is the beginning of the names of files that let an interrupted
	// step go on: checkpoints, and others that finished removes.
	scratch  string
	finished []func()
	// report, if a step sets it, is kept as JSON beside the step's result.
	report any
}

// tidy removes what an interrupted step would have gone on from, also what runs
// before this one left.
func (w *work) tidy() {
	dir, base := filepath.Split(w.scratch)
	files, _ := os.ReadDir(filepath.Clean(dir)) // what cannot be listed stays
	for _, f := range files {
		if strings.HasPrefix(f.Name(), base) && strings.HasSuffix(f.Name(), checkpoint) {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
	for _, f := range w.finished {
		f()
	}
}

// fixedBatch is the batch size that g insists on, 0 if it takes any.
func fixedBatch(g *graph.Graph) int {
	if d := g.Inputs[0].Shape; len(d) > 0 && d[0].Known() {
		return d[0].Size
	}
	return 0
}

// loader gives n training images, prepared for g, without augmentation.
func (w *work) loader(n int, g *graph.Graph) (*data.Loader, error) {
	batch := 16
	if b := fixedBatch(g); b > 0 {
		batch = b
	}
	return data.NewLoader(data.Spread(w.images, min(n, w.images.Len())), data.LoaderOptions{
		Batch: batch, Preprocess: w.pre, DropLast: batch != 16 && batch > 1,
	})
}

// look gives the images that methods of those needs rate g by, n of them if that is
// not 0.
func (w *work) look(n int, g *graph.Graph, needs method.Needs) (*prune.Data, error) {
	n = prune.Looks(n, needs, g.Cost().MACs)
	n = min(n, w.images.Len())
	l, err := data.NewLoader(data.Spread(w.images, n), data.LoaderOptions{Batch: min(16, n), Preprocess: w.pre, DropLast: true})
	if err != nil {
		return nil, err
	}
	return &prune.Data{Loader: l, Images: n, Threads: w.threads}, nil
}

// augmentation reads an augmentation, that of the job if spec is empty.
func (w *work) augmentation(spec string) (data.Augment, error) {
	if spec == "" {
		spec = w.augment
	}
	if spec == "none" {
		spec = ""
	}
	return data.ParseAugment(spec)
}

// norm measures batch normalisation's statistics on n training images, augmented
// as in training: that is what the statistics of a trained network are of. It
// changes g.
func (w *work) norm(ctx context.Context, g *graph.Graph, n int, augment string) error {
	a, err := w.augmentation(augment)
	if err != nil {
		return err
	}
	a.Mixup = 0
	n = min(n, w.images.Len())
	l, err := data.NewLoader(data.Spread(w.images, n), data.LoaderOptions{Batch: min(64, n), Preprocess: w.pre, DropLast: true, Augment: a, Seed: w.seed})
	if err != nil {
		return err
	}
	return train.ReestimateNorm(ctx, g, l, n, w.threads)
}

// healing is what happens to a pruned network in one round of several.
type healing struct {
	round, of int
	retrain   prune.Retrain
	noNorm    bool
	before    int64 // multiply-accumulates before pruning
}

// heal re-estimates batch normalization and trains g by the policy.
func (w *work) heal(ctx context.Context, g *graph.Graph, t *Training, h healing) (*graph.Graph, error) {
	epochs := t.Epochs
	opts := *t
	if h.retrain == prune.ScratchE || h.retrain == prune.ScratchB {
		g, opts.NoDistill = prune.Reinit(g, w.seed), true
		if h.retrain == prune.ScratchB {
			epochs *= float64(h.before) / float64(max(g.Cost().MACs, 1))
		}
	} else if !h.noNorm {
		if err := w.norm(ctx, g, normImages, t.Augment); err != nil {
			return nil, err
		}
	}
	if epochs == 0 {
		return g, nil
	}
	return w.train(ctx, g, &opts, run{epochs: epochs, round: h.round, of: h.of, name: fmt.Sprintf("round%d", h.round+1), teacher: teacherOfPrune})
}

// run is one training of a step.
type run struct {
	epochs    float64
	round, of int    // of several that share the epochs
	name      string // tells it from others of the step
	hooks     []train.Hook
	schedule  string // of the rate; by default cosine
	rate      float64
	decay     float64
	teacher   float64 // weight, where the step does not say
	rounds    bool    // quantized training: Nesterov's momentum, normalization measured again at the end
	group     func(p *graph.Value) (lr, decay float64)
}

// train trains g on. A checkpoint lets an interrupted run go on.
func (w *work) train(ctx context.Context, g *graph.Graph, t *Training, r run) (*graph.Graph, error) {
	a, err := w.augmentation(t.Augment)
	if err != nil {
		return nil, err
	}
	batch := t.Batch
	if batch == 0 {
		batch = 128
	}
	l, err := data.NewLoader(w.images, data.LoaderOptions{Batch: min(batch, w.images.Len()), DropLast: true, Shuffle: true, Seed: w.seed,
		Preprocess: w.pre, Augment: a, Workers: max(w.threads, 1)})
	if err != nil {
		return nil, err
	}
	c := w.config(t, r)
	c.Steps = max(1, share(r.epochs*float64(l.Len()), r.round, max(r.of, 1)))
	if t.Steps > 0 {
		c.Steps = min(c.Steps, t.Steps)
	}
	c.Epochs = (c.Steps + l.Len() - 1) / max(l.Len(), 1)
	c.Checkpoint, c.Resume = w.scratch+suffix(r.name)+checkpoint, true
	if w.progress != nil {
		c.Progress = func(p train.Progress) { w.progress(fmt.Sprintf("train (loss %.3f)", p.Loss), p.Step, c.Steps) }
	}
	out, err := train.Run(ctx, g, l, c)
	if err != nil {
		return nil, err
	}
	return out.Graph, nil
}

// checkpoint ends the names of the files that interrupted training goes on from.
const checkpoint = ".checkpoint"

func suffix(name string) string {
	if name == "" {
		return ""
	}
	return "-" + name
}

// share gives round k of n its part of the steps.
func share(steps float64, k, n int) int {
	at := func(k int) int { return int(math.Round(steps * float64(k) / float64(n))) }
	return at(k+1) - at(k)
}

// config is the training's configuration, without its length and files.
func (w *work) config(t *Training, r run) train.Config {
	rate, decay, clip := r.rate, r.decay, 0.0
	if rate == 0 {
		rate, decay, clip = 0.02, 1e-4, 5
	}
	schedule := r.schedule
	if schedule == "" {
		schedule = string(train.Cosine)
	}
	c := train.Config{Seed: w.seed, Threads: w.threads, Optimizer: t.optimizer(rate, decay), Schedule: train.Schedule{Kind: train.ScheduleKind(schedule)},
		ClipNorm: clip, Hooks: r.hooks}
	c.Optimizer.Group = r.group
	if r.rounds {
		c.Optimizer.Nesterov, c.ReestimateNorm = true, normImages
	}
	weight, temperature := t.DistillWeight, t.Temperature
	if weight == 0 {
		weight = r.teacher
	}
	if temperature == 0 {
		temperature = 4
	}
	if weight > 0 && !t.NoDistill {
		c.Distill = &train.Distill{Teacher: w.original, Temperature: float32(temperature), Weight: float32(weight)}
	}
	return c
}
