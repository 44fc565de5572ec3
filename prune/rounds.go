package prune

import (
	"context"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
)

// Rounds removes channels in the rounds of a schedule; after each, heal trains
// what is left in round k of n (from 0). A round of a ratio takes its share of
// the channels there are, one of a budget whatever is over that round's part
// of it.
func Rounds(ctx context.Context, g *graph.Graph, o Options, d *Data, s Schedule, heal func(p *graph.Graph, k, n int) (*graph.Graph, error)) (*graph.Graph, *Report, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	n := s.Rounds()
	if n < 1 {
		return nil, nil, fmt.Errorf("prune: this schedule is for training alone; channels need rounds")
	}
	first := 0.0
	if o.Share > 0 && n > 1 {
		cost, ok := budgets[o.Budget]
		if !ok {
			return nil, nil, fmt.Errorf("prune: no budget is called %q", o.Budget)
		}
		var err error
		if first, err = cost(ctx, g); err != nil {
			return nil, nil, err
		}
	}
	p := g
	var all *Report
	for k := range n {
		step := o
		step.MACs = 0
		if n > 1 {
			step.Ratio = 1 - math.Pow(1-o.Ratio, 1/float64(n))
		}
		if first > 0 {
			now, err := budgets[o.Budget](ctx, p)
			if err != nil {
				return nil, nil, err
			}
			target := first * (1 - s.At(float64(k+1)/float64(n), 1-o.Share))
			step.Share = min(target/now, 1)
		}
		q, r, err := Apply(ctx, p, step, d)
		if err != nil {
			return nil, nil, err
		}
		if p, err = heal(q, k, n); err != nil {
			return nil, nil, err
		}
		all = all.after(r)
	}
	return p, all, nil
}

// after is the report of what an earlier and a later pruning did together.
func (r *Report) after(next *Report) *Report {
	if r == nil {
		return next
	}
	sum := *next
	sum.MACs, sum.Params, sum.Left = r.MACs, r.Params, r.Left*next.Left
	before := map[string]int{}
	for _, row := range r.Groups {
		before[row.Group] = row.Before
	}
	for i := range sum.Groups {
		if b, ok := before[sum.Groups[i].Group]; ok {
			sum.Groups[i].Before = b
		}
	}
	return &sum
}
