package main

import (
	"fmt"
	"io"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/train"
)

type pruneCmd struct {
	Model      string   `arg:"" help:"Model file or zoo:NAME."`
	Output     string   `short:"o" help:"File to write; by default MODEL_pruned.onnx." placeholder:"FILE"`
	Method     string   `help:"Score of the channels; see drawknife methods prune." default:"l1"`
	Allocation string   `help:"How the removal is shared out: uniform or global." default:"uniform"`
	Ratio      float64  `help:"Share of the channels to remove, from 0 up to 1." placeholder:"R"`
	Macs       float64  `help:"Share of the multiply-accumulates to keep, instead of --ratio." placeholder:"R"`
	RoundTo    int      `help:"Round the channels kept up to a multiple of this; 0 is 4 for up to 32 channels, else 8." default:"0"`
	MinKeep    float64  `help:"Least share of a layer's channels to keep." default:"0.1"`
	Skip       []string `help:"Names (patterns) of layers whose channels stay." placeholder:"NAME"`
	InnerOnly  bool     `help:"Spare channels that residual additions tie together."`
	Data       string   `help:"Data set: measures, re-estimates batch normalization, and fine-tunes." placeholder:"SPEC"`
	Labels     string   `help:"Table of file names and classes." placeholder:"FILE" type:"path"`
	Limit      int      `help:"Measure on only this many images." placeholder:"N"`
	Epochs     int      `help:"Epochs of fine-tuning." default:"0"`
	Batch      int      `help:"Images a step of fine-tuning." default:"128"`
	Lr         float64  `name:"lr" help:"Learning rate of fine-tuning." default:"0.02"`
	Distill    bool     `help:"Fine-tune with the original as teacher." default:"true" negatable:""`
	NoNorm     bool     `name:"no-norm" help:"Do not measure batch normalization's statistics again."`
	preFlags
}

func (c *pruneCmd) Run(a *app) error {
	start := time.Now()
	switch {
	case c.Ratio == 0 && c.Macs == 0:
		return usagef("prune needs --ratio or --macs")
	case !(c.Ratio >= 0 && c.Ratio < 1):
		return usagef("--ratio %g: want at least 0 and less than 1", c.Ratio)
	case !(c.Macs >= 0 && c.Macs <= 1):
		return usagef("--macs %g: want a share to keep between 0 and 1", c.Macs)
	case c.Epochs < 0 || c.Batch < 1 || !(c.Lr > 0):
		return usagef("--epochs cannot be negative, --batch and --lr must be positive")
	}
	if c.Epochs > 0 && c.Data == "" {
		return usagef("--epochs needs --data to train on")
	}
	g, err := a.loadSound(c.Model)
	if err != nil {
		return err
	}
	out := c.Output
	if out == "" {
		out = besides(c.Model, "_pruned")
	}
	if err := atomicfile.Check(out); err != nil {
		return err
	}
	var test data.Dataset
	if c.Data != "" {
		if test, err = openData(c.Data, c.Labels, "test", c.Limit); err != nil {
			return err
		}
	}
	var pre data.Preprocess
	if c.Data != "" {
		if pre, err = c.preprocess(a, g); err != nil {
			return err
		}
	}
	r := beforeAfter{Model: c.Model, Outputs: []string{out}}
	if err := r.count(a, &r.Before, g, test, pre); err != nil {
		return err
	}
	p, report, err := prune.Channels(g, prune.Options{Score: c.Method, Allocator: c.Allocation, Ratio: c.Ratio, MACs: c.Macs,
		RoundTo: c.RoundTo, MinKeep: c.MinKeep, Skip: c.Skip, InnerOnly: c.InnerOnly})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	if c.Data != "" {
		if p, err = c.heal(a, g, p, pre); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
		p.Metadata[data.MetadataKey] = pre.String()
	}
	if err := onnx.Write(out, p); err != nil {
		return err
	}
	r.Report = report
	if err := r.count(a, &r.After, p, test, pre); err != nil {
		return err
	}
	if err := r.time(a, g, p); err != nil {
		if c.Data != "" || a.Err() != nil {
			return err
		}
		a.note("note: no latencies, since this model cannot be run: %v", err)
	}
	r.Seconds = time.Since(start).Seconds()
	return a.emit(r, func(w io.Writer) error {
		rows := [][]string{{"channels of ", "before", "after", " "}}
		for _, row := range report.Groups {
			rows = append(rows, []string{row.Group, fmt.Sprint(row.Before), fmt.Sprint(row.After), row.Reason})
		}
		if err := table(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
		if err := r.print(w); err != nil {
			return err
		}
		const shown = 2
		for _, n := range report.Notes[:min(shown, len(report.Notes))] {
			fmt.Fprintln(w, "note:", n)
		}
		if more := len(report.Notes) - shown; more > 0 {
			fmt.Fprintf(w, "note: and %d more such places; --data measures batch normalization again, --epochs fine-tunes\n", more)
		}
		_, err := fmt.Fprintf(w, "wrote %s\n", out)
		return err
	})
}

// heal re-estimates batch normalization and fine-tunes.
func (c *pruneCmd) heal(a *app, g, p *graph.Graph, pre data.Preprocess) (*graph.Graph, error) {
	pre = fit(pre, g)
	ds, err := openData(c.Data, c.Labels, "train", 0)
	if err != nil {
		return nil, err
	}
	// The statistics of a trained network are those of augmented images.
	var aug data.Augment
	if small(g) {
		if aug, err = data.ParseAugment("crop4,flip"); err != nil {
			return nil, err
		}
	}
	if !c.NoNorm {
		n := min(2048, ds.Len())
		l, err := data.NewLoader(data.Spread(ds, n), data.LoaderOptions{Batch: min(64, n), Preprocess: pre, DropLast: true, Augment: aug, Seed: a.Seed})
		if err != nil {
			return nil, err
		}
		if err := train.ReestimateNorm(a, p, l, n, a.Threads); err != nil {
			return nil, err
		}
	}
	if c.Epochs == 0 {
		return p, nil
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: c.Batch, Preprocess: pre, Augment: aug, Shuffle: true, DropLast: true, Seed: a.Seed, Workers: a.Threads})
	if err != nil {
		return nil, err
	}
	cfg := train.Config{Epochs: c.Epochs, Seed: a.Seed, Threads: a.Threads, Optimizer: train.SGD(c.Lr, 0.9, 1e-4),
		Schedule: train.Schedule{Kind: train.Cosine}, ClipNorm: 5, Progress: (&trainCmd{}).watch(a)}
	if c.Distill {
		cfg.Distill = &train.Distill{Teacher: g, Temperature: 4, Weight: 0.7}
	}
	r, err := train.Run(a, p, l, cfg)
	if err != nil {
		return nil, err
	}
	return r.Graph, nil
}
