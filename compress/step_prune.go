package compress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/train"
)

// PruneStep removes channels: so many of each group (Keep), a share of them
// (Ratio), or as many as leave a share of a cost (MACs, Budget). With epochs it
// fine-tunes what is left, round by round of the schedule.
type PruneStep struct {
	Method string `yaml:"method,omitempty"` // of the family "prune"; by default l1
	// Keep is the number of channels to keep, by the name of the group.
	Keep       map[string]int `yaml:"keep,omitempty"`
	Ratio      float64        `yaml:"ratio,omitempty"`
	MACs       float64        `yaml:"macs,omitempty"`
	Budget     string         `yaml:"budget,omitempty"` // KIND=SHARE
	Allocation string         `yaml:"allocation,omitempty"`
	Schedule   string         `yaml:"schedule,omitempty"`
	RoundTo    int            `yaml:"round-to,omitempty"`
	MinKeep    float64        `yaml:"min-keep,omitempty"`
	Skip       []string       `yaml:"skip,omitempty"`
	InnerOnly  bool           `yaml:"inner-only,omitempty"`
	Images     int            `yaml:"images,omitempty"` // that methods look at; by default 512, more for gradients of labels
	// Sparsify trains first so that channels become removable, for as many
	// epochs.
	Sparsify       string  `yaml:"sparsify,omitempty"`
	SparsifyEpochs float64 `yaml:"sparsify-epochs,omitempty"`
	Retrain        string  `yaml:"retrain,omitempty"` // a prune.Retrain
	NoNorm         bool    `yaml:"no-norm,omitempty"`
	Training       `yaml:",inline"`
}

func (*PruneStep) kind() string { return "prune" }

func (p *PruneStep) check() error {
	wanted := 0
	for _, given := range []bool{len(p.Keep) > 0, p.Ratio != 0, p.MACs != 0, p.Budget != ""} {
		if given {
			wanted++
		}
	}
	if wanted != 1 {
		return errors.New("give one of keep, ratio, macs, budget")
	}
	for name, k := range p.Keep {
		if k < 1 {
			return fmt.Errorf("%s: keep %d channels", name, k)
		}
	}
	if !(p.Ratio >= 0 && p.Ratio < 1) || !(p.MACs >= 0 && p.MACs <= 1) {
		return fmt.Errorf("ratio %g, macs %g: want shares between 0 and 1", p.Ratio, p.MACs)
	}
	if _, _, err := budgetOf(p.Budget); err != nil {
		return err
	}
	if strings.Contains(p.Allocation, "latency") {
		return fmt.Errorf("allocation %s: what a clock measures does not replay", p.Allocation)
	}
	if !(p.MinKeep >= 0 && p.MinKeep <= 1) || p.RoundTo < 0 || p.Images < 0 || !(p.SparsifyEpochs >= 0 && p.SparsifyEpochs <= mostEpochs) {
		return errors.New("min-keep, round-to, images or sparsify-epochs is out of range")
	}
	if err := errors.Join(named(method.Prune, p.Method), named(method.Allocate, p.Allocation), named(method.Sparsify, p.Sparsify)); err != nil {
		return err
	}
	if err := checkRetrain(p.Retrain, p.Epochs); err != nil {
		return err
	}
	switch {
	case p.Sparsify != "" && max(p.SparsifyEpochs, p.Epochs) == 0:
		return errors.New("sparsify trains: give sparsify-epochs or epochs")
	case p.Sparsify != "" && p.Keep != nil:
		return errors.New("sparsify needs to know how much goes: give ratio, macs or budget instead of keep")
	case p.Keep != nil && p.Schedule != "" && p.Schedule != "one-shot":
		return errors.New("keep says it all at once: no schedule goes with it")
	}
	if _, err := p.schedule(); err != nil {
		return err
	}
	return p.Training.check()
}

// checkRetrain checks the policy of training.
func checkRetrain(policy string, epochs float64) error {
	if policy == "" || policy == string(prune.Finetune) {
		return nil
	}
	for _, r := range prune.Policies() {
		if policy == string(r) {
			if epochs == 0 {
				return fmt.Errorf("retrain %s trains from new weights: give epochs", policy)
			}
			return nil
		}
	}
	return fmt.Errorf("retrain %q: there are %v", policy, prune.Policies())
}

func (p *PruneStep) schedule() (prune.Schedule, error) {
	spec := p.Schedule
	if spec == "" {
		spec = "one-shot"
	}
	s, err := method.New[prune.Schedule](method.Schedule, spec)
	if err != nil {
		return nil, err
	}
	if _, lottery := s.(prune.Rewinder); lottery || s.Rounds() == 0 {
		return nil, fmt.Errorf("schedule %s is for single weights; channels go one-shot or iterative", spec)
	}
	return s, nil
}

func (p *PruneStep) needs() (method.Needs, error) {
	n, err := method.NeedsOf("prune", p.Method, "allocate", p.Allocation, "sparsify", p.Sparsify)
	n.Labels = n.Labels || p.Epochs > 0
	return n, err
}

func (p *PruneStep) options() prune.Options {
	kind, share, _ := budgetOf(p.Budget)
	return prune.Options{Score: p.Method, Allocator: p.Allocation, Ratio: p.Ratio, MACs: p.MACs, Budget: kind, Share: share, Keep: p.Keep,
		RoundTo: p.RoundTo, MinKeep: p.MinKeep, Skip: p.Skip, InnerOnly: p.InnerOnly}
}

func (p *PruneStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	s, err := p.schedule()
	if err != nil {
		return nil, err
	}
	o := p.options()
	if p.Sparsify != "" {
		h, score, err := prune.Sparsify(g, p.Sparsify, o)
		if err != nil {
			return nil, err
		}
		if p.Method == "" {
			o.Score = score
		}
		epochs := p.SparsifyEpochs
		if epochs == 0 {
			epochs = p.Epochs
		}
		t := p.Training
		t.NoDistill = true
		if g, err = w.train(ctx, g, &t, run{epochs: epochs, hooks: []train.Hook{h}, name: "sparsify"}); err != nil {
			return nil, err
		}
	}
	needs, err := p.needs()
	if err != nil {
		return nil, err
	}
	d, err := w.look(p.Images, g, needs)
	if err != nil {
		return nil, err
	}
	out, _, err := prune.Rounds(ctx, g, o, d, s, func(q *graph.Graph, k, n int) (*graph.Graph, error) {
		return w.heal(ctx, q, &p.Training, healing{round: k, of: n, retrain: prune.Retrain(p.Retrain), noNorm: p.NoNorm, before: g.Cost().MACs})
	})
	return out, err
}
