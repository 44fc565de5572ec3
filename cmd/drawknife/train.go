package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/train"
)

type trainCmd struct {
	Model  string `arg:"" help:"zoo:NAME?key=value to train from scratch, or a model file to fine-tune."`
	Output string `short:"o" help:"File to write; by default MODEL_trained.onnx." placeholder:"FILE"`
	Data   string `help:"Data set: its training split trains, its test split validates." placeholder:"SPEC" required:""`
	Val    string `help:"Data set to validate on instead." placeholder:"SPEC"`
	Labels string `help:"Table of file names and classes." placeholder:"FILE" type:"path"`

	Epochs    int           `help:"Passes over the data." default:"30"`
	Batch     int           `help:"Images a step." default:"128"`
	Optimizer string        `help:"sgd, adam, adamw or rmsprop." default:"sgd"`
	Lr        float64       `name:"lr" help:"Learning rate at its peak; by default 0.1 (sgd, rmsprop: 0.01) or 0.001 (adam), a tenth for a model file."`
	Momentum  float64       `help:"Momentum of sgd and rmsprop." default:"0.9"`
	Nesterov  bool          `help:"Nesterov momentum."`
	Decay     float64       `name:"weight-decay" help:"Weight decay (not on biases and normalization)." default:"1e-4"`
	Schedule  string        `help:"Learning rate over the run: constant, step, cosine, polynomial, one-cycle." default:"cosine"`
	Warmup    float64       `help:"Epochs of warm-up (one-cycle: of the rise)." default:"0"`
	Smoothing float32       `name:"label-smoothing" help:"Share of each label given to all classes." default:"0"`
	Clip      float64       `help:"Largest norm of the gradient; 0 does not clip." default:"0"`
	EMA       float64       `name:"ema" help:"Decay of an average of the weights, such as 0.999; 0 is none." default:"0"`
	Augment   string        `help:"Augmentation: crop4,flip,cutout8,mixup0.2,jitter0.2 or none; by default crop4,flip for small color images."`
	Teacher   string        `help:"Distil from this model." placeholder:"FILE"`
	Weight    float32       `name:"distill-weight" help:"Weight of the teacher." default:"0.9"`
	Temp      float32       `name:"temperature" help:"Temperature of distillation." default:"4"`
	Loss      string        `help:"cross-entropy or mse." default:"cross-entropy" enum:"cross-entropy,mse"`
	Freeze    bool          `name:"freeze-norm" help:"Keep batch normalization's statistics."`
	Patience  int           `help:"Stop after this many validations without a better one; 0 never." default:"0"`
	KeepBest  bool          `help:"Write the state of the best validation instead of the last."`
	ValEvery  int           `help:"Epochs between validations." default:"1"`
	Time      time.Duration `help:"Stop after this long; the schedule still runs to its end." default:"0"`
	Steps     int           `help:"Stop after this many steps; 0 does not." default:"0"`
	Log       string        `help:"Write FILE.csv and FILE.jsonl with a line for each epoch; by default beside the output." placeholder:"FILE"`
	Resume    bool          `help:"Go on from the checkpoint beside the output, if there is one."`
	preFlags

	limit int // on validation images, for verbs that train on the way
}

type trainResult struct {
	Model      string        `json:"model"`
	Data       string        `json:"data"`
	Epochs     []train.Epoch `json:"epochs"`
	Top1       float64       `json:"top1"`
	BestTop1   float64       `json:"best_top1,omitempty"`
	BestEpoch  int           `json:"best_epoch,omitempty"`
	Steps      int           `json:"steps"`
	Seconds    float64       `json:"seconds"`
	ImagesPerS float64       `json:"images_per_s"`
	Stopped    string        `json:"stopped,omitempty"`
	Outputs    []string      `json:"outputs"`
}

