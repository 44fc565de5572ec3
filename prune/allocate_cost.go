package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "cost", Family: method.Allocate, Summary: "the lowest scores for what a channel costs: MACs, parameters, energy or measured latency",
		Paper: "Theis et al., Faster gaze prediction with dense networks and Fisher pruning", Year: 2018,
		Options: []method.Option{{Name: "of", Default: "macs", Help: "what counts: " + strings.Join(Budgets(), ", ")}},
		New: func(o map[string]string) (any, error) {
			if !slices.Contains(Budgets(), o["of"]) {
				return nil, fmt.Errorf("of %q: there are %s", o["of"], strings.Join(Budgets(), ", "))
			}
			return &costAllocator{of: o["of"]}, nil
		},
	})
}

// costAllocator removes, in the order of score (in units of the group's mean)
// per cost, channels that together cost the share strength of all that can be
// removed. What a channel costs is found by taking half of its group away and
// counting, or measuring, what that saves.
type costAllocator struct{ of string }

func (a *costAllocator) Plan(ctx context.Context, p *Problem) error {
	for _, c := range p.Candidates {
		if c.Group == nil {
			return errors.New("it counts what channels cost; for single weights there is energy")
		}
	}
	cost := budgets[a.of]
	full, err := cost(ctx, p.Graph)
	if err != nil {
		return err
	}
	keep := sizes(p.Candidates)
	for i := range p.Candidates {
		c := &p.Candidates[i]
		trial := slices.Clone(keep)
		trial[i] = (len(c.Score) + 1) / 2
		g, err := p.Cut(trial)
		if err != nil {
			return err
		}
		less, err := cost(ctx, g)
		if err != nil {
			return err
		}
		gone := len(c.Score) - left(g, c, trial[i])
		c.Cost = max(full-less, 1e-6*full) / float64(max(gone, 1))
	}
	return nil
}

func (a *costAllocator) Keep(cs []Candidate, strength float64) []int { return cheapest(cs, strength) }

func sizes(cs []Candidate) []int {
	n := make([]int, len(cs))
	for i, c := range cs {
		n[i] = len(c.Score)
	}
	return n
}

// left is how many channels a candidate has in g: grouped convolutions may
// have kept more than asked for.
func left(g *graph.Graph, c *Candidate, asked int) int {
	p := c.Group.Producers()
	if len(p) == 0 {
		return asked
	}
	v := g.Value(p[0].Value.Name)
	if v == nil || v.Data == nil || p[0].Axis >= len(v.Data.Shape) {
		return asked
	}
	before := p[0].Value.Data.Shape[p[0].Axis]
	return len(c.Score) * v.Data.Shape[p[0].Axis] / max(before, 1)
}
