// Package train trains networks: it turns a graph into a training graph
// (batch normalization on batch statistics, dropout, a loss, gradients),
// compiles it with package engine and runs it over the batches of a data
// loader.
//
//	result, err := train.Run(ctx, g, loader, train.Config{
//		Epochs:    60,
//		Optimizer: train.SGD(0.1, 0.9, 1e-4),
//		Schedule:  train.Schedule{Kind: train.Cosine, Warmup: 1},
//		Val:       valLoader,
//	})
//	g = result.Graph
//
// Everything random comes from seeds, and kernels give the same bits for any
// number of workers: the same configuration gives the same weights, also when
// a run was interrupted and resumed from its checkpoint. (The exceptions are
// named where they are: time budgets.)
package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
)

// Config says how to train. The zero value of a field means its default.
type Config struct {
	// Epochs is the number of passes over the data (default 1). Steps, if not
	// 0, bounds the number of steps besides.
	Epochs int
	Steps  int
	// Seed decides Dropout; the order and augmentation of the data are the
	// loader's.
	Seed uint64
	// Threads is the number of workers; 0 means all CPUs. It does not change
	// the result.
	Threads int

	Optimizer Optimizer
	Schedule  Schedule
	// Loss compares logits with labels (default CrossEntropy).
	Loss Loss
	// LabelSmoothing moves this share of each target to all classes evenly.
	LabelSmoothing float32
	// Distill adds a teacher.
	Distill *Distill
	// ClipNorm bounds the norm of all gradients together; 0 does not.
	ClipNorm float64
	// EMA is the decay of an exponential moving average of the weights, such
	// as 0.999, which the result (and validation) then uses; 0 is none.
	EMA float64
	// Trainable chooses the parameters to train among those that can be (see
	// Parameters); nil means all.
	Trainable func(p *graph.Value) bool
	// FreezeNorm keeps batch normalization in inference mode.
	FreezeNorm bool
	// Prepare, if set, rewrites the training graph before the loss is added
	// (masks, fake quantization), and may return further scalar loss terms.
	Prepare func(g *graph.Graph) (losses []*graph.Value, err error)
	// Hooks are called at fixed points of each step, in order.
	Hooks []Hook

	// Val, if set, is evaluated every ValEvery epochs (default 1) and at the
	// end. With KeepBest the result is the best of these states by top-1, else
	// the last. Patience, if not 0, stops after that many evaluations without
	// a better one.
	Val      *data.Loader
	ValEvery int
	KeepBest bool
	Patience int
	// ReestimateNorm, if not 0, re-estimates the statistics of batch
	// normalization at the end on that many pictures.
	ReestimateNorm int

	// Budget, if not 0, ends training after that time, cleanly. With
	// ScheduleByTime the schedule runs to its end within the budget. What the
	// clock decides is not reproducible.
	Budget         time.Duration
	ScheduleByTime bool

	// Checkpoint is a file written after every CheckpointEvery epochs (default
	// 1) and when the run is interrupted. With Resume the run goes on from it
	// if it exists.
	Checkpoint      string
	CheckpointEvery int
	Resume          bool
	// CSV and JSONL are files that get a line for each epoch.
	CSV, JSONL string
	// Progress, if set, is called after every step.
	Progress func(Progress)
}

// Loss names a loss function.
type Loss string

// The losses.
const (
	CrossEntropy Loss = "cross-entropy"
	MSE          Loss = "mse" // against the one-hot target
)

// Distill is knowledge distillation (Hinton et al., 2015): the loss becomes
// (1-Weight)·loss + Weight·T²·KL(teacher ‖ student) at temperature T.
type Distill struct {
	Teacher     *graph.Graph
	Temperature float32 // default 4
	Weight      float32 // default 0.9
	// MSE compares logits by their mean squared difference instead (Ba and
	// Caruana, 2014).
	MSE bool
}

