package compress

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/tensor"
)

// sample is a set of labelled images that candidates are compared on. Images
// that the original was trained on are easier for it than others; weights make
// up for that (see balance).
type sample struct {
	images data.Dataset
	weight []float64 // of each image, their mean is 1; nil: all count alike
}

// part is a sample of n of the images, evenly spread.
func (p sample) part(n int) sample {
	all := p.images.Len()
	if n >= all {
		return p
	}
	at := make([]int, n)
	var weight []float64
	for i := range at {
		at[i] = i * all / n
		if p.weight != nil {
			weight = append(weight, p.weight[at[i]])
		}
	}
	return sample{data.Subset(p.images, at), weight}
}

// score is how well a network does on a sample: top-1 in percent, and the mean
// cross-entropy, which changes more smoothly.
type score struct{ Top1, Loss float64 }

// score runs g on a sample.
func (s *search) score(ctx context.Context, g *graph.Graph, p sample) (score, error) {
	acc, _, err := measure.Accuracy(ctx, g, p.images, s.pre, measure.Options{Threads: s.job.Threads})
	if err != nil {
		return score{}, err
	}
	if p.weight == nil {
		return score{acc.Top1(), acc.Loss()}, nil
	}
	right, all := 0.0, 0.0
	predicted, labels := acc.Predictions()
	for i, w := range p.weight {
		all += w
		if predicted[i] == labels[i] {
			right += w
		}
	}
	return score{100 * right / all, acc.Loss()}, nil
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
// training images. Where the training images have no labels, half of the test
// images choose, and only the other half measures. No more are taken than a
// hundredth of the time can evaluate.
func (s *search) choose(ctx context.Context, perImage time.Duration) error {
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
	if s.job.Val == nil && s.recipe.Holdout > 0 {
		if s.selection.weight, err = s.balance(ctx, s.selection.images); err != nil {
			return err
		}
	}
	return nil
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

// surenessBins are the borders between bins of the original's probability for
// the class it decides for.
var surenessBins = []float64{0.5, 0.7, 0.85, 0.95, 0.99, 0.999}

// fewInBin is the least number of held-out images that stand for a bin.
const fewInBin = 15

// balance weighs training images that were held out so that the original is as
// sure of them as it is of the test images (post-stratification). It was most
// likely trained on them, is surer of them than of new images, and images that a
// network is sure of survive what others do not: a compressed network that
// forgets them has not become worse at its task. Of the test images nothing but
// the original's own sureness is used.
func (s *search) balance(ctx context.Context, held data.Dataset) ([]float64, error) {
	bins := make([][]int, 2)
	counts := make([][]float64, 2)
	for k, ds := range []data.Dataset{held, s.test} {
		p, err := s.sureness(ctx, ds)
		if err != nil {
			return nil, err
		}
		counts[k] = make([]float64, len(surenessBins)+1)
		for _, v := range p {
			b, _ := slices.BinarySearch(surenessBins, v)
			bins[k] = append(bins[k], b)
			counts[k][b]++
		}
	}
	// Bins with few images join the next one up.
	to := make([]int, len(counts[0]))
	for b := range to {
		to[b] = b
	}
	for b := 0; b+1 < len(to); b++ {
		if counts[0][b] < fewInBin {
			for k := range counts {
				counts[k][b+1] += counts[k][b]
				counts[k][b] = 0
			}
			for i := range to {
				if to[i] == b {
					to[i] = b + 1
				}
			}
		}
	}
	weight := make([]float64, len(bins[0]))
	for i, b := range bins[0] {
		b = to[b]
		weight[i] = counts[1][b] / float64(len(bins[1])) / (counts[0][b] / float64(len(bins[0])))
	}
	return weight, nil
}

// sureness is the original's probability for the class that it decides for, of
// each image.
func (s *search) sureness(ctx context.Context, ds data.Dataset) ([]float64, error) {
	g := s.job.Graph
	m := engine.NewModel(g, engine.Options{Threads: s.job.Threads})
	var out []float64
	_, _, err := measure.AccuracyOf(ctx, g, ds, s.pre, measure.Options{Threads: s.job.Threads}, func(x *tensor.Tensor) (*tensor.Tensor, error) {
		all, err := m.Run(ctx, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
		if err != nil {
			return nil, err
		}
		y := all[g.Outputs[0].Name]
		rows := y.Len() / max(y.Shape[0], 1)
		v := y.Float32s()
		for i := range y.Shape[0] {
			out = append(out, surest(v[i*rows:(i+1)*rows]))
		}
		return y, nil
	})
	return out[:min(len(out), ds.Len())], err
}

// surest is the largest probability of a row of probabilities or logits.
func surest(row []float32) float64 {
	top, sum, least := math.Inf(-1), 0.0, math.Inf(1)
	for _, v := range row {
		top, least, sum = max(top, float64(v)), min(least, float64(v)), sum+float64(v)
	}
	if least >= 0 && math.Abs(sum-1) < 1e-3 {
		return top
	}
	z := 0.0
	for _, v := range row {
		z += math.Exp(float64(v) - top)
	}
	return 1 / z
}

// accuracyOf measures g on all test images.
func (s *search) accuracyOf(ctx context.Context, g *graph.Graph, what string) (*metrics.Classification, error) {
	acc, _, err := measure.Accuracy(ctx, g, s.test, s.pre, measure.Options{Threads: s.job.Threads,
		Progress: func(n int) { s.job.progress(what, n, s.test.Len()) }})
	return acc, err
}