func (c *trainCmd) Run(a *app) error {
	g, err := a.loadSound(c.Model)
	if err != nil {
		return err
	}
	pre, err := c.pre(a, g)
	if err != nil {
		return err
	}
	out := c.Output
	if out == "" {
		out = besides(c.Model, "_trained")
	}
	base := strings.TrimSuffix(out, filepath.Ext(out))
	if c.Log == "" {
		c.Log = base
	}
	if err := atomicfile.Check(out); err != nil {
		return err
	}
	if err := atomicfile.Check(c.Log + ".csv"); err != nil {
		return err
	}
	loader, val, err := c.loaders(a, g, pre)
	if err != nil {
		return err
	}
	cfg, err := c.config(a, val)
	if err != nil {
		return err
	}
	cfg.Checkpoint, cfg.CSV, cfg.JSONL = base+".checkpoint", c.Log+".csv", c.Log+".jsonl"
	cfg.Progress = c.watch(a)
	r, err := train.Run(a, g, loader, cfg)
	if err != nil && !errors.Is(err, context.Canceled) || r == nil {
		return err
	}
	r.Graph.Metadata[data.MetadataKey] = pre.String()
	r.Graph.Record("train", fmt.Sprintf("%s, %d steps of %d images, seed %d", c.Data, r.Steps, c.Batch, a.Seed))
	if werr := onnx.Write(out, r.Graph); werr != nil {
		return errors.Join(err, werr)
	}
	if err != nil {
		a.note("interrupted: wrote what was reached to %s; go on with --resume", out)
		return err
	}
	res := trainResult{Model: c.Model, Data: c.Data, Epochs: r.Epochs, BestTop1: r.BestTop1, BestEpoch: r.Best, Steps: r.Steps, Seconds: r.Seconds,
		Stopped: r.Stopped, Outputs: []string{out, cfg.CSV, cfg.JSONL}}
	if r.Seconds > 0 {
		res.ImagesPerS = float64(r.Steps*c.Batch) / r.Seconds
	}
	for _, e := range r.Epochs {
		if e.Validated {
			res.Top1 = e.ValTop1
		}
	}
	return a.emit(res, func(w io.Writer) error {
		fmt.Fprintf(w, "top-1 %.2f %% after %d steps (%.0f s, %.0f images/s)", res.Top1, res.Steps, res.Seconds, res.ImagesPerS)
		if res.BestEpoch > 0 {
			fmt.Fprintf(w, ", best %.2f %% after epoch %d", res.BestTop1, res.BestEpoch)
		}
		if res.Stopped != "" {
			fmt.Fprintf(w, "; stopped: %s", res.Stopped)
		}
		_, err := fmt.Fprintf(w, "\nwrote %s\n", strings.Join(res.Outputs, ", "))
		return err
	})
}

// pre is the preprocessing for training: what the model or the flags say, else
// one that suits the data.
func (c *trainCmd) pre(a *app, g *graph.Graph) (data.Preprocess, error) {
	if _, ok := g.Metadata[data.MetadataKey]; !ok && c.Preset == "" && c.Mean == "" && c.Std == "" {
		s := g.Inputs[0].Shape.Ints()
		c.Preset = "imagenet"
		if len(s) == 4 && s[1] == 1 {
			c.Preset, c.Mean, c.Std = "raw", "72.94", "90.02" // Fashion-MNIST's; MNIST's are near
		}
	}
	p, err := c.preprocess(a, g)
	return fit(p, g), err
}

func (c *trainCmd) loaders(a *app, g *graph.Graph, pre data.Preprocess) (loader, val *data.Loader, err error) {
	if c.Batch < 1 {
		return nil, nil, usagef("--batch must be at least 1")
	}
	ds, err := openData(c.Data, c.Labels, "train", 0)
	if err != nil {
		return nil, nil, err
	}
	if ds, err = data.InMemory(a, ds, 2<<30); err != nil {
		return nil, nil, err
	}
	if c.Augment == "" && small(g) {
		c.Augment = "crop4,flip"
	}
	if c.Augment == "none" {
		c.Augment = ""
	}
	aug, err := data.ParseAugment(c.Augment)
	if err != nil {
		return nil, nil, usagef("--augment: %w", err)
	}
	if loader, err = data.NewLoader(ds, data.LoaderOptions{Batch: c.Batch, Preprocess: pre, Augment: aug, Shuffle: true, DropLast: true, Seed: a.Seed, Workers: a.Threads}); err != nil {
		return nil, nil, err
	}
	spec := c.Val
	if spec == "" {
		spec = c.Data
	}
	vs, err := openData(spec, c.Labels, "test", c.limit)
	if err != nil && c.Val != "" {
		return nil, nil, err
	}
	if err != nil {
		a.note("note: no validation: %v", err)
		return loader, nil, nil
	}
	if c.Val == "" {
		if same, err := sameImages(ds, vs); err != nil {
			return nil, nil, err
		} else if same {
			a.note("note: %s has no test split: validation is on the training images (see --val)", c.Data)
		}
	}
	val, err = data.NewLoader(vs, data.LoaderOptions{Batch: min(c.Batch, vs.Len()), Preprocess: pre, Workers: a.Threads})
	return loader, val, err
}

