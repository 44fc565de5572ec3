package compress

import (
	"context"
	"fmt"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
)

// floor is the least share of MACs that the search goes down to.
const floor = 0.12

// rung is a trained network of the family that the search walks down.
type rung struct {
	share float64    // of the original's MACs
	float *candidate // nil: the original
	best  *candidate // the best that quantization made of it
}

// descend looks for the smallest network that keeps to the budget. It goes
// down one family: every network begins with the weights of the smallest one
// that met the budget so far, so that what training repaired stays repaired.
// How far down a step goes is guessed from what the last one cost.
func (s *search) descend(ctx context.Context) error {
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
			_, err := s.pruned(ctx, rung{share: 1}, share, s.left()*8/10)
			return err
		}
	}
	epoch, rounds, err := s.rounds(ctx)
	if err != nil {
		return err
	}
	low, high := floor, rung{share: 1} // too small, and good
	share := s.firstShare(epoch, rounds)
	if share, err = decide(s, "first share", func() (float64, error) { return share, nil }); err != nil {
		return err
	}
	from := high
	for i := range rounds {
		r, err := s.pruned(ctx, from, share, s.left()/time.Duration(rounds-i))
		if err != nil {
			return err
		}
		drop := s.baseline - r.best.Top1
		switch met := s.meets(&r.best.Trial); {
		case met:
			high, from = r, r
			share = nextShare(share, drop, s.job.Budget.MaxDrop, low, 0.93*share)
		case drop < 1.3*s.job.Budget.MaxDrop && from.share != share && s.canTrain:
			from = r // nearly: it gets another training
		default:
			low, from = max(low, share), high
			share = nextShare(share, drop, s.job.Budget.MaxDrop, low, high.share)
		}
		if high.share-low < 0.03 || s.left() < time.Second {
			break
		}
	}
	return nil
}

// nextShare guesses the share of MACs at which the drop comes near to the one
// allowed, between one that is too small and one that is surely good. The drop
// is taken to grow as 1/share − 1; an eighth of what is allowed stays in hand.
func nextShare(share, drop, allowed, low, high float64) float64 {
	guess := low
	if share < 1 && drop > 0 {
		per := drop / (1/share - 1)
		guess = 1 / (1 + 0.875*allowed/per)
	}
	guess = max(guess, 0.65*share) // a network that falls far short teaches little
	if low > floor {
		guess = max(guess, low+0.3*(high-low))
		high -= 0.2 * (high - low)
	}
	return min(guess, high)
}

// usefulSteps is the least number of steps of training that repairs a pruned
// network; it matters for small data, where an epoch has few steps.
const usefulSteps = 400

// rounds is the number of networks to train, with the time that an epoch of
// the original would take: as many as get a useful training each, at least
// one, at most five.
func (s *search) rounds(ctx context.Context) (epoch time.Duration, rounds int, err error) {
	if !s.canTrain {
		return 0, 4, nil
	}
	epoch, err = decide(s, "an epoch", func() (time.Duration, error) { return s.trainingTime(ctx, s.job.Graph) })
	if err != nil {
		if ctx.Err() != nil {
			return 0, 0, err
		}
		s.warnings = append(s.warnings, fmt.Sprintf("fine-tuning is not possible: %v", err))
		s.canTrain = false
		return 0, 4, nil
	}
	rounds, err = decide(s, "rounds", func() (int, error) {
		useful := max(epoch*2, s.stepTime(epoch)*usefulSteps)
		return min(max(int(s.left()/max(useful, time.Second)), 1), 5), nil
	})
	return epoch, rounds, err
}

// stepTime is how long a step takes if an epoch takes so long.
func (s *search) stepTime(epoch time.Duration) time.Duration {
	return epoch / time.Duration(max(s.trainset.Len()/s.batch(), 1))
}

