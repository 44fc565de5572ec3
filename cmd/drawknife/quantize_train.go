package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/qat"
	"github.com/drawknife/drawknife/train"
)

// trainingFlags are for the methods that train.
type trainingFlags struct {
	Epochs    int           `help:"Methods that train: passes over the data." default:"30"`
	Steps     int           `help:"Methods that train: stop after this many steps; 0 does not." default:"0"`
	Batch     int           `help:"Methods that train: images a step; by default the method's choice, or 128." placeholder:"N"`
	Optimizer string        `help:"Methods that train: sgd, adam, adamw or rmsprop; by default the method's choice."`
	Lr        float64       `name:"lr" help:"Methods that train: learning rate at its peak; by default the method's choice."`
	Decay     float64       `name:"weight-decay" help:"Methods that train: weight decay; by default (-1) the method's choice." default:"-1"`
	Schedule  string        `help:"Methods that train: learning rate over the run, as of 'drawknife train'." default:"cosine"`
	Augment   string        `help:"Methods that train: augmentation, as of 'drawknife train'."`
	Teacher   string        `help:"Methods that train: distil from this model." placeholder:"FILE"`
	ValEvery  int           `name:"val-every" help:"Methods that train: epochs between validations." default:"1" placeholder:"N"`
	Time      time.Duration `help:"Methods that train: stop after this long." default:"0"`
	Resume    bool          `help:"Methods that train: go on from the checkpoint beside the output, if there is one."`
}

// reestimated is the number of images by which the statistics of batch
// normalization are taken anew after training: low-bit weights jump between
// values to the last step, and running averages lag behind.
const reestimated = 4096

// train quantizes by a method that trains. What was trained, before it is
// turned into integers, is measured epoch by epoch in a log beside the output.
func (c *quantizeCmd) train(a *app, g *graph.Graph, pre data.Preprocess, calib *data.Loader, m *qat.Method, o quantize.Options, r *beforeAfter) (*graph.Graph, *quantize.Report, error) {
	g, b, hooks, err := m.Prepare(a, g, calib.Batches(a, 0), qat.Options{WBits: c.WBits, ABits: c.ABits, EdgeBits: c.EdgeBits, Threads: a.Threads})
	if err != nil {
		return nil, nil, err
	}
	t := c.trainer(m)
	loader, val, err := t.loaders(a, g, fit(pre, g))
	if err != nil {
		return nil, nil, err
	}
	cfg, err := t.config(a, val)
	if err != nil {
		return nil, nil, err
	}
	base := strings.TrimSuffix(r.Outputs[0], filepath.Ext(r.Outputs[0]))
	cfg.Checkpoint, cfg.CSV, cfg.JSONL = base+".checkpoint", base+".csv", base+".jsonl"
	cfg.Hooks, cfg.Progress, cfg.ReestimateNorm = hooks, t.watch(a), reestimated
	if m.Recipe.NoDecay {
		shadows := map[string]bool{}
		for _, name := range b.Shadows {
			shadows[name] = true
		}
		cfg.Optimizer.Group = func(p *graph.Value) (lr, decay float64) {
			if shadows[p.Name] {
				return 1, 0
			}
			return 1, 1
		}
	}
	result, err := train.Run(a, g, loader, cfg)
	if err != nil {
		if result != nil && a.Err() != nil {
			a.note("interrupted: go on with --resume")
		}
		return nil, nil, err
	}
	r.Outputs = append(r.Outputs, cfg.CSV, cfg.JSONL)
	o.WBits, o.ABits = 8, 8 // of what training left alone
	q, report, err := qat.Finish(a, result.Graph, calib.Batches(a, 0), o)
	if err != nil {
		return nil, nil, err
	}
	if c.BinaryForm == "standard" {
		if err := qat.Standard(q); err != nil {
			return nil, nil, err
		}
	}
	q.Record("train", fmt.Sprintf("%s, %d steps of %d images, seed %d", c.Method, result.Steps, t.Batch, a.Seed))
	return q, report, errors.Join(a.Err())
}

// trainer is the verb 'train' with this verb's flags and the method's recipe.
func (c *quantizeCmd) trainer(m *qat.Method) *trainCmd {
	t := &trainCmd{Model: c.Model, Data: c.Data, Labels: c.Labels, Epochs: c.Epochs, Steps: c.Steps, Batch: cmp.Or(c.Batch, m.Recipe.Batch, 128), Optimizer: c.Optimizer, Lr: c.Lr,
		Decay: c.Decay, Momentum: 0.9, Nesterov: true, Schedule: c.Schedule, Augment: c.Augment, Teacher: c.Teacher, Weight: 0.9, Temp: 4, Loss: "cross-entropy",
		ValEvery: c.ValEvery, Time: c.Time, Resume: c.Resume, limit: c.Limit}
	if c.Calib != "" {
		t.Data, t.Val = c.Calib, c.Data
	}
	if t.Optimizer == "" {
		t.Optimizer = m.Recipe.Optimizer
	}
	if t.Lr == 0 && t.Optimizer == m.Recipe.Optimizer {
		t.Lr = m.Recipe.LR
	}
	if t.Decay < 0 {
		t.Decay = m.Recipe.DecayAt(cmp.Or(c.WBits, m.WBits))
	}
	return t
}
