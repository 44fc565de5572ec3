package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/layers"
)

// LayersStep removes whole blocks, and fine-tunes what is left.
type LayersStep struct {
	Method   string   `yaml:"method,omitempty"` // of the family "layers"; by default norm
	Blocks   int      `yaml:"blocks"`
	Skip     []string `yaml:"skip,omitempty"`
	Images   int      `yaml:"images,omitempty"` // that methods look at; by default 512
	Retrain  string   `yaml:"retrain,omitempty"`
	NoNorm   bool     `yaml:"no-norm,omitempty"`
	Training `yaml:",inline"`
}

func (*LayersStep) kind() string { return "layers" }

func (p *LayersStep) check() error {
	if p.Blocks < 1 || p.Images < 0 {
		return fmt.Errorf("blocks %d, images %d: want at least one block, and no negative number", p.Blocks, p.Images)
	}
	return errors.Join(named(method.Layers, p.Method), checkRetrain(p.Retrain, p.Epochs), p.Training.check())
}

func (p *LayersStep) needs() (method.Needs, error) {
	n, err := needsOf("layers", p.Method)
	n.Labels = n.Labels || p.Epochs > 0
	return n, err
}

func (p *LayersStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	d, err := w.look(p.Images)
	if err != nil {
		return nil, err
	}
	out, _, err := layers.Prune(ctx, g, layers.Options{Method: p.Method, Blocks: p.Blocks, Skip: p.Skip}, d)
	if err != nil {
		return nil, err
	}
	return w.heal(ctx, out, &p.Training, healing{of: 1, retrain: prune.Retrain(p.Retrain), noNorm: p.NoNorm, before: g.Cost().MACs})
}
