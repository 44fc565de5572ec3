package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

// NormStep measures batch normalisation's statistics again.
type NormStep struct {
	Images  int    `yaml:"images"`
	Augment string `yaml:"augment,omitempty"` // as of training; "none" for none
}

func (*NormStep) kind() string { return "reestimate-norm" }

func (p *NormStep) check() error {
	if p.Images < 1 {
		return fmt.Errorf("%d images", p.Images)
	}
	return checkAugment(p.Augment)
}

func (*NormStep) needs() (method.Needs, error) { return method.Needs{Data: true}, nil }

func (p *NormStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	out := g.Clone()
	return out, w.norm(ctx, out, p.Images, p.Augment)
}

// FinetuneStep trains on, with the original network as teacher.
type FinetuneStep struct {
	Schedule string `yaml:"schedule,omitempty"` // of the learning rate; by default cosine
	Training `yaml:",inline"`
}

func (*FinetuneStep) kind() string { return "finetune" }

func (p *FinetuneStep) check() error {
	if !(p.Epochs > 0) {
		return errors.New("give epochs")
	}
	return errors.Join(checkRateSchedule(p.Schedule), p.Training.check())
}

func (*FinetuneStep) needs() (method.Needs, error) {
	return method.Needs{Labels: true, Train: true}, nil
}

func (p *FinetuneStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	return w.train(ctx, g, &p.Training, run{epochs: p.Epochs, schedule: p.Schedule, teacher: teacherOfTrain})
}
