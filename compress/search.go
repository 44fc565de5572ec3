package compress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
)

// Sizes of the samples that the search works with.
const (
	leastImages = 1000 // to choose between candidates, if there are twice as many
	mostImages  = 5000
	scanImages  = 500  // for each point of the sensitivity scan
	calibImages = 256  // to calibrate on
	provenance  = 4096 // bytes of the recipe that the final file holds besides
	normImages  = 2048 // to measure batch normalisation's statistics on
)

// search is a job in progress.
type search struct {
	job      *Job
	trainset data.Dataset // of the training images those that train and calibrate
	pre      data.Preprocess
	recipe   Recipe // without steps: model, data and seed
	start    time.Time

	selection data.Dataset // images that choose between candidates
	chosen    []int        // their places among the test images
	original  *metrics.Classification
	before    measure.Metrics
	baseline  float64 // top-1 of the original on the selection
	curves    []Curve
	groups    []prune.Candidate
	frozen    []prune.Row
	trials    []*candidate
	warnings  []string
	labelled  bool // the training images have labels
	canTrain  bool
	reduce    bool // weights of 7 bits are faster here
	journal   journal
}

// candidate is a recipe with what was measured of its result.
type candidate struct {
	steps []Step
	Trial
}

func newSearch(ctx context.Context, j *Job) (*search, error) {
	s := &search{job: j, pre: j.Pre, start: time.Now(), trainset: j.Train}
	if d := j.Graph.Inputs[0].Shape.Ints(); len(d) == 4 {
		s.pre = j.Pre.ForInput(max(d[1], 0), max(d[2], 0), max(d[3], 0))
	}
	if err := os.MkdirAll(filepath.Join(j.Dir, workDir), 0o755); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	model, err := onnx.Encode(j.Graph)
	if err != nil {
		return nil, err
	}
	fingerprint, err := data.Fingerprint(ctx, j.Train)
	if err != nil {
		return nil, fmt.Errorf("compress: training images: %w", err)
	}
	s.recipe = Recipe{Version: recipeVersion, Model: j.Model, Digest: digest(model), Data: fingerprint, Seed: j.Seed}
	labelled := 0
	for i := range min(j.Train.Len(), 100) {
		if j.Train.Label(i) >= 0 {
			labelled++
		}
	}
	s.labelled = labelled == min(j.Train.Len(), 100)
	s.canTrain = labelled == min(j.Train.Len(), 100) && j.Train.Len() >= 500
	return s, s.openJournal()
}

// left is how much of the job's time remains.
func (s *search) left() time.Duration { return s.job.Time - time.Since(s.start) }

func (s *search) run(ctx context.Context) error {
	s.job.say("measuring the original")
	if err := s.measureOriginal(ctx); err != nil {
		return err
	}
	s.job.say("original: %.2f %% top-1, %.3f ms", s.before.Top1, s.before.MedianMs)
	if err := s.integers(ctx); err != nil {
		return err
	}
	groups, frozen, err := prune.Candidates(s.inferred(), prune.Options{})
	if errors.Is(err, prune.ErrNothing) {
		s.warnings = append(s.warnings, "no channels can be removed from this model: only quantization was tried")
		return nil
	}
	if err != nil {
		return err
	}
	s.groups, s.frozen = groups, frozen
	if err := s.scan(ctx); err != nil {
		return err
	}
	return s.descend(ctx)
}

// integers tries the original in 8 bits, with weights of 8 and of 7 bits.
func (s *search) integers(ctx context.Context) error {
	steps := []Step{s.quantizeStep(nil)}
	quant, err := s.try(ctx, "int8", steps)
	if err != nil {
		return err
	}
	if _, err := s.mixed(ctx, "int8", steps, s.trials[0], quant); err != nil {
		return err
	}
	narrow := s.quantizeStep(nil)
	narrow.ReduceRange = true
	if _, err := s.try(ctx, "int8, 7-bit weights", []Step{narrow}); err != nil {
		return err
	}
	s.reduce, err = decide(s, "7-bit weights", func() (bool, error) {
		wide, err := s.apply(ctx, steps)
		if err != nil {
			return false, err
		}
		seven, err := s.apply(ctx, []Step{narrow})
		if err != nil {
			return false, err
		}
		ms, err := measure.Fastest(ctx, s.job.Threads, wide, seven)
		return err == nil && float64(ms[1]) < 0.97*float64(ms[0]), err
	})
	return err
}

// inferred is a copy of the original with all shapes known.
func (s *search) inferred() *graph.Graph {
	g := s.job.Graph.Clone()
	_ = g.InferShapes() // an error would have surfaced when the original ran
	return g
}

func (s *search) measureOriginal(ctx context.Context) error {
	j := s.job
	acc, _, err := measure.Accuracy(ctx, j.Graph, j.Test, s.pre, measure.Options{Threads: j.Threads,
		Progress: func(n int) { j.progress("original", n, j.Test.Len()) }})
	if err != nil {
		return err
	}
	if acc.N() == 0 {
		return errors.New("compress: none of the test images has a label")
	}
	s.original = acc
	s.before.Top1, s.before.Top5, s.before.Loss = acc.Top1(), acc.Top5(), acc.Loss()
	if err := s.before.Cost(s.inferred()); err != nil {
		return err
	}
	ms, err := measure.Latency(ctx, j.Threads, j.Graph)
	if err != nil {
		return err
	}
	s.before.MedianMs = float64(ms[0].Nanoseconds()) / 1e6
	if err := s.choose(ms[0]); err != nil {
		return err
	}
	if s.baseline, err = s.accuracy(ctx, j.Graph, s.selection); err != nil {
		return err
	}
	s.trials = append(s.trials, &candidate{Trial: Trial{Name: "original", Key: "original", Top1: s.baseline, Images: len(s.chosen), Ms: s.before.MedianMs,
		Bytes: s.before.WeightBytes, File: s.before.FileBytes, MACs: s.before.MACs, Params: s.before.Params, Original: true}})
	return nil
}

