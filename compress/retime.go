package compress

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	sum := sha256.New()
	for _, t := range trials {
		fmt.Fprintln(sum, t.Key)
	}
	// Kept as what the clock decided: a job that is run again chooses the same.
	ms, err := decide(s, fmt.Sprintf("latencies %x", sum.Sum(nil)[:8]), func() ([]float64, error) {
		times, err := measure.Fastest(ctx, s.job.Threads, models...)
		if err != nil {
			return nil, err
		}
		ms := make([]float64, len(times))
		for i, t := range times {
			ms[i] = s.before.MedianMs * float64(t) / float64(times[0])
		}
		return ms, nil
	})
	if err != nil {
		return err
	}
	if len(ms) != len(trials) {
		return fmt.Errorf("compress: %s holds %d latencies of %d networks; remove it", s.journal.path, len(ms), len(trials))
	}
	for i, t := range trials {
		t.Ms = ms[i]
	}
	return nil
}
