package compress

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/drawknife/drawknife/graph"
)

// floor is the least share of MACs that the search goes down to.
const floor = 0.12

// rung is a trained network of the family that the search walks down.
type rung struct {
	share float64    // of the original's MACs
	float *candidate // nil: the original
	best  *candidate // the best that quantization made of it
}

// walk looks for the smallest network that keeps to the budget: first down one
// family of pruned networks, then by what has to be trained at the end.
func (s *search) walk(ctx context.Context) error {
	last := len(s.screened.Trained) + len(s.screened.Endings)
	if last > 0 && s.canTrain {
		s.reserved = s.left() / 4
	}
	best, err := s.descend(ctx)
	if err != nil {
		return err
	}
	s.reserved = 0
	return s.endings(ctx, best, last)
}

// descend goes down one family: every network begins with the weights of the
// smallest one that met the budget so far, so that what training repaired stays
// repaired. How far down a step goes is guessed from what the last one cost. It
// returns the last network that met the budget.
func (s *search) descend(ctx context.Context) (rung, error) {
	high := rung{share: 1}
	if s.groups == nil && s.screened.Starts == nil {
		return high, nil
	}
	if s.job.Budget.limited() && s.groups != nil {
		best, done, err := s.fit(ctx)
		if err != nil || done {
			return best, err
		}
	}
	epoch, rounds, err := s.rounds(ctx)
	if err != nil {
		return high, err
	}
	if high, err = s.begin(ctx, high, rounds); err != nil || s.groups == nil {
		return high, err
	}
	low, from := floor, high // too small, and good
	share := min(s.firstShare(epoch, rounds), 0.93*high.share)
	if share, err = decide(s, "first share", func() (float64, error) { return share, nil }); err != nil {
		return high, err
	}
	for i := range rounds {
		r, err := s.pruned(ctx, from, share, s.left()/time.Duration(rounds-i))
		if err != nil {
			return high, err
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
		more, err := decide(s, fmt.Sprintf("time for round %d", i+2), func() (bool, error) { return s.left() >= time.Second, nil })
		if err != nil {
			return high, err
		}
		if high.share-low < 0.03 || !more {
			break
		}
	}
	return high, nil
}

// limited reports a limit besides the accuracy.
func (b Budget) limited() bool {
	return b.LatencyMs > 0 || b.MACs > 0 || b.Bytes > 0 || b.EnergyMJ > 0
}

// fit looks for the network within the limits. The widest one is the most
// accurate, so most of the time goes to it; where fewer bits allow a wider one
// than 8 bits do, that comes first. It is not done if no channel needs to go.
func (s *search) fit(ctx context.Context) (best rung, done bool, err error) {
	widths, err := decide(s, "widest shares", func() ([]float64, error) { return s.widths(ctx) })
	if err != nil {
		return rung{share: 1}, false, err
	}
	if widths[0] >= 1 {
		s.job.say("integers alone meet the limits")
		return rung{share: 1}, false, nil
	}
	from := rung{share: 1}
	for k, share := range widths {
		part := s.left() * 8 / 10
		if k+1 < len(widths) {
			part = s.left() / 2
		}
		r, err := s.pruned(ctx, rung{share: 1}, share, part)
		if err != nil {
			return from, true, err
		}
		if from = r; s.meets(&r.best.Trial) {
			break
		}
	}
	return from, true, nil
}

// begin lets the walk start with what was found to cost less than channels.
func (s *search) begin(ctx context.Context, high rung, rounds int) (rung, error) {
	for _, name := range s.screened.Starts {
		i, ok := s.idea(name)
		if !ok {
			continue
		}
		s.job.say("beginning with %s", name)
		budget := s.left() / time.Duration(rounds+1)
		epochs := 0.0
		if i.Needs.Train {
			var err error
			if epochs, err = s.decideEpochs(ctx, "epochs of "+name, s.job.Graph, budget/2); err != nil {
				return high, err
			}
			budget /= 2
		}
		steps, err := s.plan(i, epochs)
		if err != nil {
			return high, err
		}
		if steps, err = s.finetuned(ctx, steps, budget); err != nil {
			return high, err
		}
		r, err := s.tried(ctx, name, steps)
		if err != nil {
			return high, err
		}
		if s.meets(&r.best.Trial) && s.compare(r.best, s.ranked()[0]) <= 0 {
			if s.base, err = s.apply(ctx, steps); err != nil {
				return high, err
			}
			high = r
		}
	}
	return high, nil
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
// two, since the first may be too small, and at most five.
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
		return min(max(int(s.left()/max(useful, time.Second)), 2), 5), nil
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
	r, err := s.tried(ctx, name, steps)
	r.share = share
	return r, err
}

// train adds to steps those that prune to a share of the MACs and train for
// the time given.
func (s *search) train(ctx context.Context, steps []Step, share float64, budget time.Duration) ([]Step, error) {
	p := &PruneStep{Method: s.screened.Score, Allocation: s.screened.Allocation, NoNorm: true}
	var err error
	if p.Allocation == "" {
		p.Keep, err = s.shares(share)
	} else {
		var g *graph.Graph
		if g, err = s.apply(ctx, steps); err == nil {
			p.MACs = min(share*float64(s.before.MACs)/float64(max(g.Cost().MACs, 1)), 1)
		}
	}
	if err != nil {
		return nil, err
	}
	steps = slices.Clone(steps)
	if len(p.Keep) > 0 || p.MACs > 0 {
		steps = append(steps, p)
		if hasNorm(s.job.Graph) {
			steps = append(steps, s.normStep())
		}
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
	g, err := s.apply(ctx, steps)
	if err != nil {
		return nil, err
	}
	epochs, err := s.decideEpochs(ctx, "epochs after "+r.key(len(steps)), g, budget)
	if err != nil || epochs == 0 {
		return steps, err
	}
	steps = append(steps[:len(steps):len(steps)], &FinetuneStep{Training: s.training(epochs)})
	_, err = s.apply(ctx, steps)
	return steps, err
}

// decideEpochs is epochs, decided once under a name.
func (s *search) decideEpochs(ctx context.Context, name string, g *graph.Graph, budget time.Duration) (float64, error) {
	return decide(s, name, func() (float64, error) {
		e := s.epochs(ctx, g, budget)
		return e, ctx.Err()
	})
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