// firstShare is where to begin: the more training a network gets, the smaller
// it can be.
func (s *search) firstShare(epoch time.Duration, rounds int) float64 {
	if !s.canTrain {
		return 0.85
	}
	each := s.left() / time.Duration(rounds)
	switch epochs := float64(each) / float64(max(epoch, 1)); {
	case epochs < 1:
		return 0.8
	case epochs < 2 || each < 2*usefulSteps*s.stepTime(epoch):
		return 0.7
	}
	return 0.6
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
			steps = append(steps, &PruneStep{Method: "l1", Keep: keep, NoNorm: true})
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

// gradual is the ratio of MACs beyond which a network is pruned in two stages
// with training between them: the smaller the steps, the less is forgotten.
const gradual = 0.65

// pruned prunes a network further, to a share of the original's MACs, trains
// it for the time given and quantizes it. At the same share it only trains on.
func (s *search) pruned(ctx context.Context, from rung, share float64, budget time.Duration) (rung, error) {
	var steps []Step
	if from.float != nil {
		steps = from.float.steps
	}
	if ratio := share / from.share; ratio < gradual && s.canTrain {
		half, err := s.train(ctx, steps, (share+from.share)/2, budget/4)
		if err != nil {
			return rung{}, err
		}
		steps, budget = half, budget*3/4
	}
	name := fmt.Sprintf("%.0f %% of MACs", 100*share)
	if share < from.share {
		s.job.say("pruning to %s", name)
	} else {
		s.job.say("training on at %s", name)
		name += ", trained on"
	}
	var err error
	if share < from.share {
		steps, err = s.train(ctx, steps, share, budget)
	} else {
		steps, err = s.finetuned(ctx, steps, budget)
	}
	if err != nil {
		return rung{}, err
	}
	float, err := s.try(ctx, name+", float32", steps)
	if err != nil {
		return rung{}, err
	}
	best, err := s.quantized(ctx, name+", int8", steps, float)
	return rung{share, float, best}, err
}

// quantized tries the network that steps make in 8 bits: with some layers in
// float and, where seven bits were chosen and fall short, with weights of eight.
// It returns the best of these trials, or the float one if that is as quick.
func (s *search) quantized(ctx context.Context, name string, steps []Step, float *candidate) (*candidate, error) {
	steps = append(steps[:len(steps):len(steps)], s.quantizeStep(nil))
	best, err := s.try(ctx, name, steps)
	if err != nil {
		return nil, err
	}
	consider := func(c *candidate) {
		if c != nil && s.excess(&c.Trial) < s.excess(&best.Trial) {
			best = c
		}
	}
	mixed, err := s.mixed(ctx, name, steps, float, best)
	if err != nil {
		return nil, err
	}
	consider(mixed)
	if s.reduce && !s.meets(&best.Trial) {
		eight := s.quantizeStep(nil)
		eight.ReduceRange = false
		c, err := s.try(ctx, name+", 8-bit weights", append(steps[:len(steps)-1:len(steps)-1], eight))
		if err != nil {
			return nil, err
		}
		consider(c)
	}
	if float.Ms <= best.Ms {
		consider(float)
	}
	return best, nil
}

// train adds to steps those that prune to a share of the MACs and train for
// the time given.
func (s *search) train(ctx context.Context, steps []Step, share float64, budget time.Duration) ([]Step, error) {
	keep, err := s.shares(share)
	if err != nil {
		return nil, err
	}
	steps = append(steps[:len(steps):len(steps)], &PruneStep{Method: "l1", Keep: keep, NoNorm: true})
	if hasNorm(s.job.Graph) {
		steps = append(steps, s.normStep())
	}
	return s.finetuned(ctx, steps, budget)
}

// finetuned adds fine-tuning for the time given to steps, if that is possible,
// and carries them out.
func (s *search) finetuned(ctx context.Context, steps []Step, budget time.Duration) ([]Step, error) {
	if !s.canTrain {
		return steps, nil
	}
	r := s.recipe
	r.Steps = steps
	epochs, err := decide(s, "epochs after "+r.key(len(steps)), func() (float64, error) {
		g, err := s.apply(ctx, steps)
		if err != nil {
			return 0, err
		}
		return s.epochs(ctx, g, budget), ctx.Err()
	})
	if err != nil || epochs == 0 {
		return steps, err
	}
	steps = append(steps[:len(steps):len(steps)], &FinetuneStep{Training: s.training(epochs)})
	_, err = s.apply(ctx, steps)
	return steps, err
}

// epochs is how many epochs of fine-tuning g fit into the time, in steps of a
// hundredth, 0 if it cannot be trained. The speed is measured on a few steps.
func (s *search) epochs(ctx context.Context, g *graph.Graph, budget time.Duration) float64 {
	per, err := s.trainingTime(ctx, g)
	if err != nil {
		if ctx.Err() == nil {
			s.warnings = append(s.warnings, fmt.Sprintf("fine-tuning is not possible: %v", err))
			s.canTrain = false
		}
		return 0
	}
	e := float64(int(float64(budget)*0.9/float64(per)*100)) / 100
	return min(max(e, 0.05), 60)
}
