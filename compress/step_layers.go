package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/layers"
	"github.com/drawknife/drawknife/train"
)

// LayersStep removes whole blocks, and fine-tunes what is left.
type LayersStep struct {
	Method string   `yaml:"method,omitempty"` // of the family "layers"; by default norm
	Blocks int      `yaml:"blocks"`
	Skip   []string `yaml:"skip,omitempty"`
	Images int      `yaml:"images,omitempty"` // that methods look at; by default 512, more for gradients of labels
	// SparsifyEpochs is how long methods train that do so before they remove
	// anything; by default Epochs.
	SparsifyEpochs float64 `yaml:"sparsify-epochs,omitempty"`
	Retrain        string  `yaml:"retrain,omitempty"`
	NoNorm         bool    `yaml:"no-norm,omitempty"`
	Training       `yaml:",inline"`
}

func (*LayersStep) kind() string { return "layers" }

func (p *LayersStep) check() error {
	if p.Blocks < 1 || p.Images < 0 {
		return fmt.Errorf("blocks %d, images %d: want at least one block, and no negative number", p.Blocks, p.Images)
	}
	if !(p.SparsifyEpochs >= 0 && p.SparsifyEpochs <= mostEpochs) {
		return fmt.Errorf("sparsify-epochs %g is out of range", p.SparsifyEpochs)
	}
	if n, err := method.NeedsOf("layers", p.Method); err == nil && n.Train && max(p.SparsifyEpochs, p.Epochs) == 0 {
		return fmt.Errorf("method %s trains: give sparsify-epochs or epochs", p.Method)
	}
	return errors.Join(named(method.Layers, p.Method), checkRetrain(p.Retrain, p.Epochs), p.Training.check())
}

func (p *LayersStep) needs() (method.Needs, error) {
	n, err := method.NeedsOf("layers", p.Method)
	n.Labels = n.Labels || max(p.SparsifyEpochs, p.Epochs) > 0
	return n, err
}

func (p *LayersStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	needs, err := p.needs()
	if err != nil {
		return nil, err
	}
	d, err := w.look(p.Images, g, needs)
	if err != nil {
		return nil, err
	}
	o := layers.Options{Method: p.Method, Blocks: p.Blocks, Skip: p.Skip}
	if epochs := cmp.Or(p.SparsifyEpochs, p.Epochs); epochs > 0 {
		o.Fit = func(ctx context.Context, g *graph.Graph, h train.Hook) (*graph.Graph, error) {
			t := p.Training
			t.NoDistill = true
			return w.train(ctx, g, &t, run{epochs: epochs, hooks: []train.Hook{h}, name: "before"})
		}
	}
	out, _, err := layers.Prune(ctx, g, o, d)
	if err != nil {
		return nil, err
	}
	return w.heal(ctx, out, &p.Training, healing{of: 1, retrain: prune.Retrain(p.Retrain), noNorm: p.NoNorm, before: g.Cost().MACs})
}