// choose picks the test images that choose between candidates: half of all at
// most, so that the others tell whether the choice holds on images that played
// no part in it, and no more than a two-hundredth of the time can evaluate.
func (s *search) choose(perImage time.Duration) error {
	all := s.job.Test.Len()
	n, err := decide(s, "images to choose by", func() (int, error) {
		affordable := int(s.job.Time / 200 / max(perImage, 1))
		return min(max(affordable, leastImages), mostImages, max(all/2, min(all, 200))), nil
	})
	if err != nil {
		return err
	}
	n = min(max(n, 1), all)
	for i := range n {
		s.chosen = append(s.chosen, i*all/n)
	}
	s.selection = data.Subset(s.job.Test, s.chosen)
	return nil
}

func (s *search) accuracy(ctx context.Context, g *graph.Graph, ds data.Dataset) (float64, error) {
	acc, _, err := measure.Accuracy(ctx, g, ds, s.pre, measure.Options{Threads: s.job.Threads})
	if err != nil {
		return 0, err
	}
	return acc.Top1(), nil
}

func (s *search) quantizeStep(float []string) *QuantizeStep {
	return &QuantizeStep{Method: "int8", Calibrator: "mse", Images: min(calibImages, s.trainset.Len()), Target: "ort", ReduceRange: s.reduce, Float: float}
}

// try builds a candidate, measures it and adds it to the trials. What was
// measured is kept on disk beside the model.
func (s *search) try(ctx context.Context, name string, steps []Step) (*candidate, error) {
	r := s.recipe
	r.Steps = steps
	key := r.key(len(steps))
	for _, t := range s.trials {
		if t.Key == key {
			return t, nil
		}
	}
	c := &candidate{steps: steps}
	note := filepath.Join(s.job.Dir, workDir, key+".json")
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &c.Trial) == nil && c.Key == key && c.Images == len(s.chosen) {
		s.trials = append(s.trials, c)
		s.job.say("%s: %.2f %% top-1, %.3f ms (from the last run)", c.Name, c.Top1, c.Ms)
		return c, nil
	}
	g, err := s.apply(ctx, steps)
	if err != nil {
		return nil, err
	}
	top1, err := s.accuracy(ctx, g, s.selection)
	if err != nil {
		return nil, err
	}
	// Timed beside the original: a machine that is slower now slows both.
	ms, err := measure.Fastest(ctx, s.job.Threads, s.job.Graph, g)
	if err != nil {
		return nil, err
	}
	cost := g.Cost()
	c.Trial = Trial{Name: name, Key: key, Top1: top1, Images: len(s.chosen), Ms: s.before.MedianMs * float64(ms[1]) / float64(ms[0]), Bytes: cost.WeightBytes, MACs: cost.MACs, Params: cost.Params}
	if st, err := os.Stat(s.file(key)); err == nil {
		c.File = st.Size()
	}
	b, err := json.Marshal(c.Trial)
	if err != nil {
		return nil, err
	}
	if err := writeFile(note, b); err != nil {
		return nil, err
	}
	s.trials = append(s.trials, c)
	s.job.say("%s: %.2f %% top-1, %.3f ms", name, top1, c.Ms)
	return c, nil
}

// meets reports whether a trial keeps to the budget.
func (s *search) meets(t *Trial) bool {
	b := s.job.Budget
	return s.baseline-t.Top1 <= b.MaxDrop+1e-9 && (b.LatencyMs == 0 || t.Ms <= b.LatencyMs) &&
		(b.Bytes == 0 || t.File+provenance <= b.Bytes) && (b.MACs == 0 || t.MACs <= b.MACs)
}

// excess says how far a trial is from the budget, 0 if it meets it.
func (s *search) excess(t *Trial) float64 {
	b := s.job.Budget
	over := func(v, limit float64) float64 {
		if limit == 0 {
			return 0
		}
		return max(v/limit-1, 0)
	}
	return max(s.baseline-t.Top1-b.MaxDrop-1e-9, 0)/10 + over(t.Ms, b.LatencyMs) + over(float64(t.File+provenance), float64(b.Bytes)) + over(float64(t.MACs), float64(b.MACs))
}

// ranked lists the candidates, the one to hand over first: among those that
// meet the budget the fastest or, if a latency was asked for, the most
// accurate; then the others, the nearest to the budget first. It is empty if
// there is none but the original.
func (s *search) ranked() []*candidate {
	var list []*candidate
	for _, t := range s.trials {
		if !t.Original {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *candidate) int {
		order := []int{cmp.Compare(s.excess(&a.Trial), s.excess(&b.Trial)), 0, cmp.Compare(a.Ms, b.Ms), cmp.Compare(a.Bytes, b.Bytes)}
		if s.job.Budget.LatencyMs > 0 {
			order[1] = cmp.Compare(b.Top1, a.Top1)
		}
		return cmp.Or(order...)
	})
	return list
}
