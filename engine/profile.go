package engine

import (
	"context"
	"slices"
	"time"

	"github.com/drawknife/drawknife/tensor"
)

// Profile runs the program the given number of times and returns the median
// and the shortest time of each step.
func (p *Program) Profile(ctx context.Context, in []*tensor.Tensor, runs int) ([]StepTime, error) {
	rows := p.Steps()
	out := p.NewOutputs()
	if err := p.check(in, out); err != nil {
		return nil, err
	}
	if p.parts != nil {
		return p.profileParts(ctx, rows, in, runs)
	}
	times := make([][]time.Duration, len(rows))
	for range max(runs, 1) {
		x := p.frame(ctx, in, out)
		row := 0
		for i := range p.steps {
			s := &p.steps[i]
			if s.parts != nil {
				x.clock = make(clock, len(s.parts))
			}
			start := time.Now()
			if err := p.run(s, x); err != nil {
				return nil, err
			}
			took := time.Since(start)
			if s.parts == nil {
				times[row] = append(times[row], took)
				row++
				continue
			}
			for _, t := range x.clock.share(took) {
				times[row] = append(times[row], t)
				row++
			}
			x.clock = nil
		}
		p.release(x)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for i := range rows {
		slices.Sort(times[i])
		rows[i].Time, rows[i].Min = times[i][len(times[i])/2], times[i][0]
	}
	return rows, nil
}

// profileParts profiles the first part, and takes all for alike.
func (p *Program) profileParts(ctx context.Context, rows []StepTime, in []*tensor.Tensor, runs int) ([]StepTime, error) {
	q := p.parts.p
	first := make([]*tensor.Tensor, len(in))
	for i, t := range in {
		all := t.Bytes()
		var err error
		if first[i], err = tensor.FromBytes(t.DType, all[:len(all)/p.parts.n], q.inputs[i].shape...); err != nil {
			return nil, err
		}
	}
	part, err := q.Profile(ctx, first, runs)
	if err != nil {
		return nil, err
	}
	factor := float64(p.parts.n)
	if p.parts.apart {
		factor /= float64(min(p.pool.Workers(), p.parts.n))
	}
	for i := range rows {
		rows[i].Time, rows[i].Min = time.Duration(factor*float64(part[i].Time)), time.Duration(factor*float64(part[i].Min))
	}
	return rows, nil
}

// Latency times whole runs: after warm-up runs, the time of each of the runs,
// sorted.
func (p *Program) Latency(ctx context.Context, in []*tensor.Tensor, warmup, runs int) ([]time.Duration, error) {
	out := p.NewOutputs()
	times := make([]time.Duration, 0, runs)
	for i := range warmup + max(runs, 1) {
		start := time.Now()
		if err := p.RunInto(ctx, in, out); err != nil {
			return nil, err
		}
		if i >= warmup {
			times = append(times, time.Since(start))
		}
	}
	slices.Sort(times)
	return times, nil
}
