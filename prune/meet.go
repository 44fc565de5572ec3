package prune

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
)

// meet spends the budget: it finds the least strength whose result is within it,
// and then gives groups back, the most important first, what the next lesser
// strength would have left them, as long as the budget allows. Where counts are
// multiples of eight, all groups of a strength shrink at once, far below the
// budget.
func (j *job) meet(ctx context.Context, keep func(strength float64) []int) (*graph.Graph, *Report, error) {
	o := &j.options
	cost, ok := budgets[o.Budget]
	if !ok {
		return nil, nil, fmt.Errorf("prune: no budget is called %q (there are: %s)", o.Budget, strings.Join(Budgets(), ", "))
	}
	before, err := cost(ctx, j.source)
	if err != nil {
		return nil, nil, fmt.Errorf("prune: %s: %w", o.Budget, err)
	}
	var best *graph.Graph
	var report *Report
	const halvings = 12
	tried, looks := 0, 2*halvings // about
	// try reports whether the groups are within the budget when so many channels
	// are kept.
	try := func(keep []int) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if tried++; o.Progress != nil {
			o.Progress("meet the budget", min(tried, looks), looks+1)
		}
		p, r, err := j.cut(keep)
		if err != nil {
			return false, err
		}
		c, err := cost(ctx, p)
		if err != nil {
			return false, fmt.Errorf("prune: %s: %w", o.Budget, err)
		}
		r.Left = c / before
		if best == nil || r.Left <= o.Share {
			best, report = p, r
		}
		return r.Left <= o.Share, nil
	}
	lo, hi := 0.0, 1.0
	for range halvings { // cost falls with strength
		mid := (lo + hi) / 2
		within, err := try(keep(mid))
		if err != nil {
			return nil, nil, err
		}
		if within {
			hi = mid
		} else {
			lo = mid
		}
	}
	least := keep(hi)
	if hi == 1 {
		best = nil
		within, err := try(least)
		if err != nil {
			return nil, nil, err
		}
		if !within {
			return nil, nil, fmt.Errorf("prune: %.0f %% of the %s is out of reach: with the least channels allowed %.1f %% is left (see the least share to keep and the layers skipped)",
				100*o.Share, budgetNames[o.Budget], 100*report.Left)
		}
	}
	more := keep(lo)
	order := j.worth(least, more)
	// As many of the first as fit, and then those that still do: each is a look at
	// the cost, of which few are affordable where it is more than a count.
	counted := o.Budget == "macs" || o.Budget == "params"
	back := func(list []int, groups []int) []int {
		list = slices.Clone(list)
		for _, i := range groups {
			list[i] = more[i]
		}
		return list
	}
	some, all := 0, len(order) // all are over the budget
	if counted {
		looks += len(order)
	}
	for all-some > 1 {
		n := (some + all) / 2
		within, err := try(back(least, order[:n]))
		if err != nil {
			return nil, nil, err
		}
		if within {
			some = n
		} else {
			all = n
		}
	}
	least = back(least, order[:some])
	for i := some + 1; i < len(order) && counted; i++ {
		within, err := try(back(least, order[i:i+1]))
		if err != nil {
			return nil, nil, err
		}
		if within {
			least = back(least, order[i:i+1])
		}
	}
	if o.Progress != nil {
		o.Progress("meet the budget", looks+1, looks+1)
	}
	return best, report, nil
}

// worth lists the groups that more leaves more channels than least does, those
// first whose additional channels score highest among all of the group.
func (j *job) worth(least, more []int) []int {
	var order []int
	value := map[int]float64{}
	for i, c := range j.cs {
		if more[i] <= least[i] {
			continue
		}
		order = append(order, i)
		scores := slices.Sorted(slices.Values(c.Score))
		slices.Reverse(scores)
		all, back := 0.0, 0.0
		for k, s := range scores {
			all += s
			if k >= least[i] && k < more[i] {
				back += s
			}
		}
		if all > 0 {
			value[i] = back / float64(more[i]-least[i]) * float64(len(scores)) / all
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(value[b], value[a]) })
	return order
}
