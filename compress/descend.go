package compress

import (
	"context"
	"fmt"
	"time"

	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
)

// descend looks for the smallest network that keeps to the budget: it halves
// the interval between shares of MACs known to be good and known to be too
// small, training each network on the way for an equal part of the time left.
func (s *search) descend(ctx context.Context) error {
	const floor = 0.12
	low, high := floor, 1.0
	if b := s.job.Budget; b.LatencyMs > 0 || b.MACs > 0 || b.Bytes > 0 {
		share, err := decide(s, "widest share", func() (float64, error) { return s.widest(ctx) })
		if err != nil {
			return err
		}
		if share >= 1 {
			s.job.say("8-bit integers alone meet the limits")
		} else {
			// The widest network within the limits is the most accurate one:
			// most of the time goes to it.
			return s.grow(ctx, share, s.left()*8/10)
		}
	}
	rounds, err := decide(s, "rounds", s.rounds)
	if err != nil {
		return err
	}
	for i := range rounds {
		// By no more than 15 % at a time: a network that falls far short teaches
		// little about where the limit is.
		share := max((low+high)/2, high-0.15)
		if low > floor {
			share = (low + high) / 2
		}
		if i == 0 {
			if share, err = decide(s, "first share", func() (float64, error) { return s.firstShare(rounds), nil }); err != nil {
				return err
			}
		}
		t, err := s.pruned(ctx, share, s.left()/time.Duration(rounds-i))
		if err != nil {
			return err
		}
		if s.meets(&t.Trial) {
			high = share
		} else {
			low = share
		}
		if high-low < 0.04 || s.left() < time.Second {
			break
		}
	}
	return nil
}

// usefulSteps is the least number of steps of training that repairs a pruned
// network; it matters for small data, where an epoch has few steps.
const usefulSteps = 400

// stepTime estimates a step of fine-tuning.
func (s *search) stepTime() time.Duration {
	return s.epoch / time.Duration(max(s.job.Train.Len()/s.batch(), 1))
}

// rounds is the number of networks to train: as many as get a useful training
// each, at least one, at most four.
func (s *search) rounds() (int, error) {
	if !s.canTrain {
		return 4, nil
	}
	if s.epoch == 0 {
		s.epoch = s.epochTime()
	}
	useful := max(s.epoch*3/2, s.stepTime()*usefulSteps)
	return min(max(int(s.left()/max(useful, time.Second)), 1), 4), nil
}

// firstShare is where to begin: the more training a network gets, the smaller
// it can be. 55 % of the MACs is where networks of this kind usually end up.
func (s *search) firstShare(rounds int) float64 {
	if !s.canTrain {
		return 0.85
	}
	each := s.left() / time.Duration(rounds)
	switch epochs := float64(each) / float64(max(s.epoch, 1)); {
	case epochs < 1:
		return 0.8
	case epochs < 3 || each < 2*usefulSteps*s.stepTime():
		return 0.7
	}
	return 0.55
}

// epochTime estimates an epoch of fine-tuning from the latency of one image:
// a step costs about three runs forward, batches run somewhat faster, and the
// teacher adds a run forward.
func (s *search) epochTime() time.Duration {
	perImage := time.Duration(s.before.MedianMs * float64(time.Millisecond) * 4)
	return perImage * time.Duration(s.job.Train.Len())
}

// widest finds the largest share of MACs whose quantized network, untrained,
// keeps to the limits on latency, size and MACs.
func (s *search) widest(ctx context.Context) (float64, error) {
	fits := func(share float64) (bool, error) {
		keep, err := s.shares(share)
		if err != nil {
			return false, err
		}
		var steps []Step
		if len(keep) > 0 {
			steps = append(steps, Step{Prune: &PruneStep{Score: "l1", Keep: keep}})
		}
		g, err := s.apply(ctx, append(steps, s.quantizeStep(nil)))
		if err != nil {
			return false, err
		}
		ms, err := measure.Latency(ctx, s.job.Threads, g)
		if err != nil {
			return false, err
		}
		file, err := onnx.Encode(g)
		if err != nil {
			return false, err
		}
		cost := g.Cost()
		b := s.job.Budget
		return (b.LatencyMs == 0 || float64(ms[0].Nanoseconds())/1e6 <= b.LatencyMs*0.97) &&
			(b.Bytes == 0 || int64(len(file))+provenance <= b.Bytes) && (b.MACs == 0 || cost.MACs <= b.MACs), nil
	}
	ok, err := fits(1)
	if err != nil || ok {
		return 1, err
	}
	low, high := 0.05, 1.0
	for range 5 {
		mid := (low + high) / 2
		if ok, err = fits(mid); err != nil {
			return 0, err
		}
		if ok {
			low = mid
		} else {
			high = mid
		}
		s.job.progress("fitting the limits", int(100*(1-(high-low))), 100)
	}
	return low, nil
}

// grow trains the network of the given share for the given time.
func (s *search) grow(ctx context.Context, share float64, time time.Duration) error {
	_, err := s.pruned(ctx, share, time)
	return err
}

// pruned builds, trains and quantizes the network of a share of the MACs, and
// returns the better of its two trials, float and 8-bit.
func (s *search) pruned(ctx context.Context, share float64, budget time.Duration) (*candidate, error) {
	keep, err := s.shares(share)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%.0f %% of MACs", 100*share)
	s.job.say("pruning to %s", name)
	steps := []Step{{Prune: &PruneStep{Score: "l1", Keep: keep}}}
	if hasNorm(s.job.Graph) {
		steps = append(steps, Step{Norm: &NormStep{Images: min(normImages, s.job.Train.Len())}})
	}
	epochs, err := decide(s, "epochs at "+name, func() (float64, error) { return s.epochs(ctx, keep, budget), ctx.Err() })
	if err != nil {
		return nil, err
	}
	if epochs > 0 {
		steps = append(steps, s.finetuneStep(epochs))
	}
	float, err := s.try(ctx, name+", float32", steps)
	if err != nil {
		return nil, err
	}
	steps = append(steps[:len(steps):len(steps)], s.quantizeStep(nil))
	quant, err := s.try(ctx, name+", int8", steps)
	if err != nil {
		return nil, err
	}
	mixed, err := s.mixed(ctx, name+", int8", steps, float, quant)
	if err != nil {
		return nil, err
	}
	best := float
	for _, t := range []*candidate{quant, mixed} {
		if t != nil && s.excess(&t.Trial) <= s.excess(&best.Trial) {
			best = t
		}
	}
	return best, nil
}

// epochs is how many epochs of fine-tuning fit into the time, in steps of a
// hundredth, 0 if the data have no labels. The speed is measured once on the
// pruned network and then scaled.
func (s *search) epochs(ctx context.Context, keep map[string]int, budget time.Duration) float64 {
	if !s.canTrain {
		return 0
	}
	g, _, err := prune.To(s.job.Graph, "l1", keep)
	if err != nil {
		return 0
	}
	per, err := s.trainingTime(ctx, g)
	if err != nil {
		s.warnings = append(s.warnings, fmt.Sprintf("fine-tuning is not possible: %v", err))
		s.canTrain = false
		return 0
	}
	e := float64(int(float64(budget)*0.9/float64(per)*100)) / 100
	return min(max(e, 0.05), 60)
}