func (c *trainCmd) config(a *app, val *data.Loader) (train.Config, error) {
	if !slices.Contains(train.Optimizers(), c.Optimizer) {
		return train.Config{}, usagef("--optimizer %s: there are %s", c.Optimizer, strings.Join(train.Optimizers(), ", "))
	}
	if !slices.Contains(train.ScheduleKinds(), train.ScheduleKind(c.Schedule)) {
		return train.Config{}, usagef("--schedule %s: there are %v", c.Schedule, train.ScheduleKinds())
	}
	if c.Lr == 0 {
		c.Lr = map[string]float64{"sgd": 0.1, "rmsprop": 0.01, "adam": 1e-3, "adamw": 1e-3}[c.Optimizer]
		if !strings.HasPrefix(c.Model, "zoo:") {
			c.Lr /= 10
		}
	}
	cfg := train.Config{
		Epochs: c.Epochs, Steps: c.Steps, Seed: a.Seed, Threads: a.Threads,
		Optimizer: train.Optimizer{Name: c.Optimizer, LR: c.Lr, Momentum: c.Momentum, Nesterov: c.Nesterov, WeightDecay: c.Decay},
		Schedule:  train.Schedule{Kind: train.ScheduleKind(c.Schedule), Warmup: c.Warmup},
		Loss:      train.Loss(c.Loss), LabelSmoothing: c.Smoothing, ClipNorm: c.Clip, EMA: c.EMA, FreezeNorm: c.Freeze,
		Val: val, ValEvery: c.ValEvery, KeepBest: c.KeepBest, Patience: c.Patience, Budget: c.Time, ScheduleByTime: c.Time > 0, Resume: c.Resume,
	}
	if c.Teacher != "" {
		t, err := a.load(c.Teacher)
		if err != nil {
			return cfg, err
		}
		cfg.Distill = &train.Distill{Teacher: t, Temperature: c.Temp, Weight: c.Weight}
	}
	return cfg, nil
}

// watch prints a line for each epoch, and on a terminal one that changes.
func (c *trainCmd) watch(a *app) func(train.Progress) {
	var shown time.Time
	return func(p train.Progress) {
		if a.Quiet {
			return
		}
		if e := p.Last; e != nil {
			if a.tty {
				fmt.Fprint(a.err, "\r\x1b[K")
			}
			val := ""
			if e.Validated {
				val = fmt.Sprintf(", validation %.2f %% (loss %.4f)", e.ValTop1, e.ValLoss)
			}
			a.note("epoch %d/%d: loss %.4f, top-1 %.2f %%%s, %.0f images/s, %v left", e.Epoch, p.Epochs, e.Loss, e.Top1, val, e.ImagesPerS, p.Left.Round(time.Second))
			return
		}
		if a.tty && time.Since(shown) > 200*time.Millisecond {
			shown = time.Now()
			fmt.Fprintf(a.err, "\r\x1b[Kepoch %d/%d, step %d/%d: loss %.4f, top-1 %.2f %%, %.0f images/s, %v left",
				p.Epoch, p.Epochs, p.Step, p.Steps, p.Loss, p.Top1, p.ImagesPerS, p.Left.Round(time.Second))
		}
	}
}
