package compress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/weights"
	"github.com/drawknife/drawknife/train"
)

// SparsifyStep makes single weights zero, and trains with them kept at zero.
type SparsifyStep struct {
	Method     string   `yaml:"method,omitempty"` // of the family "weights"; by default magnitude
	Sparsity   float64  `yaml:"sparsity,omitempty"`
	Pattern    string   `yaml:"pattern,omitempty"`
	Permute    bool     `yaml:"permute,omitempty"` // channels into the order that suits N:M
	Allocation string   `yaml:"allocation,omitempty"`
	Schedule   string   `yaml:"schedule,omitempty"`
	Skip       []string `yaml:"skip,omitempty"`
	DeadUnits  bool     `yaml:"dead-units,omitempty"`
	Images     int      `yaml:"images,omitempty"` // that methods look at; by default 512, more for gradients of labels
	NoNorm     bool     `yaml:"no-norm,omitempty"`
	Training   `yaml:",inline"`
}

func (*SparsifyStep) kind() string { return "sparsify" }

func (p *SparsifyStep) check() error {
	if !(p.Sparsity >= 0 && p.Sparsity < 1) || p.Images < 0 {
		return fmt.Errorf("sparsity %g, images %d: want a share of at least 0 and less than 1, and no negative number", p.Sparsity, p.Images)
	}
	pattern, err := weights.ParsePattern(p.Pattern)
	if err != nil {
		return err
	}
	if pattern.M == 0 && p.Sparsity == 0 {
		return errors.New("give sparsity, or a pattern such as 2:4")
	}
	if p.Permute && pattern.M == 0 {
		return errors.New("permute is for patterns N:M: give pattern 2:4 or another")
	}
	if strings.Contains(p.Allocation, "latency") {
		return fmt.Errorf("allocation %s: what a clock measures does not replay", p.Allocation)
	}
	if err := errors.Join(named(method.Weights, p.Method), named(method.Allocate, p.Allocation), named(method.Schedule, p.Schedule)); err != nil {
		return err
	}
	if n, err := method.NeedsOf("weights", p.Method, "schedule", p.Schedule); err != nil {
		return err
	} else if n.Train && p.Epochs == 0 {
		return errors.New("this method or schedule trains: give epochs")
	}
	return p.Training.check()
}

func (p *SparsifyStep) needs() (method.Needs, error) {
	n, err := method.NeedsOf("weights", p.Method, "schedule", p.Schedule, "allocate", p.Allocation)
	n.Labels = n.Labels || p.Epochs > 0
	return n, err
}

func (p *SparsifyStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	o := weights.Options{Method: p.Method, Allocator: p.Allocation, Schedule: p.Schedule, Pattern: p.Pattern, Sparsity: p.Sparsity, Skip: p.Skip,
		DeadUnits: p.DeadUnits, Permute: p.Permute, Seed: w.seed, Checkpoint: w.scratch + ".rounds"}
	needs, err := p.needs()
	if err != nil {
		return nil, err
	}
	d, err := w.look(p.Images, g, needs)
	if err != nil {
		return nil, err
	}
	var fit weights.Fit
	if p.Epochs > 0 {
		fit = p.fit(w)
	}
	out, _, err := weights.Prune(ctx, g, o, d, fit)
	if err != nil {
		return nil, err
	}
	if p.Epochs == 0 && !p.NoNorm {
		if err := w.norm(ctx, out, normImages, p.Augment); err != nil {
			return nil, err
		}
	}
	w.finished = append(w.finished, func() { weights.Forget(o) })
	return out, nil
}

// fit trains between and after the rounds of the schedule, which share the
// epochs; every ticket of a lottery gets them all, and no teacher.
func (p *SparsifyStep) fit(w *work) weights.Fit {
	lottery := false
	if s, err := method.New[prune.Schedule](method.Schedule, p.Schedule); err == nil {
		_, lottery = s.(prune.Rewinder)
	}
	return func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error) {
		r := run{epochs: p.Epochs, hooks: hooks, name: fmt.Sprintf("round%d", k+1), of: n, round: k, teacher: teacherOfPrune}
		t := p.Training
		if lottery || k < 0 {
			r.of, r.round = 1, 0
			t.NoDistill = true
		}
		return w.train(ctx, g, &t, r)
	}
}