// Epoch is the record of one epoch.
type Epoch struct {
	Epoch       int     `json:"epoch"` // 1 is the first
	Step        int     `json:"step"`  // steps done
	LR          float64 `json:"lr"`    // of the last step
	Loss        float64 `json:"train_loss"`
	Top1        float64 `json:"train_top1"` // percent, on augmented pictures in passing
	ValLoss     float64 `json:"val_loss,omitempty"`
	ValTop1     float64 `json:"val_top1,omitempty"`
	ValTop5     float64 `json:"val_top5,omitempty"`
	Validated   bool    `json:"validated"`
	ImagesPerS  float64 `json:"images_per_s"`
	TotalSecond float64 `json:"seconds"` // since the start, earlier runs included
}

// Progress tells how far a run is.
type Progress struct {
	Epoch, Epochs int // 1 is the first
	Step, Steps   int // of the whole run
	Loss, Top1    float64
	LR            float64
	ImagesPerS    float64
	Elapsed, Left time.Duration
	// Last is the record of the epoch that has just ended, else nil.
	Last *Epoch
}

// Result is what Run returns.
type Result struct {
	// Graph is the network in inference form with the trained parameters.
	Graph  *graph.Graph
	Epochs []Epoch
	// Steps is the number of steps done, Seconds the time they took.
	Steps   int
	Seconds float64
	// Best is the epoch (from 1) with the best validation, 0 without one.
	Best     int
	BestTop1 float64
	// Stopped says why the run ended before its last epoch: "", "budget",
	// "patience", "steps" or "cancelled".
	Stopped string
}

// ErrDiverged is the cause of the error when the loss is no longer a number.
var ErrDiverged = errors.New("the loss is not a number any more; try a lower learning rate, warm-up or gradient clipping")

// Run trains a copy of g on the batches of loader. Batches that are not full
// are passed over. When ctx ends, it writes the checkpoint (if there is to be
// one) and returns the state reached along with the cause.
func Run(ctx context.Context, g *graph.Graph, loader *data.Loader, c Config) (*Result, error) {
	t, err := newTrainer(g, loader, c)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	defer t.log.close()
	result, err := t.run(ctx)
	if err != nil {
		return result, fmt.Errorf("train: %w", err)
	}
	return result, nil
}

// withDefaults fills in the defaults and checks the rest.
func (c Config) withDefaults() (Config, error) {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.Epochs, 1)
	set(&c.ValEvery, 1)
	set(&c.CheckpointEvery, 1)
	if c.Loss == "" {
		c.Loss = CrossEntropy
	}
	if c.Distill != nil {
		d := *c.Distill
		if d.Temperature == 0 {
			d.Temperature = 4
		}
		if d.Weight == 0 {
			d.Weight = 0.9
		}
		if d.Teacher == nil || d.Temperature < 0 || d.Weight < 0 || d.Weight > 1 {
			return c, errors.New("distillation needs a teacher, a positive temperature and a weight from 0 to 1")
		}
		c.Distill = &d
	}
	switch {
	case c.Epochs < 0 || c.Steps < 0 || c.Patience < 0 || c.ValEvery < 0 || c.CheckpointEvery < 0:
		return c, errors.New("epochs, steps, patience and intervals must not be negative")
	case c.Loss != CrossEntropy && c.Loss != MSE:
		return c, fmt.Errorf("unknown loss %q; there are %s and %s", c.Loss, CrossEntropy, MSE)
	case !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1):
		return c, fmt.Errorf("label smoothing %v is not in [0, 1)", c.LabelSmoothing)
	case !(c.EMA >= 0 && c.EMA < 1):
		return c, fmt.Errorf("EMA decay %v is not in [0, 1)", c.EMA)
	case c.ScheduleByTime && c.Budget <= 0:
		return c, errors.New("a schedule by time needs a budget")
	case (c.Patience > 0 || c.KeepBest) && c.Val == nil:
		return c, errors.New("early stopping and keeping the best need validation data")
	}
	var err error
	if c.Optimizer, err = c.Optimizer.withDefaults(); err != nil {
		return c, err
	}
	return c, c.Schedule.check()
}
