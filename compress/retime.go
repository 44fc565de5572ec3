package compress

import (
	"context"
	"os"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
)

// retime measures the latencies of the original and of all candidates anew, in
// turn. The search measures each one when it is made, minutes apart, and a
// machine that has other work to do is not equally fast at all times: numbers
// that choose one candidate over another must come from the same moment. They
// are the shortest times, in proportion to the original's.
func (s *search) retime(ctx context.Context) error {
	var models []*graph.Graph
	var trials []*candidate
	for _, t := range s.trials {
		g := s.job.Graph
		if !t.Original {
			if _, err := os.Stat(s.file(t.Key)); err != nil {
				continue // its model is gone: making it again may take long
			}
			var err error
			if g, err = s.apply(ctx, t.steps); err != nil {
				return err
			}
		}
		models, trials = append(models, g), append(trials, t)
	}
	times, err := measure.Fastest(ctx, s.job.Threads, models...)
	if err != nil {
		return err
	}
	for i, t := range trials {
		t.Ms = s.before.MedianMs * float64(times[i]) / float64(times[0])
	}
	return nil
}
