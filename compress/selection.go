package compress

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
)

// sample is a set of labelled images that candidates are compared on.
type sample struct{ images data.Dataset }

// part is a sample of n of the images, evenly spread.
func (p sample) part(n int) sample { return sample{data.Spread(p.images, min(n, p.images.Len()))} }

// score is how well a network does on a sample: top-1 in percent, and the mean
// cross-entropy, which changes more smoothly.
type score struct{ Top1, Loss float64 }

// score runs g on a sample.
func (s *search) score(ctx context.Context, g *graph.Graph, p sample) (score, error) {
	acc, _, err := measure.Accuracy(ctx, g, p.images, s.pre, measure.Options{Threads: s.job.Threads})
	if err != nil {
		return score{}, err
	}
	return score{acc.Top1(), acc.Loss()}, nil
}

// holdout is how many of n labelled training images choose between candidates
// and train nothing: a tenth, at least a thousand where there are four times as
// many, and at most as many as a search ever looks at.
func holdout(n int) int { return min(max(n/10, min(leastImages, n/4)), mostImages) }

// split takes n images out of ds, drawn so that no order of the images matters;
// the same ones every time.
func split(ds data.Dataset, n int) (rest, taken data.Dataset) {
	order := rand.New(rand.NewPCG(0x73656c656374, uint64(ds.Len()))).Perm(ds.Len())
	out, in := order[:n], order[n:]
	slices.Sort(out)
	slices.Sort(in)
	return data.Subset(ds, in), data.Subset(ds, out)
}

// choose settles which images choose between candidates, given how long the
// original takes for one: those of a validation set, or those held out of the
// training images. Where these have no labels, or the original was trained on
// them, half of the test images choose, and only the other half measures. No
// more are taken than a hundredth of the time can evaluate.
func (s *search) choose(ctx context.Context, perImage time.Duration) error {
	if s.job.Val == nil && s.recipe.Holdout > 0 {
		if err := s.doubt(ctx); err != nil {
			return err
		}
	}
	from, err := labelled(s.held)
	if err != nil {
		return err
	}
	n, err := decide(s, "images to choose by", func() (int, error) {
		affordable := int(s.job.Time / 100 / max(perImage, 1))
		return min(max(affordable, leastImages), mostImages, from.Len()), nil
	})
	if err != nil {
		return err
	}
	s.selection = sample{images: from}.part(n)
	return nil
}

// doubt puts the images that were held out back to the others if the original
// knows them from its own training: if it is right on more of them than on the
// test images, by more than chance. It then has an advantage over every
// candidate that forgets them, as all that are trained on without them do, and
// what they say of a candidate is worth nothing.
func (s *search) doubt(ctx context.Context) error {
	held, err := s.score(ctx, s.job.Graph, sample{images: s.held})
	if err != nil {
		return err
	}
	test, err := s.score(ctx, s.job.Graph, sample{images: s.test})
	if err != nil {
		return err
	}
	p, q := held.Top1/100, test.Top1/100
	chance := 100 * math.Sqrt(p*(1-p)/float64(s.held.Len())+q*(1-q)/float64(s.test.Len()))
	if held.Top1-test.Top1 <= max(0.5, 2*chance) {
		return nil
	}
	s.job.say("the original knows the training images (%.2f %% of those held out, %.2f %% of the test images): half of the test images choose", held.Top1, test.Top1)
	s.recipe.Holdout, s.trainset = 0, s.job.Train
	s.halve()
	return nil
}

// halve lets half of the test images choose; only the other half measures.
func (s *search) halve() {
	s.test, s.held = split(s.job.Test, (s.job.Test.Len()+1)/2)
	s.chosenFrom = "half of the test images, which measures nothing else"
	if s.test.Len() == 0 {
		s.test = s.job.Test
	}
}

// labelled leaves images without a label out.
func labelled(ds data.Dataset) (data.Dataset, error) {
	var at []int
	for i := range ds.Len() {
		if ds.Label(i) >= 0 {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return nil, errNoLabels
	}
	return data.Subset(ds, at), nil
}

// accuracyOf measures g on all test images.
func (s *search) accuracyOf(ctx context.Context, g *graph.Graph, what string) (*metrics.Classification, error) {
	acc, _, err := measure.Accuracy(ctx, g, s.test, s.pre, measure.Options{Threads: s.job.Threads,
		Progress: func(n int) { s.job.progress(what, n, s.test.Len()) }})
	return acc, err
}
