package compress

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/train"
)

// Training says how the steps that train do it. Zero values and fields left
// out have the defaults of the verbs: stochastic gradient descent, batches of
// 128, a rate of 0.02, momentum 0.9, weight decay 1e-4.
type Training struct {
	Epochs    float64  `yaml:"epochs,omitempty"`
	Steps     int      `yaml:"steps,omitempty"` // ends every training after this many
	Batch     int      `yaml:"batch,omitempty"`
	Optimizer string   `yaml:"optimizer,omitempty"`
	LR        float64  `yaml:"lr,omitempty"`
	Momentum  *float64 `yaml:"momentum,omitempty"`
	Decay     *float64 `yaml:"weight-decay,omitempty"`
	// NoDistill trains on labels alone; else the original network is the
	// teacher, with this weight and temperature.
	NoDistill     bool    `yaml:"no-distill,omitempty"`
	DistillWeight float64 `yaml:"distill-weight,omitempty"`
	Temperature   float64 `yaml:"temperature,omitempty"`
	Augment       string  `yaml:"augment,omitempty"` // "none" for none
}

// mostEpochs bounds what a recipe may ask for.
const mostEpochs = 1e4

func (t *Training) check() error {
	switch {
	case !(t.Epochs >= 0 && t.Epochs <= mostEpochs):
		return fmt.Errorf("epochs %g is out of range", t.Epochs)
	case t.Steps < 0 || t.Batch < 0 || t.Batch > 1<<16:
		return fmt.Errorf("steps %d or batch %d is out of range", t.Steps, t.Batch)
	case !(t.LR >= 0 && t.LR <= 1e3) || !(orElse(t.Momentum, 0) >= 0 && orElse(t.Momentum, 0) < 1) || !(orElse(t.Decay, 0) >= 0 && orElse(t.Decay, 0) <= 1e3):
		return errors.New("lr, momentum or weight-decay is out of range")
	case !(t.DistillWeight >= 0 && t.DistillWeight <= 1) || !(t.Temperature >= 0 && t.Temperature <= 1e3):
		return errors.New("distill-weight or temperature is out of range")
	case t.Optimizer != "" && !slices.Contains(train.Optimizers(), t.Optimizer):
		return fmt.Errorf("optimizer %q: there are %s", t.Optimizer, strings.Join(train.Optimizers(), ", "))
	}
	return checkAugment(t.Augment)
}

func checkAugment(spec string) error {
	if spec == "none" {
		return nil
	}
	if _, err := data.ParseAugment(spec); err != nil {
		return fmt.Errorf("augment: %w", err)
	}
	return nil
}

func checkRateSchedule(kind string) error {
	if kind != "" && !slices.Contains(train.ScheduleKinds(), train.ScheduleKind(kind)) {
		return fmt.Errorf("schedule %q: there are %v", kind, train.ScheduleKinds())
	}
	return nil
}

// The weight of the teacher where a step does not say: that of `drawknife
// prune`, of `drawknife train`, and none for quantized training.
const (
	teacherOfPrune    = 0.7
	teacherOfTrain    = 0.9
	teacherOfQuantize = 0
)

// fineRates are the rates for a network that is trained already, as of
// `drawknife train`.
var fineRates = map[string]float64{"sgd": 0.01, "rmsprop": 1e-3, "adam": 1e-4, "adamw": 1e-4}

// optimizer is the one that the fields describe, with a default rate and decay.
func (t *Training) optimizer(rate, decay float64) train.Optimizer {
	o := train.Optimizer{Name: t.Optimizer, LR: t.LR, Momentum: orElse(t.Momentum, 0.9), WeightDecay: orElse(t.Decay, decay)}
	if o.Name == "" {
		o.Name = "sgd"
	}
	if o.LR == 0 {
		o.LR = rate
	}
	return o
}
