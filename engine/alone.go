package engine

import (
	"context"
	"time"

	"github.com/drawknife/drawknife/internal/parallel"
	"github.com/drawknife/drawknife/tensor"
)

// Sharing a step between workers has a price that depends on the machine: the
// others must notice it, and fetch what they read from each other's caches. On
// some it exceeds what a step of five microseconds gains. So a program of small
// steps is timed when it is compiled, with the steps below one duration or
// another left to one worker. Results are the same bits either way.

// one is the pool of the steps that are left to one worker.
var one = parallel.New(1)

const (
	smallMACs    = 50e6                   // programs of more share every step
	smallProgram = time.Millisecond       // and so do those that take longer on one worker
	aloneRuns    = 4                      // to time the steps, of which the shortest counts
	aloneRounds  = 8                      // of all choices; the shortest run of each counts
	patience     = 30 * time.Millisecond  // for workers that the machine does not run yet, before their help is refused
	aloneGain    = 0.98                   // of the time: less is noise
	anyStep      = time.Duration(1 << 62) // leaves all steps to one worker
	tinyProgram  = 100 * time.Microsecond // of more, sharing pays on most machines:
	anyStepGain  = 0.9                    // leaving all their steps to one worker must gain more
)

// aloneBelow are the durations below which steps may be left to one worker.
var aloneBelow = []time.Duration{4 * time.Microsecond, 10 * time.Microsecond, anyStep}

// chooseAlone decides which steps one worker runs.
func (p *Program) chooseAlone() {
	macs := int64(0)
	for _, s := range p.steps {
		macs += s.macs
	}
	if p.pool.Workers() == 1 || macs > smallMACs || len(p.steps) == 0 {
		return
	}
	in := make([]*tensor.Tensor, len(p.inputs))
	for i, b := range p.inputs {
		in[i] = tensor.New(b.dtype, b.shape...)
	}
	x := p.frame(context.Background(), in, p.NewOutputs())
	defer p.release(x)
	// alone leaves the steps below a duration to one worker.
	took := make([]time.Duration, len(p.steps))
	alone := func(below time.Duration) (some bool) {
		for i := range p.steps {
			p.steps[i].alone = took[i] < below
			some = some || p.steps[i].alone
		}
		return some
	}
	alone(anyStep)
	for run := range aloneRuns {
		total := time.Duration(0)
		for i := range p.steps {
			start := time.Now()
			if p.run(&p.steps[i], x) != nil { // zeros may not be valid inputs
				alone(0)
				return
			}
			t := time.Since(start)
			if total += t; run == 0 || t < took[i] {
				took[i] = t
			}
		}
		if run > 0 && total > smallProgram { // the first finds nothing in the caches
			alone(0)
			return
		}
	}
	// The choices take turns, so that all see the same machine.
	choices := []time.Duration{0}
	whole := time.Duration(0)
	for _, t := range took {
		whole += t
	}
	for _, d := range aloneBelow {
		if alone(d) {
			choices = append(choices, d)
		}
	}
	least := make([]time.Duration, len(choices))
	best, begin := 0, time.Now()
	for run := 0; run < aloneRounds || best > 0 && time.Since(begin) < patience; run++ {
		for i, d := range choices {
			alone(d)
			for range 2 { // the first also moves what it reads between the caches
				start := time.Now()
				if p.runSteps(x) != nil {
					alone(0)
					return
				}
				if t := time.Since(start); run == 0 || t < least[i] {
					least[i] = t
				}
			}
		}
		best = quickest(choices, least, whole)
	}
	alone(choices[best])
}

// quickest is the index of the choice to take, given the shortest run of each,
// of a program that takes one worker whole. The first choice is that of
// sharing every step.
func quickest(choices, least []time.Duration, whole time.Duration) int {
	best := 0
	for i, t := range least {
		gain := aloneGain
		if choices[i] == anyStep && whole >= tinyProgram {
			gain = anyStepGain
		}
		if float64(t) < gain*float64(least[best]) {
			best = i
		}
	}
	return best
}
