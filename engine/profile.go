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
	times := make([][]time.Duration, len(rows))
	out := p.NewOutputs()
	for range max(runs, 1) {
		x, err := p.frame(ctx, in, out)
		if err != nil {
			return nil, err
		}
		for i := range p.steps {
			start := time.Now()
			if err := p.steps[i].run(x); err != nil {
				return nil, err
			}
			times[i] = append(times[i], time.Since(start))
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
